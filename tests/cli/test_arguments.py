"""Arguments and lists as people write them: dashes, backslashes, encodings, locales."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import comet_cli
from comet_cli.cli.console import explain

ROOT = str(Path(comet_cli.__file__).parents[1])


@pytest.mark.parametrize("name", ["-[x].png", "-:0.png", "-*.png", "-@8.png"])
def test_names_that_look_like_selections_of_standard_input_stay_what_they_are(pictures, name):
    os.rename("a.png", name)
    done = pictures("encode", "-m", "quad", "--", name)
    z = name.replace(".png", ".z")
    assert (done.code, done.out) == (0, f"{z}\n")
    assert pictures("inspect", "--", name).code == 0
    assert pictures("compose", f"./{z}", "--literal", "--steps", "1", "-o", name, "-f").out == (
        f"{name}\n"
    )
    assert pictures("replay", "--", name).code == 0
    assert pictures("gallery", ".", "--title", name, "-o", "g.html").code == 0
    assert re.search("<title>([^<]*)", Path("g.html").read_text())[1] == name
    done = pictures("encode", "--", "-[gone].png")
    assert done.code == 2 and done.err == "comet: there is no file '-[gone].png'\n"
    done = pictures("compose", "x.z", "--steps", "-[3]", "-o", "y.png")
    assert done.code == 2 and "\\x00" not in done.err and "\0" not in done.err


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["gallery", ""], "an argument"),
        (["gallery", ".", "-o", ""], "-o"),
        (["encode", "a.png", ""], "an argument"),
        (["encode", "a.png", "-o", ""], "-o"),
        (["compose", "a.z", "-o", ""], "-o"),
        (["compose", "a.z", "-o", "x.png", "--trace="], "--trace"),
        (["compose", "a.z", "-o", "x.png", "-m", ""], "-m"),
        (["compose", "", "-o", "x.png"], "an argument"),
        (["decompose", "a.png", "-o", ""], "-o"),
        (["gradients", "a.png", "-o", ""], "-o"),
        (["gradients", "a.png", "--each", ""], "--each"),
        (["recombine", "a.png", "b.png", "--html", ""], "--html"),
        (["replay", "x.png", "-o", ""], "-o"),
        (["inspect", ""], "an argument"),
        (["batch", ""], "an argument"),
        (["train", "--data", "", "--preset", "objects"], "--data"),
        (["data", "check", ""], "an argument"),
        (["data", "make", "tetris", "--out", ""], "-o"),
    ],
)
def test_an_empty_variable_of_the_shell_is_not_the_working_folder(pictures, command, name):
    before = sorted(os.listdir())
    done = pictures(*command)
    assert done.code == 2 and f"{name} is empty; a shell variable" in done.sentence
    assert sorted(os.listdir()) == before


def test_an_empty_name_in_a_line_of_a_batch_is_its_own(pictures, monkeypatch):
    monkeypatch.setenv("COMET_MODEL", "")  # as if it were not set
    pictures("encode", "a.png")
    Path("list.txt").write_text("a.z -o '' --steps 1\na.z -o x.png --steps 1\n")
    done = pictures("batch", "list.txt")
    assert done.code == 3 and "line 1: -o is empty" in done.err and Path("x.png").exists()
    assert pictures("gallery", ".", "--title", "").code == 0


LINES = "a.z -o one.png --steps 1\r\n\r\n# two\r\na.z -o 'two ☀.png' --steps 1\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lists_of_windows_are_read(pictures, encoding):
    pictures("encode", "a.png", "-m", "quad")
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    Path("list.txt").write_bytes((mark + LINES).encode(encoding))
    done = pictures("batch", "list.txt", "-q")
    assert (done.code, done.out) == (0, "one.png\ntwo ☀.png\n")
    Path("list.txt").write_bytes(b"\xff\xfe\x00\xd8 odd")
    done = pictures("batch", "list.txt")
    assert done.code == 1 and "begins as UTF-16, but is not" in done.err


@pytest.mark.skipif(os.name != "posix", reason="backslashes are no letters of names there")
def test_lists_keep_backslashes(pictures):
    pictures("encode", "a.png", "-m", "quad")
    os.mkdir("out")
    lines = ("out\\d.png", '"e\\f g.png"', "it\\'s\\ one.png")
    Path("list.txt").write_text("".join(f"a.z -o {line} --steps 1\n" for line in lines))
    done = pictures("batch", "list.txt", "-q")
    assert done.out == "out\\d.png\ne\\f g.png\nit's one.png\n"
    assert os.listdir("out") == [] and Path("e\\f g.png").exists()


@pytest.mark.parametrize("command", ["--help", "inspect a.png", "models list"])
def test_a_locale_without_letters_is_no_traceback(pictures, models, command):
    environment = {
        **os.environ,
        **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        **{"PYTHONPATH": ROOT, "COMET_HOME": str(models)},
    }
    done = subprocess.run(
        [sys.executable, "-m", "comet_cli", *command.split()], env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    if "inspect" in command:
        assert "48 × 40" in done.stdout.decode("utf-8")


def test_an_interrupt_during_the_imports_is_one_sentence(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "comet_cli", "--help"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
    )
    assert done.stderr == b"comet: interrupted\n" and done.returncode in (130, -2)


def test_a_missing_library_is_one_sentence():
    with pytest.raises(ModuleNotFoundError) as caught:
        import no_such_library.inner  # noqa: F401
    sentence, code = explain(caught.value)
    assert code == 1 and sentence == (
        "the library 'no_such_library' is not installed: pip install no_such_library"
    )
    assert json.dumps(sentence)
