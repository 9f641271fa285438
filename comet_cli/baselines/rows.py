"""Rows of tables: trained folders measured, seeds put together, and how a table is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.baselines.trained import Trained, measured, read_trained, tell_seen
from comet_cli.errors import UsageError

Spread = tuple[float, float | None]  # mean and standard deviation over seeds
BUDGET = {
    "image_size": "pixels",
    "pictures": "pictures seen",
    "parameters": "parameters",
    "minutes": "minutes",
    "measured_pictures": "measured on",
}


@dataclass(frozen=True)
class Figure:
    """A column of figures: its key, its title, and what it is multiplied by, with decimals."""

    key: str
    title: str
    scale: float = 1.0
    decimals: int = 3

    def text(self, spread: Spread | None) -> str:
        """Return a mean and its deviation as a table shows them."""
        if spread is None:
            return ""
        mean, deviation = (None if v is None else f"{v:.{self.decimals}f}" for v in spread)
        return f"{mean}" if deviation is None else f"{mean} ± {deviation}"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what it shows.
        kind: which figures are measured.
        figures: its columns of figures.
        describe: a training -> its settings, by column; raises UsageError where it does not belong.
        paper: a training -> what the paper reports of such settings, in the columns' units.
    """

    title: str
    kind: str
    figures: tuple[Figure, ...]
    describe: Callable[[Trained], dict[str, str]]
    paper: Callable[[Trained], dict[str, Spread]]


@dataclass(frozen=True)
class Row:
    """One row: settings, folders, figures by key (of the paper too), and budget."""

    settings: dict[str, str]
    folders: list[str]
    figures: dict[str, Spread]
    paper: dict[str, Spread]
    budget: dict[str, float | None]


def make_rows(
    table: Table,
    folders: Sequence[Path],
    *,
    data: Path | None = None,
    split: str = "test",
    count: int | None = None,
    device: str = "auto",
    note: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Measure trained folders and return the rows of a table, in the order of the folders.

    Args:
        table: of :data:`comet_cli.baselines.tables.TABLES`.
        folders: of trainings.
        data: what is measured on; default each recipe's held-out pictures.
        split: of it.
        count: the most pictures; default all.
        device: ``auto``, ``cpu``, ``cuda[:n]`` or ``mps``.
        note: called with a sentence for each folder.
        progress: called with (done, total) folders.

    Raises:
        UsageError: two folders of the same training, or one that does not belong into the table.
        CometError: a folder that cannot be measured.
    """
    groups: dict[str, list[Trained]] = {}
    for folder in folders:
        trained = read_trained(folder)
        table.describe(trained)  # before the first is measured
        group = groups.setdefault(trained.group, [])
        for other in group:
            if other.seed == trained.seed:
                raise UsageError(
                    f"{other.folder} and {trained.folder} are the same training; name one of them"
                )
        group.append(trained)
    rows: list[Row] = []
    done = 0
    for group in groups.values():
        found = []
        for trained in group:
            if note is not None:
                note(f"measuring {trained.folder}")
                if data is not None:
                    tell_seen(trained.folder, data, split, count, note)
            found.append(
                measured(trained, table.kind, data=data, split=split, count=count, device=device)
            )
            done += 1
            if progress is not None:
                progress(done, len(folders))
        rows.append(_row(table, group, found))
    return rows


def _row(table: Table, group: list[Trained], found: list[dict[str, Any]]) -> Row:
    first = group[0]
    seconds = [trained.card.train_seconds for trained in group]
    return Row(
        settings=table.describe(first),
        folders=[trained.folder.name for trained in group],
        figures={
            figure.key: spread([figure.scale * one[figure.key] for one in found])
            for figure in table.figures
            if all(one[figure.key] is not None for one in found)
        },
        paper=table.paper(first),
        budget={
            "image_size": first.card.image_size,
            "pictures": first.pictures,
            "parameters": first.parameters,
            "minutes": round(float(np.mean(seconds)) / 60, 1),
            "measured_pictures": found[0]["count"],
        },
    )


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation; of one value there is no deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), deviation


def cells(table: Table, rows: Sequence[Row]) -> list[list[str]]:
    """Return the heading and the lines of a table; columns that nothing fills are left out."""
    heading = [*(rows[0].settings if rows else []), "seeds", *(f.title for f in table.figures)]
    reported = [f for f in table.figures if any(f.key in row.paper for row in rows)]
    heading += [f"paper's {f.title}" for f in reported]
    heading += BUDGET.values()
    lines = [
        [
            *row.settings.values(),
            str(len(row.folders)),
            *(f.text(row.figures.get(f.key)) for f in table.figures),
            *(f.text(row.paper.get(f.key)) for f in reported),
            *(_number(row.budget.get(key)) for key in BUDGET),
        ]
        for row in rows
    ]
    kept = [n for n in range(len(heading)) if any(line[n] for line in lines)]
    return [[line[n] for n in kept] for line in [heading, *lines]]


def _number(value: float | None) -> str:
    return (
        ""
        if value is None or math.isnan(value)
        else f"{value:,g}"
        if value < 1e4
        else f"{value:,.0f}"
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    heading, *rest = lines
    rule = ["---"] * len(heading)
    return "\n".join("| " + " | ".join(line) + " |" for line in [heading, rule, *rest])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns are as wide as their contents."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def document(table: Table, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a table as JSON values: figures and the paper's with mean and deviation."""

    def spreads(found: dict[str, Spread]) -> dict[str, dict[str, float | None]]:
        return {
            key: {
                "mean": round(mean, 4),
                "deviation": None if deviation is None else round(deviation, 4),
            }
            for key, (mean, deviation) in found.items()
        }

    return {
        "table": table.title,
        "rows": [
            {
                "settings": row.settings,
                "folders": row.folders,
                "figures": spreads(row.figures),
                "paper": spreads(row.paper),
                "budget": row.budget,
            }
            for row in rows
        ],
    }
