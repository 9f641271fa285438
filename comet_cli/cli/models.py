"""`comet models`: list, show, import, verify and remove models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report
from comet_cli.errors import CometError, UsageError

if TYPE_CHECKING:
    from comet_cli.models.store import ModelEntry

app = typer.Typer(help="List, show, import, verify and remove models.", no_args_is_help=True)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print names or paths only.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace or delete a model.")]
Name = Annotated[str, typer.Argument(help="A model's name, or the path of a model folder.")]
HEADLINES = (
    ("PSNR {:.1f} dB", "reconstruction", "psnr"),
    ("foreground ARI {:.3f}", "segmentation", "ari_foreground"),
)


@app.command("list")
def list_(as_json: options.Json = False, quiet: Quiet = False) -> None:
    """List the models that -m finds by name."""
    from comet_cli.models import store

    with Report(as_json=as_json, quiet=quiet) as report:
        problems: list[str] = []
        entries = store.list_models(problems)
        for problem in problems:
            report.note(f"skipped: {problem}")
        if not entries:
            report.note(f"no model is installed (expected in {store.local_root()})")
        names = "\n".join(entry.name for entry in entries)
        document = {"models": [store.to_json(entry) for entry in entries]}
        if entries or as_json:
            report.show(document, names if quiet else _table([_row(e) for e in entries]))


@app.command()
def show(name: Name, as_json: options.Json = False) -> None:
    """Show every fact of a model's card."""
    from comet_cli.models import store

    with Report(as_json=as_json) as report:
        facts = store.to_json(store.entry(store.find(name)))
        first = ["name", "description", "folder", "origin", "bytes"]
        keys = first + sorted(set(facts) - set(first) - {"format", "version"})
        report.show(facts, "\n".join(f"{key:<18}{_text(facts[key])}" for key in keys))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A checkpoint of the released training script.")],
    name: Annotated[str | None, typer.Option(help="Name; default: made from the file's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, write nothing.")] = False,
    force: Force = False,
    as_json: options.Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a checkpoint of the paper's authors into a model; nothing in it is executed."""
    from comet_cli.models.official import import_official

    with Report(as_json=as_json, quiet=quiet) as report:
        card, folder = import_official(file, name, dry_run=dry_run, overwrite=force)
        report.note(
            f"{card.name}: {card.encoder} encoder, {card.energy}, K {card.components}, "
            f"D {card.latent_dim}, R {card.image_size}, F {card.filter_dim}"
        )
        report.note(f"not in the file, so defaults: {', '.join(card.defaults_from)}")
        if dry_run:
            report.note("dry run: nothing was written")
        facts = {"folder": str(folder), "written": not dry_run, "card": json.loads(card.to_json())}
        report.show(facts, str(folder))


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A model; default: all.")] = None,
    as_json: options.Json = False,
) -> None:
    """Compare weights with the hashes in their cards; exit code 1 if any differs."""
    from comet_cli.models import store

    with Report(as_json=as_json) as report:
        problems: list[str] = []
        if name is None:
            folders = {entry.name: entry.folder for entry in store.list_models(problems)}
        else:
            folders = {name: store.find(name)}
        results: dict[str, str] = {}
        for key, folder in folders.items():
            try:
                store.verify(folder)
                results[key] = "ok"
            except CometError as error:
                results[key] = str(error)
        ok = not problems and all(result == "ok" for result in results.values())
        lines = [f"{key}: {result}" for key, result in results.items()] + problems
        report.show({"ok": ok, "models": results, "problems": problems}, "\n".join(lines))
    if not ok:
        raise typer.Exit(1)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A local model's name.")],
    force: Force = False,
    as_json: options.Json = False,
) -> None:
    """Delete a model that was pulled, imported or trained."""
    from comet_cli.models import store

    with Report(as_json=as_json) as report:
        if not force:
            folder = store.local_root() / store.check_name(name)
            raise UsageError(f"this deletes {folder}; repeat it with --force if that is meant")
        removed = store.remove(name)
        report.show({"removed": str(removed)}, str(removed))


def headline(figures: dict[str, Any]) -> str:
    """Return a card's first figures in one line: ``PSNR 31.2 dB, ARI 0.950``."""
    parts = []
    for words, group, key in HEADLINES:
        value = figures.get(group, {}).get(key) if isinstance(figures.get(group), dict) else None
        if isinstance(value, int | float):
            parts.append(words.format(value))
    return ", ".join(parts) or "-"


def _row(entry: ModelEntry) -> list[str]:
    from comet_cli.models import store

    card = entry.card
    encoder = card.attention if card.encoder == "recurrent" else card.encoder
    shape = [str(n) for n in (card.components, card.latent_dim, card.image_size)]
    size = f"{store.weights_size(entry.folder) / 1e6:.1f} MB"
    facts = [encoder, card.energy, entry.origin, size, headline(card.figures)]
    return [entry.name, *shape, *facts]


def _table(rows: list[list[str]]) -> str:
    """Return columns as wide as their contents, under a heading; never wrapped."""
    rows = [["NAME", "K", "D", "R", "ENCODER", "ENERGY", "ORIGIN", "SIZE", "FIGURES"], *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
