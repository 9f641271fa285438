"""A line of a batch, read by the parser of ``comet compose``."""

from __future__ import annotations

import dataclasses
import gzip
import os
import pickle
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from comet_cli.batch.lists import Line, check_length
from comet_cli.cli.checks import check_picture_outputs, check_start
from comet_cli.cli.compose import compose
from comet_cli.cli.parser import adapt_parser
from comet_cli.cli.streams import standard_name
from comet_cli.cli.values import leave_values
from comet_cli.errors import CometError, SelectionError, UsageError
from comet_cli.formats.files import STANDARD, show
from comet_cli.formats.strict_json import parse_json
from comet_cli.inputs.compose_request import ComposeRequest, parse_request

if TYPE_CHECKING:
    from comet_cli.batch.jobs import BadLine, Job

_BACKSLASH = "\ufdd0"  # stands for one that is kept; Unicode has no such character
# A star before the ending of a name, or for all of a folder: no weight, which is a number.
_WILDCARD = re.compile(r"\*[^*%@:,]*\.[A-Za-z]|/\*$")
SESSION = ("model", "device", "precision", "fresh", "one_model")
LISTS = ("seeds",)  # options whose value is a list
REQUEST = {field.name for field in dataclasses.fields(ComposeRequest)}
MEANT = {"selections", "literal", "no_metadata", *REQUEST, *SESSION}


@dataclasses.dataclass(frozen=True)
class Draft:
    """A line of a batch, parsed: its composition, and how it is to be made."""

    request: ComposeRequest
    session: Mapping[str, Any]


class Drafts:
    """What the lines of a list say, in their order, kept on disk: any number of lines.

    The file has no name, so that nobody else writes what is read from it again.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._file = tempfile.TemporaryFile()
        self._packed = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1)

    def add(self, draft: Draft | None) -> None:
        """Keep what the next line says; None where it says nothing.

        Raises:
            CometError: no room on the disk.
        """
        try:
            pickle.dump(draft, self._packed)
        except OSError as error:
            raise CometError(
                f"what the lines say cannot be kept: {error.strerror}; free some space in "
                f"'{tempfile.gettempdir()}'"
            ) from None

    def __iter__(self) -> Iterator[Draft | None]:
        """Yield what was kept; nothing can be added any more."""
        self._packed.close()
        self._file.seek(0)
        with self._file, gzip.GzipFile(fileobj=self._file) as packed:
            while True:
                try:
                    yield pickle.load(packed)
                except EOFError:
                    return


class LineParser:
    """Turns lines into what :mod:`comet_cli.batch` carries out."""

    def __init__(self, *, force: bool = False, **session: Any) -> None:
        """Take what holds for all lines that do not say otherwise.

        Args:
            force: replace files that comet did not make.
            session: model, device, precision, fresh and one_model.
        """
        app = typer.Typer(add_completion=False)
        app.command("compose")(compose)
        self._command: Any = adapt_parser(leave_values(typer.main.get_command(app)))
        self._force = force
        self._session = session

    def read(self, line: Line) -> Draft:
        """Return what a line says.

        Raises:
            Exception: it is no composition.
        """
        context = self._parse(line)
        params = context.params
        given = {n for n in params if context.get_parameter_source(n).name == "COMMANDLINE"}
        for parameter in self._command.params:
            if parameter.name in given - MEANT:
                option = min(parameter.opts, key=len)
                raise UsageError(f"{option} has no meaning in a line of a batch; leave it away")
        session = {n: params[n] if n in given else self._session.get(n) for n in SESSION}
        return Draft(self._request(params), session)

    def job(self, line: Line, draft: Draft | None) -> Job | BadLine:
        """Return the composition of a line, its files checked; or why it is none.

        Args:
            line: the line.
            draft: what it says, where it says anything.
        """
        from comet_cli.batch.jobs import BadLine, Job
        from comet_cli.drawing.animations import check_animation

        output = None
        try:
            if draft is None:
                output = _output_in(line)
                output = str(self._parse(line).params["output"])
                draft = self.read(line)
            request, output = draft.request, draft.request.output
            if request.folders:
                check_animation(output)
            check_start(request.start)
            check_picture_outputs(
                request.paths,
                force=request.force,
                as_json=False,
                reads=request.reads,
                also_writes={"--trace": request.trace},
                animated=bool(request.folders),
            )
            return Job(line.number, request, **draft.session)
        except Exception as error:
            return BadLine(line.number, error, output)

    def _request(self, params: Mapping[str, Any]) -> ComposeRequest:
        settings = {name: value for name, value in params.items() if name in REQUEST}
        try:
            request = parse_request(
                params["selections"],
                literal=params["literal"],
                metadata=not params["no_metadata"],
                **{**settings, "force": params["force"] or self._force},
            )
        except SelectionError:
            for text in filter(_WILDCARD.search, params["selections"]):
                raise UsageError(
                    f"a list knows no wildcards such as '{show(text)}'; name each file"
                ) from None
            raise
        if STANDARD in (*map(standard_name, request.writes), *request.reads):
            raise UsageError("'-' has no meaning in a line of a batch; give the name of a file")
        return request

    def _parse(self, line: Line) -> Any:
        check_length(line)
        if "\0" in line.text:
            raise UsageError("the line holds a character that no name can have (NUL)")
        if line.text.startswith("{"):
            args = self._arguments(parse_json(os.fsencode(line.text), "the line"))
        else:
            try:
                args = _split(line.text)
            except ValueError as error:
                raise UsageError(f"the line cannot be split into words: {error}") from None
            if args[:2] == ["comet", "compose"]:
                args = args[2:]
        return self._command.make_context("comet compose", args, help_option_names=[])

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
                meant = (p for p in self._command.params if p.name in MEANT)
                names = ", ".join(sorted(max(p.opts, key=len).lstrip("-") for p in meant))
                raise UsageError(f"'{show(key)}' is no option of compose; it has {names}")
            if parameter.param_type_name == "argument":
                selections += _words(key, value)
            elif getattr(parameter, "is_flag", False):
                if not isinstance(value, bool):
                    raise UsageError(f"'{show(key)}' is {value!r:.40}, expected true or false")
                options += [parameter.opts[0]] if value else []
            else:
                words = _words(key, value)
                if isinstance(value, list):
                    words = [_listing(key, parameter.name, words)]
                options += [f"{max(parameter.opts, key=len)}={word}" for word in words]
        return [*options, "--", *selections]


def _output_in(line: Line) -> str | None:
    """Return the output that an object of JSON names, whatever else it says; None if none."""
    try:
        facts = parse_json(os.fsencode(line.text), "the line")
    except (CometError, ValueError):
        return None
    named = [facts[key] for key in ("output", "o") if key in facts]
    return named[0] if len(named) == 1 and isinstance(named[0], str) else None


def _split(text: str) -> list[str]:
    """Split a line as a shell does, but for backslashes in names, as Windows writes them.

    A backslash before a letter, a digit, ``.``, ``-`` or another backslash is one; before anything
    else, such as a space, it takes away that character's meaning.
    """
    kept = re.sub(r"\\(?=[\w.\\-])", _BACKSLASH, text)
    return [word.replace(_BACKSLASH, "\\") for word in shlex.split(kept)]


def _listing(key: str, option: str, words: list[str]) -> str:
    """Write a JSON list as the one value of an option: only seeds may be several."""
    if option not in LISTS:
        raise UsageError(f"'{show(key)}' is a list, expected one value")
    return ",".join(words)


def _words(key: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [word for item in value for word in _words(key, item)]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"'{show(key)}' is {value!r:.40}, expected text or a number")
    word = str(value)
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        raise UsageError(f"'{show(key)}' holds half of a character, which no name has") from None
    if "\0" in word:
        raise UsageError(f"'{show(key)}' holds a character that no name can have (NUL)")
    return [word]
