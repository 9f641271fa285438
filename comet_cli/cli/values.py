"""Values of a command line: those that need no conversion, and those that nobody meant.

Typer converts every value with pydantic, also text to text; its import alone would be most of what
``comet --help`` waits for. Where the value is as it should be already, pydantic is left out.
"""

from __future__ import annotations

from typing import Any, TypeVar

from comet_cli.errors import UsageError

Command = TypeVar("Command", bound=Any)


def leave_values(command: Command) -> Command:
    """Let a command, and those in it, take text, and defaults, as they are; return it.

    An empty text is refused, on a command line and in a line of a batch.
    """
    listed = command.get_params  # with --help, which is made when they are asked for

    def get_params(ctx: Any) -> Any:
        parameters = listed(ctx)
        for parameter in parameters:
            kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
            if kind is not None and "process_value" not in vars(parameter):
                parameter.process_value = _processing(parameter, kind)
        return parameters

    command.get_params = get_params
    for inner in getattr(command, "commands", {}).values():
        leave_values(inner)
    return command


def _processing(parameter: Any, kind: Any) -> Any:
    usual = parameter.process_value

    def process(ctx: Any, value: Any) -> Any:
        if ctx.resilient_parsing and value is None:  # completion: what is not typed yet
            return None
        if not ctx.resilient_parsing:
            _refuse_empty(parameter, value)
        if not _fits(value, kind, bool(parameter.required)):
            return usual(ctx, value)
        value = list(value) if kind == list[str] else value
        return value if parameter.callback is None else parameter.callback(ctx, parameter, value)

    return process


def _refuse_empty(parameter: Any, value: Any) -> None:
    """Refuse an empty text: as a path it would be the working folder.

    What is called TEXT may be empty, and what is so where nothing is given.

    Raises:
        UsageError: it is empty.
    """
    given = value if isinstance(value, list | tuple) else [value]
    if "" not in given or parameter.metavar == "TEXT" or parameter.default == "":
        return
    is_option = parameter.param_type_name == "option"
    name = min(parameter.opts, key=len) if is_option else "an argument"
    raise UsageError(f"{name} is empty; a shell variable in it may not be set")


def _fits(value: Any, kind: Any, required: bool) -> bool:
    if kind == list[str]:
        return type(value) in (list, tuple) and bool(value) and all(type(v) is str for v in value)
    if value is None:
        return not required and kind in (bool, str, int, float)
    return kind in (bool, str, int, float) and type(value) is kind
