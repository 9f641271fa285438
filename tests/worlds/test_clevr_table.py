"""The table under CLEVR's things: textures that repeat, pictures that can be made again."""

import numpy as np
import pytest

from comet_cli.worlds.clevr.clevr_table import CLOTHS, WOODS, ClevrTable, cloth, wood
from comet_cli.worlds.generator import sample_rng


@pytest.fixture
def mitsuba():
    return pytest.importorskip("mitsuba")


@pytest.mark.parametrize(("draw", "colours"), [(wood, WOODS), (cloth, CLOTHS)])
def test_a_texture_repeats_without_a_seam_and_is_a_reflectance(draw, colours):
    texture = draw(np.random.default_rng(0), colours[0])
    assert texture.shape == (256, 256, 3) and 0 < texture.min() and texture.max() < 1
    rows = np.abs(np.diff(texture, axis=0)).mean((1, 2))
    seam = np.abs(texture[0] - texture[-1]).mean()
    assert seam <= rows.max() + 1e-9
    assert not np.allclose(texture, draw(np.random.default_rng(1), colours[0]))


def test_grain_runs_along_the_planks():
    texture = wood(np.random.default_rng(0), WOODS[1]).mean(2)
    along, across = (np.abs(np.diff(texture, axis=axis)).mean() for axis in (0, 1))
    assert across > 4 * along


def test_a_picture_is_repeatable_and_its_ground_is_not_even(mitsuba):
    one, again = (ClevrTable(32).sample(sample_rng(0, "test", 2), "test") for _ in range(2))
    assert (one.image == again.image).all() and one.factors == again.factors
    assert set(one.factors["table"]) == {"kind", "colour", "turn"}
    grounds = [
        sample.image[sample.mask == 0].astype(float).mean(0)
        for sample in (ClevrTable(32).sample(sample_rng(0, "test", n), "test") for n in range(6))
    ]
    assert np.std(grounds, axis=0).max() > 8
