"""The page of a folder, read with html.parser: whole, escaped, self-contained."""

import base64
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tomllib
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hostile_results import ATTACK, HOSTILE_NAME, SCHEME_NAME, SHELL_NAME, pixels, recipe
from PIL import Image

import comet_cli
from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.images import encode_png
from comet_cli.formats.picture_recipe import (
    ModelReference,
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    embed_recipe,
    has_recipe,
)
from comet_cli.verbs.gallery import FEW, SIDE, list_pictures, thumbnail, write_gallery

VOID = {"img", "input", "meta"}


class Page(HTMLParser):
    """Elements as (tag, attributes, text), and whether every one is closed where it should be."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[list] = []
        self.open: list[int] = []
        self.feed(data.decode("utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data):
        for n in self.open:
            self.elements[n][2] += data

    def all(self, tag: str, **attributes: str) -> list[list]:
        return [
            e
            for e in self.elements
            if e[0] == tag and all(e[1].get(k.rstrip("_")) == v for k, v in attributes.items())
        ]

    def texts(self, tag: str, **attributes: str) -> list[str]:
        return [e[2] for e in self.all(tag, **attributes)]


def read(path: str) -> Page:
    return Page(Path(path).read_bytes())


def embedded(source: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


def test_every_picture_has_a_card_in_reading_order(page):
    names = read(page).texts("h2")[:-1]
    turned = "turned\\x202egnp.png"
    assert names == [
        *(HOSTILE_NAME, "broken.png", SHELL_NAME, SCHEME_NAME, "photo.jpg"),
        *(turned, "x-2.png", "x-10.png", "sub/sheet.png"),
    ]
    assert read(page).texts("h1") == ["results"]
    assert read(page).texts("p", id="count") == ["9 pictures, 6 with recipe"]


def test_only_the_elements_that_are_ours_are_there(page):
    found = read(page)
    assert len(found.all("script")) == 1 and ATTACK in " ".join(found.texts("dd"))
    tags = {e[0] for e in found.elements}
    assert tags <= {
        *("html head body meta title style script header main footer dialog".split()),
        *("h1 h2 p ul li article a img details summary dl dt dd code button".split()),
        *("span label input div".split()),
    }
    names = {name for e in found.elements for name in e[1]}
    assert not [name for name in names if name.startswith("on") or name == "style"]


def test_nothing_is_asked_for_over_a_network(page):
    found = read(page)
    for _, attributes, _ in found.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "./").startswith("./")
    text = Path(page).read_text("utf-8")
    assert not re.search(r"https?:|url\(|@import|//[a-z]+\.[a-z]", text)


def test_the_policy_allows_its_own_script_and_style_only(page):
    found = read(page)
    (meta,) = [e for e in found.all("meta") if "http-equiv" in e[1]]
    assert meta[1]["http-equiv"] == "Content-Security-Policy"
    rules = dict(rule.strip().split(" ", 1) for rule in meta[1]["content"].split(";"))
    for name in ("script", "style"):
        (text,) = found.texts(name)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"


def test_terms_that_differ_in_latent_or_region_differ_on_the_page(tmp_path):
    box = np.zeros((8, 8, 3), np.uint8)
    box[2:4, 1:6] = 255
    z = np.ones(4, np.float32)
    for name, term in {
        "a.png": RecipeTerm(0, z, 1.0, 1),
        "b.png": RecipeTerm(0, 2 * z, 1.0, 1),
        "c.png": RecipeTerm(0, z, 1.0, 1, "", encode_png(box)),
        "d.png": RecipeTerm(0, z, 1.0, 1, "", b"no picture"),
    }.items():
        made = PictureRecipe("compose", (ModelReference("m", "a" * 64),), (RecipeRow("", (term,)),))
        (tmp_path / name).write_bytes(encode_png(pixels(3), made))
    found = read(write_gallery(str(tmp_path)).output)
    terms = [text for text in found.texts("dd") if "component 1 × 1" in text]
    assert len(set(terms)) == 3 and terms[2] == f"{terms[0]}, only in 1,2,5,2"
    assert "a mask in 'd.png' is not an image" in found.texts("p", class_="error")[0]


def test_links_lead_to_the_files_and_are_never_a_scheme(page):
    targets = [e[1]["href"] for e in read(page).all("a")]
    assert len(targets) == 8  # all but the broken one
    for target in targets:
        assert ":" not in target and os.path.isfile(unquote(target))
    assert "./javascript%3Awindow.pwned%3D1.png" in targets


def test_pictures_are_embedded_with_their_pixels(page):
    images = {e[1]["alt"]: e[1] for e in read(page).all("img")}
    small = images["x-2.png: compose with fine"]
    assert np.array_equal(embedded(small["src"]), pixels(20)) and small["class"] == "small"
    assert np.array_equal(embedded(images["source: fine"]["src"]), pixels(3))
    photo = embedded(images["photo.jpg"]["src"])
    assert photo.shape == (SIDE, SIDE * 2 // 3, 3)  # turned as its EXIF says, and made smaller
    for attributes in images.values():
        data = base64.b64decode(attributes["src"].partition(",")[2])
        assert not has_recipe(data) and b"secret" not in data and b"Exif" not in data


def test_recipes_and_sources_are_shown(page):
    found = read(page)
    facts = next(t for t in found.texts("article") if t.startswith("x-10.png"))
    assert "seed10" in facts and "fine: fine component 1 (fine) × 0.5" in facts
    assert "other: fine component 0 × -1" in facts
    card = next(t for t in found.texts("ul", class_="sources") if "fine" in t)
    assert card == "fineother"


def test_commands_are_one_shell_word_after_the_verb(page):
    commands = read(page).texts("code")
    words = [shlex.split(command) for command in commands]
    assert all(len(w) == 3 and w[:2] in (["comet", "replay"], ["comet", "inspect"]) for w in words)
    assert ["comet", "replay", SHELL_NAME] in words and ["comet", "replay", HOSTILE_NAME] in words
    assert all(os.path.isfile(w[2]) for w in words)
    assert not any("turned" in command for command in commands)
    said = next(t for t in read(page).texts("article") if "turned" in t)
    assert "No commands: the name holds control characters." in said


def test_a_name_like_an_option_is_no_option(tmp_path):
    Image.fromarray(pixels(0)).save(tmp_path / "plain.png")
    (tmp_path / "-o.png").write_bytes(encode_png(pixels(1), recipe()))
    write_gallery(str(tmp_path))
    commands = read(str(tmp_path / "gallery.html")).texts("code")
    assert commands == ["comet replay ./-o.png", "comet inspect ./-o.png"]


def test_everything_has_a_name_for_those_who_cannot_see_it(page):
    found = read(page)
    ids = [e[1]["id"] for e in found.elements if "id" in e[1]]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in found.elements:
        for key in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(key, ids[0]) in ids
    assert all(e[1]["alt"] for e in found.all("img"))
    assert all(e[1]["type"] == "button" and e[2] for e in found.all("button"))
    assert found.all("html")[0][1]["lang"] == "en" and found.texts("title") == ["results"]


def test_the_same_files_give_the_same_bytes_wherever_they_lie(page, tmp_path):
    before = Path(page).read_bytes()
    again = write_gallery(".", output="page.html")
    assert Path(page).read_bytes() == before and len(again.failed) == 1
    shutil.copytree(".", tmp_path / "elsewhere" / "results")
    write_gallery(str(tmp_path / "elsewhere" / "results"), output="page.html")
    moved = Path("page.html").read_bytes()
    write_gallery(str(tmp_path / "elsewhere" / "results"), output="../elsewhere/results/page.html")
    assert (tmp_path / "elsewhere" / "results" / "page.html").read_bytes() == before
    assert b'href="./../elsewhere/results/x-2.png"' in moved
    assert str(tmp_path).encode() not in before + moved


class Later:
    """A recipe of a later comet."""

    def to_json(self) -> str:
        return json.dumps({"format": "comet-recipe", "version": ATTACK})


def test_what_is_broken_is_said_and_the_rest_is_shown(results):
    Path("x-2.png").write_bytes(embed_recipe(encode_png(pixels(20)), Later()))
    made = write_gallery(".")
    assert [e.path for e in made.failed] == ["broken.png", "x-2.png"]
    errors = read("gallery.html").texts("p", class_="error")
    assert any('has version "</script><img src=x' in e for e in errors)
    assert any("'broken.png' is a truncated or broken image" in e for e in errors)
    assert any(e[1]["alt"] == "x-2.png" for e in read("gallery.html").all("img"))


def test_a_picture_of_900_million_pixels_is_refused_before_it_is_decoded(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(FileFormatError, match="too many to decode"):
        thumbnail(data, "'huge.png'", 96)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_pictures_of_every_mode_are_shown_on_white(mode):
    image = Image.new("L", (20, 20), 255)
    buffer = io.BytesIO()
    if mode == "RGBA":
        image = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    elif mode == "LA":
        image = Image.new("LA", (20, 20), (9, 0))
    elif mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 65535, np.uint16))
    elif mode == "CMYK":
        image = Image.new("CMYK", (20, 20), (0, 0, 0, 0))
    else:
        image = image.convert(mode)
    image.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    found = thumbnail(buffer.getvalue(), "it", 96)
    with Image.open(io.BytesIO(found.data)) as shown:
        assert (np.asarray(shown) >= 254).all() and (found.width, found.height) == (20, 20)


def test_links_to_folders_are_not_followed(results):
    os.symlink("..", "sub/up")
    os.symlink("../x-2.png", "sub/link.png")
    found = list_pictures(Path("."))
    assert "sub/link.png" in found and not any("up/" in path for path in found)


def test_only_pages_of_comet_are_replaced(results):
    Path("own.html").write_text("mine")
    with pytest.raises(UsageError, match="exists and was not made by comet"):
        write_gallery(".", output="own.html")
    assert Path("own.html").read_text() == "mine"
    write_gallery(".", output="own.html", force=True)
    write_gallery(".", output="own.html")
    made = Path("own.html").read_text()
    Path("own.html").write_text(made.replace("</body>", "<p>my notes</p></body>"))
    with pytest.raises(UsageError, match="'own.html' was changed after comet made it"):
        write_gallery(".", output="own.html")
    Path("own.html").write_text(made)
    write_gallery(".", output="own.html")
    assert len(read("own.html").all("article")) == 9


@pytest.mark.parametrize(
    ("folder", "output", "sentence"),
    [
        ("gone", None, "the folder 'gone' does not exist"),
        ("notes.txt", None, "'notes.txt' is a file, expected a folder"),
        (".", "page.png", "must end in .html"),
        (".", "gone/page.html", "output folder 'gone' does not exist"),
        ("empty", None, "there are no pictures in 'empty'"),
    ],
)
def test_wrong_usage_is_found_before_any_work(results, folder, output, sentence):
    os.mkdir("empty")
    before = sorted(os.listdir())
    with pytest.raises(UsageError, match=sentence):
        write_gallery(folder, output=output)
    assert sorted(os.listdir()) == before


def test_the_verb_reports_its_page_without_torch(results):
    code = (
        "import sys; from comet_cli.cli.app import main; "
        "code = main(sys.argv[1:]); print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "gallery", ".", "--json", "--title", "<b>"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 3 and done.stderr.strip() == "False"
    document = json.loads(done.stdout)
    (output,) = document["outputs"]
    assert (Path(output["path"]), output["pictures"], output["recipes"]) == (
        Path("gallery.html"),
        9,
        6,
    )
    assert document["failed"][0]["path"] == "broken.png" and document["exit_code"] == 3
    assert read("gallery.html").texts("h1") == ["<b>"]


def test_the_files_of_the_page_are_installed_with_the_package():
    package = Path(comet_cli.__file__).parent
    there = {p.name for p in (package / "drawing").iterdir() if p.is_file() and p.suffix != ".py"}
    with open(package.parent / "pyproject.toml", "rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["package-data"]["comet_cli.drawing"]
    assert there == set(listed)
    assert there == {"copy.js", "gallery.css", "gallery.js", "mixing.css", "mixing.js"}


def test_a_page_of_many_photos_holds_thumbnails(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:900, :1200] / 900
    smooth = np.dstack([np.sin(6 * x + y), np.cos(5 * y), np.sin(9 * x * y)]) * 80 + 120
    photo = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
    for n in range(FEW + 1):
        Image.fromarray(photo).save(tmp_path / f"{n}.jpg")
    found = write_gallery(str(tmp_path))
    assert {max(e.thumbnail.width, e.thumbnail.height) for e in found.exhibits} == {320}
    assert all((e.width, e.height) == (1200, 900) for e in found.exhibits)
    assert os.path.getsize(found.output) < (FEW + 1) * 60_000
    (tmp_path / "0.jpg").unlink()
    found = write_gallery(str(tmp_path))
    assert {e.thumbnail.width for e in found.exhibits} == {SIDE}
