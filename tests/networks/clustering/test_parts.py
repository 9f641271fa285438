"""Parts of a picture and what is merged of them."""

import math

import pytest
import torch

from comet_cli.errors import FileFormatError
from comet_cli.models.architectures import build_encoder
from comet_cli.models.card import ModelCard
from comet_cli.networks.clustering.parts import (
    find_parts,
    merge_parts,
    outlines,
    shared_outlines,
    sprawl,
)
from comet_cli.networks.clustering.superpixels import superpixels
from comet_cli.networks.competitive_encoder import CompetitiveEncoder

SIZE, SIDE = 24, 8
RED, GREEN, BLUE = (0.45, -0.4, -0.4), (-0.4, 0.4, -0.4), (-0.4, -0.4, 0.45)
YELLOW = (0.4, 0.4, -0.45)
WHITE = (0.3, 0.3, 0.3)
# Rows and columns that each object covers, with the colour of its rim and of the rest.
BOOT = (slice(3, 12), slice(3, 9), WHITE, RED)
TRUCK = (slice(12, 21), slice(12, 21), WHITE, BLUE)
CUBE = (slice(3, 9), slice(15, 21), GREEN, GREEN)
SMALL = (slice(18, 21), slice(3, 6), YELLOW, YELLOW)
OBJECTS = [BOOT, TRUCK, CUBE, SMALL]


def scene(objects) -> tuple[torch.Tensor, torch.Tensor]:
    """Return colour against the ground (1,3,H,W), and the object of each position (H,W)."""
    colour, mask = torch.zeros(1, 3, SIZE, SIZE), torch.zeros(SIZE, SIZE, dtype=torch.long)
    for k, (rows, columns, rim, rest) in enumerate(objects, 1):
        below = rows.start + 3
        colour[0, :, rows, columns] = torch.tensor(rest)[:, None, None]
        colour[0, :, rows.start : below, columns] = torch.tensor(rim)[:, None, None]
        mask[rows, columns] = k
    return colour, mask


def segmented(colour: torch.Tensor, regions: int) -> torch.Tensor:
    """Return the object of each position (B,H,W), 0 for the ground."""
    parts, belongs = find_parts(colour, SIDE, regions)
    taken = belongs @ merge_parts(parts, regions)
    taken[..., 0] = 0.5
    return taken.argmax(-1).unflatten(1, (SIZE, SIZE))


def test_superpixels_share_out_the_positions_along_edges():
    colour, mask = scene(OBJECTS)
    belongs = superpixels(colour, SIDE)
    assert belongs.shape == (1, SIZE * SIZE, SIDE * SIDE)
    torch.testing.assert_close(belongs.sum(2), torch.ones(1, SIZE * SIZE))
    assert set(belongs.unique().tolist()) == {0.0, 1.0}
    one_hot = torch.nn.functional.one_hot(mask.flatten(), 5).to(belongs)
    held = belongs[0].T @ one_hot  # (S,5): whose positions each patch holds
    assert int((held > 0).sum(1).max()) == 1


def test_an_even_picture_is_cut_into_squares():
    belongs = superpixels(torch.zeros(2, 3, 12, 12), 4)
    owner = belongs.argmax(2).unflatten(1, (12, 12))
    squares = torch.arange(16).reshape(4, 4).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert torch.equal(owner, squares.expand(2, -1, -1))


def test_objects_of_two_colours_are_one_object_each():
    colour, mask = scene(OBJECTS)
    found = segmented(colour, 4)[0]
    owners = [found[mask == k].unique().tolist() for k in range(1, 5)]
    assert sorted(owners) == [[1], [2], [3], [4]]
    assert torch.equal(found == 0, mask == 0)


def test_what_is_left_over_when_objects_are_fewer_stays_empty_or_splits_one():
    colour, mask = scene([BOOT])
    found = segmented(colour, 4)[0]
    assert torch.equal(found == 0, mask == 0)


def test_a_pale_speck_goes_to_the_ground_rather_than_an_object():
    colour, mask = scene(OBJECTS)
    colour[0, :, 0:3, 12:15] = -0.09  # a shadow
    found = segmented(colour, 4)[0]
    assert set(found[0:3, 12:15].unique().tolist()) == {0}
    assert sorted(found[mask == k].unique().tolist() for k in range(1, 5)) == [[1], [2], [3], [4]]


def test_a_picture_of_ground_has_no_parts():
    parts, belongs = find_parts(torch.zeros(1, 3, SIZE, SIZE), SIDE, 4)
    assert not parts.alive.any() and not belongs.any()
    assert not merge_parts(parts, 4).any()


def test_merging_is_the_same_alone_and_in_a_batch():
    pictures = torch.cat([scene(objects)[0] for objects in (OBJECTS, OBJECTS[1:], [], [BOOT])])
    together = segmented(pictures, 4)
    for b in range(4):
        assert torch.equal(together[b], segmented(pictures[b : b + 1], 4)[0])


def test_each_part_is_merged_into_one_object_or_the_ground():
    pictures = torch.cat([scene(OBJECTS)[0], scene([BOOT])[0]])
    parts, _ = find_parts(pictures, SIDE, 3)
    taken = merge_parts(parts, 3)
    assert taken.shape == (2, parts.alive.shape[1], 4)
    torch.testing.assert_close(taken.sum(2), parts.alive.to(taken))
    assert torch.equal((taken[:, :, 1:].sum(1) > 0).sum(1), torch.tensor([3, 3]))


def test_outlines_of_two_touching_squares():
    maps = torch.zeros(1, 2, 6, 6)
    maps[0, 0, 1:3, 1:3] = 1
    maps[0, 1, 1:4, 3:6] = 1  # ends at the edge of the picture
    torch.testing.assert_close(outlines(maps), torch.tensor([[8.0, 9.0]]))
    colour = torch.zeros(1, 3, 6, 6)
    length, changing, close = shared_outlines(maps, colour)[0]
    torch.testing.assert_close(length, torch.tensor([[0.0, 2.0], [2.0, 0.0]]))
    assert not changing.any()
    # Grown by one, they share two columns of four rows; closeness is half of that.
    torch.testing.assert_close(close, torch.tensor([[0.0, 4.0], [4.0, 0.0]]))
    colour[:, 0, :, 3:] = 5
    changing = shared_outlines(maps, colour)[0, 1]
    torch.testing.assert_close(changing, torch.tensor([[0.0, 2.0], [2.0, 0.0]]))


def test_sprawl_of_a_square_and_of_two_apart():
    def of(places: torch.Tensor) -> float:
        row, column = places.float().T
        sums = torch.stack([row, column, row**2, column**2, row * column]).sum(1)
        return float(sprawl(torch.tensor(float(len(places))), sums))

    square = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    # An n by n square has variances n²/12: the ellipse is 4π n²/12.
    assert of(square) == pytest.approx(math.log(math.pi / 3), abs=1e-5)
    turned = torch.tensor([0, 20])
    assert of(torch.cat([square, square + turned])) > 0.8


def encoder(parts: int) -> CompetitiveEncoder:
    torch.manual_seed(0)
    made = CompetitiveEncoder(8, 5, 6, SIZE, ground=True, parts=parts)
    made.set_ground(torch.full((3, SIZE, SIZE), 0.5))
    return made


def test_attention_of_an_encoder_with_parts_covers_whole_objects():
    colour, mask = scene(OBJECTS)
    attention, _ = encoder(SIDE).attend(colour + 0.5)
    torch.testing.assert_close(attention.sum(1), torch.ones(1, SIZE * SIZE))
    winner = attention.argmax(1).reshape(SIZE, SIZE)
    assert sorted(winner[mask == k].unique().tolist() for k in range(1, 5)) == [[1], [2], [3], [4]]


def test_parts_change_no_parameters():
    shapes = [{k: v.shape for k, v in encoder(n).state_dict().items()} for n in (0, SIDE)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("objects", [OBJECTS, [BOOT], []], ids=["four", "one", "none"])
def test_gradients_are_finite_however_many_objects_there_are(objects):
    made = encoder(SIDE)
    z = made(scene(objects)[0] + 0.5)
    z.square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert (made.ground_bias.grad.abs() > 0) == bool(objects)


def test_parts_under_bfloat16_autocast_are_those_of_float32():
    colour, _ = scene(OBJECTS)
    made = encoder(SIDE)
    winner = made.attend(colour + 0.5)[0].argmax(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert (made.attend(colour + 0.5)[0].argmax(1) == winner).float().mean() > 0.97


FACTS = {
    "name": "m",
    "encoder": "recurrent",
    "attention": "competitive",
    "energy": "quadratic",
    "filter_dim": 4,
    "components": 2,
    "latent_dim": 4,
    "image_size": 16,
    "positional": [True, True],
    "step_size": 1.0,
    "num_steps": 1,
    "render_step_size": 1.0,
    "render_steps": 1,
}


def test_a_card_carries_parts_to_the_encoder():
    card = ModelCard(**FACTS, parts=5)
    assert ModelCard.from_json(card.to_json()).parts == 5
    assert build_encoder(card).parts == 5
    assert build_encoder(ModelCard(**FACTS)).parts == 0


@pytest.mark.parametrize("facts", [{"parts": 1}, {"parts": 33}, {"parts": 8, "attention": "lstm"}])
def test_parts_that_no_encoder_has_are_named(facts):
    with pytest.raises(FileFormatError, match="parts must be 0 or"):
        ModelCard(**{**FACTS, **facts})
