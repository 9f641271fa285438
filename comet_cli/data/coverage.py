"""Which values of each recorded factor a data set shows."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from comet_cli.worlds.catalogue import GENERATORS
from comet_cli.worlds.factor_grid import GridGenerator

# More different values than these are a range, or texts that name a picture.
MOST_VALUES = 40
_INDICES = "factors"
_VALUES = "values"


@dataclass
class Factor:
    """What was seen of one factor.

    Attributes:
        name: its path in the metadata; `objects.colour` is that of any object.
        counts: how often each value was seen, by value as JSON has it; empty for a range.
        least: the least number, for a range.
        greatest: the greatest.
        never: values of the generator's grid that were not seen.
        different: the number of different values.
    """

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    least: float | None = None
    greatest: float | None = None
    never: list[str] = field(default_factory=list)
    different: int = 0

    def describe(self) -> str:
        """One line: a range, or each value with its count."""
        if self.least is not None:
            return f"{self.least:g} to {self.greatest:g} ({self.different} different)"
        if not self.counts:
            return f"{self.different} different texts"
        seen = ", ".join(f"{value} {count}" for value, count in self.counts.items())
        return seen + (f"; never {', '.join(self.never)}" if self.never else "")


def factor_coverage(
    entries: Iterable[dict[str, Any]],
    generator: str | None = None,
    subset: dict[str, list[int]] | None = None,
) -> list[Factor]:
    """Tell what values the factors of a data set take.

    Texts and whole numbers are counted by value, as are the values of a grid of factors; other
    numbers are a range.

    Args:
        entries: metadata of pictures, without bookkeeping.
        generator: the name of the generator; if its data are a grid, its values are known.
        subset: class indices of the factors that were kept to a part of the grid.
    """
    seen: dict[str, Counter] = {}
    for entry in entries:
        for name, value in _flat(entry):
            seen.setdefault(name, Counter())[value] += 1
    kind = GENERATORS.get(generator or "")
    grid = kind.factors if kind is not None and issubclass(kind, GridGenerator) else {}
    expected = {}
    for name, values in grid.items():
        kept = (subset or {}).get(name)
        part = values if kept is None else [v for i, v in enumerate(values) if i in kept]
        expected[f"{_VALUES}.{name}"] = part
    if any(name.startswith(_VALUES + ".") for name in seen):  # they say the same in words
        seen = {name: found for name, found in seen.items() if not name.startswith(_INDICES + ".")}
    return [_factor(name, found, expected.get(name)) for name, found in sorted(seen.items())]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each plain value with its path; objects are all called the same, coordinates are numbered."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        numbers = all(isinstance(item, int | float) for item in value)
        for place, item in enumerate(value):
            yield from _flat(item, f"{name}.{place}" if numbers else name)
    elif value is not None:
        yield name, value


def _factor(name: str, found: Counter, grid: Iterable[Any] | None) -> Factor:
    factor = Factor(name, different=len(found))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
    if grid is not None:
        # Metadata hold numbers to five decimals.
        known = {_word(round(v, 5) if isinstance(v, float) else v): 0 for v in grid}
        for value, count in found.items():
            known[_word(value)] = known.get(_word(value), 0) + count
        factor.counts = {word: count for word, count in known.items() if count}
        factor.never = [word for word, count in known.items() if not count]
    elif numbers and (len(found) > MOST_VALUES or any(isinstance(v, float) for v in found)):
        factor.least, factor.greatest = float(min(found)), float(max(found))
    elif len(found) <= MOST_VALUES:
        ordered = sorted(found.items(), key=lambda item: item[0] if numbers else _word(item[0]))
        factor.counts = {_word(value): count for value, count in ordered}
    return factor


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
