"""What verbs share, written once: their common options, their report and their exit code."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import beside, check_picture_outputs
from comet_cli.cli.console import Report
from comet_cli.cli.streams import standard_name

if TYPE_CHECKING:
    from comet_cli.inputs.selection import Selection
    from comet_cli.inputs.session import Session

_REQUIRED = inspect.Parameter.empty
# In the order of the help; a verb's own options stand between the two.
_FIRST = {
    "output": (options.Output, _REQUIRED),
    "seed": (options.Seed, 0),
    "steps": (options.Steps, None),
    "step_size": (options.StepSize, 1.0),
    "fast": (options.Fast, False),
}
_LAST = {
    "model": (options.Model, "auto"),
    "one_model": (options.OneModel, False),
    "fresh": (options.Fresh, False),
    "device": (options.Device, "auto"),
    "precision": (options.Precision, "auto"),
    "scale": (options.Scale, None),
    "literal": (options.Literal, False),
    "no_metadata": (options.NoMetadata, False),
    "force": (options.Force, False),
    "quiet": (options.Quiet, False),
    "as_json": (options.Json, False),
}
REPORT = ("quiet", "as_json")
SESSION = ("model", "fresh", "device", "precision")
SERIES = ("one_model", *SESSION)
# Of a sheet of one input, which has a name of its own without -o.
SHEET = (*SERIES, "seed", "scale", "literal", "no_metadata", "force", *REPORT)
PICTURE = ("output", *SHEET)
DESCENT = ("steps", "step_size", "fast")


@dataclass(frozen=True)
class Call:
    """One call of a verb: its report, and the shared options; those it does not have are unset."""

    report: Report
    output: str = ""
    seed: int = 0
    steps: int | None = None
    step_size: float = 1.0
    fast: bool = False
    model: str = "auto"
    one_model: bool = False
    fresh: bool = False
    device: str = "auto"
    precision: str = "auto"
    scale: str | None = None
    literal: bool = False
    no_metadata: bool = False
    force: bool = False
    quiet: bool = False
    as_json: bool = False

    def session(self) -> Session:
        """Return a session for the models; this imports torch."""
        from comet_cli.inputs.session import Session

        return Session(
            model=self.model,
            device=self.device,
            precision=self.precision,
            fresh=self.fresh,
            one_model=self.one_model,
            note=self.report.note,
        )

    def beside(self, output: str | None, inputs: Sequence[Selection], suffix: str) -> Call:
        """Return the call with ``-o``, or where it was not said a name of its own.

        Args:
            output: what ``-o`` said.
            inputs: what the picture is made of.
            suffix: what is put after an input's name: scene.png gives scene-gradients.png.

        Raises:
            UsageError: there is no name that follows from the inputs.
        """
        return dataclasses.replace(
            self, output=beside(inputs, suffix) if output is None else output
        )

    def check_picture(
        self,
        reads: Iterable[str] = (),
        also_writes: Mapping[str, str | None] | None = None,
        folders: Sequence[str | None] = (),
    ) -> None:
        """Check the inputs and the picture ``-o``; see :mod:`comet_cli.cli.checks`."""
        check_picture_outputs(
            [self.output],
            force=self.force,
            as_json=self.as_json,
            reads=list(reads),
            also_writes=also_writes,
            folders=folders,
        )


def verb(*shared: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a verb of a function: give it shared options, a report, and its exit code.

    The function takes a :class:`Call`, then the arguments and options that are its own.

    Args:
        shared: names of the fields of :class:`Call` that the verb has as options.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def command(**given: Any) -> None:
            if isinstance(given.get("output"), str):
                given["output"] = standard_name(given["output"])
            common = {name: given.pop(name) for name in shared}
            quiet, as_json = bool(common.get("quiet")), bool(common.get("as_json"))
            with Report(as_json=as_json, quiet=quiet) as report:
                function(Call(report, **common), **given)
            if report.exit_code:
                raise typer.Exit(report.exit_code)

        # Typer reads the options of a command off its signature.
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [
            *(p for p in own if p.default is _REQUIRED),
            *(_option(name, *_FIRST[name]) for name in _FIRST if name in shared),
            *(p for p in own if p.default is not _REQUIRED),
            *(_option(name, *_LAST[name]) for name in _LAST if name in shared),
        ]
        keyword = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.Signature([p.replace(kind=keyword) for p in parameters])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__module__ = function.__module__
        return command

    return decorate


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
