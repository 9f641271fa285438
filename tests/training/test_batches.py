"""The pictures of an iteration."""

import numpy as np
import torch

from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.training.batches import draw_batch


def numbered(count: int) -> np.ndarray:
    """Return pictures that say their number in red and are dark on the left half."""
    images = np.zeros((count, 16, 16, 3), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    images[:, :, 8:, 1:] = 200
    return images


def test_a_batch_is_a_function_of_seed_and_iteration(quadratic):
    recipe, other = quadratic(), quadratic(train={"seed": 1})
    images = numbered(48)
    first = draw_batch(images, recipe, 7)
    np.random.seed(3)
    torch.manual_seed(3)
    assert torch.equal(draw_batch(images, recipe, 7), first)
    assert not torch.equal(draw_batch(images, recipe, 8), first)
    assert not torch.equal(draw_batch(images, other, 7), first)
    numbers = (first[:, 0, 0, 0] * 255).round().long()
    assert first.shape == (4, 3, 16, 16) and first.dtype == torch.float32
    torch.testing.assert_close(first, as_pictures(images[numbers.numpy()]))


def test_every_picture_is_drawn_in_time(quadratic):
    recipe = quadratic(train={"batch": 32})
    drawn = {
        round(float(value) * 255)
        for i in range(20)
        for value in draw_batch(numbered(40), recipe, i)[:, 0, 0, 0]
    }
    assert drawn == set(range(40))


def test_flip_mirrors_about_half_of_the_pictures_whole(quadratic):
    recipe = quadratic(train={"batch": 64}, data={"flip": True})
    x = draw_batch(numbered(48), recipe, 0)
    plain = draw_batch(numbered(48), quadratic(train={"batch": 64}), 0)
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(x, plain, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(x, plain, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_colour_jitter_scales_each_channel_of_a_picture_by_at_most_its_size(quadratic):
    recipe = quadratic(train={"batch": 64}, data={"colour_jitter": 0.1})
    grey = np.full((5, 16, 16, 3), 100, np.uint8)
    gains = draw_batch(grey, recipe, 0) / (100 / 255)
    torch.testing.assert_close(gains.amin((2, 3)), gains.amax((2, 3)))
    each = gains[:, :, 0, 0]
    assert 0.9 <= each.min() < 0.92 and 1.08 < each.max() <= 1.1001
    assert (each.std(1) > 0).all(), "channels change apart"
    assert draw_batch(np.full((5, 16, 16, 3), 255, np.uint8), recipe, 0).max() == 1.0
