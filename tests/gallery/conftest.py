"""A folder of results, some of them hostile, and its page."""

import os

import pytest
from hostile_results import (
    ATTACK,
    HOSTILE_NAME,
    SCHEME_NAME,
    SHELL_NAME,
    pixels,
    recipe,
    rotated,
)
from PIL import Image
from webdriver import headless_browser

from comet_cli.formats.images import encode_png
from comet_cli.verbs.gallery import write_gallery


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Return the folder `results`, in which the test runs."""
    folder = tmp_path / "results"
    (folder / "sub").mkdir(parents=True)
    monkeypatch.chdir(folder)
    files = {
        "x-10.png": encode_png(pixels(50), recipe(seed=10)),
        "x-2.png": encode_png(pixels(20), recipe(seed=2)),
        "sub/sheet.png": encode_png(pixels(0, 60), recipe(verb="decompose")),
        HOSTILE_NAME: encode_png(pixels(90), recipe(ATTACK)),
        SHELL_NAME: encode_png(pixels(91), recipe()),
        SCHEME_NAME: encode_png(pixels(92)),
        "turned\u202egnp.png": encode_png(pixels(93), recipe()),
        "broken.png": b"\x89PNG\r\n\x1a\n<script>window.pwned=1</script>",
        ".hidden.png": encode_png(pixels(1)),
        "notes.txt": b"no picture",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    photo = Image.effect_noise((1200, 800), 60).convert("RGB")
    photo.save(folder / "photo.jpg", exif=rotated(), comment=b"secret")
    return folder


@pytest.fixture
def page(results):
    """Return the path of the page of the folder."""
    made = write_gallery(".", output="page.html")
    assert made.output == "page.html"
    return os.path.abspath("page.html")


@pytest.fixture(scope="module")
def browser():
    """A browser of the system, without a window; tests skip where there is none."""
    with headless_browser() as started:
        yield started
