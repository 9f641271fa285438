"""Completion: what is offered, and that real shells insert it."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import comet_cli
from comet_cli.cli import shells
from comet_cli.cli.app import main
from comet_cli.cli.completion import complete_listing, names_in, selected_file
from comet_cli.formats.components import ComponentSet, write_components

BREAKS = " \t\n\"'@><=;|&(:"  # as bash sets them
LABELS = ("hair", "light", "left hand", "*star", "2", "$(touch oops)")


@pytest.fixture
def folder(pictures):
    """Write l.z, with labels of every kind, and a name with a space; return the runner."""
    write_components("l.z", ComponentSet(np.ones((6, 3), np.float32), "m", "1" * 64, 8, LABELS))
    shutil.copy("l.z", "my own.z")
    return pictures


@pytest.fixture
def offered(folder, monkeypatch, capsys):
    """Return a function: what a shell is offered for a command line, and the exit code."""
    for name in (shells.VARIABLE, "_TYPER_COMPLETE_ARGS", "_TYPER_COMPLETE_FISH_ACTION"):
        monkeypatch.setenv(name, "")

    def ask(line: str, shell: str = "fish") -> tuple[list[str], int]:
        monkeypatch.setenv(shells.VARIABLE, shell)
        monkeypatch.setenv("_COMET_LINE", line)
        monkeypatch.setenv("_COMET_BREAKS", BREAKS if shell == "bash" else "")
        capsys.readouterr()
        code = main([])
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.splitlines(), code

    return ask


COMPONENTS = [*"012345", "hair", "light", "left hand"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("comet compose l.z:", [f"l.z:{c}" for c in COMPONENTS]),
        ("comet compose l.z:0,l", ["l.z:0,light", "l.z:0,left hand"]),
        ("comet compose l.z:1,3-", ["l.z:1,3-4", "l.z:1,3-5"]),
        ("comet compose a.z 'my own.z:ha", ["my own.z:hair"]),
        ("comet compose l.z:1%0.5%my\\ own.z:ha", ["l.z:1%0.5%my own.z:hair"]),
        ("comet compose l.z:1%0.5%l", ["l.z:1%0.5%l.z"]),
        ("comet compose l.z:1@", ["l.z:1@a.png", "l.z:1@b.png"]),
        ("comet compose -:0 l.z:5", ["l.z:5"]),
        ("comet score a.png l.z:5", ["l.z:5"]),
        ("comet nearest l.z:5", ["l.z:5"]),
        ("comet compose -m quad a.png:", [f"a.png:{c}" for c in (0, 1, 2, 3)]
            + ["a.png:hair", "a.png:lighting", "a.png:skin", "a.png:face"]),
        ("comet compose a.png:", ["a.png:0", "a.png:1", "a.png:2"]),  # pool has 3, quad 4
        ("comet recombine l.z b.z --components 0,h", ["0,hair"]),
        ("comet encode -m ", ["pool", "quad"]),
        ("comet encode --model=q", ["--model=quad"]),
        ("comet compose l.z --solver m", ["momentum"]),
        ("comet models show q", ["quad"]),
        ("comet models verify ", ["pool", "quad"]),
        ("comet figure 1", ["1", "10"]),
        ("comet compose l.z:0 --init n", ["noise"]),
        ("comet data make clevr-l", ["clevr-lighting"]),
        ("comet data import celeba", ["celeba-hq"]),
    ],
)  # fmt: skip
def test_models_and_components_are_offered(offered, line, expected):
    assert offered(line) == (expected, 0)


def test_verbs_and_options_are_offered_with_their_help(offered):
    assert offered("comet enc") == (["encode\tTake pictures apart: face.png into face.z."], 0)
    assert [line.partition("\t")[0] for line in offered("comet compose --see")[0]] == [
        *("--seed", "--seeds"),
    ]
    assert offered("comet enc", "bash") == (["encode"], 0)


def test_a_picture_that_was_encoded_offers_what_its_file_has(offered, folder):
    folder("encode", "a.png", "-m", "quad")
    assert offered("comet compose a.png:h") == (["a.png:hair"], 0)
    shutil.copy("b.png", "a.png")
    assert offered("comet compose a.png:h") == ([], 0)


def test_files_are_left_to_the_shell(offered):
    for line in ("comet compose l", "comet compose ", "comet encode a.p", "comet compose gone.z:"):
        assert offered(line) == ([], shells.FILES_INSTEAD), line


def test_garbage_offers_nothing_and_says_nothing(offered):
    Path("garbage.z").write_bytes(b"\x10" + bytes(7) + b"{" + b"\xff" * 99)
    Path("empty.z").write_bytes(b"")
    Path("cut.z").write_bytes(Path("l.z").read_bytes()[:-5])
    Path("text.png").write_text("no picture")
    os.mkfifo("pipe.z")
    with open("huge.z", "wb") as file:
        file.truncate(1 << 33)
    for name in ("garbage.z", "empty.z", "cut.z", "text.png", "pipe.z", "huge.z"):
        assert offered(f"comet compose -m quad {name}:")[0] == [], name
    for line in ("comet", "comet 'a", "comet compose \\", "comet nothing l.z:", "comet \udcff"):
        assert offered(line)[0] == [], line


def test_no_models_or_broken_ones_are_no_story(offered, monkeypatch, tmp_path):
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "card.json").write_text("{")
    monkeypatch.setenv("COMET_HOME", str(tmp_path))
    assert offered("comet encode -m ") == ([], shells.FILES_INSTEAD)
    assert offered("comet compose -m broken a.png:") == ([], 0)


def test_bash_gets_what_stands_after_its_last_break(offered):
    def bash(line):
        return offered(line, "bash")[0]

    assert bash("comet compose l.z:0,le") == ["0,left\\ hand"]
    assert bash("comet compose my\\ own.z:ha") == ["hair"]
    assert bash("comet compose 'my own.z:ha") == ["my own.z:hair"]
    assert bash('comet compose "my own.z":ha') == ["hair"]
    assert bash("comet encode --model=q") == ["quad"]
    Path("$(touch oops).png").touch()
    assert bash("comet compose l.z:1@\\$") == ["@\\$\\(touch\\ oops\\).png"]
    assert bash('comet compose "l.z:1@') == ["l.z:1@a.png", "l.z:1@b.png"]


@pytest.mark.parametrize(
    ("line", "before", "word", "raw", "quote"),
    [
        ("comet a\\ b 'c d' e", ("comet", "a b", "c d"), "e", "e", ""),
        ("comet  x ", ("comet", "x"), "", "", ""),
        ("a 'b c", ("a",), "b c", "'b c", "'"),
        ('a "b\\"c\\d', ("a",), 'b"c\\d', '"b\\"c\\d', '"'),
        ("a '' b", ("a", ""), "b", "b", ""),
        ("a b\\", ("a",), "b", "b\\", ""),
    ],
)
def test_a_line_is_split_as_shells_do(line, before, word, raw, quote):
    assert shells.split_line(line) == shells.Typed(before, word, raw, quote)


def test_lists_and_their_files_are_told_apart():
    assert selected_file("a.z:0,2") == (4, "a.z")
    assert selected_file("d:e/a.z") is None and selected_file("a.z") is None
    assert selected_file("a.z:1@left.png") is None and selected_file(":0") is None
    assert complete_listing("0,", (2, ("x", "y"))) == ["0,0", "0,1", "0,x", "0,y"]
    assert complete_listing("", None) == [] and names_in("-", "auto") is None


# Real shells: `comet` only prints its arguments, and completes as the real one does.

STUB = f"""#!/bin/sh
[ -n "$_COMET_COMPLETE" ] && exec {sys.executable} -m comet_cli
printf '<%s>' "$@"; echo
"""


@pytest.fixture
def environment(folder, models, tmp_path):
    """Return the environment of a shell that finds the stub."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "comet"
    stub.write_text(STUB)
    stub.chmod(0o755)
    home = tmp_path / "user"
    home.mkdir()
    return {
        "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(comet_cli.__file__).parents[1]),
        **{"HOME": str(home), "COMET_HOME": str(models), "TERM": "dumb", "COLUMNS": "300"},
    }


def typed_into(shell: list[str], setup: str, lines: list[str], environment: dict) -> list[str]:
    """Type lines, with tabs in them, into a shell on a terminal; return what each printed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(shell[0], shell, environment)
    printed = []

    def read(until: str) -> str:
        got, end = "", time.monotonic() + 60
        while not re.search(until, got):
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{until!r} was never printed: {got!r}"
            got += os.read(terminal, 1 << 16).decode(errors="replace")
        return got

    try:
        os.write(terminal, f"{setup}; echo re''ady\n".encode())
        read("\nready")
        for line in lines:
            # A shell reads what is typed ahead once it is done completing.
            os.write(terminal, f"comet {line}\n".encode())
            printed += re.findall(r"\n(<.*>)\r", read(r"\n<.*>\r"))
    finally:
        os.close(terminal)
        os.kill(child, 9)
        os.waitpid(child, 0)
    return printed


LINES = {
    "compose l.z:ha\t": "<compose><l.z:hair>",
    "compose 'my own.z:0,lef\t": "<compose><my own.z:0,left hand>",
    "compose a.p\t": "<compose><a.png>",
    "compose l.z:1@a.p\t": "<compose><l.z:1@a.png>",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_after_the_colon(environment):
    Path("script").write_text(shells.script("bash"))
    setup = "source ./script; bind 'set enable-bracketed-paste off'"
    # Alt-* inserts all that is offered.
    lines = [*LINES, "compose l.z:1-\x1b*"]
    printed = typed_into(["bash", "--norc", "--noprofile", "-i"], setup, lines, environment)
    assert printed == [*LINES.values(), "<compose><l.z:1-2><1-3><1-4><1-5>"]
    assert not Path("oops").exists()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes_after_the_colon(environment):
    Path("script").write_text(shells.script("zsh"))
    printed = typed_into(["zsh", "-f", "-i"], "source ./script", list(LINES), environment)
    assert printed == list(LINES.values()) and not Path("oops").exists()


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_is_offered_components_and_files(environment):
    Path("script").write_text(shells.script("fish"))
    lines = ["compose l.z:1-", "compose 'my own.z:lig", "compose a.p"]
    ask = 'source ./script; for line in $argv; complete -C "comet $line"; end'
    done = subprocess.run(
        ["fish", "-N", "-c", ask, *lines], env=environment, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        *(f"l.z:1-{k}" for k in (2, 3, 4, 5)),
        *("my own.z:light", "a.png"),
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_installing_writes_a_script_and_one_line(comet, shell, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "my data"))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    start = tmp_path / f".{shell}rc"
    start.write_text("alias x=y")
    target = tmp_path / "my data" / f"completion.{shell}"
    assert comet("--install-completion", shell).out.splitlines() == [str(target), str(start)]
    assert comet("--install-completion", shell).out.splitlines() == [str(target)]
    assert start.read_text() == f"alias x=y\nsource '{target}'\n"
    assert target.read_text() == comet("--show-completion", shell).out == shells.script(shell)


def test_fish_reads_its_folder_by_itself(comet, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    target = tmp_path / "fish" / "conf.d" / "comet.fish"
    assert comet("--install-completion", "fish").out == f"{target}\n"
    assert target.read_text() == shells.script("fish")


def test_another_shell_is_wrong_usage(comet):
    for option in ("--install-completion", "--show-completion"):
        done = comet(option, "csh")
        assert (done.code, done.sentence) == (
            *(2, "comet: unknown shell 'csh'; use bash, zsh, fish"),
        )


def test_completing_a_component_imports_nothing_heavy(folder, models):
    code = (
        "import sys, json; from comet_cli.cli.app import main; main([]); "
        "heavy = [m for m in ('torch', 'PIL', 'huggingface_hub') if m in sys.modules]; "
        "print(json.dumps(heavy), file=sys.stderr)"
    )
    env = {**os.environ, "_COMET_COMPLETE": "bash", "_COMET_LINE": "comet compose l.z:ha"}
    env |= {"COMET_HOME": str(models), "PYTHONPATH": str(Path(comet_cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "l.z:hair\n"
    assert json.loads(done.stderr) == []
