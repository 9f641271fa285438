"""Registration of the verbs, and the entry point; nothing else.

``app`` has all verbs.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from comet_cli.cli import shells, warm_link
from comet_cli.cli.completion import words
from comet_cli.cli.console import print_error, print_result, run
from comet_cli.cli.help import HelpGroup
from comet_cli.cli.parser import adapt_parser
from comet_cli.cli.values import leave_values
from comet_cli.errors import CometError
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
    Verb("warm", MANY),
    Verb("train", MODELS),
    Verb("doctor", MODELS),
    Verb("models", MODELS),
    Verb("data", MODELS),
    Verb("evaluate", MODELS),
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


def _fill(app: typer.Typer, verb: Verb, what: Callable[..., None] | typer.Typer) -> None:
    if isinstance(what, typer.Typer):
        app.add_typer(what, name=verb.name, rich_help_panel=verb.heading)
    else:
        app.command(verb.name, rich_help_panel=verb.heading)(what)


def _with(verbs: Iterable[Verb]) -> typer.Typer:
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
    app.callback()(comet)
    for verb in verbs:
        module = import_module(f"comet_cli.cli.{verb.name}")
        _fill(app, verb, module.app if hasattr(module, "app") else getattr(module, verb.name))
    return app


@functools.cache
def _whole() -> typer.Typer:
    return _with(VERBS)


def __getattr__(name: str) -> typer.Typer:
    """Return ``app``, all verbs, made when it is asked for: a call of one verb needs only that."""
    if name == "app":
        return _whole()
    raise AttributeError(name)


def register(verb: Verb, what: Callable[..., None] | typer.Typer) -> None:
    """Make a function, or an app of further verbs, a verb of the command line."""
    _fill(_whole(), verb, what)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if argv is None:
        # Collecting cyclic garbage while torch is imported takes longer than our own start.
        gc.set_threshold(50_000, 20, 100)
        try:
            code = warm_link.hand_over(sys.argv[1:])
        except CometError as error:
            print_error(str(error))
            return error.exit_code
        if code is not None:
            return code
    args = sys.argv[1:] if argv is None else list(argv)
    asked = not args and os.environ.get(shells.VARIABLE) in shells.SCRIPTS
    words = shells.complete_words() if asked else args
    alone = [verb for verb in VERBS if words[:1] == [verb.name]]
    made = typer.main.get_command(_with(alone) if alone else _whole())
    command = adapt_parser(leave_values(made)).main
    return shells.answer(command) if asked else run(command, args)
