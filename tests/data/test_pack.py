"""Packs: what goes in comes out, in 40 MB for 10,000 pictures, and damage is one sentence."""

import json
import zlib

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from comet_cli.cli.data import app
from comet_cli.data.dataset_folder import load_folder, splits_in
from comet_cli.data.make import make_dataset
from comet_cli.data.pack import BYTES_PER_PICTURE, FORMAT, is_pack, read_facts
from comet_cli.data.packing import pack_dataset
from comet_cli.errors import CometError, FileFormatError, UsageError
from comet_cli.worlds.tetris import Tetris

run = CliRunner().invoke


@pytest.fixture
def tetris(tmp_path):
    make_dataset(Tetris(), tmp_path / "set", count=6, test_count=3, seed=4)
    return tmp_path / "set"


@pytest.fixture
def packed(tetris, tmp_path):
    return pack_dataset(tetris, tmp_path / "set.pack").file


def smooth(count, size=64, seed=0):
    """Pictures like photographs: smooth, with grain that no lossless coder can foresee."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (count, 8, 8, 3)).astype(np.uint8)
    images = [
        Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC) for each in coarse
    ]
    grain = rng.integers(-6, 7, (count, size, size, 3))
    return (np.stack([np.asarray(image) for image in images]) + grain).clip(0, 255).astype(np.uint8)


def write(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


def rewrite(file, facts=None, **arrays):
    """Write a pack again with other arrays (None: left out) or facts in its header."""
    content = {**load_file(file), **arrays}
    words = {**header(file), **(facts or {})}
    kept = {name: array for name, array in content.items() if array is not None}
    save_file(kept, file, {FORMAT: json.dumps(words)})


def header(file):
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"][FORMAT])


@pytest.mark.parametrize("split", ["train", "test", None])
def test_pixels_masks_and_metadata_come_out_as_they_went_in(tetris, packed, split):
    found, expected = load_folder(packed, split), load_folder(tetris, split)
    assert (found.images == expected.images).all() and (found.masks == expected.masks).all()
    assert found.metadata == expected.metadata
    assert splits_in(packed) == splits_in(tetris) == ("train", "test")
    assert read_facts(packed).encoding == "webp-lossless"


def test_the_same_folder_gives_identical_bytes(tetris, packed, tmp_path):
    again = pack_dataset(tetris, tmp_path / "again.pack")
    assert again.file.read_bytes() == packed.read_bytes() and again.bytes == packed.stat().st_size
    repacked = pack_dataset(packed, tmp_path / "repacked.pack")
    assert repacked.file.read_bytes() == packed.read_bytes()


def test_one_split_and_another_size(tetris, tmp_path):
    packed = pack_dataset(tetris, tmp_path / "a.pack", size=20, split="test")
    assert packed.facts.splits == {"test": 3} and packed.facts.size == 20
    found, expected = load_folder(packed.file, "test"), load_folder(tetris, "test", size=20)
    assert (found.images == expected.images).all() and (found.masks == expected.masks).all()
    with pytest.raises(CometError, match=r"no split 'train' in .*a\.pack'; it has 'test'"):
        load_folder(packed.file, "train")


def test_a_pack_is_resized_like_a_folder(tetris, packed):
    found, expected = load_folder(packed, "test", size=20), load_folder(tetris, "test", size=20)
    assert (found.images == expected.images).all() and (found.masks == expected.masks).all()


def test_pictures_beyond_the_budget_lose_little_and_say_how_much(tmp_path):
    images = smooth(12)
    folder = write(tmp_path / "photos", images)
    packed = pack_dataset(folder, tmp_path / "photos.pack")
    assert packed.bytes <= BYTES_PER_PICTURE * 12 + 2000, "the header is no picture's"
    assert packed.facts.encoding.startswith("jpeg-") and packed.facts.splits == {"": 12}
    found = load_folder(packed.file).images.astype(float)
    errors = ((found - images) ** 2).mean((1, 2, 3))
    psnr = 10 * np.log10(255**2 / errors)
    assert packed.facts.psnr == pytest.approx((psnr.mean(), psnr.min()), abs=0.006)
    assert psnr.min() > 30
    whole = pack_dataset(folder, tmp_path / "whole.pack", lossless=True)
    assert (load_folder(whole.file).images == images).all()
    assert whole.facts.psnr is None and whole.bytes > packed.bytes


@pytest.mark.parametrize("described", [False, True])
def test_small_pictures_stay_as_they_are_where_a_jpeg_would_be_larger(tmp_path, described):
    noise = np.random.default_rng(0).integers(0, 256, (8, 7, 7, 3), np.uint8)
    folder = write(tmp_path / "small", noise)
    if described:  # beyond the budget, whatever becomes of the pictures
        drawn = np.random.default_rng(0).integers(0, 1 << 30, 2000).tolist()
        lines = [{"file_name": file.name, "drawn": drawn} for file in sorted(folder.glob("*.png"))]
        (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    packed = pack_dataset(folder, tmp_path / "small.pack")
    assert packed.facts.encoding == "webp-lossless" and packed.facts.psnr is None
    assert (load_folder(packed.file).images == noise).all()


def test_noise_that_fits_no_budget_is_packed_all_the_same(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    packed = pack_dataset(write(tmp_path / "noise", noise), tmp_path / "noise.pack")
    assert packed.facts.encoding == "jpeg-80" and len(load_folder(packed.file)) == 3


def test_pictures_that_cannot_be_read_are_left_out_and_named(tetris, tmp_path):
    (tetris / "train" / "000002.png").write_bytes(b"\x89PNG cut off")
    with pytest.warns(UserWarning, match=r"^1 of the files .*train/000002\.png"):
        packed = pack_dataset(tetris, tmp_path / "a.pack")
    assert packed.skipped == ("train/000002.png",)
    assert packed.facts.splits == {"train": 5, "test": 3}


def test_pictures_some_of_which_have_masks_are_packed_without_losing_one(tetris, tmp_path):
    lines = (tetris / "test" / "metadata.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    del entries[1]["mask"]
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (tetris / "test" / "metadata.jsonl").write_text(text)
    packed = pack_dataset(tetris, tmp_path / "a.pack").file
    assert load_folder(packed, "test").masks is None
    assert len(load_folder(packed, "train").masks) == 6


def test_metadata_with_separators_of_lines_stay_in_one_piece(tmp_path):
    folder = write(tmp_path / "set" / "train", smooth(2, 16)).parent
    entries = [{"file_name": "000.png", "note": "a\u2028b\nc"}, {"file_name": "001.png"}]
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "train" / "metadata.jsonl").write_text(text)
    assert load_folder(pack_dataset(folder, tmp_path / "a.pack").file).metadata == entries


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_pack_is_one_sentence(packed, part):
    data = packed.read_bytes()
    packed.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FileFormatError, match=r"set\.pack' is .*pack") as caught:
        load_folder(packed)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_format_is_no_pack(tmp_path):
    file = tmp_path / "a.pack"
    for content in (b"", b"text", b"PK\x03\x04zip", b"\xff" * 64):
        file.write_bytes(content)
        assert not is_pack(file)
        with pytest.raises(FileFormatError, match=r"no array file with images, and no pack"):
            load_folder(file)
    save_file({"weights": np.zeros(3)}, file)
    assert not is_pack(file)
    assert not is_pack(tmp_path) and not is_pack(tmp_path / "absent")


HOSTILE = {
    "no pictures": {"pictures": None},
    "other type": {"picture_ends": np.arange(9, dtype=np.float64)},
    "too few ends": {"picture_ends": np.arange(3)},
    "ends backwards": {"picture_ends": np.arange(9)[::-1].copy()},
    "ends beyond": {"mask_ends": np.full(9, 10**12)},
    "negative ends": {"picture_ends": np.arange(-9, 0)},
    "metadata that are no zlib": {"metadata": np.zeros(9, np.uint8)},
    "too few metadata": {"metadata": np.frombuffer(zlib.compress(b"{}"), np.uint8)},
    "metadata of lists": {"metadata": np.frombuffer(zlib.compress(b"[]\n" * 8 + b"[]"), np.uint8)},
    "more counts": {"facts": {"splits": {"train": 600, "test": 3}}},
    "negative counts": {"facts": {"splits": {"train": -1, "test": 10}}},
    "a split that is a path": {"facts": {"splits": {"../..": 9}}},
    "words for a size": {"facts": {"size": "35"}},
    "huge pictures": {"facts": {"size": 10**9}},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_pack_is_one_sentence(packed, change):
    rewrite(packed, **change)
    with pytest.raises(FileFormatError, match=r"set\.pack' is a truncated or damaged pack"):
        load_folder(packed)


def test_a_pack_of_a_later_version_says_what_to_do(packed):
    rewrite(packed, facts={"version": 2})
    with pytest.raises(FileFormatError, match="pack of version 2, this comet reads 1; update"):
        load_folder(packed)


def test_damaged_pictures_and_masks_of_a_pack_are_skipped_and_named(packed):
    content = load_file(packed)
    pictures, masks = content["pictures"].copy(), content["masks"].copy()
    pictures[content["picture_ends"][0] : content["picture_ends"][1]] = 0
    masks[content["mask_ends"][3] : content["mask_ends"][4]] = 0
    rewrite(packed, pictures=pictures, masks=masks)
    with pytest.warns(UserWarning, match=r"^2 of the files .*000001\.png, 000004\.png"):
        loaded = load_folder(packed)
    assert len(loaded) == len(loaded.masks) == 7


def test_a_mask_that_unpacks_to_another_size_is_skipped(packed):
    bomb = zlib.compress(bytes(35 * 35 + 1000), 9)
    blobs = [bomb] * 9
    rewrite(
        packed,
        masks=np.frombuffer(b"".join(blobs), np.uint8),
        mask_ends=np.cumsum([len(bomb)] * 9),
    )
    with pytest.warns(UserWarning, match="^9 of the files"), pytest.raises(CometError):
        load_folder(packed)


def test_the_command_packs_and_says_how_small(tetris, tmp_path):
    out = tmp_path / "set.pack"
    done = run(app, ["pack", str(tetris), "-o", str(out), "--json"])
    document = json.loads(done.stdout)
    assert document["bytes"] == out.stat().st_size
    assert document["counts"] == {"train": 6, "test": 3} and document["size"] == 35
    assert document["encoding"] == "webp-lossless" and document["psnr"] is None
    again = run(app, ["pack", str(tetris), "-o", str(out)])
    assert again.stdout.startswith(f"{out}: 9 pictures of 35 pixels in {document['bytes']} bytes")


def test_the_command_replaces_packs_and_nothing_else(tetris, tmp_path):
    mine = tmp_path / "notes.pack"
    mine.write_text("mine")
    refused = run(app, ["pack", str(tetris), "-o", str(mine)])
    assert isinstance(refused.exception, UsageError) and mine.read_text() == "mine"
    assert run(app, ["pack", str(tetris), "-o", str(mine), "--force"]).exit_code == 0
    assert is_pack(mine)
    before = mine.read_bytes()
    itself = run(app, ["pack", str(mine), "-o", str(mine)])
    assert isinstance(itself.exception, UsageError) and mine.read_bytes() == before
    wrong = run(app, ["pack", str(tetris), "-o", str(tmp_path / "b.pack"), "--size", "4"])
    assert isinstance(wrong.exception, UsageError) and not (tmp_path / "b.pack").exists()


def test_nothing_to_pack_writes_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CometError, match="no readable picture"):
        pack_dataset(tmp_path / "empty", tmp_path / "a.pack")
    assert not (tmp_path / "a.pack").exists()
