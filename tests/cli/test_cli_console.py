"""Streams, exit codes and start-up."""

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import comet_cli
from comet_cli.cli import console
from comet_cli.cli.app import main
from comet_cli.errors import CometError, CometWarning, UsageError

ROOT = Path(comet_cli.__file__).parents[1]


def failing(error):
    def command(**options):
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (CometError("it failed"), 1, "it failed"),
        (UsageError("it was wrong"), 2, "it was wrong"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("by\nzero"), 1, "unexpected ZeroDivisionError: by zero"),
    ],
)
def test_errors_become_one_sentence_and_an_exit_code(error, code, sentence, capsys, monkeypatch):
    monkeypatch.delenv("COMET_DEBUG", raising=False)
    assert console.run(failing(error), []) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(f"comet: {sentence}")
    assert captured.err.count("\n") == 1
    assert console.run(failing(error), ["--json"]) == code
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["exit_code"] == code and found["error"].startswith(sentence)
    assert captured.err == ""


def test_warnings_of_our_own_are_sentences_and_those_of_others_are_not_shown(capsys, monkeypatch):
    def command(**options):
        for _ in range(2):
            warnings.warn("a file is\nodd", CometWarning, stacklevel=1)
        warnings.warn("call it in another way", UserWarning, stacklevel=1)

    monkeypatch.delenv("COMET_DEBUG", raising=False)
    before = warnings.showwarning
    assert console.run(command, []) == 0
    assert capsys.readouterr() == ("", "comet: a file is odd\n")
    assert console.run(command, ["--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert warnings.showwarning is before


def test_interrupt_in_the_middle_of_a_verb(pictures, monkeypatch):
    from comet_cli.inputs.session import Session

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "infer", interrupt)
    done = pictures("encode", "a.png", "-m", "quad")
    assert (done.code, done.out, done.err) == (130, "", "comet: interrupted\n")
    done = pictures("encode", "a.png", "-m", "quad", "--json")
    assert done.json == {"error": "interrupted", "exit_code": 130}


def test_traceback_only_when_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("COMET_DEBUG", "1")
    assert console.run(failing(CometError("it failed")), []) == 1
    assert "Traceback" in capsys.readouterr().err


def test_numbers_that_are_no_json_become_null(capsys):
    console.print_json({"a": [float("nan"), (1.5, float("inf"))]})
    assert json.loads(capsys.readouterr().out) == {"a": [None, [1.5, None]]}


def test_json_after_two_dashes_is_an_argument(capsys):
    console.run(failing(CometError("no")), ["--", "--json"])
    assert capsys.readouterr().out == ""


def test_reader_that_goes_away_is_no_story(capsys, monkeypatch):
    stream = io.StringIO()
    stream.fileno = lambda: os.open(os.devnull, os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", stream)
    assert console.run(failing(BrokenPipeError()), []) == 1
    assert capsys.readouterr().err == ""


def test_names_that_are_no_text_are_still_printed(capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        console.print_result("a\udcff.z")
    assert stream.buffer.getvalue() == b"a\xff.z\n"
    console.print_error("cannot open a\udcff.z")
    assert capsys.readouterr().err == "comet: cannot open a\\udcff.z\n"


def test_markup_in_names_is_left_alone(pictures):
    os.rename("a.png", "[red]a.png")
    done = pictures("encode", "[red]a.png", "-m", "quad")
    assert done.out == "[red]a.z\n"
    done = pictures("encode", "[red]gone.png", "-m", "quad")
    assert "'[red]gone.png'" in done.err


def test_long_paths_are_not_wrapped(pictures, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    name = "x" * 200
    os.rename("a.png", f"{name}.png")
    assert pictures("encode", f"{name}.png", "-m", "quad").out == f"{name}.z\n"


def test_quiet_prints_only_paths(pictures):
    done = pictures("encode", "a.png", "-q")
    assert (done.out, done.err) == ("a.z\n", "")


def test_alone_it_shows_its_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "decompose" in captured.err


def test_every_verb_has_help_with_its_brackets(capsys):
    for verb in (
        "encode",
        "compose",
        "decompose",
        "gradients",
        "recombine",
        "inspect",
        "replay",
        "score",
        "doctor",
        "models",
        "data",
    ):
        assert main([verb, "--help"]) == 0
        assert f"Usage: comet {verb}" in capsys.readouterr().out


def in_fresh_python(*args: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line, then list the heavy modules that it imported on stderr."""
    code = (
        "import sys; from comet_cli.cli.app import main; code = main(sys.argv[1:]); "
        "print([m for m in ('torch', 'huggingface_hub', 'rich', 'pydantic') if m in sys.modules], "
        "file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_start_up_imports_neither_torch_nor_the_hub(pictures):
    pictures("encode", "a.png", "-m", "quad")
    for args in (
        ["--version"],
        ["--help"],
        ["compose", "--help"],
        ["inspect", os.path.abspath("a.z")],
    ):
        code, out, err = in_fresh_python(*args)
        assert code == 0 and out and err.strip() == "[]", (args, err)


def test_wrong_usage_is_found_without_torch():
    code, _, err = in_fresh_python("compose", "gone.z", "-o", "x.png")
    assert code == 2 and err.endswith("[]\n")


def test_completion_imports_neither_torch_nor_the_hub(models):
    env = {
        "_COMET_COMPLETE": "bash",
        "_COMET_LINE": "comet encode -m po",
        "COMET_HOME": str(models),
    }
    code, out, err = in_fresh_python(**env)
    assert out.split() == ["pool"], (code, out, err)
    assert err == "[]\n"


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "comet_cli", "--version"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stdout == f"comet {comet_cli.__version__}\n" and done.returncode == 0


def test_help_waits_for_no_numbers_and_loading_a_model_for_no_compiler(models):
    for code, heavy in (
        ("from comet_cli.cli.app import main; main(['--help'])", ["numpy", "pydantic", "torch"]),
        (
            f"import comet_cli; comet_cli.load({str(models / 'models' / 'quad')!r})",
            ["torch._dynamo"],
        ),
    ):
        code += f"; import sys; sys.exit(' '.join(m for m in {heavy} if m in sys.modules) or 0)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_bar_ends_with_what_it_is_for_also_when_that_fails(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    report = console.Report()
    with pytest.raises(ValueError, match="broken"), report.progress("rendering"):
        raise ValueError("broken")
    assert report._bar is None
