"""Pictures that share factors: what a component may be taken from instead (match pairing)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comet_cli.data.labels import plain_values
from comet_cli.errors import CometError


class Matches:
    """For each component, which training pictures have the same values of its factors.

    A component that is taken from any of them, and still makes up the picture, says its factors and
    nothing else (Shu et al., "Weakly supervised disentanglement with guarantees", 2020).
    """

    def __init__(self, classes: np.ndarray) -> None:
        """Take the class (N,K) of each picture for each component."""
        self._classes = classes
        self._orders = np.argsort(classes, axis=0, kind="stable")
        ordered = np.take_along_axis(classes, self._orders, 0)
        self._starts = [np.searchsorted(column, np.unique(column)) for column in ordered.T]

    def draw(self, rows: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw where each component of a batch is taken from.

        Half of them stay with their picture; the others come from a picture that matches: one of
        the batch if there is one (it is encoded anyway), else any.

        Args:
            rows: (B,) row numbers of the batch.
            draw: random numbers.

        Returns:
            the rows of the batch and after them those that are needed beside it (B+E,), and for
            each component its place among them (B,K).
        """
        every = list(rows)
        taken = np.repeat(np.arange(len(rows))[:, None], self._classes.shape[1], 1)
        for b, k in np.argwhere(draw.random(taken.shape) < 0.5):
            label = self._classes[rows[b], k]
            near = np.flatnonzero((self._classes[rows, k] == label) & (rows != rows[b]))
            if len(near):
                taken[b, k] = draw.choice(near)
                continue
            alike = self._alike(label, k)
            found = alike[draw.integers(len(alike))]
            if found != rows[b]:
                taken[b, k] = len(every)
                every.append(found)
        return np.array(every), taken

    def _alike(self, label: int, k: int) -> np.ndarray:
        ends = [*self._starts[k][1:], len(self._classes)]
        return self._orders[self._starts[k][label] : ends[label], k]


def match_pictures(metadata: Sequence[dict[str, Any]], factors: Sequence[Sequence[str]]) -> Matches:
    """Return the matches of labelled pictures.

    Args:
        metadata: N entries of metadata.jsonl.
        factors: for each of K components the factors that it holds; of a grid by their names,
            elsewhere by their paths (``light.intensity``).

    Raises:
        CometError: a factor that a picture does not have, or of which no two pictures agree.
    """
    columns = []
    for names in factors:
        groups: dict[tuple[Any, ...], int] = {}
        column = [groups.setdefault(values_of(entry, names), len(groups)) for entry in metadata]
        if len(groups) == len(column):
            raise CometError(
                f"recipe, [train]: match names {', '.join(names)}, in which no two pictures agree"
            )
        columns.append(column)
    return Matches(np.array(columns).T)


def values_of(entry: dict[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """Return a picture's values of some factors."""
    grid = entry.get("factors")
    known = grid if isinstance(grid, dict) else plain_values(entry)
    missing = [name for name in names if name not in known]
    if missing:
        raise CometError(
            f"recipe, [train]: match names '{missing[0]}', which a training picture does not have"
            + (f"; it has {', '.join(sorted(known))}" if known else "")
        )
    return tuple(known[name] for name in names)
