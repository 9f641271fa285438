"""The shell scripts of the examples, in bash and in zsh; nightly-batch.sh: test_batch_resume."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.cli.app import main
from comet_cli.formats.images import decode_png, write_png
from comet_cli.formats.picture_recipe import has_recipe, read_recipe
from comet_cli.models.library import list_models

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHIPPED = {entry.name for entry in list_models() if entry.origin == "shipped"}
pytestmark = pytest.mark.skipif(
    not {"clevr", "clevr-toy", "clevr-lighting"} <= SHIPPED,
    reason="no shipped weights in this checkout",
)


@pytest.fixture(params=["bash", "zsh"])
def script(request, tmp_path, monkeypatch):
    """Return a function that runs an example in a shell."""
    shell = shutil.which(request.param)
    if shell is None:
        pytest.skip(f"{request.param} is not installed")
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path / "a folder")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(name: str, *args: str, path: str = path, code: int = 0) -> str:
        done = subprocess.run(
            [shell, str(EXAMPLES / name), *args],
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def weights(path: str) -> dict[tuple[str, int], float]:
    """Return the weight of each component that a picture was made of."""
    recipe = read_recipe(Path(path).read_bytes())
    found: Counter[tuple[str, int]] = Counter()
    for term in recipe.rows[0].terms:
        found[recipe.models[term.model].name, term.component] += term.weight
    return dict(found)


def test_a_sweep_changes_the_weight_of_one_component(script):
    out = script("sweep.sh", "my out", str(EXAMPLES / "clevr-a.png"), "2", "-0.5", "1")
    assert out.split("\n") == ["my out/weight--0.5.png", "my out/weight-1.png", ""]
    others = {("clevr", k): 1.0 for k in (0, 1, 3, 4)}
    assert weights("my out/weight--0.5.png") == {**others, ("clevr", 2): -0.5}
    assert weights("my out/weight-1.png") == {**others, ("clevr", 2): 1.0}
    picture = str(EXAMPLES / "clevr-a.png")
    args = ["compose", "-m", "clevr", f"{picture}:0,1,3,4", f"{picture}:2*-0.5", "-o", "direct.png"]
    assert main([*args, "-q"]) == 0
    direct, swept = (
        decode_png(Path(path).read_bytes()) for path in ("direct.png", "my out/weight--0.5.png")
    )
    assert np.array_equal(direct, swept)


def test_the_matrix_holds_each_picture_with_each(script):
    pictures = [str(EXAMPLES / f"clevr-{letter}.png") for letter in "ab"]
    out = script("pairwise.sh", "my out", *pictures).splitlines()
    names = [f"clevr-{x}-under-clevr-{y}.png" for x in "ab" for y in "ab"]
    assert out == [f"my out/{name}" for name in names]
    rows = [read_recipe(Path(path).read_bytes()).rows[0].terms for path in out]
    ground = [next(t.z.tobytes() for t in row if t.component == 0) for row in rows]
    objects = [{t.z.tobytes() for t in row if t.component > 0} for row in rows]
    assert ground[0] == ground[1] != ground[2] == ground[3]
    assert objects[0] == objects[2] != objects[1] == objects[3] and len(objects[0]) == 4


@pytest.mark.skipif(
    not (shutil.which("montage") or shutil.which("magick")), reason="ImageMagick is not installed"
)
def test_a_contact_sheet_holds_every_mixture(script):
    pictures = [str(EXAMPLES / f"clevr-{letter}.png") for letter in "ab"]
    out = script("contact-sheet.sh", "my out", *pictures, "1,2").splitlines()
    singles = list(Path("my out/single").glob("*.png"))
    assert out[-1] == "my out/sheet.png" and len(singles) == 4
    with Image.open("my out/sheet.png") as sheet:
        assert min(sheet.size) >= 2 * 128


def test_the_contact_sheet_says_that_imagemagick_is_missing(script, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to(shutil.which("dirname"))
    said = script("contact-sheet.sh", path=str(tmp_path / "bin"), code=1)
    assert said.count("\n") == 1 and "ImageMagick is missing" in said


def test_the_gallery_crosses_three_models(script):
    out = script("cross-model-gallery.sh", "my out").splitlines()
    assert out[-1] == "my out/gallery.html"
    names = {"clevr": "clevr", "toy": "clevr-toy", "lighting": "clevr-lighting"}
    page = Path("my out/gallery.html").read_text(encoding="utf-8")
    for ground, model in names.items():
        for objects, other in names.items():
            found = weights(f"my out/{ground}-{objects}.png")
            assert set(found) == {(model, 0), *((other, k) for k in (1, 2, 3, 4))}
            assert f"{ground}-{objects}.png" in page


def test_the_replay_check_says_what_to_do_where_there_are_no_pictures(script):
    said = script("replay-check.sh", code=2)
    remedy = "run demo.sh first, or name a folder of PNGs"
    assert said == f"there are no pictures in 'out/demo'; {remedy}\n"
    Path("empty").mkdir()
    assert script("replay-check.sh", "empty", code=2).startswith("there are no pictures in 'empty'")


def test_the_replay_check_names_the_pictures_that_differ(script, monkeypatch):
    from comet_cli.cli.app import main

    z = "clevr-a.z"
    assert main(["encode", str(EXAMPLES / "clevr-a.png"), "-m", "clevr", "-o", z]) == 0
    for name in ("same", "changed"):
        arguments = [f"{z}:0,1", "-m", "clevr", "-o", f"{name}.png", "--steps", "2"]
        assert main(["compose", *arguments]) == 0
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("plain.png")
    assert not has_recipe(Path("plain.png").read_bytes())
    data = Path("changed.png").read_bytes()
    pixels = decode_png(data)
    pixels[0, 0] ^= 64
    write_png(pixels, "changed.png", read_recipe(data))
    before = sorted(os.listdir())
    said = script("replay-check.sh", ".", code=1)
    assert "changed.png differs\n" in said and "1 the same, 1 not\n" in said
    assert "same.png differs" not in said and "plain.png differs" not in said
    assert "the replay differs by at most 64/255" in said
    assert sorted(os.listdir()) == before
