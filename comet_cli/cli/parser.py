"""The parser of command lines: Typer's, but it takes ``-:0,2``, and no output twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from comet_cli.errors import UsageError

Command = TypeVar("Command", bound=Any)
# Options that name what is written.
OUTPUTS = ("output", "out", "trace", "each", "masks", "npz", "html")


def adapt_parser(command: Command) -> Command:
    """Let a command, and those in it, parse as comet does; return it.

    ``-:0,2`` is an argument: no option is called so. An output that is named twice is refused: one
    of the two would not be written. Of other options the last counts, as usual, so that a script
    can overrule what an alias says.
    """
    for inner in getattr(command, "commands", {}).values():
        adapt_parser(inner)
    if hasattr(command, "commands"):
        return command
    usual = command.make_parser

    def make_parser(context: Any) -> Any:
        parser = usual(context)
        options, parse = parser._process_opts, parser.parse_args

        def process(word: str, state: Any) -> None:
            if word.startswith(("-:", "-[", "-*", "-@")):  # standard input, with a selection
                state.largs.append(word)
            else:
                options(word, state)

        def parse_args(args: list[str]) -> Any:
            values, rest, order = parse(args=args)
            if not context.resilient_parsing:  # completion of a line that is not finished
                check_once(order)
            return values, rest, order

        parser._process_opts, parser.parse_args = process, parse_args
        return parser

    command.make_parser = make_parser
    return command


def check_once(order: Sequence[Any]) -> None:
    """Check that no output is named twice.

    Args:
        order: the parameters, as often as they were given.

    Raises:
        UsageError: one is.
    """
    for parameter, times in Counter(order).items():
        if times > 1 and parameter.name in OUTPUTS:
            name = min(parameter.opts, key=len)
            raise UsageError(f"{name} is given twice, and names one output; leave one of them away")
