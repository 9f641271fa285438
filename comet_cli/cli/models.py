"""`comet models`: list, show, pull, push, import, export, verify and remove models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from comet_cli.cli.completion import complete_models
from comet_cli.cli.console import check_stdout
from comet_cli.cli.help import HelpGroup
from comet_cli.cli.models_text import describe, misfit_table, table
from comet_cli.cli.verb import REPORT, Call, verb
from comet_cli.errors import CometError, UsageError

app = typer.Typer(
    cls=HelpGroup,
    help="List, show, pull, push, import, export, verify, remove models.",
    no_args_is_help=True,
)

Force = Annotated[bool, typer.Option("--force", "-f", help="Replace a model of that name.")]
Name = Annotated[
    str,
    typer.Argument(
        help="A model's name, its folder, or hf:org/name.", autocompletion=complete_models
    ),
]


@app.command("list")
@verb(*REPORT)
def list_(call: Call) -> None:
    """List the models that -m finds by name."""
    from comet_cli.models import library

    problems: list[str] = []
    entries = library.list_models(problems)
    for problem in problems:
        call.report.note(f"skipped: {problem}")
    if not entries:
        call.report.note(f"no model is installed (expected in {library.local_root()})")
    names = "\n".join(entry.name for entry in entries)
    document = {"models": [library.to_json(entry) for entry in entries]}
    if entries or call.as_json:
        call.report.show(document, names if call.quiet else table(entries))


@app.command()
@verb("as_json")
def show(call: Call, name: Name) -> None:
    """Show a model's card, its figures and its components' names."""
    from comet_cli.models import library

    found = library.entry(library.find(name))
    facts = library.to_json(found)
    call.report.show(facts, describe(facts, found.card))


@app.command("import")
@verb(*REPORT)
def import_(
    call: Call,
    file: Annotated[Path, typer.Argument(help="A checkpoint of the authors' training script.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the model; default: from the file's name.")
    ] = None,
    components: Annotated[
        int | None, typer.Option(metavar="K", help="How many components, if the file does not say.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="R", help="Image size, if the file does not say.")
    ] = None,
    render_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps of a rendering.", show_default="30")
    ] = None,
    render_step_size: Annotated[
        float | None,
        typer.Option(metavar="X", help="Step size of a rendering.", show_default="200"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, write nothing.")] = False,
    force: Force = False,
) -> None:
    """Turn a checkpoint of the paper's authors into a model.

    Nothing in the file is executed.
    """
    from comet_cli.official.importing import MisfitError, Told, import_official

    told = Told(components, size, render_steps, render_step_size)
    try:
        card, folder = import_official(file, name, told=told, dry_run=dry_run, overwrite=force)
    except MisfitError as error:
        if not call.as_json:
            call.report.note(misfit_table(error.misfits))
        raise
    call.report.note(
        f"{card.name}: {card.encoder} encoder, {card.energy}, K {card.components}, "
        f"D {card.latent_dim}, R {card.image_size}, F {card.filter_dim}"
    )
    if card.defaults_from:
        call.report.note(f"not in the file, so defaults: {', '.join(card.defaults_from)}")
    if dry_run:
        call.report.note("dry run: nothing was written")
    facts = {"folder": str(folder), "written": not dry_run, "card": json.loads(card.to_json())}
    call.report.show(facts, str(folder))


@app.command()
@verb("force", *REPORT)
def export(
    call: Call,
    name: Name,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Checkpoint to write (.pth).")
    ],
    format_: Annotated[
        str,
        typer.Option("--format", metavar="KIND", help="official: for the paper authors' code."),
    ] = "official",
) -> None:
    """Write a model as a checkpoint for the paper's authors' code."""
    from comet_cli.formats.files import write_output
    from comet_cli.formats.overwriting import check_output
    from comet_cli.models import comet_model, library
    from comet_cli.official.exporting import LOST, official_bytes

    if format_ != "official":
        raise UsageError(f"unknown format '{format_}'; expected official")
    check_stdout(output, call.as_json)
    data = official_bytes(comet_model.load(name, "cpu"))
    inputs = [str(path) for path in library.find(name).iterdir()]
    check_output(
        output, force=call.force, inputs=inputs, is_ours=lambda path: path.read_bytes() == data
    )
    write_output(output, data)
    call.report.note(f"their format has no place for {LOST}")
    call.report.wrote(output)


@app.command()
@verb(*REPORT)
def pull(
    call: Call,
    repository: Annotated[str, typer.Argument(help="org/name or org/name@revision on the Hub.")],
    name: Annotated[str | None, typer.Option(help="Local name; default: the repository's.")] = None,
    force: Force = False,
) -> None:
    """Get a model from the Hugging Face Hub.

    From then on it is used by its name, without a network.
    """
    from comet_cli.models.hub import silence
    from comet_cli.models.library import pull as pull_model

    if call.quiet or call.as_json:
        silence()
    card, folder, origin = pull_model(repository, name, overwrite=force)
    call.report.note(f"{origin}: {card.description or card.name}")
    facts = {"name": folder.name, "folder": str(folder), "origin": str(origin)}
    call.report.show(facts, str(folder))


@app.command()
@verb(*REPORT)
def push(
    call: Call,
    name: Name,
    repository: Annotated[
        str, typer.Argument(help="org/name on the Hub; created if it does not exist.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
) -> None:
    """Upload a model to the Hugging Face Hub.

    Its README is made from its card.
    """
    from comet_cli.models import library
    from comet_cli.models.hub import push as push_model
    from comet_cli.models.hub import silence

    if call.quiet or call.as_json:
        silence()
    found, url = push_model(library.find(name), repository, private=private or None)
    call.report.note(f"others get it with: comet models pull {repository.removeprefix('hf:')}")
    call.report.show({"origin": str(found), "url": url}, url)


@app.command()
@verb("as_json")
def verify(
    call: Call,
    name: Annotated[
        str | None, typer.Argument(help="A model; default: all.", autocompletion=complete_models)
    ] = None,
) -> None:
    """Check models' weights against the hashes in their cards.

    The exit code is 1 if any differs.
    """
    from comet_cli.models import folder as model_folder
    from comet_cli.models import library

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
    call.report.show({"ok": ok, "models": results, "problems": problems}, "\n".join(lines))
    if not ok:
        call.report.exit_code = 1


@app.command()
@verb("as_json")
def remove(
    call: Call,
    name: Annotated[
        str, typer.Argument(help="A local model's name.", autocompletion=complete_models)
    ],
    yes: Annotated[
        bool, typer.Option("--force", "-f", "--yes", "-y", help="Delete without being asked.")
    ] = False,
) -> None:
    """Delete a model that was pulled, imported or trained."""
    from comet_cli.models import library

    folder = library.local_folder(name)
    # Only a person at a terminal can answer.
    asked = sys.stdin.isatty() and sys.stderr.isatty() and not call.as_json
    if asked and not yes and not typer.confirm(f"Delete {folder}?", err=True):
        call.report.note(f"kept {folder}")
        call.report.exit_code = 1
        return
    if not asked and not yes:
        raise UsageError(f"this deletes {folder}; repeat it with --force if that is meant")
    removed = library.remove(name)
    call.report.show({"removed": str(removed)}, str(removed))
