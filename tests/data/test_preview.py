import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from comet_cli.cli.data import app
from comet_cli.data.dataset_folder import load_folder
from comet_cli.data.preview import check_preview, draw_preview, first_pictures
from comet_cli.errors import CometError, UsageError


def make(tmp_path, *words, count=8):
    folder, sheet = str(tmp_path / "set"), str(tmp_path / "sheet.png")
    words = ["make", "tetris", "--count", str(count), "--test-count", "2", "-o", folder, *words]
    return CliRunner().invoke(app, [*words, "--jobs", "1", "--preview", sheet])


def test_the_sheet_shows_the_first_pictures_in_order(tmp_path):
    assert make(tmp_path).stdout.splitlines()[-1] == str(tmp_path / "sheet.png")
    images = load_folder(tmp_path / "set", "train").images
    pictures = first_pictures(tmp_path / "set")
    assert (np.stack(pictures) == images).all()
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (sheet == draw_preview(list(images))).all()
    large = images[7].repeat(4, 0).repeat(4, 1)  # the second in the second row of six
    margin, gap, side = 19, 8, 140
    top, left = margin + side + gap, margin + side + gap
    assert (sheet[top : top + side, left : left + side] == large).all()
    assert (sheet[top:-margin, left + side + gap :] == 255).all()


def test_a_preview_is_replaced_when_a_set_goes_on_and_nothing_else_is(tmp_path):
    make(tmp_path)
    before = (tmp_path / "sheet.png").read_bytes()
    report = json.loads(make(tmp_path, "--json", count=10).stdout)
    assert (report["made"], report["preview"]) == (2, str(tmp_path / "sheet.png"))
    assert (tmp_path / "sheet.png").read_bytes() != before
    Image.new("RGB", (4, 4)).save(tmp_path / "sheet.png")
    photo = (tmp_path / "sheet.png").read_bytes()
    result = make(tmp_path, "--force", count=12)
    assert isinstance(result.exception, UsageError) and "no preview" in str(result.exception)
    assert (tmp_path / "sheet.png").read_bytes() == photo
    assert len(load_folder(tmp_path / "set", "train")) == 10


def test_a_preview_may_lie_in_the_new_folder_but_not_in_a_missing_one(tmp_path):
    check_preview(tmp_path / "set" / "sheet.png", tmp_path / "set")
    for place in (tmp_path / "missing" / "sheet.png", tmp_path, "-"):
        with pytest.raises(UsageError):
            check_preview(place, tmp_path / "set")
    with pytest.raises(CometError, match="no picture"):
        first_pictures(tmp_path)
