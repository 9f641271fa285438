"""``comet recombine --html``: every mixture is on the page, beside the command that makes it."""

import base64
import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from comet_cli.formats.images import decode_png
from comet_cli.inputs.session import Session


@pytest.fixture
def encoded(pictures):
    """Write a.z, b.z (quad, labelled) and p.z (pool); return the runner."""
    pictures("encode", "a.png", "b.png", "-m", "quad")
    pictures("encode", "b.png", "-m", "pool", "-o", "p.z")
    return pictures


def data_of(path: str) -> dict:
    text = Path(path).read_text("utf-8")
    return json.loads(re.search(r'type="application/json" id="data">(.*?)</script>', text)[1])


def shown(data: dict, *choice: int) -> np.ndarray:
    number = sum(n * data["sources"] ** k for k, n in enumerate(choice))
    return decode_png(base64.b64decode(data["pictures"][data["shown"][number]]))


def made(comet, command: str) -> np.ndarray:
    words = shlex.split(command)
    assert words[0] == "comet" and words[-2:] == ["-o", "mix.png"]
    assert comet(*words[1:]).code == 0
    return decode_png(Path("mix.png").read_bytes())


def test_each_command_makes_the_picture_beside_it(encoded):
    options = ["--seed", 3, "--steps", 2, "--scale", "2:pixels", "--init", "noise"]
    done = encoded("recombine", "a.z", "b.z", "p.z", "--html", "mix.html", *options)
    assert (done.code, done.out.strip()) == (0, "mix.html")
    assert os.listdir() != [] and not Path("swaps.png").exists()
    data = data_of("mix.html")
    assert len(data["shown"]) == len(data["commands"]) == 3**3  # pool has three components
    for choice in ((0, 0, 0), (2, 1, 0), (1, 0, 2), (2, 2, 2)):
        number = sum(n * 3**k for k, n in enumerate(choice))
        assert np.array_equal(made(encoded, data["commands"][number]), shown(data, *choice))
    # Of the first picture stays what the others do not have.
    assert "a.z:3" in data["commands"][-1]
    assert "All other components are those of a." in Path("mix.html").read_text("utf-8")


def test_pictures_are_encoded_by_the_model_that_the_command_names(pictures):
    assert pictures("recombine", "a.png", "b.png", "-m", "pool", "--html", "m.html").code == 0
    data = data_of("m.html")
    assert data["commands"][5] == "comet compose a.png:1 b.png:0,2 -m pool -o mix.png"
    assert np.array_equal(made(pictures, data["commands"][5]), shown(data, 1, 0, 1))


def test_components_restrict_what_is_mixed(encoded):
    command = ["recombine", "a.z", "b.z", "--html", "m.html", "--components", "lighting,face"]
    assert encoded(*command, "-o", "grid.png").code == 0
    assert data_of("m.html")["commands"][2] == "comet compose a.z:0-2 b.z:3 -o mix.png"
    assert Path("grid.png").exists() and encoded("replay", "grid.png").code == 0
    assert encoded(*command).code == 0  # its own page
    Path("m.html").write_text("mine")
    assert "was not made by comet" in encoded(*command).sentence


def test_mixtures_that_are_the_same_are_drawn_once(encoded, monkeypatch):
    Path("c.z").write_bytes(Path("a.z").read_bytes())
    assert encoded("recombine", "a.z", "c.z", "b.z", "--html", "m.html").code == 0
    data = data_of("m.html")
    assert len(data["shown"]) == 3**4 and len(data["pictures"]) == 2**4


def test_too_many_mixtures_are_refused_before_any_is_rendered(encoded, monkeypatch):
    for n in range(4):
        Path(f"{n}.z").write_bytes(Path("a.z").read_bytes())
    names = [f"{n}.z" for n in range(4)]
    assert encoded("recombine", *names, "--html", "m.html").code == 0  # 256
    names += ["a.z", "b.z"]
    done = encoded("recombine", *names, "--html", "n.html")
    assert done.code == 2 and not Path("n.html").exists()
    assert "4 components of 6 pictures is 6^4 mixtures, expected at most 1024" in done.sentence
    assert "--components 0-2, or take fewer pictures" in done.sentence
    # Where the list of components tells, no picture is encoded for it.
    picture(5).save("c.png")
    monkeypatch.setattr(Session, "open", lambda *a: pytest.fail("opened"))
    done = encoded("recombine", *names, "c.png", "--html", "n.html", "--components", "0-3")
    assert done.code == 2 and "7^4 mixtures" in done.sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.z", "b.z"], "nothing to write; give -o grid.png, or --html page.html"),
        (["a.z", "b.z", "--html", "m.txt"], "the page 'm.txt' must end in .html"),
        (["a.z", "b.z", "--html", "gone/m.html"], "output folder 'gone' does not exist"),
        (["a.z", "b.z", "--html", "m.html", "--all"], "--all is about the grid, which needs"),
        (["a.z", "b.z", "--html", "m.html", "--each", "."], "--each is about the grid"),
        (["a.z", "--html", "m.html"], "swaps need two pictures or more"),
        (["a.z", "./a.z", "--html", "m.html"], "two pictures are called 'a.z', and the commands"),
    ],
)
def test_wrong_usage_is_found_before_any_work(encoded, arguments, sentence):
    before = sorted(os.listdir())
    done = encoded("recombine", *arguments)
    assert done.code == 2 and sentence in done.sentence
    assert sorted(os.listdir()) == before
