"""The released networks' numbers: z, energy and gradient to 1e-5, pictures to 1e-4 (relative)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.models.comet_model import CometModel
from comet_cli.official.importing import read_checkpoint

CHECKPOINTS = ("official_64_global", "official_64_local", "official_128_global")


@pytest.fixture(params=CHECKPOINTS)
def case(request: pytest.FixtureRequest, official: Path):
    checkpoint = read_checkpoint(official / f"{request.param}.pth")
    numbers = {
        key: torch.from_numpy(np.asarray(value))
        for key, value in np.load(official / f"{request.param}.npz").items()
    }
    card = checkpoint.card.replace(
        render_step_size=float(numbers["step_size"]), render_steps=int(numbers["num_steps"])
    )
    model = CometModel(card)
    model.load_state_dict(checkpoint.state)
    return model.eval().requires_grad_(False), numbers


def relative_error(found: torch.Tensor, wanted: torch.Tensor, scale: float | None = None) -> float:
    return float((found - wanted).abs().max()) / (scale or float(wanted.abs().max()))


def at_pixels(pictures: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    return pictures[..., pixels, :][..., pixels]


def test_encoder_gives_the_released_latents(case) -> None:
    model, numbers = case
    assert relative_error(model.encode(numbers["x"]), numbers["z"]) < 1e-5


def test_energies_are_the_released_ones(case) -> None:
    model, numbers = case
    energies = model.energy(numbers["x"], numbers["z"])
    assert relative_error(energies, numbers["energy"]) < 1e-5


def test_gradients_are_the_released_ones(case) -> None:
    model, numbers = case
    maps = at_pixels(model.gradients(numbers["x"], numbers["z"]), numbers["pixels"])
    assert relative_error(maps, numbers["grad"], float(numbers["grad_scale"])) < 1e-5


@pytest.mark.parametrize("which", ["x_all", "x_first_last"])
def test_rendering_follows_the_released_descent(case, which: str) -> None:
    model, numbers = case
    last = model.card.components - 1
    components = range(last + 1) if which == "x_all" else (0, last)
    terms = [Term(model, numbers["z"][:, k], component=k) for k in components]
    picture = at_pixels(render(terms, init=numbers["x0"]), numbers["pixels"])
    assert relative_error(picture, numbers[which]) < 1e-4
    moved = (numbers[which] - at_pixels(numbers["x0"], numbers["pixels"])).abs().max()
    assert moved > 0.1  # the comparison is about more than the start
