"""`comet gradients`: sheets beside pictures; masks that follow a rule, and that replay."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.energy.gradients import component_mask


def mask(path: str) -> np.ndarray:
    with Image.open(path) as image:
        values = np.asarray(image.convert("RGB"))
    assert set(np.unique(values)) <= {0, 255} and (np.ptp(values, axis=-1) == 0).all()
    return values[..., 0] == 255


@pytest.mark.parametrize(
    ("verb", "suffix"), [("gradients", "gradients"), ("decompose", "components")]
)
def test_without_an_output_the_sheet_goes_beside_its_picture(pictures, verb, suffix):
    os.mkdir("far")
    os.rename("a.png", "far/a.png")
    done = pictures(verb, "far/a.png", "-m", "quad")
    assert done.out == f"far/a-{suffix}.png\n"
    assert pictures(verb, "far/a.png", "-m", "quad", "-o", "named.png").code == 0
    assert Path(f"far/a-{suffix}.png").read_bytes() == Path("named.png").read_bytes()


def test_a_foreign_file_beside_a_picture_is_kept(pictures):
    os.rename("b.png", "a-gradients.png")
    kept = Path("a-gradients.png").read_bytes()
    done = pictures("gradients", "a.png", "-m", "quad")
    assert done.code == 2 and "was not made by comet" in done.err
    assert Path("a-gradients.png").read_bytes() == kept


def test_masks_are_the_segments_of_every_picture(pictures):
    os.mkdir("masks")
    done = pictures(
        *("gradients", "a.png", "b.png", "-m", "quad", "-o", "maps.png"),
        *("--masks", "masks", "--npz", "g.npz"),
    )
    names = [f"masks/{n}-{k}-mask.png" for n in "ab" for k in range(4)]
    assert done.out.splitlines() == ["maps.png", "g.npz", *names]
    with np.load("g.npz") as found:
        for n, segments in zip("ab", found["segments"], strict=True):
            for k in range(4):
                assert np.array_equal(mask(f"masks/{n}-{k}-mask.png"), segments == k)


def test_masks_with_a_threshold_follow_the_strength(pictures):
    os.mkdir("masks")
    args = ("gradients", "a.png", "-m", "pool", "-o", "maps.png", "--masks", "masks")
    assert pictures(*args, "--npz", "g.npz", "--threshold", "0.6").code == 0
    with np.load("g.npz") as found:
        strength = found["strength"][0]
    masks = [mask(f"masks/a-{k}-mask.png") for k in range(3)]
    assert all(
        np.array_equal(m, component_mask(s, 0.6)) for m, s in zip(masks, strength, strict=True)
    )
    assert all(0 < m.sum() < m.size for m in masks)


def test_a_mask_replays_and_replaces_itself(pictures):
    os.mkdir("masks")
    args = ("gradients", "a.png", "-m", "quad", "-o", "maps.png", "--masks", "masks")
    for rule in ((), ("--threshold", "0.5")):
        assert pictures(*args, *rule).code == 0
        done = pictures("replay", "masks/a-2-mask.png", "-o", "again.png")
        assert done.sentence == "comet: the replay has the same pixels"
        assert Path("again.png").read_bytes() == Path("masks/a-2-mask.png").read_bytes()


def test_any_number_of_pictures_make_one_sheet(pictures):
    for n in range(12):
        Image.new("RGB", (16, 16), (20 * n, 0, 99)).save(f"many-{n}.png")
    names = [f"many-{n}.png" for n in range(12)]
    heights = {}
    for count in (1, 12):
        args = ("gradients", *names[:count], "-m", "pool", "-o", "maps.png", "--map", "overlay")
        assert pictures(*args).code == 0
        with Image.open("maps.png") as sheet:
            heights[count] = sheet.height
    assert heights[12] - heights[1] == 11 * ((heights[12] - heights[1]) // 11) > 11 * 100


def test_only_pictures_are_asked_for(pictures):
    """Of components alone there is no picture to map."""
    text = pictures("gradients", "--help").out
    assert "IMAGE..." in text and "Pictures; - for stdin." in text
    assert "SELECTION" not in text and "a.z" not in text


def test_wrong_rules_and_colliding_files_are_found_before_any_work(pictures):
    os.mkdir("masks")
    args = ("gradients", "a.png", "-m", "quad", "-o", "maps.png")
    for extra, sentence in (
        (["--masks", "gone"], "the output folder 'gone' does not exist; make it"),
        (["--threshold", "0.5"], "say where they go: --masks DIR"),
        (["--masks", "masks", "--threshold", "0"], "--threshold is 0, expected a number above 0"),
        (["--masks", "masks", "--threshold", "nan"], "--threshold is nan, expected"),
    ):
        done = pictures(*args, *extra)
        assert done.code == 2 and sentence in done.sentence
    done = pictures(*args[:-1], "masks/a-1-mask.png", "--masks", "masks")
    assert done.code == 2 and "would both be written to" in done.err
    os.mkdir("copy")
    Image.open("b.png").save("copy/a.png")
    done = pictures("gradients", "a.png", "copy/a.png", *args[2:], "--masks", "masks")
    assert done.code == 2 and (
        "'a.png' and 'copy/a.png' would both be written to 'masks/a-0-mask.png'" in done.err
    )
    assert os.listdir("masks") == [] and not os.path.exists("maps.png")
