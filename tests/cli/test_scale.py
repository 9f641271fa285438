"""``--scale``: a rendering enlarged, recorded, and made again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.formats.images import decode_png
from comet_cli.formats.picture_recipe import read_recipe


def pixels(path: str) -> np.ndarray:
    return decode_png(Path(path).read_bytes())


@pytest.fixture
def encoded(pictures):
    """Components of two pictures; return the runner."""
    assert pictures("encode", "a.png", "b.png", "-m", "quad").code == 0
    return pictures


@pytest.mark.parametrize(
    ("scale", "kind"),
    [("3", Image.Resampling.LANCZOS), ("3:pixels", Image.Resampling.NEAREST)],
)
def test_a_composition_is_what_it_would_be_enlarged(encoded, scale, kind):
    encoded("compose", "a.z", "--steps", "2", "-o", "plain.png")
    done = encoded("compose", "a.z", "--steps", "2", "-o", "large.png", "--scale", scale)
    assert done.code == 0, done.err
    plain = Image.fromarray(pixels("plain.png"))
    wanted = np.asarray(plain.resize((3 * plain.width, 3 * plain.height), kind))
    assert np.array_equal(pixels("large.png"), wanted)
    assert read_recipe(Path("large.png").read_bytes()).settings["scale"] == scale
    assert "scale" not in read_recipe(Path("plain.png").read_bytes()).settings
    assert encoded("replay", "large.png", "--json").json["outputs"][0]["identical"] is True


@pytest.mark.parametrize(
    "command",
    [
        "decompose a.z --steps 1",
        "recombine a.z b.z --steps 1",
        "compose a.z --steps 1 --seeds 0-3",
        "gradients a.png -m quad --overlay",
    ],
)
def test_sheets_hold_larger_renderings_and_are_made_again(encoded, command):
    for path, scale in (("plain.png", ()), ("large.png", ("--scale", "16"))):
        done = encoded(*command.split(), "-o", path, *scale)
        assert done.code == 0, done.err
    assert pixels("large.png").shape[1] > 1.5 * pixels("plain.png").shape[1]
    assert encoded("replay", "large.png", "--json").json["outputs"][0]["identical"] is True


def test_single_cells_and_masks_are_enlarged(encoded):
    for folder in ("cells", "masks"):
        Path(folder).mkdir()
    encoded(
        "recombine", "a.z", "b.z", "--steps", "1", "-o", "x.png", "--each", "cells", "--scale", "2"
    )
    side = pixels(str(next(Path("cells").iterdir()))).shape[0]
    encoded("compose", "a.z", "--steps", "1", "-o", "one.png")
    assert side == 2 * pixels("one.png").shape[0]
    words = ("gradients", "a.png", "-m", "quad", "-o", "y.png", "--masks", "masks", "--scale", "3")
    assert encoded(*words).code == 0
    masks = [pixels(str(path)) for path in Path("masks").iterdir()]
    assert masks and all(set(np.unique(mask)) <= {0, 255} for mask in masks)
    assert all(mask.shape[0] % 3 == 0 for mask in masks)


def test_a_batch_is_enlarged_as_its_lines_are_alone(encoded):
    Path("list.txt").write_text(
        "a.z -o 1.png --steps 1 --scale 2\nb.z -o 2.png --steps 1 --scale 2\n"
        '{"selections": "a.z", "output": "3.png", "steps": 1, "scale": "2:pixels"}\n'
    )
    assert encoded("batch", "list.txt").code == 0
    encoded("compose", "a.z", "--steps", "1", "--scale", "2", "-o", "alone.png")
    distance = np.abs(pixels("1.png").astype(int) - pixels("alone.png"))
    assert distance.max() <= 2
    assert np.array_equal(pixels("3.png")[::2, ::2], pixels("3.png")[1::2, 1::2])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--scale 0", "--scale is '0', expected 1 to 16"),
        ("--scale 17", "expected 1 to 16"),
        ("--scale 2x", "expected 1 to 16"),
        ("--scale 16 --size 1024", "makes 16384 pixels of 1024"),
        ("--scale 2 --trace t.gif", "leave --scale or --trace away"),
    ],
)
def test_a_scale_that_cannot_be_is_refused_before_any_work(encoded, words, sentence):
    done = encoded("compose", "a.z", "-o", "x.png", *words.split())
    assert done.code == 2 and sentence in done.err and not Path("x.png").exists()
    if "size" not in words and "trace" not in words:
        for verb in ("decompose", "recombine a.z", "gradients"):
            done = encoded(*verb.split(), "a.png", "-m", "quad", "-o", "x.png", *words.split())
            assert done.code == 2 and sentence in done.err and not Path("x.png").exists()
