"""A line of a batch, read by the parser of ``comet compose``: new options need nothing here."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from comet_cli.batch.lists import Line, check_length
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.compose import compose
from comet_cli.cli.console import protect
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD, show
from comet_cli.formats.strict_json import parse_json
from comet_cli.inputs.modifiers import split_arguments
from comet_cli.inputs.seed_lists import parse_seeds, seed_paths
from comet_cli.inputs.selection import parse_selection
from comet_cli.models.card import STARTS

if TYPE_CHECKING:
    from comet_cli.batch.jobs import Job

# What a batch gives to every picture by itself; any other option makes a line be composed alone.
GROUPED = {
    *("selections", "output", "literal", "seed", "steps", "step_size", "size", "init", "solver"),
}
BENCH = ("model", "device", "precision", "fresh")
REPORTING = {"quiet", "as_json", "preview"}
OUTPUTS = ("trace",)


class LineParser:
    """Turns lines into what :mod:`comet_cli.batch` carries out."""

    def __init__(self, *, force: bool = False, **session: Any) -> None:
        """Take what holds for all lines that do not say otherwise.

        Args:
            force: replace files that comet did not make.
            session: model, device, precision and fresh.
        """
        app = typer.Typer(add_completion=False)
        app.command("compose")(compose)
        self._command: Any = typer.main.get_command(app)
        self._force = force
        self._bench = session

    def files(self, line: Line) -> tuple[list[str], list[str]]:
        """Return what a line writes and reads.

        Raises:
            Exception: it is no composition.
        """
        params = self._parse(line).params
        return _writes(params), _reads(params)

    def job(self, line: Line) -> Job:
        """Return the composition of a line, its files checked.

        Raises:
            Exception: it is no composition, or a file is not there or may not be written.
        """
        from comet_cli.batch.jobs import Job

        context = self._parse(line)
        params = context.params
        given = {n for n in params if context.get_parameter_source(n).name == "COMMANDLINE"}
        for name in BENCH:
            if name not in given:
                params[name] = self._bench[name]
        params["force"] = params["force"] or self._force
        reads = _reads(params)
        own = {"no_metadata", "force", *REPORTING, *BENCH}
        alone = given - GROUPED - own
        if not alone:
            check_picture_output(
                params["output"],
                force=params["force"],
                as_json=False,
                selections=[],
                also_reads=reads,
            )
        return Job(
            line.number,
            params["output"],
            tuple(params["selections"]),
            **{name: params[name] for name in BENCH},
            settings={n: params[n] for n in params if n not in own | {"selections", "output"}},
            metadata=not params["no_metadata"],
            force=params["force"],
            reads=reads,
            also_writes=[w for w in _writes(params) if w != params["output"]],
            compose=partial(_compose_alone, self._command, context) if alone else None,
        )

    def output(self, line: Line) -> str | None:
        """Return what a line that may be bad would write, where that much can be said."""
        try:
            return str(self._parse(line).params["output"])
        except Exception:  # why the line is bad has been noted when it was read
            return None

    def _parse(self, line: Line) -> Any:
        check_length(line)
        if line.text.startswith("{"):
            args = self._arguments(parse_json(os.fsencode(line.text), "the line"))
        else:
            try:
                args = shlex.split(line.text)
            except ValueError as error:
                raise UsageError(f"the line cannot be split into words: {error}") from None
            if args[:2] == ["comet", "compose"]:
                args = args[2:]
        context = self._command.make_context("comet compose", protect(args), help_option_names=[])
        if STANDARD in (*_writes(context.params), *_reads(context.params)):
            raise UsageError("'-' has no meaning in a line of a batch; give the name of a file")
        return context

    def _arguments(self, facts: Mapping[str, Any]) -> list[str]:
        """Write a JSON object as arguments; its keys are the names of options."""
        known = {
            name.lstrip("-").replace("-", "_"): parameter
            for parameter in self._command.params
            for name in (*parameter.opts, parameter.name)
        }
        options: list[str] = []
        selections: list[str] = []
        for key, value in facts.items():
            parameter = known.get(key.replace("-", "_"))
            if parameter is None:
                names = ", ".join(sorted(p.name for p in self._command.params))
                raise UsageError(f"'{show(key)}' is no option of compose; it has {names}")
            if parameter.param_type_name == "argument":
                selections += _words(key, value)
            elif getattr(parameter, "is_flag", False):
                if not isinstance(value, bool):
                    raise UsageError(f"'{show(key)}' is {value!r:.40}, expected true or false")
                options += [parameter.opts[0]] if value else []
            else:
                long = max(parameter.opts, key=len)
                options += [f"{long}={word}" for word in _words(key, value)]
        return [*options, "--", *selections]


def _words(key: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [word for item in value for word in _words(key, item)]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"'{show(key)}' is {value!r:.40}, expected text or a number")
    return [str(value)]


def _writes(params: Mapping[str, Any]) -> list[str]:
    seeds = params.get("seeds")
    outputs = [] if seeds is None else seed_paths(params["output"], parse_seeds(seeds))
    beside = [params[n] for n in OUTPUTS if params.get(n) is not None]
    return [*(outputs or [params["output"]]), *beside]


def _reads(params: Mapping[str, Any]) -> list[str]:
    literal = params["literal"]
    plain, further = split_arguments(params["selections"], literal=literal)
    found = [*(parse_selection(text, literal=literal).path for text in plain), *further]
    init = params["init"]
    return list(dict.fromkeys([*found, *([] if init is None or init in STARTS else [init])]))


def _compose_alone(command: Any, context: Any) -> None:
    """Carry out a line as ``comet compose`` does; what it would print is for nobody."""
    context.params.update(as_json=True, quiet=True)
    try:
        with context, contextlib.redirect_stdout(io.StringIO()):
            command.invoke(context)
    except typer.Exit as ended:
        if ended.exit_code:
            raise CometError(f"compose ended with exit code {ended.exit_code}") from None
