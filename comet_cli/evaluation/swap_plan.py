"""What is swapped, and what should be read then: from true masks and labels alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from comet_cli.evaluation.object_probe import NOTHING, ObjectTable

DONOR, HOST, GONE = range(3)


@dataclass(frozen=True)
class Readings:
    """What should be read in S pictures, at P places in all.

    Attributes:
        places: (P,3) swap, row and column.
        expected: (P,factors) classes, ``NOTHING`` at the places of replaced objects.
        kinds: (P,) ``DONOR``, ``HOST`` or ``GONE``.
    """

    places: np.ndarray
    expected: np.ndarray
    kinds: np.ndarray


def draw_partners(count: int, seed: int) -> np.ndarray:
    """Return a donor for each of ``count`` hosts, never itself: a shuffled ring."""
    order = np.random.default_rng(seed).permutation(count)
    partners = np.empty(count, int)
    partners[order] = np.roll(order, 1)
    return partners


def draw_swaps(
    masks: np.ndarray, table: ObjectTable, donors: np.ndarray, draw: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Draw an object of the donor for each object of each host, where one fits.

    Args:
        masks: (N,R,R) integer instance masks.
        table: their objects.
        donors: (N,) the donor of each picture.
        draw: random numbers.

    Returns:
        (S,2) rows of the table, replaced and inserted, and how many objects have no such partner.
    """
    members = [np.flatnonzero(table.places[:, 0] == n) for n in range(len(masks))]
    swaps: list[tuple[int, int]] = []
    left_out = 0
    for host, donor in enumerate(donors):
        for replaced in members[host].tolist():
            stays = (masks[host] != 0) & ~table.mask(replaced, masks)
            fitting = (
                inserted
                for inserted in draw.permutation(members[donor]).tolist()
                if not (stays & table.mask(inserted, masks)).any()
            )
            chosen = next(fitting, None)
            if chosen is None:
                left_out += 1
            else:
                swaps.append((replaced, chosen))
    return np.array(swaps, int).reshape(-1, 2), left_out


def expected_readings(swaps: np.ndarray, masks: np.ndarray, table: ObjectTable) -> Readings:
    """Return what should be read in the pictures of swaps (S,2), as :func:`draw_swaps` gives them.

    Args:
        swaps: rows of the table, replaced and inserted.
        masks: (N,R,R) integer instance masks.
        table: their objects.
    """
    places: list[tuple[int, int, int]] = []
    expected: list[np.ndarray] = []
    kinds: list[int] = []

    def expect(swap: int, row: int, kind: int) -> None:
        places.append((swap, *table.places[row, 1:].tolist()))
        nothing = np.full_like(table.labels[row], NOTHING)
        expected.append(nothing if kind == GONE else table.labels[row])
        kinds.append(kind)

    for n, (replaced, inserted) in enumerate(swaps.tolist()):
        expect(n, inserted, DONOR)
        host, out = table.places[replaced, 0], table.mask(replaced, masks)
        for row in np.flatnonzero(table.places[:, 0] == host).tolist():
            if row != replaced:
                expect(n, row, HOST)
        others = ((masks[host] != 0) & ~out) | table.mask(inserted, masks)
        around = F.max_pool2d(torch.from_numpy(out)[None].float(), 3, 1, 1)[0].bool().numpy()
        if not (around & others).any():
            expect(n, replaced, GONE)
    return Readings(
        np.array(places, int).reshape(-1, 3),
        np.array(expected, int).reshape(-1, table.labels.shape[1]),
        np.array(kinds, int),
    )
