"""The cells of a recombination: which component of which picture stands in which cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comet_cli.errors import FileFormatError, SelectionError, UsageError
from comet_cli.formats.picture_recipe import PictureRecipe, RecipeRow, RecipeTerm
from comet_cli.inputs.modifiers import write_blend
from comet_cli.inputs.selection import parse_listing, write_selection
from comet_cli.verbs.compose_recipe import blend
from comet_cli.verbs.sheet_parts import component_labels, row_label

LAYOUTS = ("swap", "add", "all", "interpolate")
MAX_MIXED = 10  # components: 1,024 mixtures
MAX_INTERPOLATION = 64
Source = tuple[int, int]  # row of the recipe, position among its terms


@dataclass(frozen=True)
class Cell:
    """One composition of a grid.

    Attributes:
        terms: its terms.
        selection: the arguments of ``comet compose`` that make it.
    """

    terms: tuple[RecipeTerm, ...]
    selection: str

    @property
    def key(self) -> tuple[tuple[int, bytes, int, float], ...]:
        """Return what is the same exactly for cells that show the same picture."""
        return tuple(sorted((t.model, t.z.tobytes(), t.component, t.weight) for t in self.terms))


@dataclass(frozen=True)
class Grid:
    """Rows of cells with their labels.

    Attributes:
        columns: a label a column.
        rows: a label a row.
        cells: rows of compositions, not all of the same length.
        inputs: rows of the recipe whose pictures stand before each row.
        lead: labels of those pictures.
    """

    columns: Sequence[str]
    rows: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    inputs: Sequence[tuple[int, ...]] = ()
    lead: Sequence[str] = ()


def lay_out_cells(recipe: PictureRecipe) -> Grid:
    """Return the cells of a ``recombine`` recipe.

    Raises:
        SelectionError: ``components`` that an input does not have.
        UsageError: inputs that the layout cannot take.
        FileFormatError: settings that cannot be.
    """
    layout = recipe.choice("layout", LAYOUTS)
    positions = exchanged(recipe)
    if layout in ("all", "interpolate") and len(recipe.rows) != 2:
        raise UsageError(f"--{layout} takes two pictures, not {len(recipe.rows)}")
    if layout == "swap":
        return _swaps(recipe, positions)
    if layout == "add":
        return _series(recipe, positions)
    if layout == "all":
        return _mixtures(recipe, positions)
    return _interpolations(recipe, positions)


def row_labels(recipe: PictureRecipe) -> list[str]:
    """Return the inputs' names without their endings."""
    return [row_label(row.name) for row in recipe.rows]


def exchanged(recipe: PictureRecipe) -> list[list[int]]:
    """Return where the components that are exchanged stand among the terms of each row."""
    return [_positions(recipe, row) for row in recipe.rows]


def _positions(recipe: PictureRecipe, row: RecipeRow) -> list[int]:
    """Return where the components that are exchanged stand among a row's terms."""
    listing = recipe.settings.get("components")
    if listing is None:
        return list(range(len(row.terms)))
    if not isinstance(listing, str):
        raise FileFormatError("the recipe's setting 'components' is no list of components")
    known = {t.component: n for n, t in reversed(list(enumerate(row.terms)))}
    labels = {t.component: t.label for t in row.terms}
    count = max(known) + 1
    names = [labels.get(k, "") for k in range(count)] if any(labels.values()) else []
    picked = parse_listing(listing, "--components").pick(count, names)
    for k, _ in picked:
        if k not in known:
            raise SelectionError(
                f"--components asks for component {k}, which is not among those taken of "
                f"'{row.name}' ({', '.join(map(str, sorted(known)))})"
            )
    return list(dict.fromkeys(known[k] for k, _ in picked))


def cell_of(recipe: PictureRecipe, sources: Sequence[Source]) -> Cell:
    """Return the composition of some of a recipe's terms."""
    terms = tuple(recipe.rows[n].terms[k] for n, k in sources)
    return Cell(terms, _selection(recipe, sources))


def _selection(recipe: PictureRecipe, sources: Sequence[Source]) -> str:
    words = []
    for n in sorted({n for n, _ in sources}):
        row = recipe.rows[n]
        picked = [(row.terms[k].component, row.terms[k].weight) for m, k in sources if m == n]
        words.append(write_selection(row.name, picked))
    return " ".join(words)


def whole_of(recipe: PictureRecipe, n: int) -> list[Source]:
    """Return all terms of a row."""
    return [(n, k) for k in range(len(recipe.rows[n].terms))]


def swapped(whole: Sequence[Source], position: int, source: Source) -> list[Source]:
    """Return the same with another source in one position."""
    return [*whole[:position], source, *whole[position + 1 :]]


def _swaps(recipe: PictureRecipe, positions: Sequence[Sequence[int]]) -> Grid:
    """Lay out a row an ordered pair; in column k the first has the second's k-th component."""
    labels = row_labels(recipe)
    count = len(labels)
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    if not pairs:
        raise FileFormatError("the recipe swaps components of one picture only")
    cells = []
    for a, b in pairs:
        whole = whole_of(recipe, a)
        cells.append([cell_of(recipe, whole)])
        for mine, theirs in zip(positions[a], positions[b], strict=False):
            cells[-1].append(cell_of(recipe, swapped(whole, mine, (b, theirs))))
    shown = any(row.picture for row in recipe.rows)
    most = max(map(len, cells)) - 1  # an input may have more than any other has to give
    names = component_labels(recipe, [places[:most] for places in positions])
    return Grid(
        columns=["unchanged", *(f"swap {name}" for name in names)],
        rows=[labels[a] if shown else f"{labels[a]}, {labels[b]}" for a, b in pairs],
        cells=cells,
        inputs=pairs if shown else (),
        lead=["input", "taken from"] if shown else (),
    )


def _series(recipe: PictureRecipe, positions: Sequence[Sequence[int]]) -> Grid:
    """Lay out a row an input; in column k its components 0 to k."""
    names = component_labels(recipe, positions, "component ")
    cells = [
        [cell_of(recipe, [(n, k) for k in places[: j + 1]]) for j in range(len(places))]
        for n, places in enumerate(positions)
    ]
    shown = any(row.picture for row in recipe.rows)
    return Grid(
        columns=[names[0], *(f"+ {name}" for name in names[1:])],
        rows=row_labels(recipe),
        cells=cells,
        inputs=[(n,) for n in range(len(recipe.rows))] if shown else (),
        lead=["input"] if shown else (),
    )


def _mixtures(recipe: PictureRecipe, positions: Sequence[Sequence[int]]) -> Grid:
    """Lay out all 2^n: rows say what the first components are taken from, columns the others."""
    pairs = list(zip(*positions, strict=False))
    if len(pairs) > MAX_MIXED:
        raise UsageError(
            f"--all of {len(pairs)} components is {2 ** len(pairs)} pictures, expected at most "
            f"{2**MAX_MIXED}; restrict it: --components 0-{MAX_MIXED - 1}"
        )
    names, other = component_labels(recipe, positions), row_labels(recipe)[1]
    half = len(pairs) // 2
    cells: list[list[Cell]] = []
    for high in range(2**half):
        cells.append([])
        for low in range(2 ** (len(pairs) - half)):
            taken = high | low << half
            sources = whole_of(recipe, 0)
            for j, (mine, theirs) in enumerate(pairs):
                if taken >> j & 1:
                    sources = swapped(sources, mine, (1, theirs))
            cells[-1].append(cell_of(recipe, sources))
    return Grid(
        columns=[_taken(names[half:], low, other) for low in range(len(cells[0]))],
        rows=[_taken(names[:half], high, other) for high in range(len(cells))],
        cells=cells,
    )


def _taken(names: Sequence[str], bits: int, other: str) -> str:
    found = [name for j, name in enumerate(names) if bits >> j & 1]
    return f"{', '.join(found)} of {other}" if found else "–"


def _interpolations(recipe: PictureRecipe, positions: Sequence[Sequence[int]]) -> Grid:
    """Lay out a row a component, from the first picture's value to the second's."""
    steps = recipe.setting("interpolate", int, low=2, high=MAX_INTERPOLATION)
    # Four digits, so that what is printed is what is used.
    parts = [round(n / (steps - 1), 4) for n in range(steps)]
    whole, cells = whole_of(recipe, 0), []
    for mine, theirs in zip(*positions, strict=False):
        cells.append([_between(recipe, whole, mine, theirs, part) for part in parts])
    return Grid(
        columns=[f"{part:g}" for part in parts],
        rows=component_labels(recipe, positions, "component ")[: len(cells)],
        cells=cells,
    )


def _between(
    recipe: PictureRecipe, whole: Sequence[Source], mine: int, theirs: int, part: float
) -> Cell:
    end = cell_of(recipe, swapped(whole, mine, (1, theirs)))
    a, b = recipe.rows[0].terms[mine], recipe.rows[1].terms[theirs]
    mixed = blend(a, b, part)
    if part in (0, 1):
        return end if part else cell_of(recipe, whole)
    rest = _selection(recipe, [source for source in whole if source != (0, mine)])
    first, second = _selection(recipe, [(0, mine)]), _selection(recipe, [(1, theirs)])
    terms = tuple(mixed if k == mine else recipe.rows[0].terms[k] for _, k in whole)
    return Cell(terms, f"{rest} {write_blend(first, second, part)}".strip())
