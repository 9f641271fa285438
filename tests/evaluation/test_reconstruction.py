"""Reconstruction figures: by hand, and on a model that is perfect on known pictures."""

import numpy as np
import pytest
import torch

from comet_cli.evaluation.reconstruction import evaluate_reconstruction, psnr, reconstruct, ssim


def striped(count: int) -> np.ndarray:
    colours = np.random.default_rng(0).integers(256, size=(count, 1, 4, 3), dtype=np.uint8)
    return np.repeat(np.repeat(colours, 2, 2), 8, 1)


def noisy(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(256, size=(count, 8, 8, 3), dtype=np.uint8)


def as_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def test_psnr_of_a_tenth_is_20_decibel_and_each_picture_has_its_own():
    x = torch.full((3, 3, 4, 4), 0.5)
    y = x + torch.tensor([0.1, 0.01, 0.0])[:, None, None, None]
    y[2, 0, 0, 0] += 1  # one value of 48 wrong by one
    found = psnr(y, x)
    assert found.tolist() == pytest.approx([20.0, 40.0, 10 * np.log10(48)], abs=1e-3)


def test_psnr_of_equal_pictures_is_finite():
    x = torch.rand(2, 3, 4, 4)
    assert psnr(x, x).tolist() == pytest.approx([120.0, 120.0])


def test_ssim_of_even_pictures_by_hand():
    """Without any contrast only the means count: (2ab + C₁) / (a² + b² + C₁)."""
    x, y = torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.25)
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert ssim(y, x).tolist() == pytest.approx([expected], abs=1e-4)


@pytest.mark.parametrize("size", [3, 8, 20])
def test_ssim_is_1_of_equal_pictures_and_less_of_others(size):
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert ssim(x, x).tolist() == pytest.approx([1.0, 1.0])
    found = ssim(torch.stack([x[0], 1 - x[1]]), x)
    assert found[0] == pytest.approx(1.0) and found[1] < 0  # the inverse is anticorrelated


def test_ssim_agrees_with_pytorch_msssim_on_random_draws():
    other = pytest.importorskip("pytorch_msssim")
    x, noise = torch.rand(2, 5, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    for weight in (0.0, 0.1, 0.7):
        y = (1 - weight) * x + weight * noise
        expected = other.ssim(y, x, data_range=1.0, size_average=False)
        assert ssim(y, x).tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_reconstruction_sums_all_components(stripes):
    x = as_tensor(striped(3))
    torch.testing.assert_close(reconstruct(stripes, x), x, atol=1e-3, rtol=0)


def test_reconstruction_starts_from_noise_of_the_seed(stripes):
    x = as_tensor(noisy(1))
    start = reconstruct(stripes, x, num_steps=1, seed=0)
    assert torch.equal(reconstruct(stripes, x, num_steps=1, seed=0), start)
    assert not torch.equal(reconstruct(stripes, x, num_steps=1, seed=1), start)


def test_figures_of_a_known_model(stripes):
    """What the model gives is each stripe's mean colour, so the error is what varies in it."""
    images = noisy(5)
    x = as_tensor(images).double()
    means = x.reshape(5, 3, 8, 4, 2).mean((2, 4), keepdim=True).expand(-1, -1, 8, -1, 2)
    errors = (means.reshape(5, 3, 8, 8) - x).square().mean((1, 2, 3))
    expected = -10 * torch.log10(errors)
    figures = evaluate_reconstruction(stripes, images, batch=2)
    assert figures.count == 5
    assert figures.psnr == pytest.approx(expected.mean().item(), abs=1e-2)
    assert figures.psnr_5n == pytest.approx(expected.mean().item(), abs=1e-2)
    assert figures.psnr_std == pytest.approx(expected.std(unbiased=False).item(), abs=1e-2)
    assert figures.mse == pytest.approx(errors.mean().item(), rel=1e-3)
    away = (x - x.mean(0)).square().mean((1, 2, 3))
    assert figures.psnr_mean_image == pytest.approx((-10 * away.log10()).mean().item(), abs=1e-3)


def test_figures_do_not_depend_on_the_batch(stripes):
    one, all_at_once = (evaluate_reconstruction(stripes, noisy(4), batch=b) for b in (1, 4))
    assert one.psnr == pytest.approx(all_at_once.psnr, abs=1e-4)


def test_five_times_the_steps_are_measured_apart(stripes):
    stripes.card = stripes.card.replace(render_steps=1, render_step_size=0.5)
    figures = evaluate_reconstruction(stripes, striped(3))
    assert figures.psnr_5n > figures.psnr + 10
