"""The gradient of a composition, with and without autograd."""

from __future__ import annotations

import pytest
import torch

from comet_cli.energy.composition import Term, compose
from comet_cli.energy.descent import Tolerance, descend, preconditioned_gradient
from comet_cli.energy.render import render
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy


def model(size: int = 16, **facts) -> CometModel:
    usual = {
        "name": "tiny",
        "encoder": "global",
        "energy": "quadratic",
        "filter_dim": 8,
        "components": 3,
        "latent_dim": 4,
        "image_size": size,
        "positional": [True] * 3,
        "step_size": 1.0,
        "num_steps": 1,
        "render_step_size": 1.0,
        "render_steps": 5,
    }
    torch.manual_seed(size)
    made = CometModel(ModelCard(**{**usual, **facts})).eval().requires_grad_(False)
    for weights in made.energy_network.parameters():  # nothing starts at 0, as after training
        weights.add_(torch.randn_like(weights) * 0.1)
    return made


def terms(made: CometModel, *weights: float, region=None) -> list[Term]:
    torch.manual_seed(len(weights))
    return [Term(made, torch.randn(2, 4), w, k, region=region) for k, w in enumerate(weights)]


LEFT = torch.zeros(16, 16)
LEFT[:, :8] = 1
MIXTURES = {
    "one model": lambda: terms(model(), 1.0, -0.3, 2.0),
    "a region": lambda: [*terms(model(), 1.0, 1.0), *terms(model(), 1.0, region=LEFT)],
    "two sizes": lambda: [*terms(model(), 1.0), *terms(model(8), 0.5, 1.0)],
    "light": lambda: terms(model(responds=True), 1.0, 1.0),
    "seeing": lambda: terms(model(spatial=True, sees_image=True), 1.0, 1.0),
    "the paper's": lambda: terms(model(energy="pooled-64"), 1.0, -0.5, 2.0),
    "the paper's beside": lambda: [
        *terms(model(), 1.0, 1.0),
        *terms(model(energy="pooled-64"), 1.0),
    ],
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_gradient_of_a_composition_is_autograd_s(mixture: str) -> None:
    energy = compose(MIXTURES[mixture](), size=16)
    x = torch.rand(2, 3, 16, 16).requires_grad_(True)
    (wanted,) = torch.autograd.grad(energy(x).sum(), x)
    found = energy.gradient(x)
    assert found is not None and not found.requires_grad
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_energy_whose_network_sees_every_pixel_has_none_without_autograd() -> None:
    energy = compose(terms(model(sees_image=True), 1.0))
    assert energy.gradient(torch.rand(2, 3, 16, 16)) is None


def test_a_quadratic_descent_evaluates_no_energy(monkeypatch) -> None:
    some = terms(model(), 1.0, 1.0)
    wanted = render(some)

    def evaluated(self, x):
        raise AssertionError("an energy was evaluated")

    monkeypatch.setattr(BoundQuadraticEnergy, "__call__", evaluated)
    assert torch.equal(render(some), wanted)
    with pytest.raises(AssertionError, match="evaluated"):
        render(some, tolerance=Tolerance(0.1))


def test_a_tolerance_that_is_never_met_changes_no_bit() -> None:
    energy, x = compose(terms(model(), 1.0, 0.5)), torch.rand(2, 3, 16, 16)
    plain = descend(energy, x, num_steps=3)
    assert torch.equal(descend(energy, x, num_steps=3, tolerance=Tolerance(1e-12)), plain)


def test_a_step_that_is_trained_through_keeps_its_graph() -> None:
    made = model().requires_grad_(True)
    energy = compose(terms(made, 1.0, 1.0))
    x = torch.rand(2, 3, 16, 16).requires_grad_(True)
    gradient, _ = preconditioned_gradient(energy, x, create_graph=True)
    gradient.square().sum().backward()
    assert made.energy_network.out.weight.grad.abs().max() > 0
