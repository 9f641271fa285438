"""The cache of pictures: never stale, never half, never needed."""

import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

from comet_cli.data import mapped
from comet_cli.data.dataset_folder import load_folder
from comet_cli.data.make import make_dataset
from comet_cli.data.mapped import map_pictures
from comet_cli.data.packing import pack_dataset
from comet_cli.errors import CometError
from comet_cli.formats import cache as cache_module
from comet_cli.worlds.tetris import Tetris


@pytest.fixture
def tetris(tmp_path):
    make_dataset(Tetris(), tmp_path / "set", count=6, test_count=3, seed=4)
    settle(tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def decoded(monkeypatch):
    """The sources whose pictures were decoded, in turn."""
    calls = []
    fill = mapped._fill
    monkeypatch.setattr(mapped, "_fill", lambda f, *rest: (calls.append(rest[0]), fill(f, *rest)))
    return calls


@pytest.fixture
def hashed(monkeypatch):
    """The files that were read to be hashed."""
    files = []
    hash_ = cache_module._hash
    monkeypatch.setattr(cache_module, "_hash", lambda f: (files.append(f.name), hash_(f))[1])
    return files


def settle(folder):
    """Make a folder look as if it was written a minute ago, as far as that can be done."""
    for file in folder.rglob("*"):
        os.utime(file, (time.time() - 60,) * 2)


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch):
    """The time of the last change of an inode cannot be set; do without waiting for it."""
    monkeypatch.setattr(cache_module, "_SETTLED_NS", 0)


def entries(cache):
    return sorted(path.name for path in (cache / "pictures").iterdir())


@pytest.mark.parametrize("split", ["train", "test", None])
@pytest.mark.parametrize("size", [None, 20])
def test_mapped_pictures_are_the_loaded_ones(tetris, split, size):
    for _ in range(2):
        found, expected = map_pictures(tetris, split, size), load_folder(tetris, split, size)
        assert isinstance(found.images, np.memmap) and isinstance(found.masks, np.memmap)
        assert (found.images == expected.images).all() and (found.masks == expected.masks).all()
        assert found.metadata == expected.metadata and not found.images.flags.writeable


def test_pictures_are_decoded_once_and_hashed_once(tetris, decoded, hashed):
    for _ in range(3):
        map_pictures(tetris, "train")
    assert decoded == [tetris]
    assert len(hashed) == 13, "a list, six pictures, six masks"


def test_touching_reads_a_file_again_but_decodes_nothing(tetris, decoded, hashed):
    first = map_pictures(tetris, "train")
    hashed.clear()
    os.utime(tetris / "train" / "000003.png")
    assert (map_pictures(tetris, "train").images == first.images).all()
    assert hashed == ["000003.png"] and len(decoded) == 1


def test_another_folder_of_the_same_content_needs_no_decoding(tetris, tmp_path, decoded):
    map_pictures(tetris, "train")
    shutil.copytree(tetris, tmp_path / "copy")
    assert len(map_pictures(tmp_path / "copy", "train")) == 6 and len(decoded) == 1


def white(file, size=35):
    Image.new("RGB", (size, size), "white").save(file)


def test_changed_pictures_are_seen(tetris, cache):
    map_pictures(tetris, "train")
    white(tetris / "train" / "000003.png")
    found = map_pictures(tetris, "train")
    assert (found.images[3] == 255).all() and (found.images[2] != 255).any()
    assert len(entries(cache)) == 1, "the pictures of the old content are gone"


def test_content_of_the_same_size_and_time_is_seen_all_the_same(tmp_path):
    """As `cp --preserve` and archives write it: only the inode's own time tells."""
    file = tmp_path / "set" / "a.ppm"
    file.parent.mkdir()
    for colour in (10, 200):
        Image.new("RGB", (16, 16), (colour,) * 3).save(file)
        os.utime(file, (1_600_000_000, 1_600_000_000))
        assert (map_pictures(file.parent).images == colour).all()


def test_a_file_that_changed_just_now_is_hashed_again(tmp_path, monkeypatch, hashed):
    monkeypatch.setattr(cache_module, "_SETTLED_NS", 3600 * 10**9)
    white(tmp_path / "a.png")
    map_pictures(tmp_path)
    hashed.clear()
    map_pictures(tmp_path)
    assert hashed == ["a.png"]


def test_new_removed_and_renamed_pictures_are_seen(tmp_path, cache):
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in "ab":
        white(folder / f"{name}.png", 16)
    assert len(map_pictures(folder)) == 2
    Image.new("RGB", (16, 16)).save(folder / "c.png")
    assert map_pictures(folder).images[:, 0, 0, 0].tolist() == [255, 255, 0]
    (folder / "c.png").rename(folder / "0.png")
    assert map_pictures(folder).images[:, 0, 0, 0].tolist() == [0, 255, 255]
    (folder / "a.png").unlink()
    assert len(map_pictures(folder)) == 2 and len(entries(cache)) == 1


def test_other_metadata_or_masks_are_seen(tetris):
    map_pictures(tetris, "train")
    mask = tetris / "masks" / "trainset" / "000001.png"
    Image.fromarray(np.full((35, 35), 3, np.uint8)).save(mask)
    assert (map_pictures(tetris, "train").masks[1] == 3).all()
    file = tetris / "train" / "metadata.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[::-1]))
    assert [entry["index"] for entry in map_pictures(tetris, "train").metadata] == [
        5,
        4,
        3,
        2,
        1,
        0,
    ]


def test_corrupt_pictures_are_skipped_with_a_warning_each_time(tetris):
    (tetris / "train" / "000001.png").write_bytes(b"\x89PNG cut off")
    (tetris / "train" / "000002.png").unlink()
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"^2 of the files .*000001\.png, train/000002\.png"):
            loaded = map_pictures(tetris, "train")
        assert len(loaded) == 4 and loaded.skipped == ("train/000001.png", "train/000002.png")


def test_a_folder_without_a_readable_picture_leaves_nothing(tmp_path, cache):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with (
        pytest.warns(UserWarning, match="^1 of the files"),
        pytest.raises(CometError, match="no readable picture in"),
    ):
        map_pictures(tmp_path)
    assert entries(cache) == []


def damage_cut(entry):
    (entry / "images").write_bytes((entry / "images").read_bytes()[:-1])


def damage_facts(entry):
    (entry / "entry.json").write_text('{"count": 6}')


def damage_metadata(entry):
    (entry / "metadata.jsonl").write_text("{}\n")


def damage_masks(entry):
    (entry / "masks").unlink()


@pytest.mark.parametrize("damage", [damage_cut, damage_facts, damage_metadata, damage_masks])
def test_a_damaged_entry_is_made_again(tetris, cache, decoded, damage):
    expected = np.array(map_pictures(tetris, "train").images)
    damage(next((cache / "pictures").iterdir()))
    found = map_pictures(tetris, "train")
    assert (found.images == expected).all() and found.masks is not None and len(decoded) == 2


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_cache_that_is_deleted_midway_disturbs_nobody(tetris, cache):
    loaded = map_pictures(tetris, "train")
    expected = load_folder(tetris, "train").images
    shutil.rmtree(cache)
    assert (loaded.images == expected).all()
    assert (map_pictures(tetris, "train").images == expected).all()


def test_fingerprints_that_are_broken_or_hostile_are_forgotten(tetris, cache, tmp_path):
    map_pictures(tetris, "train")
    victim = tmp_path / "victim"
    victim.mkdir()
    (memory,) = (cache / "fingerprints").iterdir()
    content = json.loads(memory.read_text())
    for broken in (b"", b"[]", b'{"files": {"a": 1}, "entries": {}}'):
        memory.write_bytes(broken)
        assert len(map_pictures(tetris, "train")) == 6
    memory.write_text(json.dumps({**content, "entries": {"None": os.path.relpath(victim, cache)}}))
    assert len(map_pictures(tetris, "train")) == 6
    assert victim.is_dir()


def test_two_at_once_get_whole_pictures_and_leave_one_entry(tetris, cache):
    expected = load_folder(tetris, "train").images
    barrier, found = threading.Barrier(4), []

    def work():
        barrier.wait()
        found.append(np.array(map_pictures(tetris, "train").images))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all((images == expected).all() for images in found)
    assert len(entries(cache)) == 1


def test_a_folder_that_changes_while_it_is_read_is_read_again(tetris, monkeypatch, cache):
    fill, changes = mapped._fill, [1]

    def slow(folder, path, *rest):
        fill(folder, path, *rest)
        if changes:
            changes.pop()
            white(path / "train" / "000000.png")

    monkeypatch.setattr(mapped, "_fill", slow)
    assert (map_pictures(tetris, "train").images[0] == 255).all()
    assert len(entries(cache)) == 1


def test_where_the_cache_cannot_be_written_pictures_are_in_memory(tetris, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("COMET_CACHE", str(blocked))
    with pytest.warns(UserWarning, match="the cache '.*file' cannot be used .*set COMET_CACHE"):
        loaded = map_pictures(tetris, "train")
    assert not isinstance(loaded.images, np.memmap) and len(loaded) == 6


def test_nothing_is_written_into_the_data_set(tetris):
    before = sorted(tetris.rglob("*"))
    map_pictures(tetris)
    assert sorted(tetris.rglob("*")) == before


def test_a_pack_is_unpacked_once_and_again_when_it_is_another(tetris, tmp_path, decoded, cache):
    file = pack_dataset(tetris, tmp_path / "a.pack").file
    for _ in range(2):
        assert (map_pictures(file, "train").images == load_folder(tetris, "train").images).all()
    assert decoded == [file]
    white(tetris / "train" / "000000.png")
    pack_dataset(tetris, file)
    assert (map_pictures(file, "train").images[0] == 255).all()
    assert len(entries(cache)) == 1


def test_what_killed_processes_left_is_removed_after_a_day(tetris, cache):
    map_pictures(tetris, "train")
    old, young = (cache / "pictures" / f".making-{word}" for word in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    map_pictures(tetris, "test")
    assert not old.exists() and young.exists()


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"COMET_CACHE": "~/mine", "COMET_HOME": "/home"}, "~/mine"),
        ("linux", {"COMET_HOME": "/home"}, "/home/cache"),
        ("linux", {"XDG_CACHE_HOME": "/scratch"}, "/scratch/comet"),
        ("linux", {}, "~/.cache/comet"),
        ("darwin", {}, "~/Library/Caches/comet"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/comet/cache"),
    ],
)
def test_where_the_cache_is(monkeypatch, platform, variables, expected):
    for name in ("COMET_CACHE", "COMET_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache_module.sys, "platform", platform)
    assert str(cache_module.cache_home()) == os.path.expanduser(expected)
