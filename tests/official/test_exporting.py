"""What is exported is what the released training script writes."""

import argparse
import io
import itertools
import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from comet_cli.cli.models import app
from comet_cli.errors import CometError, UsageError
from comet_cli.models import comet_model, library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.official.exporting import official_bytes, released_flags
from comet_cli.official.importing import Told, import_official, read_checkpoint

pytestmark = pytest.mark.usefixtures("home")
CHECKPOINTS = ("official_64_global", "official_64_local", "official_128_global")


def content_of(source) -> dict:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(source, weights_only=True)


def model_of(checkpoint) -> CometModel:
    model = CometModel(checkpoint.card)
    model.load_state_dict(checkpoint.state)
    return model


def exported(card: ModelCard) -> dict:
    return content_of(io.BytesIO(official_bytes(CometModel(card))))


@pytest.mark.parametrize("which", CHECKPOINTS)
def test_an_export_has_every_entry_and_flag_of_the_original(official: Path, which: str) -> None:
    path = official / f"{which}.pth"
    original, made = content_of(path), content_of(
        io.BytesIO(official_bytes(model_of(read_checkpoint(path))))
    )  # fmt: skip
    assert made.keys() == original.keys()
    theirs, ours = original["model_state_dict_0"], made["model_state_dict_0"]
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {
        k: (v.shape, v.dtype) for k, v in theirs.items()
    }
    live = set(theirs) - set(read_checkpoint(path).dropped)
    assert live and all(torch.equal(ours[key], theirs[key]) for key in live)
    # The anti-aliasing filter alone is no parameter, but a constant of their code.
    assert torch.equal(ours["downsample.filt"], theirs["downsample.filt"])
    # Their script sets `ensembles` to the number of components.
    copies = sum(key.startswith("model_state_dict") for key in original)
    assert vars(made["FLAGS"]) == {**vars(original["FLAGS"]), "exp": which, "ensembles": copies}
    count = len(made["optimizer_state_dict_0"]["param_groups"][0]["params"])
    assert count == len(original["optimizer_state_dict_0"]["param_groups"][0]["params"])


@pytest.mark.parametrize("which", CHECKPOINTS)
def test_importing_an_export_gives_the_same_model(
    official: Path, tmp_path: Path, which: str
) -> None:
    first = read_checkpoint(official / f"{which}.pth")
    (tmp_path / f"{which}.pth").write_bytes(official_bytes(model_of(first)))
    again = read_checkpoint(tmp_path / f"{which}.pth")
    assert again.card == first.card
    assert again.dropped == first.dropped
    assert again.state.keys() == first.state.keys()
    assert all(torch.equal(again.state[key], first.state[key]) for key in first.state)


def cards() -> list[ModelCard]:
    """One card for every combination that their training script can be asked for."""
    found = []
    for encoder, energy, size, positions, width in itertools.product(
        ("global", "recurrent"), ("pooled-64", "pooled-128"), (35, 64, 128), (False, True), (4, 160)
    ):
        if (energy == "pooled-128") != (size == 128) or (energy == "pooled-128" and positions):
            continue
        if width == 160 and size != 35:  # the width matters nowhere else
            continue
        found.append(
            ModelCard(
                name="x", encoder=encoder, energy=energy, filter_dim=width, components=3,
                latent_dim=2, image_size=size, positional=[positions] * 3, step_size=100.0,
                num_steps=7, render_step_size=200.0, render_steps=30,
                dataset={35: "tetris", 64: "clevr", 128: "celebahq_128"}[size],
                defaults_from=["render_step_size", "render_steps"],
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize(
    "card",
    cards(),
    ids=lambda c: f"{c.encoder}-{c.energy}-{c.image_size}-{c.positional[0]}-{c.filter_dim}",
)
def test_every_kind_of_network_comes_back_the_same(card: ModelCard, tmp_path: Path) -> None:
    model = CometModel(card)
    (tmp_path / "x.pth").write_bytes(official_bytes(model))
    again = read_checkpoint(tmp_path / "x.pth")
    assert again.card == card.replace(description=again.card.description)
    weights = model.state_dict()
    assert again.state.keys() == weights.keys()
    assert all(torch.equal(again.state[key], weights[key]) for key in weights)


def test_wide_blocks_lack_the_norms_that_theirs_lack(card: ModelCard) -> None:
    plain = card.replace(positional=[True] * 3, image_size=64)
    narrow = exported(plain.replace(filter_dim=128))["model_state_dict_0"]
    wide = exported(plain.replace(filter_dim=160))["model_state_dict_0"]
    assert narrow.keys() - wide.keys() == {
        f"{block}.bn1.{part}"
        for block in [f"embed_layer{n}" for n in (1, 2, 3, 4)]
        + [f"decode_layer{n}" for n in (1, 2, 3)]
        for part in ("weight", "bias")
    }


def test_another_size_is_told_in_the_flags(card: ModelCard, tmp_path: Path) -> None:
    blind = card.replace(positional=[False] * 3)
    (tmp_path / "x.pth").write_bytes(official_bytes(CometModel(blind)))
    assert read_checkpoint(tmp_path / "x.pth").card.image_size == card.image_size == 20
    assert not hasattr(released_flags(blind.replace(image_size=64)), "im_size")


@pytest.mark.parametrize("dataset", ["", "1,242 faces, a tenth held out", "toy", "a/b", "clevr"])
def test_what_it_was_trained_on_comes_back(card: ModelCard, tmp_path: Path, dataset: str) -> None:
    told = card.replace(positional=[False] * 3, dataset=dataset)
    (tmp_path / "x.pth").write_bytes(official_bytes(CometModel(told)))
    assert read_checkpoint(tmp_path / "x.pth").card.dataset == dataset
    assert hasattr(released_flags(told), "trained_on") == (dataset != "clevr")


def test_the_same_model_gives_the_same_bytes(card: ModelCard) -> None:
    model = CometModel(card.replace(positional=[False] * 3))
    assert official_bytes(model) == official_bytes(model)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"energy": "quadratic"}, "its quadratic energy is comet's own"),
        (
            {"attention": "colouring", "ground": True, "energy": "quadratic"},
            "its colouring attention is comet's own",
        ),
        (
            {"encoder": "global", "energy": "quadratic", "spatial": True},
            "its quadratic energy is comet's own",
        ),
        ({}, "some of its components see positions and others do not"),
        ({"filter_dim": 132}, "its 132 filters do not fall into groups"),
        ({"filter_dim": 18}, "its 18 filters do not"),
        ({"positional": [True] * 3}, "it sees positions in pictures of 20 pixels"),
    ],
)
def test_a_network_that_their_code_lacks_is_refused(card, changes: dict, reason: str) -> None:
    with pytest.raises(CometError, match=f"model 'tiny' cannot be exported .*{reason}"):
        official_bytes(CometModel(card.replace(**changes)))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_the_verb_writes_the_file(official: Path, tmp_path: Path) -> None:
    path = official / "official_64_local.pth"
    import_official(path, "theirs")
    out = tmp_path / "out.pth"
    assert run("export", "theirs", "-o", os.fspath(out)).strip() == os.fspath(out)
    first, again = read_checkpoint(path), read_checkpoint(out)
    assert all(torch.equal(again.state[key], first.state[key]) for key in first.state)
    run("export", "theirs", "-o", os.fspath(out))  # the same bytes once more
    out.write_bytes(out.read_bytes() + b"mine")
    with pytest.raises(UsageError, match="was not made by comet"):
        run("export", "theirs", "-o", os.fspath(out))
    with pytest.raises(UsageError, match="unknown format 'onnx'; expected official"):
        run("export", "theirs", "-o", os.fspath(out), "--format", "onnx")


def test_rendering_is_told_by_options_or_said_to_be_a_default(official: Path) -> None:
    path = os.fspath(official / "official_64_global.pth")
    run("import", path, "--name", "usual")
    text = run("show", "usual")
    assert "render_steps      30  (not in the checkpoint, so a default)" in text
    assert "render_step_size  200.0  (not in the checkpoint, so a default)" in text
    assert "num_steps         10\n" in text
    run("import", path, "--name", "told", "--render-steps", "50", "--render-step-size", "80")
    card = comet_model.load("told", "cpu").card
    assert (card.render_steps, card.render_step_size, card.defaults_from) == (50, 80.0, [])


def test_what_is_told_fills_gaps_and_may_not_contradict(official: Path, tmp_path: Path) -> None:
    path = official / "official_64_local.pth"
    content = content_of(path)
    del content["FLAGS"].components
    torch.save(content, tmp_path / "gap.pth")
    card = read_checkpoint(tmp_path / "gap.pth", told=Told(components=2)).card
    assert card.components == 2 and "components" not in card.defaults_from
    with pytest.raises(UsageError, match="tells that components is 5, not 2"):
        read_checkpoint(path, told=Told(components=2))
    with pytest.raises(UsageError, match="tells that image_size is 64, not 32"):
        read_checkpoint(path, told=Told(image_size=32))
    with pytest.raises(UsageError, match="render_steps is 0"):
        Told(render_steps=0)


def test_entries_that_do_not_fit_are_a_table(official: Path, tmp_path: Path) -> None:
    content = content_of(official / "official_64_global.pth")
    state = content["model_state_dict_0"]
    del state["layer1.conv1.bias"]
    state["surplus.weight"] = torch.zeros(2)
    state["energy_map.bias"] = torch.zeros(7)
    made = {"FLAGS": content["FLAGS"], "model_state_dict_0": state}
    torch.save(made, tmp_path / "odd.pth")
    result = CliRunner().invoke(app, ["import", os.fspath(tmp_path / "odd.pth")])
    rows = [line.split() for line in result.stderr.splitlines()[1:]]
    assert rows == [
        ["ENTRY", "PROBLEM", "FOUND", "EXPECTED"],
        ["layer1.conv1.bias", "missing", "-", "(16,)"],
        ["energy_map.bias", "shape", "(7,)", "(1,)"],
        ["surplus.weight", "unknown", "(2,)", "-"],
    ]
    assert not library.local_root().exists()
