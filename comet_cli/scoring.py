"""``comet score``: how far a picture is from containing each component, E(x, z_k)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from comet_cli.errors import DivergenceError
from comet_cli.files import check_inputs, read_input, show
from comet_cli.images import load_image
from comet_cli.resolution import Bench, open_selections, parse_selections


@dataclass(frozen=True)
class Score:
    """The energy of a picture and one component; low where the picture contains it."""

    source: str
    component: int
    label: str
    model: str
    energy: float


def score_image(
    image: str, selections: Sequence[str], bench: Bench, *, literal: bool = False
) -> list[Score]:
    """Return the energy of a picture and each selected component, in the order selected.

    Energies compare between components of one model only: each model has its own unit.

    Raises:
        UsageError, FileFormatError: files that are not there, or not what they should be.
    """
    check_inputs([image])
    parse_selections(bench, selections, literal=literal)
    data = read_input(image)
    scores = []
    for opened, picked in open_selections(bench, selections, literal=literal):
        model = opened.model
        size = model.card.image_size
        x = torch.from_numpy(load_image(data, size, where=f"'{show(image)}'"))[None]
        z = torch.from_numpy(opened.components.z.copy())[None]
        with torch.no_grad(), bench.arithmetic():
            energies = model.energy(x.to(model.device), z.to(model.device))[0].float().tolist()
        for k, _ in picked:
            if not math.isfinite(energies[k]):
                raise DivergenceError(f"the energy of '{opened.name}:{k}' is not finite")
        scores += [
            Score(opened.name, k, opened.label(k), model.card.name, energies[k]) for k, _ in picked
        ]
    return scores
