"""Tables of trained folders: rows, seeds, the paper's figures, and what is kept."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from baseline_recipes import labelled, tiny_card, tiny_recipe
from PIL import Image

from comet_cli.baselines.rows import Figure, Row, aligned, cells, make_rows, markdown, spread
from comet_cli.baselines.tables import TABLES, name_of
from comet_cli.baselines.trained import MEASURED, Trained, count_seen, measured, read_trained
from comet_cli.baselines.training import train_baseline
from comet_cli.cli.app import main
from comet_cli.errors import CometError, UsageError
from comet_cli.formats import cache as cache_module
from comet_cli.models.card import ModelCard

POOLED = {
    "name": "pooled",
    "encoder": "recurrent",
    "energy": "pooled-64",
    "filter_dim": 4,
    "components": 3,
    "latent_dim": 16,
    "image_size": 16,
    "positional": [True] * 3,
    "step_size": 20.0,
    "num_steps": 2,
    "render_step_size": 20.0,
    "render_steps": 2,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A labelled data set with masks, β-VAEs of two seeds and another β, and a MONet."""
    place = tmp_path_factory.mktemp("tables")
    folder = labelled(place / "data")
    for name, kind, settings in (
        ("a", "beta-vae", {}),
        ("b", "beta-vae", {"seed": 1}),
        ("c", "beta-vae", {"iterations": 4}),
        ("m", "monet", {}),
    ):
        recipe = tiny_recipe(kind, str(folder), **settings)
        train_baseline(recipe, place / name, device="cpu")
    return place


def test_trainings_that_differ_in_their_seed_are_one_row(place):
    pytest.importorskip("sklearn")
    table = TABLES["table1"]
    told = []
    folders = [place / "a", place / "c", place / "b"]
    rows = make_rows(table, folders, progress=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [row.folders for row in rows] == [["a", "b"], ["c"]]
    alone = [measured(read_trained(place / n), "disentanglement")["mcc"] * 100 for n in "ab"]
    assert rows[0].figures["mcc"] == pytest.approx((np.mean(alone), np.std(alone, ddof=1)))
    assert rows[1].figures["mcc"][1] is None
    assert rows[0].settings == {"model": "β-VAE", "D": "4", "β": "1", "decoder": "gaussian"}
    assert rows[0].budget["pictures"] == 24 and rows[1].budget["pictures"] == 16
    assert rows[0].budget["measured_pictures"] == 24
    weights = sum(p.numel() for p in _load(place / "a").parameters())
    assert rows[0].budget["parameters"] == weights


def _load(folder):
    from comet_cli.baselines.folder import load_any

    return load_any(folder, device="cpu")


def test_the_same_training_twice_is_refused(place):
    with pytest.raises(UsageError, match="are the same training"):
        make_rows(TABLES["objects"], [place / "m", place / "m"])


def test_a_baseline_has_no_place_in_table_2(place):
    with pytest.raises(UsageError, match="table 2 is of comet's models"):
        make_rows(TABLES["table2"], [place / "m"])


def test_figures_are_kept_for_the_same_weights_and_pictures(place):
    trained, path = read_trained(place / "m"), place / "m" / MEASURED
    first = measured(trained, "segmentation")
    kept = json.loads(path.read_text())
    kept["segmentation"]["figures"]["ari"] = 7.0
    path.write_text(json.dumps(kept))
    assert measured(trained, "segmentation")["ari"] == 7.0
    assert measured(trained, "segmentation", count=5)["count"] == 5
    assert measured(trained, "segmentation") == first  # of other pictures nothing is taken
    path.write_text("damaged")
    assert measured(trained, "segmentation") == first


def test_figures_of_other_pictures_are_not_taken_for_these(place, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_SETTLED_NS", 0)
    trained = read_trained(place / "m")
    for name in ("one", "two"):
        shutil.copytree(place / "data" / "test", tmp_path / name / "pictures")
    first = measured(trained, "reconstruction", data=tmp_path / "one" / "pictures")
    other = tmp_path / "two" / "pictures"
    for file in other.glob("*.png"):
        Image.new("RGB", (16, 16), "red").save(file)
    assert measured(trained, "reconstruction", data=other)["psnr"] != first["psnr"]
    (other / "000000.png").unlink()
    fewer = len(list(other.glob("*.png")))
    assert measured(trained, "reconstruction", data=other)["count"] == fewer
    arrays = [tmp_path / n / "pictures.npy" for n in ("one", "two")]
    draw = np.random.default_rng(0)
    for array in arrays:
        np.save(array, draw.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8))
    found = [measured(trained, "reconstruction", data=array)["psnr"] for array in arrays]
    assert found[0] != found[1]


def test_a_spread_by_hand():
    assert spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert spread([4.0]) == (4.0, None)


def test_a_figure_is_written_with_its_deviation():
    assert Figure("mig", "MIG", 100, 2).text((19.634, 2.49)) == "19.63 ± 2.49"
    assert Figure("ari", "ARI").text((0.9, None)) == "0.900"
    assert Figure("ari", "ARI").text(None) == ""


def test_columns_that_nothing_fills_are_left_out():
    row = Row({"model": "MONet", "β": ""}, ["m"], {"ari": (0.5, None)}, {}, {"image_size": 32})
    heading, line = cells(TABLES["objects"], [row])
    assert heading[:3] == ["model", "seeds", "ARI"] and line[:3] == ["MONet", "1", "0.500"]
    assert not any("paper" in title for title in heading)
    assert aligned([["model", "D"], ["β-VAE", "64"]]) == "model  D\nβ-VAE  64"
    assert (
        markdown([["model", "D"], ["β-VAE", "64"]])
        == "| model | D |\n| --- | --- |\n| β-VAE | 64 |"
    )


def of_paper(table: str, card, recipe=None) -> dict:
    return TABLES[table].paper(Trained(Path("x"), card, recipe or {}))


def test_the_papers_figures_stand_beside_its_own_settings_alone():
    same = tiny_card("beta-vae", latent_dim=64, beta=4.0, decoder="bernoulli")
    assert of_paper("table1", same)["mcc"] == (61.57, 4.09)
    assert of_paper("table1", tiny_card("beta-vae", latent_dim=64, beta=3.0)) == {}
    assert of_paper("table1", tiny_card("monet", latent_dim=64))["beta_vae"] == (93.13, 1.02)
    comet = ModelCard(**{**POOLED, "latent_dim": 64})
    assert of_paper("table1", comet)["mig"] == (19.63, 2.49)
    assert of_paper("table1", comet, {"train": {"match": [["x"]]}}) == {}
    assert of_paper("objects", comet)["ari"] == (0.916, None)


@pytest.mark.parametrize(
    "facts, ari",
    [
        ({}, 0.889),
        ({"positional": [False] * 3}, 0.641),
        ({"positional": [False] * 3, "latent_dim": 64}, 0.407),
        ({"positional": [False] * 3, "latent_dim": 64, "encoder": "global"}, 0.413),
        ({"latent_dim": 64}, None),  # not in the paper's table
    ],
)
def test_table_2_of_the_paper(facts, ari):
    card = ModelCard(**{**POOLED, **facts})
    assert of_paper("table2", card) == ({} if ari is None else {"ari": (ari, None)})
    settings = TABLES["table2"].describe(Trained(Path("x"), card, {}))
    assert settings["encoder"] == card.encoder
    assert settings["positional embedding"] == ("yes" if card.positional[0] else "no")


def test_a_model_that_was_taught_with_labels_says_so():
    card = ModelCard(**POOLED)
    assert name_of(Trained(Path("x"), card, {})) == "COMET, paper's networks"
    taught = Trained(Path("x"), card, {"train": {"match": [["x"]]}})
    assert name_of(taught) == "COMET, paper's networks, with labels"


def test_the_command_line_prints_text_markdown_and_json(place, capsys):
    call = ["evaluate", "objects", str(place / "m"), "--device", "cpu"]
    assert main([*call, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert row["folders"] == ["m"] and row["settings"]["model"] == "MONet"
    assert row["paper"]["ari"] == {"mean": 0.873, "deviation": None}
    ari = row["figures"]["ari"]["mean"]
    assert main([*call, "-q"]) == 0
    assert f"{ari:.3f}" in capsys.readouterr().out
    assert main([*call, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| model | K | D |") and lines[2].startswith("| MONet | 3 | 4 |")
    assert main(["evaluate", "table2", str(place / "nowhere")]) != 0
    assert "nowhere" in capsys.readouterr().err


def test_the_document_has_the_tables_of_what_was_trained_and_no_others(
    place, monkeypatch, capsys, benchmark
):
    pytest.importorskip("sklearn")
    results = benchmark("results")
    call = ["results.py", "--table1", str(place / "m"), str(place / "a")]
    monkeypatch.setattr("sys.argv", call)
    results.main()
    text = capsys.readouterr().out
    assert "## Disentanglement (table 1)" in text and "Objects" not in text
    assert text.count("| MONet |") == 1 and text.count("| β-VAE |") == 1
    factors = measured(read_trained(place / "m"), "disentanglement")["factors"]
    line = " | ".join(["third", *(f"{value:.2f}" for value in factors["third"])])
    assert f"| {line} |" in text and text.count("How well each component") == 1  # MONet's
    monkeypatch.setattr("sys.argv", [*call, "--write", str(place / "results.md")])
    results.main()
    assert (place / "results.md").read_text() == text


def test_rows_are_trained_once_a_seed_and_go_on(place, monkeypatch, tmp_path, benchmark):
    rows = benchmark("train_rows")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny_recipe("beta-vae", str(place / "data"), iterations=2, seed=5).text)
    call = ["train_rows.py", str(recipe), "--seeds", "0", "1", "--out", str(tmp_path / "rows")]
    started = []
    run = rows.subprocess.run

    def counted(arguments):
        started.append(arguments[4])
        return run(arguments)

    monkeypatch.setattr(rows.subprocess, "run", counted)
    monkeypatch.setattr("sys.argv", call)
    assert rows.main() == 0 and rows.main() == 0
    assert [Path(path).name for path in started] == ["tiny-0.toml", "tiny-1.toml"]
    assert [read_trained(tmp_path / "rows" / f"tiny-{n}").seed for n in (0, 1)] == [0, 1]
    recipe.write_text(recipe.read_text().replace("iterations = 2", "iterations = 3"))
    with pytest.raises(CometError, match="another recipe"):
        rows.main()


def test_of_a_set_without_splits_what_training_held_out_is_measured(tmp_path):
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, masks=images[..., 0] // 128)
    recipe = tiny_recipe("monet", str(tmp_path / "set.npz"), iterations=1)
    card, _ = train_baseline(recipe, tmp_path / "m", device="cpu")
    trained = read_trained(tmp_path / "m")
    found = measured(trained, "segmentation")
    assert found == card.figures["segmentation"] and found["count"] == 5
    assert measured(trained, "segmentation", count=2)["count"] == 2
    whole = measured(trained, "segmentation", data=tmp_path / "set.npz")
    assert whole["count"] == 50, "as it is asked for"
    assert count_seen(tmp_path / "m", tmp_path / "set.npz") == 45
    told: list[str] = []
    make_rows(TABLES["objects"], [tmp_path / "m"], data=tmp_path / "set.npz", note=told.append)
    assert told[1:] == ["45 of these pictures were trained on"]
    np.save(tmp_path / "other.npy", images)
    assert count_seen(tmp_path / "m", tmp_path / "other.npy") == 0, "its recipe names another"
