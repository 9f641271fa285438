import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from models_verb import run

from comet_cli.cli import models as models_cli
from comet_cli.cli.models_text import headline
from comet_cli.errors import CometError, UnknownModelError, UsageError
from comet_cli.models import comet_model, library
from comet_cli.models import folder as model_folder

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def imported(official: Path) -> Path:
    run("import", os.fspath(official / "official_64_local.pth"), "--name", "theirs", "-q")
    return library.find("theirs")


def test_import_prints_the_folder_and_list_shows_the_model(official: Path) -> None:
    out = run("import", os.fspath(official / "official_128_global.pth"))
    assert Path(out.strip()) == library.find("official_128_global")
    lines = run("list").splitlines()
    assert lines[0].split() == [
        "NAME", "K", "D", "R", "ENCODER", "ENERGY", "DATA", "SIZE", "ORIGIN", "HASH", "FIGURES",
    ]  # fmt: skip
    facts = r"official_128_global +4 +8 +128 +global +pooled-128 +celebahq_128 +0.2 MB +local"
    assert re.fullmatch(facts + r" +([0-9a-f]{12}) +-", lines[1])
    sha256 = model_folder.weights_hash(library.find("official_128_global"))
    assert lines[1].split()[-2] == sha256[:12]
    assert run("list", "-q") == "official_128_global\n"


def test_dry_run_leaves_no_model(official: Path) -> None:
    out = run("import", os.fspath(official / "official_64_local.pth"), "--dry-run", "--json")
    document = json.loads(out)
    assert document["written"] is False
    assert document["card"]["components"] == 5
    assert json.loads(run("list", "--json")) == {"models": []}


def test_show_gives_every_fact_of_the_card(imported: Path) -> None:
    document = json.loads(run("show", "theirs", "--json"))
    card = json.loads((imported / "card.json").read_text())
    assert {**document, "name": card["name"]} == {
        **card, "folder": os.fspath(imported), "origin": "local",
        "bytes": model_folder.weights_size(imported), "sample_sheet": None,
    }  # fmt: skip
    text = run("show", "theirs")
    for key in set(card) - {"format", "version"}:
        assert re.search(rf"^{key} ", text, re.MULTILINE), key


def test_show_prints_the_names_of_components_and_the_last_sheet(imported: Path) -> None:
    model = comet_model.load("theirs", "cpu")
    card = model.card.replace(labels=["ground", "a", "b", "c", "d"])
    comet_model.save(model, imported, card=card, overwrite=True)
    for number in (50, 1200, 900):
        (imported / f"samples-{number:07d}.png").write_bytes(b"")
    sheet = os.fspath(imported / "samples-0001200.png")
    lines = run("show", "theirs").splitlines()
    assert f"sample_sheet      {sheet}" in lines
    assert lines[-5:] == [f"component {k:<8}{label}" for k, label in enumerate(card.labels)]
    assert json.loads(run("show", "theirs", "--json"))["sample_sheet"] == sheet


def test_the_table_names_the_data_and_not_how_they_were_made(imported: Path) -> None:
    model = comet_model.load("theirs", "cpu")
    made = {
        "clevr (rendered by `comet data make clevr`, seed 0)": "clevr",
        "1,242 faces, a tenth held out": "1,242 faces",
        "half aligned synthetic faces and more": "half aligned synthetic …",
        "": "-",
    }
    for dataset, shown in made.items():
        comet_model.save(model, imported, card=model.card.replace(dataset=dataset), overwrite=True)
        assert re.search(rf"pooled-64 +{re.escape(shown)} +0\.\d MB ", run("list")), shown


def test_no_shipped_model_is_removed(official: Path, tmp_path: Path) -> None:
    run("import", os.fspath(official / "official_64_local.pth"), "--name", "theirs", "-q")
    shutil.move(library.find("theirs"), tmp_path / "shipped" / "theirs")
    for words in ([], ["--force"]):
        with pytest.raises(UsageError, match="'theirs' comes with comet and cannot be removed"):
            run("remove", "theirs", *words)
    assert model_folder.verify(library.find("theirs"))


def test_verify_says_which_model_is_damaged(imported: Path) -> None:
    assert run("verify") == "theirs: ok\n"
    (imported / model_folder.WEIGHTS).write_bytes(b"")
    assert "has sha256" in run("verify", "theirs", code=1)
    told = json.loads(run("verify", "--json", code=1))
    assert told["ok"] is False and told["exit_code"] == 1


@pytest.mark.parametrize("answer", [True, False])
def test_at_a_terminal_it_asks_before_it_removes(
    imported: Path, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    person = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(models_cli, "sys", SimpleNamespace(stdin=person, stderr=person))
    monkeypatch.setattr(models_cli.typer, "confirm", lambda *_, **__: answer)
    told = run("remove", "theirs", code=0 if answer else 1)
    assert imported.exists() is not answer
    assert told == (f"{imported}\n" if answer else "")


def test_remove_needs_force(imported: Path) -> None:
    with pytest.raises(UsageError, match="this deletes .*theirs; repeat it with --force"):
        run("remove", "theirs")
    assert run("remove", "theirs", "--yes").strip() == os.fspath(imported)
    with pytest.raises(UnknownModelError):
        run("show", "theirs")


def former(folder: Path) -> None:
    """Write what a training leaves in a folder, and a file of somebody's."""
    names = ("checkpoint.pt", "recipe.toml", "log.jsonl", "measured.json", "origin.json")
    for name in (*names, "samples-0000004.png", "tensorboard/events.out.tfevents.1", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")


def test_a_model_that_replaces_another_leaves_nothing_of_it(official: Path, imported: Path) -> None:
    former(imported)
    path = os.fspath(official / "official_64_local.pth")
    run("import", path, "--name", "theirs", "--force", "-q")
    left = {path.name for path in imported.rglob("*") if path.is_file()}
    assert left == {"card.json", "model.safetensors", "README.md", "notes.txt"}


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_an_export_does_not_replace_the_model_that_it_is_of(imported: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is also an input, and inputs are never overwritten"):
        run("export", "theirs", "-o", os.fspath(imported / name), "--force")
    assert model_folder.verify(imported)


def test_a_name_that_is_taken_needs_force(official: Path, imported: Path) -> None:
    path = os.fspath(official / "official_64_local.pth")
    with pytest.raises(CometError, match="use --force"):
        run("import", path, "--name", "theirs")
    run("import", path, "--name", "theirs", "--force", "-q")


def test_headline_takes_what_was_measured() -> None:
    figures = {"reconstruction": {"psnr": 31.234}, "segmentation": {"ari_foreground": 0.95}}
    assert headline(figures) == "PSNR 31.2 dB; ARI, objects only 0.950"
    assert headline({"reconstruction": {"psnr": 31.234}}) == "PSNR 31.2 dB"
    assert headline({"reconstruction": {"psnr": None}, "segmentation": 3}) == "-"
    assert headline({}) == "-"
