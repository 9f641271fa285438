"""``--help``: verbs in groups, each with a whole line, and the table that they come from."""

import ast
import re
from pathlib import Path

import pytest
import typer

import comet_cli
from comet_cli.cli.app import VERBS, app, main

CLI = Path(comet_cli.__file__).parent / "cli"
SHARED = {
    *("__init__", "app", "batch_lines", "checks", "completion", "console", "help"),
    *("models_text", "parser", "options", "progress", "shells", "streams", "terminal_preview"),
    *("values", "verb", "warm_helper", "warm_link"),
}


def help_of(capsys, monkeypatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def sections(text: str) -> dict[str, dict[str, str]]:
    """Return the sections of a help text, each a first word and the rest of every line."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            found[line[:-1]] = {}
        elif found and line.strip():
            name, _, rest = line.strip().partition(" ")
            found[list(found)[-1]][name] = rest.strip()
    return found


def test_verbs_stand_in_groups(capsys, monkeypatch):
    found = sections(help_of(capsys, monkeypatch))
    headings = list(dict.fromkeys(verb.heading for verb in VERBS))
    assert list(found) == ["Options", *headings]
    assert headings == ["Everyday", "Look closer", "Many pictures", "Models and data"]
    for heading in headings:
        assert list(found[heading]) == [v.name for v in VERBS if v.heading == heading]


@pytest.mark.parametrize("group", ["", "models", "data", "evaluate", "warm"])
def test_each_verb_has_one_whole_line(capsys, monkeypatch, group):
    text = help_of(capsys, monkeypatch, *group.split())
    assert "..." not in text.partition("Options:")[2] and "…" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    listed = {n: t for s, rows in sections(text).items() if s != "Options" for n, t in rows.items()}
    command = typer.main.get_command(app)
    command = command.commands[group] if group else command
    assert set(listed) == set(command.commands)  # a line that wraps would be a name too many
    for sentence in listed.values():
        assert re.fullmatch(r"[A-Z].*[a-z)]\.", sentence), sentence


def test_a_file_of_the_command_line_is_a_row_of_the_table_or_shared():
    files = {path.stem for path in CLI.glob("*.py")}
    assert files - SHARED == {verb.name for verb in VERBS}


def test_shared_options_are_declared_once():
    for path in CLI.glob("*.py"):
        if path.stem in ("options", "verb"):
            continue
        text = path.read_text("utf-8")
        for option in ("--json", "--device", "--precision", "--seed", "--fresh", "--literal"):
            declared = [
                node
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Call)
                and getattr(node.func, "attr", "") == "Option"
                and any(isinstance(a, ast.Constant) and a.value == option for a in node.args)
            ]
            assert not declared, (path, option)
