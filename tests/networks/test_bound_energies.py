"""What every bound energy offers, whatever its network."""

import pytest
import torch

from comet_cli.energy.composition import resize_matrix
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel

KINDS = {
    "pooled-64": {"energy": "pooled-64", "positional": [False, True, True]},
    "pooled-128": {"energy": "pooled-128"},
    "quadratic": {},
    "quadratic, sees the image": {"sees_image": True},
    "quadratic, responds": {"responds": True},
    "spatial": {"spatial": True},
    "spatial, responds": {"spatial": True, "responds": True},
    "spatial, sees the image": {"spatial": True, "sees_image": True},
}


def model(kind: str) -> CometModel:
    facts = {
        "name": "tiny",
        "encoder": "global",
        "energy": "quadratic",
        "filter_dim": 8,
        "components": 3,
        "latent_dim": 4,
        "image_size": 16,
        "positional": [True] * 3,
        "step_size": 1.0,
        "num_steps": 1,
        "render_step_size": 1.0,
        "render_steps": 5,
    }
    torch.manual_seed(0)
    made = CometModel(ModelCard(**{**facts, **KINDS[kind]})).requires_grad_(False)
    for weights in made.energy_network.parameters():  # nothing starts at 0, as after training
        weights.add_(torch.randn_like(weights) * 0.1)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_recombined_components_are_those_that_the_latents_would_be_bound_to(kind: str) -> None:
    made, z, x = model(kind), torch.randn(4, 3, 4), torch.rand(2, 3, 16, 16)
    rows = torch.tensor([[3, 0, 1, 1], [2, 2, 0, 3]])
    columns = torch.tensor([0, 2, 1, 2])
    mixed = made.bind(z).recombine(rows, columns)
    expected = made.bind(z[rows, columns], columns.tolist())
    torch.testing.assert_close(mixed(x), expected(x))
    torch.testing.assert_close(mixed.curvature(x), expected.curvature(x))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_step_descends_on_has_the_same_energy_and_curvature_there(kind: str) -> None:
    made, x = model(kind), torch.rand(2, 3, 16, 16)
    bound = made.bind(torch.randn(2, 3, 4))
    step = bound.at(x)
    assert (step is bound) == (kind != "spatial, sees the image")
    assert torch.equal(step(x), bound(x))
    torch.testing.assert_close(step.curvature(x), bound.curvature(x))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_without_autograd_are_those_of_autograd(kind: str) -> None:
    made, x = model(kind), torch.rand(2, 3, 16, 16)
    bound, scales = made.bind(torch.randn(2, 3, 4)), torch.tensor([1.0, -0.5, 2.0])
    found, summed = bound.gradients(x), bound.summed(scales)
    known = kind != "quadratic, sees the image"
    assert (found is not None) == (summed is not None) == known
    if known:
        canvas = x.clone().requires_grad_(True)
        energies = bound(canvas)
        wanted = [
            torch.autograd.grad(energies[:, j].sum(), canvas, retain_graph=True)[0]
            for j in range(3)
        ]
        torch.testing.assert_close(found, torch.stack(wanted, 1))
        total = sum(s * g for s, g in zip(scales, wanted, strict=True))
        torch.testing.assert_close(summed(x), total, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_canvas_of_another_size_means_stay_within_what_they_were(kind: str) -> None:
    made = model(kind)
    bound = made.bind(torch.randn(2, 3, 4))
    same = bound.resized(torch.eye(16))
    if kind.startswith("pooled") or kind == "quadratic, sees the image":
        assert same is None
        return
    x = torch.full((2, 3, 16, 16), 0.5)
    torch.testing.assert_close(same(x), bound(x))
    scales = torch.tensor([1.0, -0.5, 2.0])
    for size in (8, 24):
        canvas = torch.rand(2, 3, size, size)
        other = bound.resized(resize_matrix(16, size, torch.device("cpu")))
        gradients, precision = other.gradients(canvas), other.curvature(canvas)
        if kind != "spatial, sees the image":  # whose means are those of another coarse picture
            was, mean = bound.mean_pictures(canvas), canvas[:, None] - gradients / precision
            assert mean.min() >= was.min() - 1e-3 and mean.max() <= was.max() + 1e-3
        summed = (gradients * scales[:, None, None, None]).sum(1)
        torch.testing.assert_close(other.summed(scales)(canvas), summed, rtol=1e-4, atol=1e-3)
        y = canvas.clone().requires_grad_(True)
        (wanted,) = torch.autograd.grad((other(y) * scales).sum(), y)
        torch.testing.assert_close(summed, wanted, rtol=1e-4, atol=1e-3)
        rows = torch.tensor([[1, 0, 1]])
        one = other.recombine(rows, torch.tensor([0, 1, 2]))(canvas[:1])
        torch.testing.assert_close(one[0, 1], other(canvas[:1].expand(2, -1, -1, -1))[0, 1])
