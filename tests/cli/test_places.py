"""Folders that are not there, or cannot be looked into."""

import errno
import os
import pwd
import shutil
from pathlib import Path

import pytest

from comet_cli.models import library

LONG = "x" * 300
pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX links and users")


@pytest.fixture
def homeless(pictures, models, monkeypatch):
    """Shipped models only, for a user whom the system does not know; return the runner."""

    def unknown(uid):
        raise KeyError("no such user")

    for name in ("HOME", "COMET_HOME", "COMET_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(library, "shipped_root", lambda: models / "models")
    return pictures


def test_without_a_home_shipped_models_work_and_doctor_says_so(homeless):
    assert "quad" in homeless("models", "list").out
    assert homeless("encode", "a.png", "-m", "quad").code == 0
    assert homeless("encode", "b.png").code == 0  # whose choice cannot be remembered
    assert homeless("compose", "a.z", "--steps", "1", "-o", "out.png").code == 0
    assert homeless("replay", "out.png").code == 0
    done = homeless("doctor")
    assert done.code == 0 and "there is no home folder; set COMET_HOME" in done.out


@pytest.mark.parametrize("closed", ["models", "models/quad", "models/theirs/card.json"])
def test_local_models_that_cannot_be_looked_into_are_named_by_doctor(
    homeless, tmp_path, monkeypatch, closed
):
    path = tmp_path / "home" / closed
    path.parent.mkdir(parents=True)
    path.symlink_to(path.name)  # a loop: nobody can look into it, root neither
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "home"))
    assert homeless("encode", "a.png", "-m", "quad").code == 0
    assert homeless("encode", "b.png").code == 0
    done = homeless("models", "list")
    assert done.code == 0 and "pool" in done.out
    problem = [line for line in homeless("doctor").out.splitlines() if line.startswith("problem")]
    assert closed == "models/quad" or any(f"'{path}': " in line for line in problem), problem
    if closed.startswith("models/theirs"):
        done = homeless("encode", "a.png", "-m", "theirs")
        assert done.code == 1 and f"'{path}': " in done.err and "bug" not in done.err


@pytest.mark.parametrize(
    "command",
    [
        f"encode {LONG}.png",
        f"encode a.png -m {LONG}",
        f"encode a.png -m quad -o {LONG}.z",
        f"encode a.png -m quad -o {LONG}/",
        f"compose {LONG}.z -o x.png",
        f"compose a.z -o {LONG}.png",
        f"compose a.z -o x.png --trace {LONG}.gif",
        f"compose a.z -o x.png --init {LONG}.png",
        f"inspect {LONG}",
        f"replay {LONG}",
        f"gallery {LONG}",
        f"gallery . -o {LONG}.html",
        f"batch {LONG}",
        f"train {LONG}.toml",
        f"train --data {LONG} --preset global -o m",
        f"data check {LONG}",
        f"models show {LONG}",
        f"models remove {LONG}",
        f"evaluate reconstruction -m quad --data {LONG}",
    ],
)
def test_a_name_that_no_file_can_have_is_one_sentence(pictures, command):
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    before = set(Path.cwd().iterdir())
    done = pictures(*command.split())
    assert done.code in (1, 2) and "bug in comet" not in done.err, done.err
    assert done.err.count("comet: ") == 1 and LONG in done.err
    assert set(Path.cwd().iterdir()) == before


@pytest.mark.parametrize(
    "command",
    [
        "encode a.png -m quad -o {}.z",
        "compose a.z -o {}.png",
        "compose a.z -o {}",
        "compose a.z -o x.png --trace {}.gif",
        "decompose a.png -m quad -o {}.png",
        "gradients a.png -m quad -o x.png --npz {}.npz",
        "recombine a.png b.png --html {}.html",
        "gallery . -o {}.html",
    ],
)
def test_the_name_of_an_output_that_is_too_long_is_wrong_usage(pictures, command):
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    done = pictures(*command.format("a" * 300).split())
    ending = "has a name of more than 255 bytes"
    if command.endswith("{}"):  # its ending comes first
        ending = f"write -o '{'a' * 300}.png'"
    assert done.code == 2 and done.sentence.endswith(ending)


def closed(monkeypatch, folder: str) -> None:
    """Make a folder one that cannot be looked into, for root too."""
    usual = {name: getattr(os, name) for name in ("stat", "lstat", "scandir")}

    def refuse(name):
        def call(path=".", *args, **how):
            text = os.fspath(path) if not isinstance(path, int) else ""
            inside = text.startswith(f"{folder}/") or f"/{folder}/" in text
            if inside or (name == "scandir" and text.rstrip("/").endswith(folder)):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return usual[name](path, *args, **how)

        return call

    for name in usual:
        monkeypatch.setattr(os, name, refuse(name))


@pytest.mark.parametrize(
    "command",
    [
        "encode closed/a.png",
        "inspect closed/a.png",
        "batch closed/list.txt",
        "score closed/a.png a.z",
    ],
)
def test_what_is_in_a_closed_folder_is_not_called_missing(pictures, command, monkeypatch):
    os.mkdir("closed")
    pictures("encode", "a.png", "-m", "quad")
    closed(monkeypatch, "closed")
    done = pictures(*command.split())
    assert done.code in (1, 2) and "Permission denied" in done.sentence
    assert "closed/" in done.sentence and "there is no" not in done.sentence


def test_a_closed_folder_among_others_is_told(pictures, monkeypatch):
    os.makedirs("all/closed")
    for name in "ab":
        shutil.copy("a.png", f"all/{name}.png")
    closed(monkeypatch, "closed")
    sentence = "'all/closed' cannot be looked into: Permission denied; what is in it is left out"
    assert sentence in pictures("gallery", "all").err
    assert sentence in pictures("data", "pack", "all", "-o", "x.pack").err
    done = pictures("data", "import", "images", "all/closed", "-o", "made")
    assert done.code == 1 and "'all/closed' cannot be looked into" in done.sentence
