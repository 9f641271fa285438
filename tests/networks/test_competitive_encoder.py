"""The competitive encoder: what it finds in a picture before any training."""

import pytest
import torch

from comet_cli.networks.competitive_encoder import CompetitiveEncoder
from comet_cli.networks.layers import coordinate_grid

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
TWO = [((5, 5), RED), ((13, 14), BLUE)]
THREE = [*TWO, ((5, 14), GREEN)]
RADIUS = 3


def disc(centre: tuple[int, int], size: int, radius: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def scene(discs, size: int = 20, radius: int = RADIUS) -> torch.Tensor:
    """Return discs on mid-grey (1,3,R,R)."""
    image = torch.full((3, size, size), 0.5)
    for centre, colour in discs:
        image[:, disc(centre, size, radius)] = torch.tensor(colour)[:, None]
    return image[None]


def encoder(regions: int, *, ground: bool, size: int = 20, seed: int = 0) -> CompetitiveEncoder:
    torch.manual_seed(seed)
    made = CompetitiveEncoder(8, regions + ground, 6, size, ground=ground)
    made.set_ground(torch.full((3, size, size), 0.5))
    return made.requires_grad_(False)


def pixels(place: torch.Tensor, size: int = 20) -> torch.Tensor:
    """Turn coordinates from −1 to 1 into pixel indices."""
    return (place + 1) / 2 * size - 0.5


def test_coordinates_are_those_of_pixel_centres():
    grid = coordinate_grid(2, 4)
    assert grid[:, 0, 0].tolist() == [-0.5, 0.5]
    assert grid[0, :, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("ground", [False, True])
@pytest.mark.parametrize("discs", [TWO, THREE], ids=["two", "three"])
def test_each_disc_gets_a_component_of_its_own(discs, ground, seed):
    made = encoder(len(discs), ground=ground, seed=seed)
    attention, _ = made.attend(scene(discs))
    assert attention.shape == (1, 1 + len(discs), 400)
    torch.testing.assert_close(attention.sum(1), torch.ones(1, 400))
    winner = attention.argmax(1).reshape(20, 20)
    owners = [winner[disc(centre, 20, RADIUS)].unique().tolist() for centre, _ in discs]
    assert sorted(owners) == [[k] for k in range(1, 1 + len(discs))]
    covered = torch.stack([disc(centre, 20, RADIUS) for centre, _ in discs]).any(0)
    assert torch.equal(winner == 0, ~covered)


@pytest.mark.parametrize("ground", [False, True])
@pytest.mark.parametrize("discs", [TWO, THREE], ids=["two", "three"])
def test_first_two_dimensions_are_where_the_component_is(discs, ground):
    z = encoder(len(discs), ground=ground)(scene(discs))
    assert z.shape == (1, len(discs) + ground, 6)
    found = pixels(z[0, int(ground) :, :2])
    true = torch.tensor([centre for centre, _ in discs], dtype=torch.float32)
    distance = torch.cdist(true, found)
    assert sorted(distance.argmin(1).tolist()) == list(range(len(discs)))
    assert distance.min(1).values.max() < 1.5


def test_a_disc_that_moves_takes_its_component_along():
    made = encoder(2, ground=True)
    before = made(scene(TWO))[0]
    after = made(scene([((5, 5), RED), ((13, 10), BLUE)]))[0]
    blue = pixels(before[1:, :2])[:, 0].argmax() + 1
    red = 3 - blue
    assert (pixels(after[red, :2]) - pixels(before[red, :2])).abs().max() < 0.5
    shift = pixels(after[blue, :2]) - pixels(before[blue, :2])
    torch.testing.assert_close(shift, torch.tensor([0.0, -4.0]), atol=0.7, rtol=0)


def test_large_pictures_are_clustered_at_half_their_size():
    made = encoder(2, ground=True, size=48)
    attention, _ = made.attend(scene([((12, 12), RED), ((33, 35), BLUE)], 48, 6))
    assert attention.shape == (1, 3, 24 * 24)
    z = made(scene([((12, 12), RED), ((33, 35), BLUE)], 48, 6))
    found = pixels(z[0, 1:, :2], 48)
    distance = torch.cdist(torch.tensor([[12.0, 12.0], [33.0, 35.0]]), found)
    assert sorted(distance.argmin(1).tolist()) == [0, 1]
    assert distance.min(1).values.max() < 2.5


def test_encoding_is_deterministic_and_independent_of_the_random_state():
    made = encoder(3, ground=True)
    torch.manual_seed(1)
    first = made(scene(THREE))
    torch.manual_seed(2)
    assert torch.equal(made(scene(THREE)), first)


def test_a_picture_is_encoded_alike_alone_and_in_a_batch():
    made = encoder(3, ground=True)
    batch = torch.cat([scene(THREE), scene(TWO), scene([])])
    together = made(batch)
    for b in range(3):
        torch.testing.assert_close(together[b], made(batch[b : b + 1])[0], atol=1e-4, rtol=1e-4)


def test_with_a_ground_component_0_is_what_no_region_explains():
    with_ground, without = encoder(2, ground=True), encoder(2, ground=False)
    assert with_ground(scene(TWO)).shape[1] == 3 and without(scene(TWO)).shape[1] == 2
    names = dict(without.named_parameters())
    assert not any(name.startswith("to_ground") for name in names)
    # The ground is at the picture's middle: its place is not measured.
    assert with_ground(scene(TWO))[0, 0, :2].abs().max() < 0.3


def test_light_on_the_whole_picture_changes_no_assignment():
    made = encoder(3, ground=True)
    dark, light = scene(THREE) * 0.5, scene(THREE) * 0.5 + 0.4
    winners = [made.attend(x)[0].argmax(1) for x in (dark, light)]
    assert torch.equal(*winners)
    assert set(winners[0].unique().tolist()) == {0, 1, 2, 3}


def test_what_the_ground_has_learned_is_no_object():
    """A horizon: without knowing it, half of the picture would be one."""
    background = torch.full((3, 20, 20), 0.3)
    background[:, 10:] = torch.tensor([0.9, 0.6, 0.3])[:, None, None]
    x = background.clone()
    covered = torch.zeros(20, 20, dtype=torch.bool)
    for centre, colour in TWO:
        covered |= disc(centre, 20, RADIUS)
        x[:, disc(centre, 20, RADIUS)] = torch.tensor(colour)[:, None]
    made = encoder(2, ground=True)
    unknown = made.attend(x[None])[0].argmax(1).reshape(20, 20)
    assert not torch.equal(unknown == 0, ~covered)
    made.set_ground(background)
    known = made.attend(x[None])[0].argmax(1).reshape(20, 20)
    assert torch.equal(known == 0, ~covered)


def test_set_ground_is_the_mean_picture_at_the_grid():
    made = encoder(2, ground=True, size=48)
    mean = torch.rand(3, 48, 48)
    made.set_ground(mean)
    torch.testing.assert_close(made.ground, mean.reshape(3, 24, 2, 24, 2).mean((2, 4)))


@pytest.mark.parametrize("ground", [False, True])
def test_an_empty_picture_has_finite_latents(ground):
    assert encoder(3, ground=ground)(scene([])).isfinite().all()


@pytest.mark.parametrize("ground", [False, True])
def test_every_parameter_gets_a_gradient(ground):
    made = encoder(3, ground=ground).requires_grad_(True)
    noisy = scene(THREE) + 0.1 * torch.rand(
        (1, 3, 20, 20), generator=torch.Generator().manual_seed(0)
    )
    made(noisy).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_the_ground_is_saved_but_not_learned():
    made = encoder(2, ground=True).requires_grad_(True)
    assert "ground" in made.state_dict()
    assert "ground" not in dict(made.named_parameters())
    x = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    made(x).square().sum().backward()
    assert made.ground.grad is None and not made.ground.requires_grad
