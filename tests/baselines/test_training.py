"""Baselines learn, resume, and end as folders that the measuring commands take."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_recipes import SIZE, TINY, labelled, squares, tiny_recipe

from comet_cli.baselines import training
from comet_cli.baselines.card import read_card
from comet_cli.baselines.folder import load_any
from comet_cli.baselines.recipe import parse_any_recipe
from comet_cli.baselines.training import fit, train_baseline
from comet_cli.cli.app import main
from comet_cli.errors import CometError, CometWarning, FileFormatError, UsageError
from comet_cli.evaluation.measure import measure, measure_latents_on
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.training import checkpoint, going_on
from comet_cli.training.recipe import TrainingRecipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("baselines/*.toml"))


@pytest.fixture
def data(tmp_path) -> Path:
    return labelled(tmp_path / "data")


@pytest.mark.parametrize(
    "kind, settings",
    [
        ("beta-vae", {"iterations": 600, "batch": 16, "filters": 16}),
        ("monet", {"iterations": 600, "batch": 8}),
    ],
)
def test_the_loss_goes_down_and_pictures_come_back(kind, settings, tmp_path):
    images, lines = squares(64, still=True), []
    result = fit(tiny_recipe(kind, **settings, log_every=20), images, tmp_path, report=lines.append)
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]  # of MONet it is below 0 at last
    x = as_pictures(images)
    plain = (x - x.mean(0)).square().mean()
    assert (result.model.reconstruct(x) - x).square().mean() < 0.7 * plain


def test_infogan_learns_to_make_pictures_whose_codes_can_be_read(tmp_path):
    recipe = tiny_recipe("infogan", iterations=80, batch=16, learning_rate=1e-3)
    model = fit(recipe, squares(64), tmp_path).model
    code = 2 * torch.rand(64, 3) - 1
    made = model.generate(code, torch.randn(64, 2))
    read = model.encode(made)[:, 0]
    fresh = fit(tiny_recipe("infogan", iterations=1, batch=4), squares(64), _folder(tmp_path)).model
    unread = fresh.encode(fresh.generate(code, torch.randn(64, 2)))[:, 0]
    assert (read - code).square().mean() < 0.8 * (unread - code).square().mean()
    assert float(made.std(0).mean()) > 0.01  # not one picture for all


def _folder(path: Path) -> Path:
    (path / "other").mkdir()
    return path / "other"


@pytest.mark.parametrize("kind", TINY)
def test_a_training_that_goes_on_is_that_which_was_not_interrupted(kind, tmp_path):
    images, weights = squares(16), []
    for name, stops in (("whole", [6]), ("parts", [2, 6])):
        (tmp_path / name).mkdir()
        for iterations in stops:
            result = fit(tiny_recipe(kind, iterations=iterations), images, tmp_path / name)
        weights.append(result.model.state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_seed_is_another_training(tmp_path):
    found = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        result = fit(tiny_recipe("beta-vae", seed=seed), squares(16), tmp_path / str(seed))
        found.append(result.model.encode(as_pictures(squares(1))))
    assert not torch.allclose(*found)


@pytest.mark.parametrize("kind", TINY)
def test_a_trained_folder_is_measured_as_models_are(kind, data, tmp_path):
    card, result = train_baseline(tiny_recipe(kind, str(data)), tmp_path / "run", device="cpu")
    assert result.finished and read_card(tmp_path / "run") == card
    loaded = load_any(tmp_path / "run", device="cpu")
    images = squares(24)
    x = as_pictures(images)
    assert torch.equal(loaded.encode(x), result.model.encode(x))
    masks = (images.max(-1) > 40).astype(np.uint8)
    assert card.figures == measure(loaded, images, masks if kind == "monet" else None)
    assert set(card.figures["reconstruction"]) >= {"psnr", "mse"}
    assert card.figures["reconstruction"]["psnr_5n"] is None
    assert ("segmentation" in card.figures) == (kind == "monet")
    pytest.importorskip("sklearn")
    told = []
    figures = measure_latents_on(loaded, data, progress=lambda *step: told.append(step))
    assert told == [(done, 7) for done in range(1, 8)]
    assert figures.principal_components == (kind == "monet") and 0 <= figures.mig <= 1


def test_whoever_interrupts_does_not_wait_for_figures(data, tmp_path):
    def stop(line: dict) -> None:
        signal.raise_signal(signal.SIGINT)

    recipe = tiny_recipe("monet", str(data), iterations=100, log_every=1)
    card, result = train_baseline(recipe, tmp_path / "run", device="cpu", report=stop)
    assert result.interrupted and card.iterations == 1 and card.figures == {}
    assert read_card(tmp_path / "run") == card


def test_a_signal_while_measuring_leaves_a_baseline_without_figures(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "measure", lambda *_: signal.raise_signal(signal.SIGTERM))
    card, result = train_baseline(tiny_recipe("monet", str(data)), tmp_path / "run", device="cpu")
    assert result.finished and result.interrupted and card.figures == {}
    assert read_card(tmp_path / "run") == card


def test_the_command_line_trains_measures_and_goes_on(data, tmp_path, capsys):
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(tiny_recipe("monet", str(data)).text)
    train = ["train", str(recipe), "-o", str(run), "--device", "cpu"]
    assert main([*train, "--max-time", "0", "-q"]) == 0
    assert read_card(run).iterations == 0
    capsys.readouterr()
    assert main([*train, "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["iteration"] == read_card(run).iterations == 6 and output["finished"]
    assert (run / "recipe.toml").read_text() == recipe.read_text()
    for verb, key in (
        ("reconstruction", "psnr"), ("segmentation", "ari"), ("disentanglement", "mcc")
    ):  # fmt: skip
        if verb == "disentanglement":
            pytest.importorskip("sklearn")
        assert main(["evaluate", verb, "-m", str(run), "--data", str(data), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["model"] == "tiny" and found[key] is not None


def test_what_a_baseline_is_not_asked_gets_a_sentence(data, tmp_path, capsys):
    run = tmp_path / "run"
    train_baseline(tiny_recipe("beta-vae", str(data)), run, device="cpu")
    assert main(["evaluate", "segmentation", "-m", str(run), "--data", str(data)]) == 1
    assert "no components that pixels could belong to" in capsys.readouterr().err
    picture = data / "test" / "000000.png"
    assert main(["encode", str(picture), "-m", str(run), "-o", str(tmp_path / "a.z")]) != 0
    assert "is not a comet model card" in capsys.readouterr().err


def test_damaged_weights_are_refused(data, tmp_path):
    run = tmp_path / "run"
    train_baseline(tiny_recipe("beta-vae", str(data)), run, device="cpu")
    (run / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="not the file that card.json describes"):
        load_any(run, device="cpu")


def test_a_loss_that_is_not_finite_stops_with_the_last_checkpoint(tmp_path):
    recipe = tiny_recipe("beta-vae", learning_rate=1e30, iterations=40)
    with pytest.raises(CometError, match="at iteration .*; nothing was saved yet: lower"):
        fit(recipe, squares(8), tmp_path)


def test_recipes_are_of_one_kind_and_know_their_settings():
    text = tiny_recipe("beta-vae").text
    assert parse_any_recipe(text).card.kind == "beta-vae"
    for changed, sentence in (
        (text.replace("[train]", "[train]\nema = 0.5"), "unknown ema"),
        (text.replace("[baseline]", "[baseline]\nencoder = 'global'"), "unknown encoder"),
        (re.sub("name = .*", "name = '../evil'", text), r"\[baseline\]: .* is no model name"),
        (text + "\n[model]", r"unknown section \[model\]"),
        (text.replace("iterations = 6", ""), "missing iterations"),
        ("[baseline]", r"no section \[data\]"),
        ("[[", "is not TOML"),
        (
            re.sub("batch = .*", "batch = 1", tiny_recipe("infogan").text),
            "infogan needs a batch of 2 or more",
        ),
    ):
        with pytest.raises(FileFormatError, match=sentence):
            parse_any_recipe(changed)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_of_baselines_build(path):
    recipe = parse_any_recipe(path.read_text())
    assert not isinstance(recipe, TrainingRecipe) and recipe.card.image_size >= SIZE


def test_all_rows_of_table_1_see_the_same_pictures_as_often():
    rows = [*(ROOT / "recipes" / "table1").glob("*.toml")]
    rows += [path for path in RECIPES if "-clevr" not in path.stem and "-tetris" not in path.stem]
    found = {}
    for path in rows:
        if path.stem == "beta-vae-dsprites":
            continue
        recipe = parse_any_recipe(path.read_text("utf-8"))
        seen = recipe.train.iterations * recipe.train.batch
        found[path.stem] = (recipe.data.train, recipe.data.measured, recipe.card.image_size, seen)
    assert len(found) == 10 and len(set(found.values())) == 1, found


def test_all_rows_of_table_2_see_the_same_pictures_as_often():
    found = set()
    for path in sorted((ROOT / "recipes" / "table2").glob("*.toml")):
        recipe = parse_any_recipe(path.read_text("utf-8"))
        seen = recipe.train.iterations * recipe.train.batch
        card = recipe.card
        found.add((recipe.data.train, recipe.data.measured, card.image_size, card.components, seen))
    assert len(found) == 1, found


def test_a_baseline_goes_on_as_a_model_does(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    train_baseline(tiny_recipe("beta-vae", str(data)), run, device="cpu")
    other = tiny_recipe("beta-vae", str(data), batch=3, iterations=7)
    with pytest.raises(UsageError, match="holds a training by another recipe: train.batch is 3"):
        train_baseline(other, run, device="cpu")
    with pytest.warns(CometWarning, match="goes on by another recipe"):
        train_baseline(other, run, device="cpu", force=True)
    more = tiny_recipe("beta-vae", str(data), batch=3, iterations=8)
    with pytest.warns(CometWarning, match="iterations"), going_on.alone(run):
        with pytest.raises(UsageError, match="another training is at work"):
            train_baseline(more, run, device="cpu")
    for path in (data / "train").glob("*.png"):
        path.unlink()
        break
    with pytest.warns(CometWarning), pytest.raises(UsageError, match="holds 11 pictures, 12 when"):
        train_baseline(more, run, device="cpu")
    (run / "checkpoint.pt").unlink()
    with pytest.raises(UsageError, match="holds a model and no checkpoint"):
        train_baseline(more, run, device="cpu")


def test_a_full_disk_at_the_checkpoint_loses_no_baseline(data, tmp_path, monkeypatch):
    def full(*_):
        raise CometError("no space left for 'checkpoint.pt'")

    monkeypatch.setattr(checkpoint, "write_output", full)
    with pytest.warns(CometWarning, match="no checkpoint was written: no space left"):
        card, result = train_baseline(tiny_recipe("beta-vae", str(data)), tmp_path / "x")
    assert result.finished and "no space left" in result.unsaved
    assert read_card(tmp_path / "x") == card
