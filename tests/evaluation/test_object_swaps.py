"""Swaps of objects, on a model whose components are known: each holds one corner's square."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from comet_cli.data.dataset_folder import LoadedPictures
from comet_cli.errors import CometError
from comet_cli.evaluation import object_swaps
from comet_cli.evaluation.measure import rounded
from comet_cli.evaluation.object_probe import NOTHING, find_objects, object_reader
from comet_cli.evaluation.object_swaps import (
    evaluate_object_swaps,
    find_holders,
    measure_object_swaps,
    render_swaps,
)
from comet_cli.evaluation.reconstruction import as_pictures, encode_all
from comet_cli.evaluation.swap_plan import (
    DONOR,
    GONE,
    HOST,
    draw_partners,
    draw_swaps,
    expected_readings,
)
from comet_cli.evaluation.swaps import evident_labels
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy

SIZE = 16
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "white": (255, 255, 255)}


def picture(objects):
    """A black picture and its mask with squares of side 4 at (row, column), coloured."""
    image, mask = np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    for number, (row, column, colour) in enumerate(objects, start=1):
        image[row : row + 4, column : column + 4] = COLOURS[colour]
        mask[row : row + 4, column : column + 4] = number
    return image, mask


def pictures(*scenes) -> LoadedPictures:
    drawn = [picture(objects) for objects in scenes]
    return LoadedPictures(
        np.stack([image for image, _ in drawn]),
        np.stack([mask for _, mask in drawn]),
        [{"objects": [{"colour": c} for _, _, c in objects]} for objects in scenes],
    )


def scenes(count: int, seed: int) -> LoadedPictures:
    """Two squares a picture: one in the upper half, one in the lower."""
    draw, names = np.random.default_rng(seed), list(COLOURS)
    return pictures(
        *[
            [(*(draw.integers(0, (5, 13)) + (top, 0)), names[draw.integers(3)]) for top in (0, 8)]
            for _ in range(count)
        ]
    )


class SquareEncoder(nn.Module):
    """Component k is colour, row and column of the square in the k-th half of the rows."""

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for k, half in enumerate(x.split(SIZE // 2, 2)):
            lit = half.amax(1) > 0.5
            row, column = (lit.any(axis).int().argmax(-1) for axis in (2, 1))
            corner = torch.stack([row + k * SIZE // 2, column], -1)
            found.append(torch.cat([half.amax((2, 3)), corner], -1))
        return torch.stack(found, 1)


class SquareEnergy(nn.Module):
    """Sure of its colour in its square, and of nothing elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def bind(self, z: Tensor, positional) -> BoundQuadraticEnergy:
        steps = torch.arange(SIZE)
        row, column = z[..., 3, None], z[..., 4, None]
        rows = (steps >= row) & (steps < row + 4)
        columns = (steps >= column) & (steps < column + 4)
        mine = (rows[..., :, None] & columns[..., None, :]).float()[:, :, None]
        mean = z[:, :, :3, None, None].expand(-1, -1, -1, SIZE, SIZE)
        return BoundQuadraticEnergy(mine * 1000, mean)


@pytest.fixture
def squares(stripes):
    """A model that is perfect on black pictures of two squares."""
    card = dataclasses.replace(
        stripes.card,
        components=2,
        latent_dim=5,
        image_size=SIZE,
        init="black",
        positional=[True] * 2,
    )
    stripes.card, stripes.encoder, stripes.energy_network = card, SquareEncoder(), SquareEnergy()
    return stripes.eval().requires_grad_(False)


class ColourProbe:
    """Reads the colour at a place itself."""

    reach = 2

    def __init__(self, names) -> None:
        self.names = names

    def read(self, x: Tensor, places: np.ndarray) -> np.ndarray:
        n, r, c = places.T
        seen = (x[n, :, r, c] > 0.5).tolist()
        known = {tuple(v > 0 for v in COLOURS[name]): i for i, name in enumerate(self.names)}
        return np.array([[known.get(tuple(each), NOTHING)] for each in seen], int).reshape(-1, 1)


def evaluate(model, data, seed=0):
    reader = object_reader(data.metadata)
    table = find_objects(data.masks, data.metadata, reader)
    probe = ColourProbe(sorted(COLOURS))
    return evaluate_object_swaps(
        model, probe, reader.names, data.images, data.masks, table, seed=seed
    )


def test_a_model_of_one_square_a_component_swaps_without_a_mistake(squares):
    found = evaluate(squares, scenes(40, 0))
    assert found.pairs == 40 and found.swaps + found.left_out == 80 and found.swaps > 40
    assert (found.held, found.swap_accuracy, found.all_right) == (1, 1, 1)
    assert (found.donor_read, found.host_read, found.gone_read) == (1, 1, 1)
    assert (found.probe_accuracy, found.probe_empty, found.recomposed_all_right) == (1, 1, 1)
    row = {"donor_read": 1.0, "host_read": 1.0, "probe": 1.0, "recomposed": 1.0}
    assert found.factors == {"colour": row}
    assert evident_labels(found.factors, 2) == [], "any component may hold any object"


def test_an_object_that_no_component_holds_makes_its_swaps_wrong(squares):
    data = scenes(30, 1)
    encode = squares.encoder.forward

    def forgetful(x):
        z = encode(x)
        z[:10, 1, 3] = 100  # out of the picture
        return z

    squares.encoder.forward = forgetful
    found = evaluate(squares, data)
    assert 0.4 < found.held < 1
    assert found.all_right < found.held < found.all_right_held + 0.5
    assert found.swap_accuracy < found.swap_accuracy_held
    table = find_objects(data.masks, data.metadata, object_reader(data.metadata))
    holders = find_holders(squares, forgetful(as_pictures(data.images)), data.masks, table)
    lost = (table.places[:, 0] < 10) & (table.numbers == 2)
    assert (holders[lost] == object_swaps.NOBODY).all() and (holders[~lost] >= 0).all()
    assert (holders == np.where(lost, -1, table.numbers - 1)).all()


def test_a_model_that_draws_the_host_whatever_it_is_given_is_found_out(squares, monkeypatch):
    """It keeps the others, but the donor's object is missing and the replaced one still there."""
    data = scenes(40, 2)

    def unmoved(model, z, replaced, inserted):
        return render_swaps(model, z, replaced, replaced)

    monkeypatch.setattr(object_swaps, "render_swaps", unmoved)
    found = evaluate(squares, data)
    assert found.host_read == 1 and found.held == 1
    assert found.gone_read == 0 and found.donor_read < 0.4 and found.all_right < 0.1


def test_the_ground_holds_no_object(squares):
    data = scenes(5, 3)
    squares.card = dataclasses.replace(squares.card, ground=True)
    table = find_objects(data.masks, data.metadata, object_reader(data.metadata))
    z = encode_all(squares, as_pictures(data.images))
    holders = find_holders(squares, z, data.masks, table)
    assert (holders == np.where(table.numbers == 1, -1, 1)).all()


def plan(data, donors=(1, 0)):
    table = find_objects(data.masks, data.metadata, object_reader(data.metadata))
    return table, *draw_swaps(data.masks, table, np.array(donors), np.random.default_rng(0))


def test_an_object_that_would_overlap_one_that_stays_is_not_put_in():
    data = pictures(
        [(0, 0, "red"), (8, 8, "green")],  # the donor's covers (0, 0): it can replace that alone
        [(2, 2, "white")],
    )
    table, swaps, left_out = plan(data)
    inserted = {(int(a), int(b)) for a, b in swaps if table.places[a, 0] == 0}
    assert inserted == {(0, 2)}
    assert left_out == 1, "the second of the host; the donor as host takes either"
    assert len(swaps) == 2


def test_every_swap_expects_the_donors_the_hosts_and_nothing_where_that_can_be_known():
    data = pictures(
        [(0, 0, "red"), (8, 0, "green"), (8, 4, "white")],
        [(0, 10, "white")],
    )
    table, swaps, left_out = plan(data)
    assert left_out == 0
    swaps = swaps[table.places[swaps[:, 0], 0] == 0]
    assert swaps.tolist() == [[0, 3], [1, 3], [2, 3]]
    readings = expected_readings(swaps, data.masks, table)
    green, red, white = range(3)
    first = readings.places[:, 0] == 0
    assert readings.kinds[first].tolist() == [DONOR, HOST, HOST, GONE]
    assert readings.expected[first].ravel().tolist() == [white, green, white, NOTHING]
    assert readings.places[first][0, 1:].tolist() == table.places[3, 1:].tolist()
    assert readings.places[first][-1, 1:].tolist() == table.places[0, 1:].tolist()
    # Green touches white: what is behind it when it is gone, nobody knows.
    assert readings.kinds[readings.places[:, 0] == 1].tolist() == [DONOR, HOST, HOST]
    assert readings.expected[readings.places[:, 0] == 1].ravel().tolist() == [white, red, white]


def test_the_same_seed_draws_the_same_swaps_and_another_others(squares):
    data = scenes(20, 4)
    table = find_objects(data.masks, data.metadata, object_reader(data.metadata))

    def drawn(seed):
        partners = draw_partners(20, seed)
        return draw_swaps(data.masks, table, partners, np.random.default_rng(seed))[0].tolist()

    assert drawn(0) == drawn(0) != drawn(1)
    assert rounded(evaluate(squares, data)) == rounded(evaluate(squares, data))


def test_without_a_swap_that_fits_there_are_no_figures_and_no_error(squares):
    data = pictures(*[[(0, 0, "red"), (8, 8, "white")]] * 2)
    halves = np.repeat([1, 2], SIZE // 2).astype(np.uint8)
    masks = np.stack([np.tile(halves, (SIZE, 1)), np.tile(halves[:, None], SIZE)])
    found = rounded(evaluate(squares, dataclasses.replace(data, masks=masks)))
    assert (found["swaps"], found["left_out"]) == (0, 4)
    assert found["swap_accuracy"] is None and found["factors"]["colour"]["donor_read"] is None
    assert found["factors"]["colour"]["probe"] is not None


def test_one_picture_cannot_be_swapped(squares):
    with pytest.raises(CometError, match="at least two pictures"):
        evaluate(squares, scenes(1, 0))


def test_the_probe_is_trained_on_the_one_set_and_the_figures_are_of_the_other(squares):
    found = measure_object_swaps(squares, scenes(80, 5), scenes(30, 6), iterations=60)
    assert found.pairs == 30 and found.held == 1
    assert found.probe_accuracy > 0.95 and found.swap_accuracy > 0.9
