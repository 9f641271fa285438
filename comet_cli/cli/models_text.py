"""What `comet models list` and `comet models show` print."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comet_cli.formats.files import show
from comet_cli.models.card import without_effect

if TYPE_CHECKING:
    from comet_cli.models.card import ModelCard
    from comet_cli.models.library import ModelEntry
    from comet_cli.official.importing import Misfit

HEADLINES = (
    ("PSNR {:.1f} dB", "reconstruction", "psnr"),
    ("ARI, objects only {:.3f}", "segmentation", "ari_foreground"),
)
HEADING = ("NAME", "K", "D", "R", "ENCODER", "ENERGY", "DATA", "SIZE", "ORIGIN", "HASH", "FIGURES")
MOST_DATA = 24  # characters
FIRST = ("name", "description", "folder", "origin", "bytes", "sample_sheet")
DEFAULT = "  (not in the checkpoint, so a default)"


def headline(figures: dict[str, Any]) -> str:
    """Return a card's first figures in one line: ``PSNR 31.2 dB; ARI, objects only 0.950``."""
    parts = []
    for words, group, key in HEADLINES:
        value = figures.get(group, {}).get(key) if isinstance(figures.get(group), dict) else None
        if isinstance(value, int | float):
            parts.append(words.format(value))
    return "; ".join(parts) or "-"


def table(entries: Sequence[ModelEntry]) -> str:
    """Return a line a model: columns as wide as their contents, under a heading; never wrapped."""
    return _aligned([HEADING, *(_row(entry) for entry in entries)])


def misfit_table(misfits: Sequence[Misfit]) -> str:
    """Return a line for each entry of a checkpoint that does not fit."""
    heading = ("ENTRY", "PROBLEM", "FOUND", "EXPECTED")
    rows = [(show(m.entry), m.kind, m.found or "-", m.expected or "-") for m in misfits]
    return "entries that do not fit:\n" + _aligned([heading, *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(entry: ModelEntry) -> tuple[str, ...]:
    from comet_cli.models import folder as model_folder

    card = entry.card
    return (
        entry.name,
        str(card.components),
        str(card.latent_dim),
        str(card.image_size),
        card.attention if card.encoder == "recurrent" else card.encoder,
        card.energy,
        _data(card.dataset) or "-",
        f"{model_folder.weights_size(entry.folder) / 1e6:.1f} MB",
        re.sub(r"(?<=@[0-9a-f]{8})[0-9a-f]{32}$", "", entry.origin),
        card.weights_sha256[:12] or "-",
        headline(card.figures),
    )


def _data(dataset: str) -> str:
    """Return what data a card names, without how they were made, which follows in brackets."""
    name = re.split(r" \(|[,;] ", show(dataset))[0]
    return name if len(name) <= MOST_DATA else name[: MOST_DATA - 1] + "…"


def describe(facts: dict[str, Any], card: ModelCard) -> str:
    """Return all facts of a model, a line each, then its components' names and its figures.

    Args:
        facts: see :func:`comet_cli.models.library.to_json`.
        card: the card that they are of.
    """
    if card.colours:  # K is a limit: a picture has as many as it has objects, and the ground
        facts = {**facts, "components": f"up to {card.components}"}
    assumed = facts["defaults_from"]
    elsewhere = {*FIRST, "format", "version"} | ({"figures"} if facts["figures"] else set())
    elsewhere |= without_effect(facts)
    keys = [*FIRST, *sorted(set(facts) - elsewhere)]
    lines = [
        f"{key:<18}{_text(facts[key])}{DEFAULT if key in assumed else ''}"
        for key in keys
        if facts[key] is not None
    ]
    names = card.names_of(card.components)
    lines += [f"component {k:<8}{name}" for k, name in enumerate(names)]
    return "\n".join([*lines, *figures_table(facts["figures"])])


def figures_table(figures: dict[str, Any]) -> list[str]:
    """Return a card's figures, a line each under a heading, then a table for each of its lists."""
    rows: list[tuple[str, str, str]] = []
    tables: list[str] = []
    _collect(figures, (), rows, tables)
    plain = ["", *_aligned([("FIGURES", "", ""), *rows]).split("\n")] if rows else []
    return [*plain, *tables]


def _collect(
    figures: dict[str, Any],
    place: tuple[str, ...],
    rows: list[tuple[str, str, str]],
    tables: list[str],
) -> None:
    """Sort figures into lines (what was measured, name, value) and tables of several like these."""
    for name, value in figures.items():
        if not isinstance(value, dict):
            rows.append((show(" ".join(place)), show(name), _cell(value)))
        elif place and len(value) > 1 and all(isinstance(row, dict) for row in value.values()):
            columns = list(dict.fromkeys(key for row in value.values() for key in row))
            heading = (show(" ".join((*place, name))).upper(), *map(show, columns))
            cells = [
                (show(key), *(_cell(row.get(column)) for column in columns))
                for key, row in value.items()
            ]
            tables += ["", *_aligned([heading, *cells]).split("\n")]
        else:
            _collect(value, (*place, name), rows, tables)


def _cell(value: object) -> str:
    return "-" if value is None else show(_text(value))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
