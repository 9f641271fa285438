import math

import pytest
import torch

from comet_cli.networks.colouring_encoder import ColouringEncoder
from comet_cli.networks.glimpses import REACH, SIDE, Glimpses, filters


def read(colour, attention, centre, spread):
    return Glimpses(8, 6).read(
        colour, attention, torch.tensor([[centre]]), torch.tensor([[spread]])
    )[0, 0]


def test_filters_by_hand():
    # A window from −0.5 to 0.5 of 64 pixels: its points are 2 pixels apart, 1 pixel wide.
    bank = filters(torch.tensor(0.0), torch.tensor(0.5 / REACH), 64)
    assert bank.shape == (SIDE, 64)
    # Point 8 lies between pixels 32 and 33, point 9 between 34 and 35.
    weights = [math.exp(-((d / 1.0) ** 2) / 2) / math.sqrt(2 * math.pi) for d in (1.5, 0.5)]
    assert bank[8, 31:35].tolist() == pytest.approx([*weights, *weights[::-1]], rel=1e-4)
    assert bank[9, 33:37].tolist() == pytest.approx([*weights, *weights[::-1]], rel=1e-4)
    assert bank.sum(1).tolist() == pytest.approx([1.0] * SIDE, abs=1e-3)


def test_no_filter_is_narrower_than_a_pixel_is_wide():
    bank = filters(torch.tensor(0.1), torch.tensor(1e-3), 32)
    assert bank.sum(1).tolist() == pytest.approx([1.0] * SIDE, abs=0.02)


def test_what_lies_outside_the_picture_is_nothing():
    window = read(torch.ones(1, 3, 16, 16), torch.ones(1, 1, 16, 16), [-1.0, 0.0], [0.2, 0.2])
    assert window[:, : SIDE // 2 - 1].abs().max() < 0.05 and window[:, -4:, 4:-4].min() > 0.95


def test_an_object_looks_the_same_wherever_and_however_large_it_is():
    torch.manual_seed(0)
    thing = torch.rand(3, 8, 8)

    def at(row, column, zoom):
        colour, attention = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
        side = 8 * zoom
        large = thing.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
        colour[0, :, row : row + side, column : column + side] = large
        attention[0, 0, row : row + side, column : column + side] = 1.0
        centre = [(row + side / 2) / 32 - 1, (column + side / 2) / 32 - 1]
        return read(colour, attention, centre, [side / 64 / REACH * 1.5] * 2)

    # What is beside the object is drawn anew each time, and not seen.
    torch.testing.assert_close(at(10, 20, 2), at(30, 6, 2), atol=1e-5, rtol=0)
    assert (at(10, 20, 2) - at(30, 6, 4)).abs().mean() < 0.03


def test_at_first_nothing_is_added_and_then_it_is():
    torch.manual_seed(0)
    plain = ColouringEncoder(8, 4, 6, 16).eval()
    looking = ColouringEncoder(8, 4, 6, 16, glimpses=True).eval()
    looking.load_state_dict(plain.state_dict(), strict=False)
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(looking(x), plain(x))
        looking.glimpses.out.weight.normal_()
        changed = looking(x) - plain(x)
    assert changed[:, 0].abs().max() == 0 and changed[:, 1:].abs().max() > 0


def test_small_pictures_of_a_training_are_not_looked_at_up_close():
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 4, 6, 64, glimpses=True).eval().requires_grad_(False)
    small, large = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 64, 64)
    before = encoder(small), encoder(large)
    encoder.glimpses.out.weight.normal_()
    assert torch.equal(encoder(small), before[0]) and not torch.equal(encoder(large), before[1])


def test_a_pictures_latents_do_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 4, 6, 24, glimpses=True).eval().requires_grad_(False)
    encoder.glimpses.out.weight.normal_()
    x = torch.rand(3, 3, 24, 24)
    assert torch.equal(encoder(x)[1:2], encoder(x[1:2]))


def test_gradients_are_finite_where_a_component_has_nothing():
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 4, 6, 16, glimpses=True).train()
    encoder.colour(torch.full((2, 3, 16, 16), 0.5)).z.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
