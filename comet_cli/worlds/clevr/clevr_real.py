"""Scenes closer to CLEVR's own pictures: mirrors of metal, rounded edges, small things far away."""

import dataclasses

import numpy as np

from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.scene import Metal
from comet_cli.worlds.generator import Sample

# Around what looks like CLEVR's own pictures: a horizon of 0.55 (of a cube of metal in one of them,
# the top is as much darker than the front), a roughness of 0.04.
HORIZON = (0.4, 1.0)
ROUGHNESS = (0.03, 0.1)
BEVEL = 0.05


class ClevrReal(Clevr):
    """Factors: those of `clevr`, and the metal's roughness and how bright its horizon is.

    Of every object 14 pixels of 64 x 64 are seen: the CLEVR generator asks for 200 of 320 x 240.
    """

    name = "clevr-real"
    version = 1
    summary = "clevr, closer to CLEVR's own pictures: metal mirrors, small things (needs mitsuba)"
    visible = 14

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw a scene and its metal, and render it."""
        scene, mask = self.draw(rng)
        metal = Metal(float(rng.uniform(*ROUGHNESS)), BEVEL, float(rng.uniform(*HORIZON)))
        scene = dataclasses.replace(scene, metal=metal)
        sample = self.picture(scene, mask, seed=int(rng.integers(2**32)))
        factors = {"roughness": metal.roughness, "horizon": metal.horizon}
        return dataclasses.replace(sample, factors={**sample.factors, "metal": factors})
