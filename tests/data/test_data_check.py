import json

import numpy as np
import pytest
from PIL import Image

from comet_cli.data.check import check_folder
from comet_cli.data.make import make_dataset
from comet_cli.errors import CometError
from comet_cli.worlds.tetris import Tetris


@pytest.fixture
def folder(tmp_path):
    make_dataset(Tetris(), tmp_path / "set", count=5, test_count=3)
    return tmp_path / "set"


def kinds(folder):
    return {(problem.kind, problem.file) for problem in check_folder(folder).problems}


def test_a_fresh_set_has_no_problem(folder):
    report = check_folder(folder)
    assert report.ok and report.problems == []
    assert report.counts == report.masks == {"train": 5, "test": 3}
    assert (report.generator, report.size) == ("tetris", 35)


def test_corrupt_picture_is_named(folder):
    (folder / "train" / "000001.png").write_bytes(b"\x89PNG cut off")
    assert kinds(folder) == {("unreadable", "train/000001.png")}
    assert check_folder(folder).counts["train"] == 4


def test_missing_picture_and_missing_mask_are_named(folder):
    (folder / "train" / "000000.png").unlink()
    (folder / "masks" / "testset" / "000002.png").unlink()
    assert kinds(folder) == {
        ("missing", "train/000000.png"),
        ("missing", "masks/testset/000002.png"),
    }


def test_picture_in_both_splits_is_named(folder):
    source = folder / "train" / "000003.png"
    (folder / "test" / "000001.png").write_bytes(source.read_bytes())
    report = check_folder(folder)
    assert [problem.kind for problem in report.problems] == ["duplicate"]
    assert report.problems[0].file == "test/000001.png"
    assert "train/000003.png" in report.problems[0].message


def test_scene_in_both_splits_is_named_in_any_order_of_objects(folder):
    train, test = (folder / split / "metadata.jsonl" for split in ("train", "test"))
    objects = json.loads(train.read_text().splitlines()[4])["objects"]
    lines = [json.loads(line) for line in test.read_text().splitlines()]
    lines[0]["objects"] = objects[::-1]
    test.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert kinds(folder) == {("scene", "test/000000.png")}


def test_wrong_sizes_and_wrong_labels_are_named(folder):
    Image.new("RGB", (20, 30)).save(folder / "train" / "000002.png")
    mask = folder / "masks" / "testset" / "000000.png"
    labels = np.asarray(Image.open(mask)).copy()
    labels[labels == 2] = 9
    Image.fromarray(labels).save(mask)
    assert kinds(folder) == {
        ("size", "train/000002.png"),
        ("mask", "masks/trainset/000002.png"),
        ("mask", "masks/testset/000000.png"),
    }


def test_pictures_beside_empty_metadata_are_unlisted(folder):
    description = json.loads((folder / "dataset.json").read_text())
    description["counts"]["test"] = 0
    (folder / "dataset.json").write_text(json.dumps(description))
    (folder / "test" / "metadata.jsonl").write_text("")
    assert kinds(folder) == {("unlisted", f"test/00000{n}.png") for n in range(3)}


@pytest.mark.parametrize("lines", [2, None])
def test_a_set_that_was_not_made_to_its_end_can_be_gone_on_with(folder, lines):
    metadata = folder / "train" / "metadata.jsonl"
    kept = metadata.read_text().splitlines(keepends=True)[:lines]
    metadata.unlink()
    if lines is not None:
        metadata.write_text("".join(kept))
    (told,) = [p.message for p in check_folder(folder).problems if p.file.endswith("jsonl")]
    assert told.endswith("It was not made to its end; the same command goes on with it.")


def test_counts_and_unlisted_pictures_are_named(folder):
    metadata = folder / "train" / "metadata.jsonl"
    metadata.write_text("".join(metadata.read_text().splitlines(keepends=True)[:-1]))
    assert kinds(folder) == {("count", "train/metadata.jsonl"), ("unlisted", "train/000004.png")}


def test_a_folder_that_is_no_data_set_is_said(tmp_path):
    assert kinds(tmp_path) == {("description", "dataset.json")}
    with pytest.raises(CometError, match="no folder"):
        check_folder(tmp_path / "missing")
