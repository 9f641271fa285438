"""Sample sheets: what stands in which column."""

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.evaluation.reconstruction import reconstruct
from comet_cli.models.comet_model import CometModel
from comet_cli.training.samples import write_samples


@pytest.fixture
def sheet(tmp_path, images, quadratic):
    """Return a model, its pictures and the sheet's cells (rows, columns, R, R, 3)."""
    torch.manual_seed(0)
    model = CometModel(quadratic().card).eval().requires_grad_(False)
    write_samples(model, images[:5], tmp_path / "sheet.png", rows=3)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape == (3 * 32, 9 * 32, 3), "3 rows; input, all, 3 alone, 3 gradients, swap"
    assert np.array_equal(pixels[::2, ::2], pixels[1::2, 1::2]), "each pixel twice"
    small = pixels[::2, ::2].reshape(3, 16, 9, 16, 3).transpose(0, 2, 1, 3, 4)
    return model, images[:3], small


def as_bytes(x: torch.Tensor) -> np.ndarray:
    return (x.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def test_input_and_recomposition_come_first(sheet):
    model, images, cells = sheet
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    assert np.array_equal(cells[:, 0], images)
    assert np.array_equal(cells[:, 1], as_bytes(reconstruct(model, x)))


def test_then_each_component_alone(sheet):
    model, images, cells = sheet
    z = model.encode(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    for k in range(3):
        alone = render([Term(model, z[:, k], component=k)], init="grey")
        assert np.array_equal(cells[:, 2 + k], as_bytes(alone))


def test_gradients_are_grey_and_reach_white_in_each_row(sheet):
    _, _, cells = sheet
    gradients = cells[:, 5:8]
    assert (gradients == gradients[..., :1]).all()
    assert (gradients.max((1, 2, 3, 4)) == 255).all()


def test_the_swap_takes_the_last_component_of_the_next_row(sheet):
    model, images, cells = sheet
    z = model.encode(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    for row in range(3):
        mixed = torch.stack([z[row, 0], z[row, 1], z[(row + 1) % 3, 2]])
        terms = [Term(model, mixed[k : k + 1], component=k) for k in range(3)]
        difference = cells[row, 8].astype(int) - as_bytes(render(terms))[0]
        assert np.abs(difference).max() <= 1
