import json
import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.data import dataset_folder, make
from comet_cli.data.check import check_folder
from comet_cli.data.dataset_folder import find_pictures, load_folder, read_metadata
from comet_cli.data.make import make_dataset
from comet_cli.data.mapped import map_pictures
from comet_cli.errors import CometError, Interrupted, MissingInputError, UsageError
from comet_cli.worlds.tetris import Tetris


@pytest.fixture
def tetris(tmp_path):
    make_dataset(Tetris(), tmp_path / "set", count=6, test_count=3, seed=4)
    return tmp_path / "set"


def snapshot(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def plain(folder, name, size, colour=(10, 200, 30)):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return file


def test_layout_is_an_imagefolder_with_masks_apart(tetris):
    lines = (tetris / "test" / "metadata.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["file_name"] for entry in entries] == [f"{i:06d}.png" for i in range(3)]
    for entry in entries:
        assert (tetris / "test" / entry["file_name"]).is_file()
        # Any folder called train or test would make its pictures part of that split.
        assert not {"train", "test"} & set(entry["mask"].split("/"))
        assert (tetris / entry["mask"]).is_file()
    description = json.loads((tetris / "dataset.json").read_text())
    assert description["counts"] == {"train": 6, "test": 3}
    assert (description["generator"], description["seed"], description["size"]) == ("tetris", 4, 35)


def test_loaded_pictures_are_the_generated_ones(tetris):
    from comet_cli.worlds.generator import sample_rng

    loaded = load_folder(tetris, "test")
    assert loaded.images.shape == (3, 35, 35, 3) and loaded.masks.shape == (3, 35, 35)
    for index in range(3):
        sample = Tetris().sample(sample_rng(4, "test", index), "test")
        assert (loaded.images[index] == sample.image).all()
        assert (loaded.masks[index] == sample.mask).all()
        assert loaded.metadata[index]["objects"] == sample.factors["objects"]
    assert len(load_folder(tetris)) == 9
    assert len(load_folder(tetris, limit=2)) == 2


def test_making_again_after_a_deletion_gives_identical_bytes(tetris):
    before = snapshot(tetris)
    (tetris / "train" / "000002.png").unlink()
    (tetris / "masks" / "testset" / "000001.png").unlink()
    (tetris / "train" / "metadata.jsonl").unlink()
    made = make_dataset(Tetris(), tetris, count=6, test_count=3, seed=4)
    assert (made.made, made.kept) == (2, 7)
    assert snapshot(tetris) == before


def test_a_cut_off_picture_is_made_again(tetris):
    before = snapshot(tetris)
    file = tetris / "train" / "000000.png"
    file.write_bytes(file.read_bytes()[:100])
    assert make_dataset(Tetris(), tetris, count=6, test_count=3, seed=4).made == 1
    assert snapshot(tetris) == before


def test_jobs_and_growing_do_not_change_a_byte(tetris, tmp_path):
    make_dataset(Tetris(), tetris, count=20, test_count=3, seed=4)
    make_dataset(Tetris(), tmp_path / "other", count=20, test_count=3, seed=4, jobs=2)
    assert snapshot(tetris) == snapshot(tmp_path / "other")


def test_an_interrupted_set_can_be_used_and_resumed(tmp_path):
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="3 of 7 pictures are there and kept"):
        make_dataset(Tetris(), tmp_path / "a", count=5, test_count=2, progress=interrupt)
    assert 2 <= len(load_folder(tmp_path / "a")) <= 3
    make_dataset(Tetris(), tmp_path / "a", count=5, test_count=2)
    make_dataset(Tetris(), tmp_path / "b", count=5, test_count=2)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_arrays_of_another_size_say_what_can_be_done(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(CometError, match="of 8 pixels, not 16, and arrays are not resized; write"):
        load_folder(tmp_path / "a.npz", size=16)


SLOW = """
import sys, time
from comet_cli.data.make import make_dataset
from comet_cli.errors import Interrupted
from comet_cli.worlds.tetris import Tetris


class Slow(Tetris):
    def sample(self, rng, split):
        time.sleep(0.1)
        return super().sample(rng, split)


if __name__ == "__main__":
    try:
        make_dataset(Slow(), sys.argv[1], count=4000, jobs=int(sys.argv[2]))
    except Interrupted as error:
        print(error)
"""


@pytest.fixture
def slow(tmp_path):
    """Return a function that begins to make a large set, and waits for its first pictures."""
    (tmp_path / "slow.py").write_text(SLOW)

    def begin(jobs):
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "slow.py"), str(tmp_path / "set"), str(jobs)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + 60
        while len(pictures_in(tmp_path / "set")) < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        return process

    return begin


def pictures_in(folder):
    return list(folder.glob("train/*.png"))


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signal")
@pytest.mark.parametrize("jobs", [1, 2])
def test_sigterm_ends_the_making_as_ctrl_c_does(slow, tmp_path, jobs):
    process = slow(jobs)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    there = len(pictures_in(tmp_path / "set"))
    assert out.startswith(f"interrupted; {there} of 4000 pictures are there and kept"), out
    assert len(read_metadata(tmp_path / "set", "train")) == there


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signal")
def test_processes_end_where_the_one_that_started_them_is_gone(slow, tmp_path):
    process = slow(2)
    process.kill()
    process.communicate(timeout=60)  # to the end of the output, which they hold open too
    before = len(pictures_in(tmp_path / "set"))
    time.sleep(0.5)
    assert len(pictures_in(tmp_path / "set")) == before


def test_another_set_is_replaced_only_by_force(tetris):
    keep = tetris / "notes.txt"
    keep.write_text("mine")
    with pytest.raises(CometError, match="seed is 4, not 5"):
        make_dataset(Tetris(), tetris, count=6, test_count=3, seed=5)
    with pytest.raises(CometError, match="6 train pictures, more than 2"):
        make_dataset(Tetris(), tetris, count=2, test_count=3, seed=4)
    make_dataset(Tetris(), tetris, count=2, test_count=1, seed=5, force=True)
    assert len(load_folder(tetris)) == 3
    assert keep.read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CometError, match="not empty"):
        make_dataset(Tetris(), tmp_path, count=1)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_plain_pictures_are_cropped_in_the_middle_and_reduced(tmp_path):
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[:, 40:280] = (200, 100, 50)
    (tmp_path / "deep").mkdir()
    Image.fromarray(pixels).save(tmp_path / "deep" / "CLEVR_0.png")
    Image.fromarray(pixels).save(tmp_path / "CLEVR_1.JPG")
    loaded = load_folder(tmp_path, size=64)
    assert loaded.images.shape == (2, 64, 64, 3) and loaded.masks is None
    # What lies outside the middle square must be gone.
    assert np.abs(loaded.images.astype(int) - (200, 100, 50)).max() <= 3
    assert [entry["file_name"] for entry in loaded.metadata] == ["CLEVR_1.JPG", "deep/CLEVR_0.png"]


def test_size_defaults_to_that_of_the_first_picture(tmp_path):
    plain(tmp_path, "a.png", (48, 40))
    plain(tmp_path, "b.png", (100, 80))
    assert load_folder(tmp_path).images.shape == (2, 40, 40, 3)


def test_masks_are_resized_without_new_labels(tetris):
    masks = load_folder(tetris, "test", size=20).masks
    assert masks.shape == (3, 20, 20) and set(np.unique(masks)) == {0, 1, 2, 3}


def test_corrupt_pictures_are_skipped_with_a_count(tmp_path):
    plain(tmp_path, "a.png", (16, 16))
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.warns(UserWarning, match=r"^2 of the files .*b\.png, c\.png"):
        loaded = load_folder(tmp_path)
    assert len(loaded) == 1 and loaded.skipped == ("b.png", "c.png")


def test_pictures_of_every_kind_that_is_read_are_found(tmp_path):
    kinds = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "TGA", "JPEG2000", "ICO")
    picture = Image.new("RGB", (16, 16), (200, 30, 90))
    for kind, ending in zip(kinds, "png jpe webp gif tif dib pnm tga jp2 ico".split(), strict=True):
        picture.save(tmp_path / f"a.{ending}", kind)
    assert len(load_folder(tmp_path)) == len(kinds)


def test_an_array_file_is_mapped_from_disk(tetris, tmp_path):
    file = tmp_path / "pictures.npy"
    np.save(file, load_folder(tetris, "train").images)
    loaded = load_folder(file)
    assert isinstance(loaded.images, np.memmap)
    assert (loaded.images == load_folder(tetris, "train").images).all()
    with pytest.raises(CometError, match="35 pixels, not 64"):
        load_folder(file, size=64)


def test_an_npz_keeps_its_masks_and_pickles_are_refused(tmp_path):
    images, masks = np.zeros((2, 8, 8, 3), np.uint8), np.ones((2, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, masks=masks)
    assert (load_folder(tmp_path / "a.npz").masks == 1).all()
    with pytest.raises(MissingInputError, match="a file of arrays, which has no splits"):
        load_folder(tmp_path / "a.npz", "train")
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CometError, match="no array file"):
        load_folder(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("place", "split", "words"),
    [("missing", None, "no folder"), ("", None, "no readable picture"), ("", "train", "no split")],
)
def test_nothing_to_load_is_said(tmp_path, place, split, words):
    with pytest.raises(CometError, match=words):
        load_folder(tmp_path / place, split)


def test_a_broken_line_of_metadata_is_named(tetris):
    with (tetris / "train" / "metadata.jsonl").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(CometError, match="line 7 of .*metadata.jsonl"):
        load_folder(tetris)


def test_a_split_that_was_not_finished_loads_with_the_other(tetris):
    (tetris / "train" / "metadata.jsonl").unlink()
    loaded = load_folder(tetris)
    assert len(loaded) == 9 and loaded.masks is None
    assert [entry["file_name"] for entry in loaded.metadata[5:7]] == ["000005.png", "000000.png"]


def test_pictures_carry_their_metadata(tetris):
    entry = dataset_folder.read_entry(tetris, "train", 1)
    assert entry == dataset_folder.read_metadata(tetris, "train")[1]


def test_a_process_that_is_ended_is_one_sentence(tmp_path, monkeypatch):
    def ended(*_):
        raise BrokenProcessPool
        yield

    monkeypatch.setattr(make, "_run", ended)
    with pytest.raises(CometError, match="perhaps for want of memory; 0 of 5 pictures are kept"):
        make_dataset(Tetris(), tmp_path / "a", count=5)


def test_a_damaged_picture_is_made_again_and_one_that_was_edited_never(tmp_path):
    make_dataset(Tetris(), tmp_path / "set", count=3)
    first, second = (tmp_path / "set" / "train" / f"00000{n}.png" for n in range(2))
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    assert make_dataset(Tetris(), tmp_path / "set", count=3).made == 1
    assert first.read_bytes() == whole
    Image.new("RGB", (35, 35), (255, 0, 0)).save(second)
    edited = second.read_bytes()
    with pytest.raises(UsageError, match="000001.png' was changed after comet made it"):
        make_dataset(Tetris(), tmp_path / "set", count=3)
    assert second.read_bytes() == edited


def test_sample_sheets_of_a_training_are_no_pictures(tmp_path):
    for name in ("a", "begun", "model", "cards"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "0.png")
    for name in ("begun/checkpoint.pt", "model/card.json", "model/model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "cards" / "card.json").touch()  # somebody's
    found = [file.relative_to(tmp_path).as_posix() for file in find_pictures(tmp_path)]
    assert found == ["a/0.png", "cards/0.png"]
    assert len(find_pictures(tmp_path / "begun")) == 1, "asked for by its name"


def test_labels_beside_plain_pictures_are_read(tmp_path):
    for name in ("b.png", "a.png", "more/c.png", "more/d.png"):
        plain(tmp_path, name, (4, 4))
    lines = [
        {"file_name": "more/c.png", "factors": {"tone": 1}},
        {"file_name": "a.png", "factors": {"tone": 0}},
        {"file_name": "gone.png", "factors": {"tone": 2}},
    ]
    labels = tmp_path / "metadata.jsonl"
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.warns(UserWarning, match=r"1 of the files in .* skipped: gone.png"):
        loaded = load_folder(tmp_path)
    unlisted = [{"file_name": name} for name in ("b.png", "more/d.png")]
    assert loaded.metadata == [lines[1], unlisted[0], lines[0], unlisted[1]]
    with pytest.warns(UserWarning, match="gone.png"):
        assert list(map_pictures(tmp_path).metadata) == loaded.metadata
    labels.write_text(json.dumps({"file_name": "b.png", "factors": {"tone": 5}}) + "\n")
    assert list(map_pictures(tmp_path).metadata)[1]["factors"] == {"tone": 5}


def test_a_split_that_is_asked_for_by_its_path_has_its_labels(tetris):
    whole, split = load_folder(tetris, "test"), load_folder(tetris / "test")
    assert (split.images == whole.images).all() and split.masks is None
    assert [each["objects"] for each in split.metadata] == [
        each["objects"] for each in whole.metadata
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"file_name": "a.png", "mask": 5}', "has the mask 5, expected a file of the data set"),
        ('{"file_name": "a.png", "mask": "/m.png"}', 'has the mask "/m.png", expected'),
        ('{"file_name": "a.png", "objects": 5}', "has the objects 5, expected a list"),
        ('{"file_name": "a.png", "objects": [5]}', "has the objects .5., expected a list"),
    ],
)
def test_a_line_that_says_what_cannot_be_gets_a_sentence(tmp_path, line, what):
    plain(tmp_path / "train", "a.png", (4, 4))
    (tmp_path / "train" / "metadata.jsonl").write_text("\n" + line)
    for act in (load_folder, check_folder):
        with pytest.raises(CometError, match=f"line 2 of .*metadata.jsonl' {what}"):
            act(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("counts", 5), ("counts", {"train": "5"}), ("size", "x"), ("subset", []), ("generator", [])],
)
def test_a_description_that_says_what_cannot_be_gets_a_sentence(tetris, key, value):
    file = tetris / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    for act in (check_folder, lambda folder: make_dataset(Tetris(), folder, count=9, seed=4)):
        with pytest.raises(CometError, match=f"dataset.json' has the {key} .*, expected a "):
            act(tetris)


def test_what_editors_add_to_metadata_is_no_damage(tmp_path):
    """A mark at the start, the ends of lines of Windows, blank lines; and a text of any letters."""
    plain(tmp_path / "train", "a.png", (4, 4))
    plain(tmp_path / "train", "b.png", (4, 4))
    lines = ['{"file_name": "a.png", "text": "one\u2028two"}', '{"file_name": "b.png"}', "", ""]
    text = "\ufeff" + "\r\n".join(lines)
    (tmp_path / "train" / "metadata.jsonl").write_bytes(text.encode())
    first, second = load_folder(tmp_path, "train").metadata
    assert first == {"file_name": "a.png", "text": "one\u2028two"}
    assert second == {"file_name": "b.png"}


@pytest.mark.parametrize("line", ['{"file_name": 3}', '{"file_name": "/a.png"}', '["a.png"]'])
@pytest.mark.parametrize("place", [".", "train"])
def test_a_line_without_a_file_of_the_folder_gets_a_sentence(tmp_path, place, line):
    plain(tmp_path / place, "a.png", (4, 4))
    (tmp_path / place / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(CometError, match=r"line 1 of .* is not a JSON object with a file_name"):
        load_folder(tmp_path)
