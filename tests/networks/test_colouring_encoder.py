import math

import pytest
import torch
import torch.nn.functional as F

from comet_cli.networks.colouring_encoder import Colouring, ColouringEncoder, affinity, break_stick

HALF = math.sqrt(math.log(2))  # distance at which half of a pixel is a seed's, at scale 1


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ColouringEncoder(8, 4, 6, 16).eval().requires_grad_(False)


def logits(*shares):
    return torch.tensor(shares).logit()[None]


def test_affinity_is_near_one_at_the_seed_and_a_half_where_the_scale_says():
    points = torch.tensor([[[0.0, 0.0], [HALF, 0.0], [0.0, 9.0]]])
    alpha = affinity(points, points[:, :1], torch.tensor(1.0))
    torch.testing.assert_close(alpha, torch.tensor([[[1 - 1e-4, 0.5, 1e-4]]]))


def test_stick_breaking_by_hand():
    # Pixel 0 explains 0.8 of itself and half of pixel 1; pixel 2 lies far off and is background.
    points = torch.tensor([[[0.0], [HALF], [50.0]]])
    masks = break_stick(logits(0.2, 0.4, 0.9), points, torch.tensor(1.0), 1)
    # The seed explains most: 0.8 (0.8 + 0.6 / 2) at pixel 0, 0.6 (0.6 + 0.8 / 2) at pixel 1.
    taken = torch.tensor([0.8 * (1 - 1e-4), 0.6 * 0.5, 0.1 * 1e-4])
    torch.testing.assert_close(masks[0, 1], taken)
    torch.testing.assert_close(masks[0, 0], 1 - taken)


def test_a_second_object_takes_what_the_first_has_left():
    points = torch.tensor([[[0.0], [0.0], [50.0]]])
    masks = break_stick(logits(0.1, 0.1, 0.1), points, torch.tensor(1.0), 2)
    most, least = 1 - 1e-4, 1e-4
    first = 0.9 * torch.tensor([most, most, least])
    second = (0.9 - first) * torch.tensor([least, least, most])
    torch.testing.assert_close(masks[0, 1:], torch.stack([first, second]))
    torch.testing.assert_close(masks.sum(1), torch.ones(1, 3))


def test_seeds_lie_in_the_largest_group_not_where_the_scope_is_largest():
    points = torch.tensor([[[0.0], [0.1], [0.2], [9.0]]])
    masks = break_stick(logits(0.3, 0.3, 0.3, 0.01), points, torch.tensor(1.0), 1)
    assert masks[0, 1, :3].min() > 0.6 and masks[0, 1, 3] < 1e-3


def test_only_candidates_are_seeds():
    points = torch.tensor([[[0.0], [0.1], [9.0]]])
    masks = break_stick(
        logits(0.1, 0.1, 0.1), points, torch.tensor(1.0), 1, candidates=torch.tensor([2])
    )
    assert masks[0, 1].argmax() == 2


def test_objects_beyond_what_there_is_attend_to_nothing():
    points = torch.tensor([[[0.0], [0.1], [50.0]]])
    masks = break_stick(logits(0.1, 0.1, 0.99999), points, torch.tensor(1.0), 5)
    assert masks[0, 1].sum() > 1.7 and masks[0, 2:].sum() < 0.02


def test_permuting_pixels_permutes_what_they_are_given():
    torch.manual_seed(1)
    logit, points, order = torch.randn(2, 30), torch.randn(2, 30, 8), torch.randperm(30)
    masks = break_stick(logit, points, torch.tensor(2.0), 4)
    moved = break_stick(logit[:, order], points[:, order], torch.tensor(2.0), 4)
    torch.testing.assert_close(moved, masks[..., order])


def test_mirroring_what_the_network_says_mirrors_the_clustering():
    # The network itself sees absolute coordinates; the clustering knows of none.
    torch.manual_seed(2)
    logit, points = torch.randn(1, 8, 8), torch.randn(1, 8, 8, 5)
    masks, mirrored = (
        break_stick(a.flatten(1), e.flatten(1, 2), torch.tensor(2.0), 4).unflatten(2, (8, 8))
        for a, e in ((logit, points), (logit.flip(2), points.flip(2)))
    )
    torch.testing.assert_close(mirrored, masks.flip(3))


def test_gradients_reach_the_seeds_embedding_and_the_scale():
    points = torch.tensor([[[0.0], [0.5], [1.0]]], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    break_stick(logits(0.1, 0.2, 0.3), points, scale, 1)[0, 1, 2].backward()
    assert scale.grad > 0  # a larger scale gives a seed more
    assert (points.grad != 0).sum() == 2  # the seed and the pixel


def test_attention_sums_to_one_and_shares_are_its_means(encoder):
    found = encoder.colour(torch.rand(3, 3, 16, 16))
    assert found.z.shape == (3, 4, 6) and found.attention.shape == (3, 4, 16, 16)
    torch.testing.assert_close(found.attention.sum(1), torch.ones(3, 16, 16))
    torch.testing.assert_close(found.share, found.attention.mean((2, 3)))
    largest = found.attention.argmax(1)
    for k in range(4):
        torch.testing.assert_close(found.won[:, k], (largest == k).float().mean((1, 2)))


def test_what_wins_no_pixel_is_absent_except_the_background():
    won = torch.tensor([[0.0, 0.01, 0.0], [0.99, 1e-5, 0.01]])
    found = Colouring(torch.zeros(2, 3, 2), torch.zeros(2, 3, 1, 1), won, won)
    assert found.present.tolist() == [[True, True, False], [True, False, True]]


def test_latents_do_not_depend_on_the_pictures_beside(encoder):
    x = torch.rand(5, 3, 16, 16)
    together = encoder(x)
    for n in range(5):
        assert torch.equal(together[n : n + 1], encoder(x[n : n + 1]))
    assert torch.equal(encoder(x.flip(0)), together.flip(0))


def test_the_same_picture_gives_the_same_bytes(encoder):
    x = torch.rand(1, 3, 16, 16)
    first = encoder(x).numpy().tobytes()
    torch.manual_seed(99)
    assert encoder(x).numpy().tobytes() == first


def test_the_first_two_numbers_are_where_a_component_is(encoder):
    attention = torch.zeros(1, 4, 16, 16)
    attention[:, 0] = 1
    attention[0, 0, 4, 12], attention[0, 1, 4, 12] = 0, 1
    x = torch.rand(1, 3, 16, 16)
    z = encoder.describe(x, attention, encoder.attend(x)[1])
    # Pixel centres from −1 to 1, the row first, plus a tenth of what the network says.
    assert z[0, 1, :2].tolist() == pytest.approx([-0.4375, 0.5625], abs=0.1)


@pytest.mark.parametrize("size", [16, 35, 64, 96])
def test_any_size_gives_latents_of_finite_gradient(size):
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 3, 4, size).train()
    found = encoder.colour(torch.rand(2, 3, size, size))
    assert found.attention.shape == (2, 3, size, size)
    found.z.sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


def test_pictures_of_half_the_size_are_not_full_size():
    for size in (16, 32, 40, 64, 96):
        encoder = ColouringEncoder(8, 3, 4, size)
        assert encoder.full_size(size) and not encoder.full_size(size // 2)


def test_no_pictures_give_no_latents(encoder):
    assert encoder(torch.zeros(0, 3, 16, 16)).shape == (0, 4, 6)


def test_large_pictures_are_first_seen_as_their_small_ones():
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 4, 6, 64).eval()
    small = torch.rand(1, 3, 32, 32)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        seen, again = encoder.see(small), encoder.see(large)
    torch.testing.assert_close(again[2], seen[2])  # features
    logit = seen[0].view(1, 1, 32, 32)
    enlarged = F.interpolate(logit, scale_factor=2, mode="bilinear").flatten(1)
    torch.testing.assert_close(again[0], enlarged)


def test_an_encoder_that_adapts_sees_objects_alike_in_any_light():
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 4, 6, 16, adapts=True).eval().requires_grad_(False)
    x = 0.2 + 0.4 * torch.rand(1, 3, 16, 16)
    found = encoder.colour(x)
    dimmed = encoder.colour(x * torch.tensor([0.5, 0.6, 0.7])[:, None, None])
    torch.testing.assert_close(dimmed.attention, found.attention, atol=1e-3, rtol=0)
    torch.testing.assert_close(dimmed.z[:, 1:], found.z[:, 1:], atol=1e-3, rtol=0)
    assert (dimmed.z[:, 0] - found.z[:, 0]).abs().max() > 1e-2  # the background's is told
