"""Labels of a data set as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comet_cli.errors import CometError

BOOKKEEPING = ("file_name", "mask", "split", "index", "seed", "source", "visible")
PARTS = 4  # that numbers are cut into


class FactorReader:
    """The factors of a data set as classes that a probe can tell apart.

    The classes of a grid of factors are its value indices. Elsewhere a factor is named by its path
    (``light.intensity``); texts are classes as they are, and so are whole numbers that take at most
    four values; others are cut into quarters that hold equally many pictures of the set that the
    reader was made for.

    Attributes:
        names: of the factors.
    """

    def __init__(
        self, metadata: Sequence[dict[str, Any]], names: Sequence[str] | None = None
    ) -> None:
        """Learn the classes.

        Args:
            metadata: entries of the training pictures.
            names: the factors wanted; default all of a grid.

        Raises:
            CometError: no factors, or not those.
        """
        first = metadata[0] if metadata else {}
        grid = first.get("factors")
        known = sorted(plain_values(first))
        self._grid = False
        if isinstance(grid, dict) and all(type(v) is int for v in grid.values()):
            self._grid, known = True, list(grid)
        if names is None and not self._grid:
            raise CometError(
                "the pictures have no grid of factors ('factors' in metadata.jsonl)"
                + (f"; name some of {', '.join(known)}" if known else "")
            )
        self.names = known if names is None else list(names)
        unknown = [n for n in self.names if n not in known]
        if unknown:
            raise CometError(f"no factor '{unknown[0]}' in the data; there are {', '.join(known)}")
        self._edges: dict[str, np.ndarray] = {}
        self._classes: dict[str, list[Any]] = {}
        for name in [] if self._grid else self.names:
            values = self._values(metadata, name)
            if are_classes(values):
                self._classes[name] = sorted(set(values), key=_place)
            else:
                self._edges[name] = np.quantile(values, np.arange(1, PARTS) / PARTS)

    def _values(self, metadata: Sequence[dict[str, Any]], name: str) -> list[Any]:
        try:
            if self._grid:
                return [entry["factors"][name] for entry in metadata]
            return [plain_values(entry)[name] for entry in metadata]
        except KeyError:
            raise CometError(f"a picture lacks the factor '{name}'") from None

    def labels(self, metadata: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the classes (N,factors) of pictures, from 0.

        Raises:
            CometError: a factor that is missing, or a value that no training picture has.
        """
        columns = []
        for name in self.names:
            values = self._values(metadata, name)
            if name in self._edges:
                values = np.searchsorted(self._edges[name], values).tolist()
            elif name in self._classes:
                classes = self._classes[name]
                new = [v for v in values if v not in classes]
                if new:
                    raise CometError(f"no training picture has {name} {new[0]}")
                values = [classes.index(v) for v in values]
            columns.append(values)
        return np.array(columns).T


def plain_values(entry: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return texts, truth values and numbers (as floats) by path, without bookkeeping."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        if not prefix and name in BOOKKEEPING:
            continue
        if isinstance(value, dict):
            found.update(plain_values(value, f"{prefix}{name}."))
        elif isinstance(value, bool | str):
            found[prefix + name] = value
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
    return found


def _place(value: Any) -> tuple[bool, float, str]:
    """Order numbers and truth values by their size, before texts."""
    if isinstance(value, str):
        return True, 0.0, value
    return False, float(value), ""


def are_classes(values: Sequence[Any]) -> bool:
    """Say whether values are classes as they are, and no numbers to cut into quarters."""
    if not all(isinstance(v, float) for v in values):
        return True
    return len(set(values)) <= PARTS and all(v.is_integer() for v in values)
