"""Several data sets as one array, in given proportions."""

import numpy as np
import pytest

from comet_cli.data.mixture import Mixture, Part, draw_rows, interleave


def grey(values, size=4):
    return np.tile(np.array(values, np.uint8)[:, None, None, None], (1, size, size, 3))


@pytest.fixture
def mixture():
    """Grey values 0 to 9, then 102, 104, 106 (some rows of 100 to 109)."""
    return Mixture(
        [
            Part(grey(range(10)), None, 3.0),
            Part(grey(range(100, 110)), np.array([2, 4, 6]), 1.0),
        ]
    )


def test_it_is_the_concatenation_of_what_is_used(mixture):
    expected = grey([*range(10), 102, 104, 106])
    assert mixture.shape == expected.shape and len(mixture) == 13 and mixture.ndim == 4
    assert (np.asarray(mixture) == expected).all()
    rows = np.array([12, 0, 10, 10, 3])
    assert (mixture[rows] == expected[rows]).all()
    assert (mixture[::4] == expected[::4]).all() and (mixture[-1] == expected[-1]).all()
    with pytest.raises(IndexError):
        mixture[13]


def test_what_is_taken_is_a_copy(mixture):
    mixture[np.array([0])][:] = 255
    assert (mixture[0] == 0).all()


@pytest.mark.parametrize("count", [1, 4, 7, 16])
def test_each_batch_has_the_shares_to_one_picture_and_all_batches_exactly(mixture, count):
    first = []
    for seed in range(400):
        rows = mixture.draw(np.random.default_rng(seed), count)
        assert len(rows) == count
        first.append(int((rows < 10).sum()))
    assert set(first) <= {int(np.floor(0.75 * count)), int(np.ceil(0.75 * count))}
    assert np.mean(first) == pytest.approx(0.75 * count, abs=0.08)


def test_every_picture_of_every_part_is_drawn_alike(mixture):
    rng = np.random.default_rng(0)
    seen = np.bincount(np.concatenate([mixture.draw(rng, 16) for _ in range(2000)]), minlength=13)
    assert np.allclose(seen[:10] / seen.sum(), 0.075, atol=0.006)
    assert np.allclose(seen[10:] / seen.sum(), 1 / 12, atol=0.006)


def test_one_part_is_drawn_as_an_array_is():
    images = grey(range(50))
    alone = Mixture([Part(images)])
    found, expected = (draw_rows(x, np.random.default_rng(5), 8) for x in (alone, images))
    assert (found == expected).all() and (np.diff(found) >= 0).all()


def test_shares_that_add_up_to_rounding_only_lose_no_picture():
    parts = [Part(grey([n]), None, 0.1) for n in range(10)]
    for seed in range(200):
        assert len(Mixture(parts).draw(np.random.default_rng(seed), 7)) == 7


def test_any_first_pictures_are_of_all_parts_in_proportion():
    order = interleave([6, 3])
    assert sorted(order.tolist()) == list(range(9))
    kinds = (order >= 6).astype(int)
    for count in (3, 6, 9):
        assert kinds[:count].sum() == count // 3
    assert interleave([2, 0]).tolist() == [0, 1]
