"""`comet models`: list, show, pull, push, import, export, verify and remove models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report, check_stdout
from comet_cli.cli.help import HelpGroup
from comet_cli.cli.models_text import describe, misfit_table, table
from comet_cli.errors import CometError, UsageError

app = typer.Typer(
    cls=HelpGroup,
    help="List, show, pull, push, import, export, verify, remove models.",
    no_args_is_help=True,
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print names or paths only.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace or delete a model.")]
Name = Annotated[str, typer.Argument(help="A model's name, its folder, or hf:org/name.")]


@app.command("list")
def list_(as_json: options.Json = False, quiet: Quiet = False) -> None:
    """List the models that -m finds by name."""
    from comet_cli.models import library

    with Report(as_json=as_json, quiet=quiet) as report:
        problems: list[str] = []
        entries = library.list_models(problems)
        for problem in problems:
            report.note(f"skipped: {problem}")
        if not entries:
            report.note(f"no model is installed (expected in {library.local_root()})")
        names = "\n".join(entry.name for entry in entries)
        document = {"models": [library.to_json(entry) for entry in entries]}
        if entries or as_json:
            report.show(document, names if quiet else table(entries))


@app.command()
def show(name: Name, as_json: options.Json = False) -> None:
    """Show a model's card, its figures and its components' names."""
    from comet_cli.models import library

    with Report(as_json=as_json) as report:
        facts = library.to_json(library.entry(library.find(name)))
        report.show(facts, describe(facts))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A checkpoint of the released training script.")],
    name: Annotated[str | None, typer.Option(help="Name; default: made from the file's.")] = None,
    components: Annotated[
        int | None, typer.Option(metavar="K", help="K, where the file does not tell.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="R", help="Image size, where the file does not tell.")
    ] = None,
    render_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps of a rendering.", show_default="30")
    ] = None,
    render_step_size: Annotated[
        float | None, typer.Option(metavar="X", help="Their size.", show_default="200")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, write nothing.")] = False,
    force: Force = False,
    as_json: options.Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a checkpoint of the paper's authors into a model.

    Nothing in the file is executed.
    """
    from comet_cli.official.importing import MisfitError, Told, import_official

    with Report(as_json=as_json, quiet=quiet) as report:
        told = Told(components, size, render_steps, render_step_size)
        try:
            card, folder = import_official(file, name, told=told, dry_run=dry_run, overwrite=force)
        except MisfitError as error:
            if not as_json:
                report.note(misfit_table(error.misfits))
            raise
        report.note(
            f"{card.name}: {card.encoder} encoder, {card.energy}, K {card.components}, "
            f"D {card.latent_dim}, R {card.image_size}, F {card.filter_dim}"
        )
        if card.defaults_from:
            report.note(f"not in the file, so defaults: {', '.join(card.defaults_from)}")
        if dry_run:
            report.note("dry run: nothing was written")
        facts = {"folder": str(folder), "written": not dry_run, "card": json.loads(card.to_json())}
        report.show(facts, str(folder))


@app.command()
def export(
    name: Name,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Checkpoint to write (.pth).")
    ],
    format_: Annotated[
        str,
        typer.Option("--format", metavar="KIND", help="official: as the paper's authors' code."),
    ] = "official",
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as a checkpoint for the paper's authors' code."""
    from comet_cli.formats.files import write_output
    from comet_cli.formats.overwriting import check_output
    from comet_cli.models import comet_model
    from comet_cli.official.exporting import LOST, official_bytes

    if format_ != "official":
        raise UsageError(f"unknown format '{format_}'; expected official")
    check_stdout(output, as_json)
    with Report(as_json=as_json, quiet=quiet) as report:
        check_output(output, force=force)
        model = comet_model.load(name, "cpu")
        write_output(output, official_bytes(model))
        report.note(f"their format has no place for {LOST}")
        report.wrote(output)


@app.command()
def pull(
    repository: Annotated[str, typer.Argument(help="org/name or org/name@revision on the Hub.")],
    name: Annotated[str | None, typer.Option(help="Local name; default: the repository's.")] = None,
    force: Force = False,
    as_json: options.Json = False,
    quiet: Quiet = False,
) -> None:
    """Get a model from the Hugging Face Hub.

    From then on it is used by its name, without a network.
    """
    from comet_cli.models.hub import silence
    from comet_cli.models.library import pull as pull_model

    with Report(as_json=as_json, quiet=quiet) as report:
        if quiet or as_json:
            silence()
        card, folder, origin = pull_model(repository, name, overwrite=force)
        report.note(f"{origin}: {card.description or card.name}")
        facts = {"name": folder.name, "folder": str(folder), "origin": str(origin)}
        report.show(facts, str(folder))


@app.command()
def push(
    name: Name,
    repository: Annotated[str, typer.Argument(help="org/name on the Hub; made if need be.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    as_json: options.Json = False,
    quiet: Quiet = False,
) -> None:
    """Upload a model to the Hugging Face Hub.

    Its README is made from its card.
    """
    from comet_cli.models import library
    from comet_cli.models.hub import push as push_model
    from comet_cli.models.hub import silence

    with Report(as_json=as_json, quiet=quiet) as report:
        if quiet or as_json:
            silence()
        found, url = push_model(library.find(name), repository, private=private or None)
        report.note(f"others get it with: comet models pull {repository.removeprefix('hf:')}")
        report.show({"origin": str(found), "url": url}, url)


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A model; default: all.")] = None,
    as_json: options.Json = False,
) -> None:
    """Check models' weights against the hashes in their cards.

    The exit code is 1 if any differs.
    """
    from comet_cli.models import folder as model_folder
    from comet_cli.models import library

    with Report(as_json=as_json) as report:
        problems: list[str] = []
        if name is None:
            folders = {entry.name: entry.folder for entry in library.list_models(problems)}
        else:
            folders = {name: library.find(name)}
        results: dict[str, str] = {}
        for key, folder in folders.items():
            try:
                model_folder.verify(folder)
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
    yes: Annotated[
        bool, typer.Option("--force", "-f", "--yes", "-y", help="Delete without being asked.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Delete a model that was pulled, imported or trained."""
    from comet_cli.models import library

    with Report(as_json=as_json) as report:
        folder = library.local_folder(name)
        # Only a person at a terminal can answer.
        asked = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
        if not yes and not (asked and typer.confirm(f"Delete {folder}?", err=True)):
            raise UsageError(f"this deletes {folder}; repeat it with --force if that is meant")
        removed = library.remove(name)
        report.show({"removed": str(removed)}, str(removed))
