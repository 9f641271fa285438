"""README and documents say what the code says, and name files that exist."""

import dataclasses
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from comet_cli.baselines.card import BaselineCard
from comet_cli.baselines.recipe import SETTINGS
from comet_cli.cli.app import app, main
from comet_cli.models.card import ModelCard
from comet_cli.models.library import list_models
from comet_cli.training.loss_table import LOSSES
from comet_cli.training.settings import DataSettings, TrainSettings

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
# Facts of a card that a training writes and a recipe does not set.
WRITTEN = {
    *("weights_sha256", "recipe", "iterations", "train_seconds", "started_from"),
    *("defaults_from", "figures", "comet_version"),
}
# Settings of [model] whose default follows from others.
FOLLOWS = {
    "positional": "all `true`",
    "render_step_size": "as `step_size`",
    "render_steps": "as `num_steps`",
}
SHIPPED = [entry.name for entry in list_models() if entry.origin == "shipped"]


@pytest.mark.parametrize(
    "document, mark", [("README.md", "results"), ("docs/models.md", "figures")]
)
def test_figures_of_documents_are_those_of_the_cards(document: str, mark: str, benchmark) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert f"<!-- {mark} -->" in text and f"<!-- /{mark} -->" in text
    assert benchmark("figures_table").rewrite(text) == text


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_pictures_of_documents_exist(document: str) -> None:
    path = ROOT / document
    for found in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", path.read_text("utf-8")):
        target, _, heading = "".join(found).partition("#")
        if target.startswith("http"):
            continue
        linked = path.parent / target if target else path
        assert linked.exists(), target
        if heading:
            assert heading in anchors(linked.read_text("utf-8")), f"{target}#{heading}"


def anchors(text: str) -> set[str]:
    """Return the names that headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_documents_name_exist(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    for name in re.findall(r"`((?:recipes|examples|benchmarks|tests|docs)/[\w./-]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize(
    "section, kind", [("model", ModelCard), ("data", DataSettings), ("train", TrainSettings)]
)
def test_every_setting_of_a_recipe_stands_in_docs_train(section: str, kind: type) -> None:
    text = (ROOT / "docs" / "train.md").read_text("utf-8")
    part = text.split(f"### `[{section}]`\n")[1].split("\n#")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", part, re.MULTILINE))
    fields = {f.name: f for f in dataclasses.fields(kind)}
    losses = set(LOSSES) if fields.pop("losses", None) else set()
    assert set(told) == (set(fields) | losses) - (WRITTEN if kind is ModelCard else set())
    for name, cell in told.items():
        if name in losses:
            assert cell == "`0.0`", name
        elif kind is ModelCard and name in FOLLOWS:
            assert cell == FOLLOWS[name], name
        elif fields[name].default_factory is not dataclasses.MISSING:
            assert tomllib.loads(f"x = {cell.strip('`')}")["x"] == fields[name].default_factory()
        elif fields[name].default is not dataclasses.MISSING:
            default = tomllib.loads(f"x = {cell.strip('`')}")["x"]
            assert (type(default), default) == (type(fields[name].default), fields[name].default), (
                name
            )
        else:
            assert cell == "needed", name


def test_every_setting_of_a_baseline_stands_in_docs_train() -> None:
    text = (ROOT / "docs" / "train.md").read_text("utf-8")
    part = text.split("## Baselines\n")[1].split("\n#")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", part, re.MULTILINE))
    fields = {f.name: f for f in dataclasses.fields(BaselineCard)}
    assert set(told) == set(fields) - WRITTEN - {"labels"}
    for name, cell in told.items():
        if fields[name].default is dataclasses.MISSING:
            assert cell == "needed", name
        else:
            assert tomllib.loads(f"x = {cell.strip('`')}")["x"] == fields[name].default, name
    listed = part.split("`[train]` takes ")[1].split("; the optimizer")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(SETTINGS)


def test_every_recipe_has_its_part_of_the_training_log() -> None:
    told = anchors((ROOT / "docs" / "training-log.md").read_text("utf-8"))
    assert {path.stem for path in (ROOT / "recipes").glob("*.toml")} <= told


def test_docs_train_names_as_many_training_pictures_as_the_recipes() -> None:
    text = (ROOT / "docs" / "train.md").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    named = {
        name: row[3] for row in rows if len(row) == 6 for name in re.findall("`(.*?)`", row[1])
    }
    checked = 0
    for path in (ROOT / "recipes").glob("*.toml"):
        dataset = tomllib.loads(path.read_text("utf-8"))["model"]["dataset"]
        for count in re.findall(r"([\d,]+) training pictures", dataset):
            assert count in named[path.stem], path.name
            checked += 1
    assert checked > 5


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_brings_its_recipe_and_readme(name: str) -> None:
    folder = ROOT / "weights" / name
    assert (folder / "recipe.toml").read_text("utf-8").strip()
    assert (folder / "README.md").read_text("utf-8").startswith("---\nlicense:")
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000


@pytest.mark.skipif("clevr" not in SHIPPED, reason="no shipped weights in this checkout")
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code.group(1), names)
    assert float(names["energy"](names["image"])) < float(names["energy"](names["b"]))
    assert (tmp_path / "both.png").exists()


@pytest.mark.skipif(
    not (ROOT / "comet_cli" / "energy").exists(), reason="the package is not in its folders yet"
)
@pytest.mark.parametrize("document", ["README.md", "docs/extend.md", "docs/mathematics.md"])
def test_functions_that_a_document_places_stand_in_their_files(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    rows = re.findall(r"^\|.*\| `((?:\w+/)+\w+\.py)` \| (.+) \|$", text, re.MULTILINE)
    assert rows
    for file, names in rows:
        code = (ROOT / "comet_cli" / file).read_text("utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            for part in name.split("."):
                assert re.search(rf"^ *(?:def|class) {part}\b|^{part}\b", code, re.MULTILINE), name


def calls(lines: list[str]) -> list[list[str]]:
    """Return the arguments of each call of comet in lines of a shell."""
    found = []
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in ("|", "&&", ";", "<", ">"):
                words.append(word)
                continue
            words = words[1:] if words[:1] == ["do"] else words
            if words[:1] == ["comet"]:
                found.append(words[1:])
            words = []
    return found


def command_of(arguments: list[str]) -> tuple[Any, list[str]]:
    """Return the verb that is called, or comet itself, and what is left for it."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        command = command.commands[arguments[0]]
        arguments = arguments[1:]
    return command, arguments


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_of_documents_parse(document: str) -> None:
    text = (ROOT / document).read_text("utf-8").replace("\\\n", " ")
    text = re.sub(r"```(?!sh\n)\w+\n.*?```\n|```sh\n|```\n", "", text, flags=re.DOTALL)
    blocks = calls(re.findall(r"^(?: {4})?((?:for|comet) .+)$", text, re.MULTILINE))
    # In a sentence a command may stand without what it is called with.
    inline = calls(re.findall(r"`(comet [^`]+)`", re.sub(r"\n(?! *\n)", " ", text)))
    for arguments in [*blocks, *inline]:
        said = f"comet {' '.join(arguments)}"
        try:
            command, arguments = command_of(arguments)
        except KeyError as error:
            pytest.fail(f"{said}: there is no verb {error}")
        known = {option for parameter in command.params for option in parameter.opts}
        options = [w for w in arguments if re.match("-[^:]", w) and not re.match(r"-\d", w)]
        assert set(options) <= known, said
    for arguments in blocks:
        command, rest = command_of(arguments)
        if not hasattr(command, "commands"):
            # The command line itself sees to it that a selection of standard input is no option.
            command.make_context(command.name, [re.sub("^-:", "a.z:", word) for word in rest])


@pytest.mark.skipif(not {"clevr", "clevr-toy"} <= set(SHIPPED), reason="no shipped weights")
def test_the_commands_of_the_readme_for_artists_make_its_pictures(tmp_path, monkeypatch) -> None:
    text = (ROOT / "README.md").read_text("utf-8").replace("\\\n", " ")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "z").mkdir()
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^ {4}comet (.*(?:examples/|z/).*?)(?:  +#.*)?$", text, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        assert main(shlex.split(line)) == 0, line
    # What the README shows beside some of them.
    for made, shown in (
        ("mix", "faces-128-mix"),
        ("toys", "toys-and-solids"),
        ("eight", "clevr-eight"),
    ):
        new, old = (
            np.asarray(Image.open(path).convert("RGB")).astype(int)
            for path in (f"{made}.png", ROOT / "docs" / "images" / f"{shown}.png")
        )
        assert new.shape == old.shape and np.abs(new - old).max() <= 4


def test_a_marked_part_is_replaced_and_a_missing_one_is_an_error(benchmark) -> None:
    marked = benchmark("marked")
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert marked.replace_marked(text, "x", "new") == text.replace("old", "new")
    within = "a <!-- x -->old<!-- /x --> b"
    assert marked.replace_marked(within, "x", "new") == within.replace("old", "new")
    for wrong in ("a", "<!-- x --> no end", "<!-- /x --><!-- x -->"):
        with pytest.raises(ValueError, match="no <!-- x -->"):
            marked.replace_marked(wrong, "x", "new")
