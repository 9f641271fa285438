"""Values of a command line that need no conversion.

Typer converts every value with pydantic, also text to text; its import alone would be most of what
``comet --help`` waits for. Where the value is as it should be already, pydantic is left out.
"""

from __future__ import annotations

from typing import Any, TypeVar

Command = TypeVar("Command", bound=Any)


def leave_values(command: Command) -> Command:
    """Let a command, and those in it, take text, and defaults, as they are; return it."""
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
        if not _fits(value, kind, bool(parameter.required)):
            return usual(ctx, value)
        value = list(value) if kind == list[str] else value
        return value if parameter.callback is None else parameter.callback(ctx, parameter, value)

    return process


def _fits(value: Any, kind: Any, required: bool) -> bool:
    if kind == list[str]:
        return type(value) in (list, tuple) and bool(value) and all(type(v) is str for v in value)
    if value is None:
        return not required and kind in (bool, str, int, float)
    return kind in (bool, str, int, float) and type(value) is kind
