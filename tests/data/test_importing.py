import json
import shutil

import numpy as np
import pytest
from PIL import Image

from comet_cli.data.check import check_folder
from comet_cli.data.dataset_folder import load_folder, read_description, read_metadata
from comet_cli.data.importing import import_dataset
from comet_cli.errors import CometError, CometWarning, Interrupted, UsageError
from comet_cli.formats.images import load_image, to_bytes


@pytest.fixture
def source(tmp_path, picture):
    for number in range(12):
        picture(tmp_path / "source" / f"part{number % 2}" / f"{number:02d}.png", number)
    return tmp_path / "source"


def snapshot(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def splits(folder):
    return {
        entry["source"]: split
        for split in ("train", "test")
        for entry in read_metadata(folder, split) or []
    }


def test_pictures_are_those_that_encode_would_see(source, tmp_path):
    done = import_dataset("images", str(source), tmp_path / "out", size=16, test_fraction=0.3)
    assert done.imported == 12 and done.skipped == () and sum(done.counts.values()) == 12
    assert min(done.counts.values()) > 0
    loaded = load_folder(tmp_path / "out")
    assert loaded.images.shape == (12, 16, 16, 3) and loaded.masks is None
    for image, entry in zip(loaded.images, loaded.metadata, strict=True):
        assert (image == to_bytes(load_image(source / entry["source"], 16))).all()


def test_an_imported_set_passes_the_check_and_names_no_folder_of_the_machine(source, tmp_path):
    import_dataset("images", str(source), tmp_path / "out", size=16, test_fraction=0.3)
    report = check_folder(tmp_path / "out")
    assert report.ok and (report.generator, report.size) == ("images", 16)
    description = read_description(tmp_path / "out")
    assert description["source"] == "source" and description["complete"] is True
    for name, content in snapshot(tmp_path / "out").items():
        assert str(tmp_path).encode() not in content, name
    assert not (tmp_path / "out" / "masks").exists()


def test_split_is_the_same_at_every_size_and_under_other_names(source, tmp_path):
    import_dataset("images", str(source), tmp_path / "a", size=16, test_fraction=0.3)
    import_dataset("images", str(source), tmp_path / "b", size=8, test_fraction=0.3)
    assert splits(tmp_path / "a") == splits(tmp_path / "b")
    for file in sorted(source.rglob("*.png")):
        file.rename(file.with_name("x" + file.name))
    import_dataset("images", str(source), tmp_path / "c", size=16, test_fraction=0.3)
    renamed = {name.replace("/x", "/"): split for name, split in splits(tmp_path / "c").items()}
    assert renamed == splits(tmp_path / "a")


def test_a_greater_share_keeps_every_test_picture(source, tmp_path):
    shares = (0, 0.2, 0.5, 0.9)
    tests = []
    for share in shares:
        out = tmp_path / f"{share}"
        import_dataset("images", str(source), out, size=16, test_fraction=share)
        tests.append({name for name, split in splits(out).items() if split == "test"})
    assert tests[0] == set() and tests[0] <= tests[1] <= tests[2] <= tests[3] and tests[3]


def test_equal_pictures_are_never_divided(source, tmp_path):
    for file in sorted(source.rglob("*.png")):
        shutil.copy(file, file.with_name("copy-" + file.name))
        # The same pixels in another file format: other bytes.
        Image.open(file).save(file.with_suffix(".bmp"))
    import_dataset("images", str(source), tmp_path / "out", size=16, test_fraction=0.4)
    assert check_folder(tmp_path / "out").ok
    found = splits(tmp_path / "out")
    assert len(found) == 36
    for name, split in found.items():
        base = name.replace("copy-", "").replace(".bmp", ".png")
        assert found[base] == split


def test_crop_keeps_the_middle_square(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[12:28, 22:38] = (200, 100, 50)
    (tmp_path / "source").mkdir()
    Image.fromarray(pixels).save(tmp_path / "source" / "a.png")
    import_dataset(
        "danbooru", str(tmp_path / "source"), tmp_path / "out", size=16, crop=16, test_fraction=0
    )
    assert (load_folder(tmp_path / "out").images[0] == (200, 100, 50)).all()
    import_dataset(
        "danbooru", str(tmp_path / "source"), tmp_path / "all", size=16, crop=999, test_fraction=0
    )
    whole = to_bytes(load_image(tmp_path / "source" / "a.png", 16))
    assert (load_folder(tmp_path / "all").images[0] == whole).all()


def test_broken_pictures_are_skipped_counted_and_named(source, tmp_path):
    (source / "bad.png").write_bytes(b"\x89PNG cut off")
    (source / "empty.jpg").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"^2 of the pictures .*: bad\.png, empty\.jpg$"):
        done = import_dataset("images", str(source), tmp_path / "out", size=16)
    assert done.skipped == ("bad.png", "empty.jpg") and done.imported == 12
    assert check_folder(tmp_path / "out").ok


def test_a_source_without_a_readable_picture_is_said(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.png").write_bytes(b"no picture")
    with pytest.raises(CometError, match="none of the 1 pictures"):
        import_dataset("images", str(tmp_path / "source"), tmp_path / "out")


def test_an_interrupted_import_can_be_used_and_goes_on_to_the_same_bytes(source, tmp_path):
    def interrupt(done, total):
        assert total == 12
        if done == 5:
            raise KeyboardInterrupt

    words = {"size": 16, "test_fraction": 0.3}
    with pytest.raises(Interrupted, match="5 pictures are imported and kept"):
        import_dataset("images", str(source), tmp_path / "a", **words, progress=interrupt)
    assert len(load_folder(tmp_path / "a")) == 5
    assert [problem.kind for problem in check_folder(tmp_path / "a").problems] == ["description"]
    done = import_dataset("images", str(source), tmp_path / "a", **words)
    assert (done.imported, done.kept) == (7, 5)
    import_dataset("images", str(source), tmp_path / "b", **words)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert import_dataset("images", str(source), tmp_path / "a", **words).imported == 0


def test_pictures_that_left_the_source_stay_and_are_named(source, tmp_path):
    import_dataset("images", str(source), tmp_path / "out", size=16)
    (source / "part0" / "04.png").unlink()
    with pytest.warns(CometWarning, match="1 of the pictures.*no longer in.*part0/04.png"):
        again = import_dataset("images", str(source), tmp_path / "out", size=16)
    assert again.gone == ("part0/04.png",) and (again.imported, again.kept) == (0, 12)


def test_a_picture_that_was_edited_is_never_imported_over(source, tmp_path):
    import_dataset("images", str(source), tmp_path / "out", size=16)
    edited = tmp_path / "out" / "train" / "000001.png"
    Image.new("RGB", (16, 16), (255, 0, 0)).save(edited)
    before = snapshot(tmp_path / "out")
    with pytest.raises(UsageError, match="000001.png' was changed after comet made it"):
        import_dataset("images", str(source), tmp_path / "out", size=16)
    assert snapshot(tmp_path / "out") == before


def test_a_greater_limit_adds_and_a_smaller_one_is_refused(source, tmp_path):
    words = {"size": 16, "test_fraction": 0.3}
    assert import_dataset("images", str(source), tmp_path / "a", **words, limit=4).imported == 4
    done = import_dataset("images", str(source), tmp_path / "a", **words, limit=9)
    assert (done.imported, done.kept) == (5, 4)
    import_dataset("images", str(source), tmp_path / "b", **words, limit=9)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    with pytest.raises(UsageError, match="holds 9 pictures already, more than --limit 3"):
        import_dataset("images", str(source), tmp_path / "a", **words, limit=3)


def test_other_folders_are_left_alone_and_replaced_by_force_only(source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        import_dataset("images", str(source), tmp_path / "mine", size=16)
    import_dataset("images", str(source), tmp_path / "out", size=16)
    with pytest.raises(UsageError, match="whose size is 16, not 8"):
        import_dataset("images", str(source), tmp_path / "out", size=8)
    done = import_dataset("images", str(source), tmp_path / "out", size=8, limit=2, force=True)
    assert (done.imported, done.kept) == (2, 0) and check_folder(tmp_path / "out").ok
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("out", ["source", "source/deeper", "."])
@pytest.mark.parametrize("force", [False, True])
def test_source_and_folder_never_lie_in_each_other(source, tmp_path, out, force):
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="lie in each other"):
        import_dataset("images", str(source), tmp_path / out, force=force)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"size": 4}, "--size is 4"),
        ({"crop": 0}, "--crop is 0"),
        ({"test_fraction": 1.0}, "--test-fraction is 1.0"),
        ({"test_fraction": float("nan")}, "--test-fraction is nan"),
        ({"limit": 0}, "--limit is 0"),
    ],
)
def test_settings_out_of_range_make_nothing(source, tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        import_dataset("images", str(source), tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()


def test_metadata_is_json_lines_with_the_name_in_the_source(source, tmp_path):
    import_dataset("images", str(source), tmp_path / "out", size=16, test_fraction=0)
    lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert first == {
        "file_name": "000000.png",
        "split": "train",
        "index": 0,
        "source": "part0/00.png",
    }
