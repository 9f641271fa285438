"""Registration of the verbs, and the entry point; nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from comet_cli.cli import (
    batch,
    compose,
    data,
    decompose,
    doctor,
    encode,
    evaluate,
    figure,
    gallery,
    gradients,
    inspect,
    models,
    nearest,
    recombine,
    replay,
    score,
    shells,
    train,
)
from comet_cli.cli.completion import words
from comet_cli.cli.console import print_result, run
from comet_cli.version import __version__

app = typer.Typer(
    name="comet",
    help="Take pictures apart into components, and put components of any pictures together.",
    rich_markup_mode=None,  # Rich would delete [0,2] from help texts
    pretty_exceptions_enable=False,
    add_completion=False,  # its scripts do not fit; ours are in shells.py
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"comet {__version__}")
        raise typer.Exit


def _show_completion(context: typer.Context, shell: str | None) -> None:
    if shell is not None and not context.resilient_parsing:
        print_result(shells.script(shell).rstrip())
        raise typer.Exit


def _install_completion(context: typer.Context, shell: str | None) -> None:
    if shell is not None and not context.resilient_parsing:
        for path in shells.install(shell):
            print_result(str(path))
        raise typer.Exit


@app.callback()
def comet(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
    install_completion: Annotated[
        str | None,
        typer.Option(
            metavar="SHELL",
            help="Set completion up for bash, zsh or fish.",
            is_eager=True,
            callback=_install_completion,
            autocompletion=words(*shells.SCRIPTS),
        ),
    ] = None,
    show_completion: Annotated[
        str | None,
        typer.Option(
            metavar="SHELL",
            help="Print what --install-completion writes.",
            is_eager=True,
            callback=_show_completion,
            autocompletion=words(*shells.SCRIPTS),
        ),
    ] = None,
) -> None:
    """Take pictures apart into components, and put components of any pictures together."""


for verb in (
    *(encode, compose, batch, decompose, gradients, recombine, figure),
    *(inspect, replay, score, nearest, gallery, doctor),
):
    app.command(verb.__name__.rpartition(".")[2])(getattr(verb, verb.__name__.rpartition(".")[2]))

for name, group in (("models", models), ("data", data), ("evaluate", evaluate)):
    app.add_typer(group.app, name=name)
app.command("train")(train.train)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = typer.main.get_command(app).main
    args = sys.argv[1:] if argv is None else list(argv)
    if not args and os.environ.get(shells.VARIABLE) in shells.SCRIPTS:
        return shells.answer(command)
    return run(command, args)
