"""Toys in CLEVR's world: pins, boots, teddy bears and trucks."""

from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.toy_scene import Toy
from comet_cli.worlds.clevr.toy_shapes import SHAPES


class ClevrToy(Clevr):
    """Factors: those of `clevr`, with other shapes."""

    name = "clevr-toy"
    version = 1
    summary = "pins, boots, teddy bears and trucks in clevr's world (needs mitsuba)"
    shapes = tuple(SHAPES)
    kind = Toy
