"""Standard input and output, and many inputs, in every verb that takes pictures."""

import io
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import picture

from comet_cli.cli.app import main
from comet_cli.formats.components import read_components
from comet_cli.formats.images import decode_png


@pytest.fixture
def pipe(pictures, monkeypatch):
    """Return a function: runs a command on bytes, and returns what it wrote to its pipe."""

    def run(data: bytes, *args: str) -> bytes:
        out = SimpleNamespace(buffer=io.BytesIO(), flush=lambda: None, isatty=lambda: False)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
            patch.setattr(sys, "stdout", out)
            assert main(list(args)) == 0
        return out.buffer.getvalue()

    return run


@pytest.fixture
def fed(pictures, monkeypatch):
    """Return a function: runs a command with a file as its standard input."""

    def run(path: str, *args: str):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=open(path, "rb")))
        return pictures(*args)

    return run


def test_a_picture_goes_through_a_pipe_of_verbs(pictures, pipe):
    pictures("encode", "a.png", "b.png", "-m", "quad")
    z = pipe(Path("a.png").read_bytes(), "encode", "-", "-m", "quad")
    Path("from-pipe.z").write_bytes(z)
    assert read_components("from-pipe.z").source == "stdin"
    assert (read_components("from-pipe.z").z == read_components("a.z").z).all()
    png = pipe(z, "compose", "-:0", "b.z:1", "-o", "-")
    pictures("compose", "a.z:0", "b.z:1", "-o", "out.png")
    assert png == Path("out.png").read_bytes()
    again = pipe(png, "encode", "-", "-m", "pool", "-o", "-")
    pictures("encode", "out.png", "-m", "pool")
    Path("again.z").write_bytes(again)
    assert (read_components("again.z").z == read_components("out.z").z).all()


@pytest.mark.parametrize("name", ["a.png", "a.z"])
def test_a_picture_or_its_components_may_come_from_standard_input(fed, name):
    fed("a.png", "encode", "a.png", "b.png", "-m", "quad")
    shown = {
        "compose": ["-:0", "b.png:1"],
        "decompose": ["-", "b.png"],
        "recombine": ["b.png", "-"],
        **({"gradients": ["-", "b.png"]} if name == "a.png" else {}),
    }
    for verb, inputs in shown.items():
        done = fed(name, verb, *inputs, "-m", "quad", "-o", f"{verb}.png")
        assert (done.code, done.out, done.err) == (0, f"{verb}.png\n", "")
    fed(name, "compose", "a.png:0", "b.png:1", "-m", "quad", "-o", "out.png")
    assert Path("compose.png").read_bytes() == Path("out.png").read_bytes()
    nearest = fed(name, "nearest", "b.z:0", "-", "--top", "1", "-m", "quad").out
    assert nearest.split("\t")[1].startswith("-:")
    if name == "a.png":
        assert fed(name, "score", "-", "a.z:0").out.split("\t")[1:3] == ["-", "a.z:0"]
    else:
        assert fed(name, "score", "b.png", "-:0").out.split("\t")[1:3] == ["b.png", "stdin:0"]
    assert fed(name, "inspect", "-").code == 0


def test_a_region_of_standard_input_is_no_option(fed):
    fed("a.png", "encode", "a.png", "-m", "quad")
    assert fed("a.z", "compose", "-@0,0,8,8", "-o", "out.png").code == 0
    fed("a.z", "compose", "a.z@0,0,8,8", "-o", "file.png")
    assert Path("out.png").read_bytes() == Path("file.png").read_bytes()


@pytest.mark.parametrize("verb", ["encode", "gradients", "decompose"])
def test_what_is_no_text_is_not_poured_onto_a_terminal(pictures, monkeypatch, verb):
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        done = pictures(verb, "-")
    assert (done.code, done.out) == (2, "") and "no text for a terminal" in done.sentence


@pytest.mark.parametrize(
    ("data", "command", "sentence"),
    [
        (b"", "compose - -o out.png", "'-' is empty"),
        (b"text", "encode - -m quad", "'-' is not an image"),
        (b"text", "score b.png -:0 -m quad", "'-' is not an image"),
        (b"text", "nearest -:0 b.png -m quad", "'-' is not an image"),
        (b"text", "inspect -", "'-' is not an image"),
    ],
)
def test_errors_name_standard_input(fed, data, command, sentence):
    Path("data").write_bytes(data)
    done = fed("data", *command.split())
    assert done.code == 1 and sentence in done.sentence and not os.path.exists("out.png")


def test_many_files_are_inspected(pictures):
    pictures("encode", "a.png", "-m", "quad")
    found = pictures("inspect", "a.z", "b.png", "--json").json
    assert [f["kind"] for f in found["files"]] == ["components", "picture"]
    assert found["files"][0] == pictures("inspect", "a.z", "--json").json
    text = pictures("inspect", "a.z", "b.png").out
    assert text.startswith("a.z\n") and "\n\nb.png\n" in text
    done = pictures("inspect", "a.z", "gone.z")
    assert done.code == 3 and "there is no file 'gone.z'" in done.sentence
    assert pictures("inspect", "gone.z", "off.z", "--json").json["exit_code"] == 1


def test_many_pictures_are_replayed(pictures):
    for seed in "12":
        pictures("compose", "a.png", "-m", "quad", "--seed", seed, "-o", f"{seed}.png")
    done = pictures("replay", "1.png", "2.png")
    assert done.out == "1-replay.png\n2-replay.png\n" and "'2.png': the replay has" in done.err
    for seed in "12":
        assert Path(f"{seed}.png").read_bytes() == Path(f"{seed}-replay.png").read_bytes()
    done = pictures("replay", "1.png", "a.png", "--json")
    assert done.code == 3 and [f["path"] for f in done.json["failed"]] == ["a.png"]
    assert [o["identical"] for o in done.json["outputs"]] == [True]
    assert "leave -o away" in pictures("replay", "1.png", "2.png", "-o", "x.png").sentence
    assert pictures("replay", "a.png", "b.png").code == 1


def test_nearest_encodes_pictures_by_the_model_of_the_component(pictures):
    pictures("encode", "a.png", "b.png", "-m", "quad")
    expected = pictures("nearest", "a.z:0", "b.z").out.replace("b.z", "b.png")
    os.remove("b.z")
    assert pictures("nearest", "a.z:0", "b.png").out == expected
    Path("broken.png").write_bytes(b"no")
    done = pictures("nearest", "a.png:0", "b.png", "broken.png", "-m", "quad", "--json")
    assert done.code == 3 and [f["path"] for f in done.json["failed"]] == ["broken.png"]
    assert len(done.json["nearest"]) == 4 and done.json["model"] == "quad"


def test_a_sheet_holds_a_row_a_picture(pictures):
    heights = []
    for inputs in (["a.png"], ["a.png", "b.png"]):
        assert pictures("decompose", *inputs, "-m", "quad", "-o", "d.png").code == 0
        heights.append(decode_png(Path("d.png").read_bytes()).shape[0])
    assert heights[1] > 1.5 * heights[0]


@pytest.fixture
def named_pipe(pictures):
    """Return a function: makes a named pipe from which a file can be read once."""

    def make(name: str, file: str) -> str:
        os.mkfifo(name)
        data = Path(file).read_bytes()
        threading.Thread(target=lambda: Path(name).write_bytes(data), daemon=True).start()
        return name

    return make


@pytest.fixture(autouse=True)
def impatient():
    """End a test that waits for a pipe."""
    if not hasattr(signal, "alarm"):
        yield
        return

    def end(*_):
        raise TimeoutError("waited for a pipe")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")


@needs_pipes
@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        ("score", ["a.z:0"]),
        ("encode", ["-o", "out.z", "--one-model"]),
        ("recombine", ["b.png", "-o", "out.png", "--one-model", "--steps", "1"]),
        ("compose", ["b.z:0", "-o", "out.png", "--steps", "1"]),
    ],
)
def test_a_pipe_is_read_once_by_every_verb(pictures, named_pipe, verb, rest):
    pictures("encode", "a.png", "b.png", "-m", "quad")
    done = pictures(verb, named_pipe("pipe", "a.png"), *rest)
    assert done.code == 0, done.err


@needs_pipes
def test_pipes_in_a_folder_are_not_waited_for(pictures):
    os.makedirs("folder")
    picture(0).save("folder/a.png")
    os.mkfifo("folder/x.png")
    done = pictures("data", "pack", "folder", "-o", "x.pack")
    assert done.code == 0 and "could not be read" in done.err and "x.png" in done.err
    done = pictures("data", "import", "images", "folder", "-o", "made", "--size", "16")
    assert done.code == 0 and "1 skipped" in done.out, done.err
    assert pictures("gallery", "folder").code == 0
    picture(1).save("folder/b.png")
    words = ("--preset", "global", "--size", "16", "--iterations", "1", "-o", "model", "-q")
    done = pictures("train", "--data", "folder", *words)
    assert done.code == 0, done.err


@needs_pipes
@pytest.mark.parametrize("command", ["encode {}", "replay {}"])
@pytest.mark.parametrize("name", ["pipe", "/dev/stdin", "/dev/null"])
def test_nothing_is_written_beside_a_pipe_or_a_device(pictures, command, name):
    os.mkfifo("pipe")
    done = pictures(*command.format(name).split())
    assert done.code == 2 and "give an output: -o" in done.sentence


def test_a_pack_may_go_to_standard_output(pictures, pipe):
    os.makedirs("folder")
    picture(0).save("folder/a.png")
    packed = pipe(b"", "data", "pack", "folder", "-o", "-")
    assert pictures("data", "pack", "folder", "-o", "x.pack").code == 0
    assert packed == Path("x.pack").read_bytes()
    assert pictures("data", "pack", "folder", "-o", "-", "--json").code == 2
