"""Which figures there are, and of which models and inputs their panels are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comet_cli.drawing.layout import Box
from comet_cli.figures import panels
from comet_cli.figures.panel_session import PanelSession
from comet_cli.figures.panels import Inputs

FACES = ("face",)


@dataclass(frozen=True)
class Need:
    """Inputs of one kind that a panel is made of.

    Attributes:
        model: encodes and renders them.
        stems: their names without "-1.png", "-a.z" …; the first with enough files is used.
        count: how many.
        most: use up to so many where they are there; default ``count``.
    """

    model: str
    stems: tuple[str, ...]
    count: int = 2
    most: int = 0


@dataclass(frozen=True)
class Panel:
    """A part of a figure."""

    title: str
    draw: Callable[[PanelSession, Inputs], Box]
    needs: tuple[Need, ...]


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        panels: its parts, in reading order.
        stacked: one below the other instead of side by side.
    """

    panels: Sequence[Panel]
    stacked: bool = False


_CLEVR = Need("clevr", ("clevr",))
_FACES = Need("faces", FACES)
_ROOM = Need("room", ("room",))
_LIGHTING = Need("clevr-lighting", ("clevr-lighting",))
_TOY = Need("clevr-toy", ("clevr-toy",))
_TOONS = (
    Need("faces-toon", ("face-toon", *FACES)),
    Need("faces-toon", ("toon",)),
)
_DRIVES = (Need("drive", ("drive-real",)), Need("drive", ("drive-virtual",)))

FIGURES = {
    1: Figure(
        [
            Panel("Local factors: CLEVR", panels.overview, (_CLEVR,)),
            Panel("Global factors: faces", panels.overview, (_FACES,)),
        ],
        stacked=True,
    ),
    3: Figure(
        [
            Panel("Room", panels.decomposition, (_ROOM,)),
            Panel("Faces", panels.decomposition, (_FACES,)),
        ]
    ),
    4: Figure(
        [
            Panel("Recombined inputs: room", panels.swaps, (_ROOM,)),
            Panel("Recombined inputs: faces", panels.swaps, (_FACES,)),
        ]
    ),
    5: Figure([Panel("CLEVR", panels.series, (Need("clevr-global", ("clevr",)),))]),
    6: Figure(
        [
            Panel("CLEVR", panels.decomposition, (_CLEVR,)),
            Panel("Tetris", panels.decomposition, (Need("tetris", ("tetris",)),)),
        ]
    ),
    7: Figure(
        [
            Panel("CLEVR", panels.all_objects, (Need("clevr", ("clevr",), 2, 4),)),
            Panel("CLEVR Lighting", panels.other_light, (_LIGHTING,)),
        ]
    ),
    8: Figure(
        [
            Panel("CLEVR and CLEVR Toy", panels.two_models, (_CLEVR, _TOY)),
            Panel("CLEVR and CLEVR Lighting", panels.two_models_one_light, (_CLEVR, _LIGHTING)),
        ]
    ),
    9: Figure(
        [
            Panel("Faces and drawings", panels.decomposition, _TOONS),
            Panel("Roads, real and virtual", panels.decomposition, _DRIVES),
        ]
    ),
    10: Figure(
        [
            Panel("Faces and drawings", panels.swaps, _TOONS),
            Panel("Roads, real and virtual", panels.swaps, _DRIVES),
        ]
    ),
}
