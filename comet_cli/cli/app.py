"""Registration of the verbs, and the entry point; nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from comet_cli.cli import shells
from comet_cli.cli.completion import words
from comet_cli.cli.console import print_result, run, takes_selections
from comet_cli.cli.help import HelpGroup
from comet_cli.version import __version__


class Verb(NamedTuple):
    """A verb: its name, and its heading in the help.

    The module of that name in ``cli/`` holds a function of that name, or an ``app`` of verbs.
    """

    name: str
    heading: str


EVERYDAY, LOOK, MANY, MODELS = "Everyday", "Look closer", "Many pictures", "Models and data"
VERBS = (
    Verb("encode", EVERYDAY),
    Verb("compose", EVERYDAY),
    Verb("decompose", EVERYDAY),
    Verb("recombine", EVERYDAY),
    Verb("replay", EVERYDAY),
    Verb("gradients", LOOK),
    Verb("inspect", LOOK),
    Verb("score", LOOK),
    Verb("nearest", LOOK),
    Verb("batch", MANY),
    Verb("gallery", MANY),
    Verb("figure", MANY),
    Verb("train", MODELS),
    Verb("doctor", MODELS),
    Verb("models", MODELS),
    Verb("data", MODELS),
    Verb("evaluate", MODELS),
)

app = typer.Typer(
    name="comet",
    cls=HelpGroup,
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


def register(verb: Verb, what: Callable[..., None] | typer.Typer) -> None:
    """Make a function, or an app of further verbs, a verb of the command line."""
    if isinstance(what, typer.Typer):
        app.add_typer(what, name=verb.name, rich_help_panel=verb.heading)
    else:
        app.command(verb.name, rich_help_panel=verb.heading)(what)


for verb in VERBS:
    module = import_module(f"comet_cli.cli.{verb.name}")
    register(verb, module.app if hasattr(module, "app") else getattr(module, verb.name))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = takes_selections(typer.main.get_command(app)).main
    args = sys.argv[1:] if argv is None else list(argv)
    if not args and os.environ.get(shells.VARIABLE) in shells.SCRIPTS:
        return shells.answer(command)
    return run(command, args)
