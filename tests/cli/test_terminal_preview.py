"""`--preview`: the picture in half blocks on stderr, and one sentence where that cannot be."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.cli import terminal_preview as preview
from comet_cli.cli.console import Report
from comet_cli.errors import MissingExtraError
from comet_cli.formats.images import decode_png

CELL = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m(▄+)\x1b\[0m")


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes stderr a terminal, of 81 columns and 34 lines."""
    for name, value in (("TERM", "xterm-256color"), ("COLORTERM", "truecolor")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "81")
    monkeypatch.setenv("LINES", "34")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def open_terminal(encoding: str = "utf-8") -> Terminal:
        stream = Terminal(encoding)
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return open_terminal


def shown(text: str) -> np.ndarray:
    """Read the pixels (H,W,3) of half blocks: below in the colour of the text, above behind it."""
    rows = []
    for line in text.rstrip("\n").split("\n"):
        below, above = [], []
        for cell in CELL.finditer(line):
            colours = np.array(cell.groups()[:6], int)
            below += [colours[:3]] * len(cell[7])
            above += [colours[3:]] * len(cell[7])
        rows += [above, below]
    return np.array(rows)


def test_every_pixel_of_a_small_picture_is_shown(terminal, tmp_path):
    pytest.importorskip("rich_pixels")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    screen = terminal()
    preview.show_preview([str(tmp_path / "small.png")], Report())
    assert np.array_equal(shown(screen.text), pixels)


def test_a_large_picture_is_shrunk_to_the_terminal(terminal, tmp_path):
    pytest.importorskip("rich_pixels")
    for size, expected in (((800, 200), (20, 80, 3)), ((300, 600), (64, 32, 3))):
        Image.new("RGB", size, (200, 100, 50)).save(tmp_path / "large.png")
        screen = terminal()
        preview.show_preview([str(tmp_path / "large.png")], Report())
        found = shown(screen.text)
        assert found.shape == expected and (found == [200, 100, 50]).all()


@pytest.mark.parametrize("verb", ["compose", "recombine"])
def test_the_verbs_show_what_they_wrote(pictures, monkeypatch, verb):
    seen = []
    monkeypatch.setattr(f"comet_cli.cli.{verb}.show_preview", lambda paths, _: seen.append(paths))
    done = pictures(verb, "a.png", "b.png", "-m", "quad", "-o", "out.png", "--preview")
    assert (done.out, seen) == ("out.png\n", [["out.png"]])


def test_files_of_seeds_are_all_shown(pictures, terminal):
    pytest.importorskip("rich_pixels")
    screen = terminal()
    done = pictures(
        *("compose", "a.png", "-m", "quad", "--seeds", "1,2", "-o", "s{seed}.png", "--preview"),
        "--json",
    )
    assert [o["path"] for o in done.json["outputs"]] == ["s1.png", "s2.png"]
    expected = [decode_png(Path(f"s{n}.png").read_bytes()) for n in (1, 2)]
    assert np.array_equal(shown(screen.text), np.concatenate(expected))


def test_without_a_terminal_a_note_says_so(pictures):
    pytest.importorskip("rich_pixels")
    done = pictures("compose", "a.png", "-m", "quad", "-o", "out.png", "--preview")
    assert (done.code, done.out) == (0, "out.png\n")
    assert done.sentence == "comet: no preview: standard error is not a terminal"


def test_without_colours_or_half_blocks_a_note_says_so(pictures, terminal, monkeypatch):
    pytest.importorskip("rich_pixels")
    pictures("compose", "a.png", "-m", "quad", "-o", "out.png")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = terminal()
    preview.show_preview(["out.png"], Report())
    assert screen.text == "comet: no preview: the terminal shows no colours, or NO_COLOR is set\n"
    monkeypatch.delenv("NO_COLOR")
    latin = terminal("latin-1")
    preview.show_preview(["out.png"], Report())
    assert "no half blocks" in latin.text and latin.text.count("\n") == 1


def test_without_the_extra_the_picture_is_there_and_the_sentence_names_it(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich_pixels", None)
    done = pictures("compose", "a.png", "-m", "quad", "-o", "out.png", "--preview")
    assert (done.code, done.out) == (MissingExtraError.exit_code, "out.png\n")
    assert "the picture is written" in done.sentence
    assert "pip install rich-pixels" in done.sentence
    assert decode_png(Path("out.png").read_bytes()).shape == (24, 24, 3)


def test_standard_output_cannot_be_shown(pictures):
    for verb in ("compose", "recombine"):
        done = pictures(verb, "a.png", "b.png", "-m", "quad", "-o", "-", "--preview")
        assert (done.code, done.out) == (2, "") and "give -o a file name" in done.sentence


def test_a_line_of_a_batch_cannot_show_its_picture(pictures):
    Path("list").write_text("a.png -o out.png --preview\na.png -o good.png\n")
    done = pictures("batch", "list", "-m", "quad")
    assert done.code == 3 and "line 1: --preview has no meaning in a line" in done.err
    assert not Path("out.png").exists() and Path("good.png").exists()
