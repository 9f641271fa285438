"""Results are those of the paper's procedure, written plainly in benchmarks/reference_loop.py."""

import importlib.util
from pathlib import Path

import pytest
import torch

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.training.batches import random_seed
from comet_cli.training.objective import training_loss
from comet_cli.training.settings import TrainSettings

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "reference_loop.py"
SPEC = importlib.util.spec_from_file_location("reference_loop", FILE)
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)


def paper_model(positional: list[bool], size: int = 24) -> CometModel:
    card = ModelCard(
        name="paper",
        encoder="global",
        energy="pooled-64",
        filter_dim=8,
        components=len(positional),
        latent_dim=6,
        image_size=size,
        positional=positional,
        step_size=1000.0,
        num_steps=3,
        render_step_size=1000.0,
        render_steps=6,
    )
    torch.manual_seed(0)
    model = CometModel(card)
    with torch.no_grad():
        for block in model.energy_network.blocks:
            block.conv2.weight.normal_(std=0.5)  # as after training; it starts near 0
    return model


@pytest.mark.parametrize("positional", [[True] * 3, [True, False, False], [False, False]])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_rendering_is_the_reference_s(positional: list[bool], batch: int) -> None:
    model = paper_model(positional).eval().requires_grad_(False)
    z, x = torch.randn(batch, len(positional), 6), torch.rand(batch, 3, 24, 24)
    terms = [Term(model, z[:, k], component=k) for k in range(z.shape[1])]
    wanted = reference.render(model, z, x, num_steps=6)
    found = render(terms, init=x, num_steps=6)
    assert (wanted - x).abs().max() > 0.02
    assert (found - wanted).abs().max() < 1e-5
    with torch.autocast("cpu", torch.bfloat16):
        low = render(terms, init=x, num_steps=6)
    assert (low - wanted).abs().max() < 1e-3


def test_a_training_step_has_the_loss_and_the_gradients_of_the_reference() -> None:
    model = paper_model([True, False]).train()
    settings = TrainSettings(iterations=1, batch=2, precision="float32")
    x = torch.rand(2, 3, 24, 24)
    noise = torch.Generator().manual_seed(random_seed(settings.seed, 0, 1))
    x0 = torch.rand(x.shape, generator=noise)
    losses, gradients = [], []
    for loss in (
        training_loss(model, x, settings, 0)[0],
        reference.training_loss(model, x, x0),
    ):
        model.zero_grad(set_to_none=True)
        loss.backward()
        losses.append(loss.item())
        gradients.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert gradients[1].abs().max() > 1e-4
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
