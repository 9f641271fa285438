"""Pictures that comet made, after other programs had them in hand."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from comet_cli.formats.png_entries import chunks


def saved_again(path: str, change=lambda image: image, *, plain=False, packed=False) -> None:
    """Open a picture, change it, and save it with its text entries, as image editors do."""
    with Image.open(path) as image:
        image.load()
        info = PngInfo()
        for name, value in image.text.items():
            if plain:
                info.add_text(name, str(value), zip=packed)
            else:
                info.add_itxt(name, value, zip=packed)
        change(image).save(path, pnginfo=info)


def cross(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).line((0, 0, *image.size), fill=(255, 0, 0))
    return image


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def one_pixel(image: Image.Image) -> Image.Image:
    red, green, blue = image.getpixel((3, 5))
    image.putpixel((3, 5), (red ^ 1, green, blue))
    return image


@pytest.fixture
def made(pictures):
    """A picture out.png; return the runner."""
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    assert pictures("compose", "a.z", "--steps", "2", "-o", "out.png").code == 0
    return pictures


SAME = {
    "RGBA": {"change": lambda image: image.convert("RGBA")},
    "palette": {"change": lambda image: image.convert("RGB").quantize(256)},
    "tEXt": {"plain": True},
    "zTXt": {"plain": True, "packed": True},
    "packed iTXt": {"packed": True},
}


@pytest.mark.parametrize("how", SAME)
def test_a_picture_saved_again_without_loss_is_still_comets(made, how):
    # Of 144 pixels, so that their colours fit into a palette.
    made("compose", "a.z", "--steps", "1", "--size", "12", "-o", "out.png")
    saved_again("out.png", **SAME[how])
    recipe = json.loads(made("inspect", "out.png", "--json").out)["recipe"]
    assert recipe["verb"] == "compose"
    done = made("replay", "out.png", "--json")
    assert json.loads(done.out)["outputs"][0]["identical"] is True
    assert made("compose", "a.z", "--steps", "1", "-o", "out.png").code == 0


@pytest.mark.parametrize("change", [cross, half, one_pixel])
def test_a_picture_that_was_changed_is_somebodys_work(made, change):
    Path("list.txt").write_text("a.z --steps 2 -o out.png")
    assert json.loads(made("batch", "list.txt", "--resume").out)["status"] == "kept"
    original = Path("out.png").read_bytes()
    saved_again("out.png", change)
    painted = Path("out.png").read_bytes()
    done = made("compose", "a.z", "--steps", "2", "-o", "out.png")
    assert done.code == 2 and "'out.png' was changed after comet made it" in done.err
    done = made("batch", "list.txt", "--resume")
    assert done.code == 1 and json.loads(done.out)["status"] == "failed"
    assert Path("out.png").read_bytes() == painted
    done = made("batch", "list.txt", "--resume", "--force")
    assert json.loads(done.out)["status"] == "written"
    assert Path("out.png").read_bytes() == original


def test_a_recipe_in_a_picture_that_comet_did_not_draw_is_not_enough(made):
    """Pictures whose hash is missing may be anybody's."""
    with Image.open("out.png") as image:
        info = PngInfo()
        info.add_itxt("comet", image.text["comet"])
        image.save("out.png", pnginfo=info)
    assert made("compose", "a.z", "-o", "out.png").code == 2
    assert made("replay", "out.png").code == 0


def test_a_large_start_is_a_picture_that_other_programs_open(made):
    noise = np.random.default_rng(0).integers(0, 256, (1700, 1700, 3), dtype=np.uint8)
    Image.fromarray(noise).save("noise.png")
    options = ("--steps", "1", "--size", "1700", "-o", "large.png")
    done = made("compose", "a.z:0", "--init", "noise.png", *options)
    assert done.code == 0, done.err
    data = Path("large.png").read_bytes()
    texts = [end - start for kind, start, end in chunks(data) if kind == b"iTXt"]
    assert sum(texts) > 8_000_000 and max(texts) < 8_000_000
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert json.loads("".join(v for k, v in image.text.items() if k != "comet-pixels"))
    assert made("inspect", "large.png").code == 0


def test_a_recipe_that_no_reader_takes_is_refused_before_any_work(made, monkeypatch):
    selections = [f"a.z:{n % 2}*0.001" for n in range(4097)]
    done = made("compose", *selections, "--steps", "1", "-o", "many.png")
    assert done.code == 2 and "4097 terms, at most 4096" in done.err
    assert not Path("many.png").exists()
    monkeypatch.setattr("comet_cli.formats.picture_recipe.MAX_WRITTEN_BYTES", 1000)
    for command in ("compose a.z --init a.png", "decompose a.png", "recombine a.png b.png"):
        done = made(*command.split(), "-m", "quad", "--steps", "1", "-o", "x.png")
        assert done.code == 2 and "which other programs refuse" in done.err, done.err
        assert not Path("x.png").exists()
    done = made("compose", "a.z", "--init", "a.png", "--no-metadata", "--steps", "1", "-o", "x.png")
    assert done.code == 0


@pytest.mark.parametrize("ending", ["gif", "webp", "apng", "mp4"])
def test_a_trace_that_was_changed_is_somebodys_work(made, ending):
    if ending == "mp4":
        pytest.importorskip("av")
    words = ("compose", "a.z", "--steps", "2", "-o", "out.png", "--trace", f"t.{ending}")
    assert made(*words).code == 0 and made(*words).code == 0
    data = bytearray(Path(f"t.{ending}").read_bytes())
    data[len(data) // 2] ^= 1
    Path(f"t.{ending}").write_bytes(data)
    done = made(*words)
    assert done.code == 2 and "was changed after comet made it" in done.err


def test_numbers_with_an_array_of_somebodys_are_theirs(made):
    words = ("gradients", "a.png", "-m", "quad", "-o", "g.png", "--npz", "g.npz")
    assert made(*words).code == 0 and made(*words).code == 0
    with np.load("g.npz") as found:
        arrays = dict(found)
    np.savez("g.npz", **arrays)  # the same numbers
    assert made(*words).code == 0
    np.savez("g.npz", **arrays, mine=np.arange(3))
    done = made(*words)
    assert done.code == 2 and "was changed after comet made it" in done.err
    np.savez("g.npz", **{**arrays, "z": arrays["z"] * 2})
    assert made(*words).code == 2


def test_a_preview_that_was_painted_is_somebodys_work(made):
    words = ("data", "make", "tetris", "-o", "d", "--count", "2", "--test-count", "1")
    words += ("--jobs", "1", "--preview", "p.png")
    assert made(*words).code == 0 and made(*words).code == 0
    with Image.open("p.png") as image:
        texts = PngInfo()
        for key, value in image.text.items():
            texts.add_text(key, value)
        painted = image.convert("RGB")
    painted.putpixel((0, 0), (1, 2, 3))
    painted.save("p.png", pnginfo=texts)
    done = made(*words)
    assert done.code == 2 and "is no preview of a data set" in done.err


def test_a_text_of_another_program_decides_nothing(made):
    texts = PngInfo()
    texts.add_text("comet", "Halley, 1986")
    with Image.open("a.png") as image:
        image.save("photo.png", pnginfo=texts)
    done = made("inspect", "photo.png", "--json")
    assert done.code == 0 and done.json["width"] == 48 and done.json["recipe"] is None
    assert "is not valid JSON" in done.json["recipe_error"]
    assert "recipe   none: the recipe in 'photo.png' is not" in made("inspect", "photo.png").out
    assert made("encode", "photo.png", "-m", "quad").code == 0
    assert made("replay", "photo.png", "-o", "x.png").code == 1
