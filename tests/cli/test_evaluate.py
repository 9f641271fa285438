"""`comet evaluate`: figures of a model on held-out pictures."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.cli import progress
from comet_cli.data.dataset_folder import load_folder, write_metadata, write_sample
from comet_cli.data.packing import pack_dataset
from comet_cli.evaluation.measure import rounded
from comet_cli.evaluation.reconstruction import evaluate_reconstruction
from comet_cli.evaluation.segmentation import evaluate_segmentation
from comet_cli.models import comet_model
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.worlds.generator import Sample

SIZE = 24  # of the model `quad`
RECONSTRUCTION = {"count", "psnr", "psnr_std", "ssim", "mse", "psnr_5n", "psnr_mean_image"}
SEGMENTATION = {
    "count", "ari", "ari_foreground", "mean_covering", "mean_covering_foreground",
    "ari_one_segment",
            "background_recall",
            "background_precision",
}  # fmt: skip


def make_set(folder: str, counts: dict[str, int], *, objects: bool = True) -> None:
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        os.makedirs(f"{folder}/{split}")
        os.makedirs(f"{folder}/masks/{split}set")
        entries = []
        for n in range(count):
            image = np.full((SIZE, SIZE, 3), 60, np.uint8)
            mask = np.zeros((SIZE, SIZE), np.uint8)
            r, c = rng.integers(SIZE - 8, size=2)
            image[r : r + 8, c : c + 8] = rng.integers(256, size=3)
            mask[r : r + 8, c : c + 8] = objects
            write_sample(Path(folder), split, n, 0, Sample(image, mask, {}))
            name = f"{n:06d}.png"
            entries.append({"file_name": name, "mask": f"masks/{split}set/{name}"})
        write_metadata(Path(folder), split, entries)


@pytest.fixture
def evaluate(comet):
    """Make the data set `squares`; return a runner of `comet evaluate … -m quad`."""
    make_set("squares", {"train": 5, "test": 3})
    return lambda *args: comet("evaluate", *args, "-m", "quad", "--device", "cpu")


def figures(kind: str, split: str | None, folder: str = "squares", count: int | None = None):
    model = comet_model.load("quad", device="cpu")
    pictures = load_folder(folder, split=split, size=SIZE, limit=count)
    if kind == "segmentation":
        return rounded(evaluate_segmentation(model, pictures.images, pictures.masks))
    return rounded(evaluate_reconstruction(model, pictures.images))


@pytest.mark.parametrize(
    ("kind", "names"), [("reconstruction", RECONSTRUCTION), ("segmentation", SEGMENTATION)]
)
def test_figures_are_printed_and_with_json_one_document(evaluate, kind, names):
    expected = figures(kind, "test")
    done = evaluate(kind, "--data", "squares", "--json")
    assert done.code == 0 and done.err == ""
    assert done.json == {"model": "quad", "data": "squares", **expected}
    assert set(done.json) == {"model", "data"} | names and done.json["count"] == 3
    done = evaluate(kind, "--data", "squares")
    assert done.code == 0
    rows = dict(line.split() for line in done.out.splitlines())
    assert rows == {name: str(value) for name, value in expected.items()}


def test_quiet_prints_the_figures_alone(evaluate, monkeypatch):
    monkeypatch.setattr(progress, "STATUS_SECONDS", 0)
    args = ("reconstruction", "--data", "squares")
    assert "measuring" in evaluate(*args).err
    done = evaluate(*args, "-q")
    assert (done.code, done.err) == (0, "") and "psnr" in done.out


def test_the_split_and_the_count_are_those_asked_for(evaluate):
    found = evaluate("reconstruction", "--data", "squares", "--split", "train", "--json").json
    assert found["count"] == 5 and found["psnr"] == figures("reconstruction", "train")["psnr"]
    found = evaluate("reconstruction", "--data", "squares", "--count", "2", "--json").json
    assert found["count"] == 2
    assert found["psnr"] == figures("reconstruction", "test", count=2)["psnr"]


@pytest.mark.parametrize("split", ["tset", "validation"])
def test_a_split_that_is_not_there_is_no_licence_to_use_all(evaluate, split):
    done = evaluate("reconstruction", "--data", "squares", "--split", split)
    assert done.code == 2 and f"there is no split '{split}' in 'squares'" in done.sentence


def test_a_data_set_without_its_test_split_is_not_measured_on_its_training(evaluate):
    make_set("untested", {"train": 2})
    done = evaluate("reconstruction", "--data", "untested")
    assert done.code == 2 and "there is no split 'test'" in done.sentence


def test_a_plain_folder_can_be_reconstructed_and_has_no_masks(evaluate):
    os.mkdir("plain")
    for n in range(2):
        Image.new("RGB", (30, 40), (n * 100, 50, 20)).save(f"plain/{n}.png")
    assert evaluate("reconstruction", "--data", "plain", "--json").json["count"] == 2
    done = evaluate("segmentation", "--data", "plain")
    assert done.code == 1 and done.out == ""
    assert "plain has no instance masks, which segmentation is measured against" in done.sentence
    done = evaluate("segmentation", "--data", "plain", "--json")
    assert done.json["exit_code"] == 1 and "no instance masks" in done.json["error"]


@pytest.mark.parametrize("kind", ["reconstruction", "segmentation"])
def test_of_a_pack_the_test_split_is_measured_as_of_its_folder(evaluate, kind):
    pack_dataset("squares", "squares.pack")
    done = evaluate(kind, "--data", "squares.pack", "--json")
    assert done.json == {"model": "quad", "data": "squares.pack", **figures(kind, "test")}
    pack_dataset("squares", "train.pack", split="train")
    done = evaluate(kind, "--data", "train.pack")
    assert done.code == 2 and "there is no split 'test' in 'train.pack'" in done.sentence


def test_a_figure_that_cannot_be_measured_is_null(evaluate):
    make_set("empty", {"test": 2}, objects=False)
    done = evaluate("segmentation", "--data", "empty", "--json")
    assert done.code == 0 and done.json["ari_foreground"] is None


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_count_below_1_is_wrong_usage(evaluate, count):
    done = evaluate("reconstruction", "--data", "squares", "--count", count)
    assert done.code == 2 and "--count" in done.sentence


def test_unknown_models_and_folders_are_one_sentence(comet, evaluate):
    done = evaluate("reconstruction", "--data", "nowhere")
    assert done.code == 2 and "there is no folder 'nowhere'" in done.sentence
    done = comet("evaluate", "segmentation", "-m", "unheard-of", "--data", "squares")
    assert done.code == 2 and "unknown model 'unheard-of'" in done.sentence


def label_set(folder: str, splits: tuple[str, ...] = ("train", "test")) -> None:
    """Give the pictures of a set a factor: is the upper left pixel of the square's column even."""
    for split in splits:
        path = Path(folder) / split / "metadata.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        for n, entry in enumerate(entries):
            entry["factors"] = {"parity": n % 2, "third": n % 3}
        write_metadata(Path(folder), split, entries)


def test_swaps_prints_each_factors_component_and_with_json_one_document(evaluate):
    label_set("squares")
    arguments = ("swaps", "--data", "squares", "--probe-iterations", "2", "--count", "3")
    found = evaluate(*arguments, "--json").json
    assert set(found["factors"]) == {"parity", "third"}
    assert 0 <= found["swap_accuracy"] <= 1 and found["pairs"] == 3
    printed = evaluate(*arguments).out
    assert "swap_accuracy" in printed and "donor read" in printed
    for name, row in found["factors"].items():
        (line,) = [each for each in printed.splitlines() if each.startswith(name)]
        assert line.split()[1] == str(row["component"])
    one = evaluate(*arguments, "--json", "--factors", "third").json
    assert set(one["factors"]) == {"third"}


def test_swaps_of_a_set_without_factors_is_one_sentence(evaluate):
    result = evaluate("swaps", "--data", "squares", "--count", "2")
    assert result.code == 1 and "no grid of factors" in result.err


def name_objects(folder: str, splits: tuple[str, ...]) -> None:
    """Say of the one square of each picture of a set whether it is light."""
    for split in splits:
        path = Path(folder) / split / "metadata.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        for n, entry in enumerate(entries):
            entry["objects"] = [{"tone": ("light", "dark")[n % 2], "turn": n / 7}]
        write_metadata(Path(folder), split, entries)


def test_swaps_of_objects_are_of_the_measured_set_and_printed_factor_by_factor(evaluate):
    make_set("apart", {"test": 4})
    name_objects("squares", ("train", "test"))
    name_objects("apart", ("test",))
    arguments = ("swaps", "--data", "squares", "--probe-iterations", "2")
    found = evaluate(*arguments, "--measured", "apart", "--json").json
    assert (found["data"], found["measured"]) == ("squares", "apart")
    assert found["pairs"] == 4 and found["swaps"] == 4 and found["left_out"] == 0
    assert set(found["factors"]) == {"tone"} and 0 <= found["held"] <= 1
    assert evaluate(*arguments, "--json").json["pairs"] == 3
    assert evaluate(*arguments, "--count", "2", "--json").json["pairs"] == 2
    printed = evaluate(*arguments, "--measured", "apart").out.splitlines()
    head, line = printed[-2:]
    assert head.split("  ")[0] == "factor" and "donor read" in head and "component" not in head
    row = found["factors"]["tone"]
    assert line.split() == [
        "tone",
        *("-" if value is None else f"{value:.3f}" for value in row.values()),
    ]
    turned = evaluate(*arguments, "--factors", "turn", "--json").json
    assert set(turned["factors"]) == {"turn"}


def test_swaps_of_objects_without_masks_or_with_unknown_factors_are_one_sentence(evaluate):
    name_objects("squares", ("train", "test"))
    result = evaluate("swaps", "--data", "squares", "--factors", "tone,taste")
    assert result.code == 1 and "no factor 'taste' in the data; there are tone, turn" in result.err
    for split in ("train", "test"):
        path = Path(f"squares/{split}/metadata.jsonl")
        path.write_text(path.read_text().replace('"mask"', '"was"'))
    result = evaluate("swaps", "--data", "squares")
    assert result.code == 1 and "swaps of objects need pictures with instance masks" in result.err


def test_disentanglement_is_printed_and_with_json_one_document(evaluate):
    make_set("many", {"test": 40})
    label_set("many", ("test",))
    arguments = ("disentanglement", "--data", "many")
    found = evaluate(*arguments, "--json").json
    assert (found["model"], found["data"], found["count"]) == ("quad", "many", 40)
    assert all(0 <= found[name] <= 1 for name in ("beta_vae", "mig", "mcc", "completeness"))
    assert found["principal_components"] is True
    assert set(found["factors"]) == {"parity", "third"}
    printed = evaluate(*arguments).out.splitlines()
    assert f"{'mcc':<26}{found['mcc']}" in printed
    head, *lines = printed[-3:]
    assert head.split() == ["factor", *comet_model.load("quad").card.labels]
    for line in lines:
        name, *cells = line.split()
        assert cells == [f"{value:.3f}" for value in found["factors"][name]]
    one = evaluate(*arguments, "--json", "--factors", "third", "--count", "20").json
    assert set(one["factors"]) == {"third"} and one["count"] == 20


def test_disentanglement_of_a_set_without_labels_or_variety_is_one_sentence(evaluate):
    done = evaluate("disentanglement", "--data", "squares")
    assert done.code == 1 and "no grid of factors" in done.sentence
    label_set("squares")
    done = evaluate("disentanglement", "--data", "squares", "--count", "1")
    assert done.code == 1 and "at least 4 labelled pictures, there are 1" in done.sentence
    make_set("alike", {"test": 4})
    entries = [{"file_name": f"{n:06d}.png", "factors": {"lamp": 2}} for n in range(4)]
    write_metadata(Path("alike"), "test", entries)
    done = evaluate("disentanglement", "--data", "alike")
    assert done.code == 1 and "the factor lamp has the same value in all 4" in done.sentence
    os.mkdir("plain")
    Image.new("RGB", (30, 40)).save("plain/0.png")
    done = evaluate("disentanglement", "--data", "plain")
    assert done.code == 1 and "no grid of factors" in done.sentence


def test_disentanglement_of_a_model_that_colours_names_every_component(comet):
    """Its card has two labels, for the background and for whatever else there is."""
    make_set("many", {"test": 12})
    label_set("many", ("test",))
    facts = {"encoder": "recurrent", "attention": "colouring", "energy": "quadratic"}
    card = ModelCard(
        name="toys",
        **facts,
        components=3,
        filter_dim=4,
        latent_dim=4,
        image_size=16,
        step_size=1.0,
        num_steps=1,
        render_step_size=1.0,
        render_steps=1,
        positional=[True] * 3,
        labels=["ground", "toy"],
        ground=True,
    )
    comet_model.save(CometModel(card), Path("toys"), card=card)
    done = comet(
        *("evaluate", "disentanglement", "--data", "many", "-m", "toys", "-o", "sheet.png"),
        *("--device", "cpu"),
    )
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()[-3:]
    assert head.split() == ["factor", "ground", "toy1", "toy2"]
    assert [len(line.split()) for line in lines] == [4, 4]
    assert Image.open("sheet.png").width > 5 * 96


def test_disentanglement_draws_a_sheet_and_replaces_its_own_alone(evaluate):
    make_set("many", {"test": 12})
    label_set("many", ("test",))
    arguments = ("disentanglement", "--data", "many")
    assert evaluate(*arguments, "-o", "sheet.png").code == 0
    before = Path("sheet.png").read_bytes()
    assert Image.open("sheet.png").width > 400
    assert evaluate(*arguments, "-o", "sheet.png").code == 0
    assert Path("sheet.png").read_bytes() == before
    Image.new("RGB", (4, 4)).save("own.png")
    done = evaluate(*arguments, "-o", "own.png")
    assert done.code == 2 and "was not made by comet" in done.sentence
    assert evaluate(*arguments, "-o", "own.png", "--force").code == 0
    assert evaluate(*arguments, "-o", "-").code == 2
    assert evaluate(*arguments, "-o", "sheet.jpg").code == 2


def test_how_far_it_has_come_is_told(evaluate, monkeypatch):
    monkeypatch.setattr(progress, "STATUS_SECONDS", 0)
    done = evaluate("reconstruction", "--data", "squares")
    assert "measuring: 3 of 18, about " in done.err  # three, and three at five times the steps
    label_set("squares")
    done = evaluate("swaps", "--data", "squares", "--probe-iterations", "2", "--count", "3")
    assert "training the probe: 1 of 2, about " in done.err
    pictures, seen = load_folder("squares", split="test", size=SIZE), []
    model = comet_model.load("quad", device="cpu")
    images, masks = pictures.images, np.zeros((3, SIZE, SIZE), np.uint8)
    evaluate_segmentation(model, images, masks, batch=2, progress=lambda *n: seen.append(n))
    assert seen == [(2, 3), (3, 3)]
