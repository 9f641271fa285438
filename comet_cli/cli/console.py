"""stdout, stderr, JSON, progress, and the one table from errors to sentences and exit codes."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from comet_cli.cli import streams
from comet_cli.cli.progress import status_lines
from comet_cli.errors import CometError, CometWarning, UsageError
from comet_cli.formats.places import reason_of

INTERRUPTED = 130
SOME_FAILED = 3
# What a command that fails has reported before it did.
_unfinished: dict[str, Any] = {}


class Report:
    """What one command says: results to stdout, everything else to stderr.

    With ``--json`` results are collected and printed as one document when the command ends.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        """Start with nothing to say."""
        self.as_json = as_json
        self.quiet = quiet
        self.document: dict[str, Any] = {}
        self.exit_code = 0
        self._bar: Any = None

    def __enter__(self) -> Report:
        """Begin a command.

        Raises:
            UsageError: the working folder is gone, which libraries do not survive.
        """
        try:
            os.getcwd()
        except OSError:
            raise UsageError("the working folder does not exist any more; cd to another") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print the JSON document; that of a command that failed goes out with its error."""
        if error is None and self.as_json:
            code = {"exit_code": self.exit_code} if self.exit_code else {}
            print_json({**self.document, **code})
        elif error is not None:
            _unfinished.update(self.document)

    def note(self, sentence: str) -> None:
        """Tell the user something on stderr, unless ``-q``."""
        if not self.quiet:
            with self._aside():
                print_error(sentence)

    def wrote(self, path: str | os.PathLike[str], /, **facts: Any) -> None:
        """Report a file that was written; its path goes to stdout."""
        self.document.setdefault("outputs", []).append({"path": os.fspath(path), **facts})
        if not self.as_json and os.fspath(path) != "-":
            with self._aside():
                print_result(os.fspath(path))

    def failed(self, path: str | os.PathLike[str], error: object) -> None:
        """Report one of several inputs that failed; the command goes on, and ends with code 3."""
        failure = {"path": os.fspath(path), "error": str(error)}
        self.document.setdefault("failed", []).append(failure)
        self.exit_code = SOME_FAILED
        if not self.as_json:
            with self._aside():
                print_error(" ".join(str(error).split()))

    def show(self, document: dict[str, Any], text: str) -> None:
        """Report a result that is not a file: as JSON, or as text."""
        self.document.update(document)
        if not self.as_json:
            with self._aside():
                print_result(text)

    @contextlib.contextmanager
    def progress(
        self, label: str, *, pieces: bool = True
    ) -> Iterator[Callable[[int, int | None], None] | None]:
        """Yield a function of (done, total) that draws a bar; None where nobody would see it.

        Without a terminal, several pieces of work are told a line a minute; ``pieces`` is False
        where it is called in the middle of one, which would be slower for it.
        """
        if self.quiet or self.as_json:
            yield None
            return
        if not sys.stderr.isatty():
            yield status_lines(label, self.note) if pieces else None
            return
        from rich.console import Console
        from rich.progress import Progress

        # Rich would lead standard output to its own console, the terminal.
        console = Console(stderr=True, markup=False)
        with Progress(
            console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as bar:
            self._bar, task = bar, bar.add_task(label, total=None)
            try:
                yield lambda done, total: bar.update(task, completed=done, total=total)
            finally:
                self._bar = None

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Take the bar away while something else is printed."""
        if self._bar is not None:
            self._bar.stop()
        yield
        if self._bar is not None:
            self._bar.start()


def check_stdout(output: str | None, as_json: bool) -> None:
    """Refuse a picture and a JSON document on one stream.

    Raises:
        UsageError: both ``-o -`` and ``--json``.
    """
    if output == "-" and as_json:
        raise UsageError("-o - and --json both write to standard output; give a file name to -o")


def check_terminal(what: str, example: str) -> None:
    """Refuse to write to a terminal what is no text.

    Args:
        what: is to be written, and its verb.
        example: of an output.

    Raises:
        UsageError: standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageError(f"{what} no text for a terminal; give an output: -o {example}, or a pipe")


def print_result(text: str) -> None:
    """Print a line to stdout as it is: never wrapped, coloured or marked up.

    Raises:
        CometError: standard output takes no more.
    """
    with streams.standard_output():
        try:
            print(text, flush=True)
        except UnicodeEncodeError:  # a file name that is no text in this locale
            sys.stdout.buffer.write(os.fsencode(text) + b"\n")
            sys.stdout.buffer.flush()


def print_error(text: str) -> None:
    """Print a line to stderr; one that cannot be printed stops nothing."""
    encoding = sys.stderr.encoding or "utf-8"
    line = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(f"comet: {line}", file=sys.stderr, flush=True)
    except OSError:
        streams.silence(sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """Print the one JSON document of a command.

    Raises:
        CometError: standard output takes no more.
    """
    with streams.standard_output():
        print(json.dumps(_finite(document), indent=2, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinities, which are no JSON: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run(command: Callable[..., Any], args: Sequence[str]) -> int:
    """Run a command line and return its exit code; no exception leaves here.

    Args:
        command: ``main`` of the command that Typer made.
        args: without the program's name.
    """
    streams.open_closed()
    streams.speak_utf8()
    _unfinished.clear()
    options = list(args)[: list(args).index("--")] if "--" in args else list(args)
    as_json = "--json" in options
    # Pillow logs what is odd about a file; the errors that matter are sentences of ours.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        with warnings_as_sentences(quiet=not {"-q", "--quiet"}.isdisjoint(options)):
            code = command(args=list(args), prog_name="comet", standalone_mode=False)
        with streams.standard_output():
            sys.stdout.flush()
        if code == INTERRUPTED:
            return _fail("interrupted", INTERRUPTED, as_json)
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        streams.silence(sys.stdout)  # the reader is gone
        return 1
    except SystemExit as end:  # what Typer makes of a reader that is gone
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, as_json)
    except Exception as error:
        if os.environ.get("COMET_DEBUG") == "1":
            traceback.print_exc()
        sentence, code = explain(error)
        return _fail(sentence, code, as_json)
    finally:
        streams.settle()


@contextlib.contextmanager
def warnings_as_sentences(*, quiet: bool) -> Iterator[None]:
    """Print comet's own warnings to stderr, each once and unless ``-q``; those of others never.

    With COMET_DEBUG=1 the others are printed as Python does, with where they come from.
    """
    told = set()
    usual = warnings.showwarning

    def tell(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        sentence = " ".join(str(message).split())
        if not issubclass(category, CometWarning):
            usual(message, category, *where, **more)
        elif not quiet and sentence not in told:
            told.add(sentence)
            print_error(sentence)

    with warnings.catch_warnings():
        if os.environ.get("COMET_DEBUG") != "1":
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", CometWarning)
        warnings.showwarning = tell
        yield


def _fail(sentence: str, code: int, as_json: bool) -> int:
    if as_json and sys.stdout not in streams.failed:
        with contextlib.suppress(CometError, BrokenPipeError):
            print_json({**_unfinished, "error": sentence, "exit_code": code})
            return code
    print_error(sentence)
    return code


def explain(error: Exception) -> tuple[str, int]:
    """Return the sentence and the exit code of an error."""
    name = type(error).__name__
    if isinstance(error, CometError):
        return " ".join(str(error).split()), error.exit_code
    if hasattr(error, "format_message"):  # Typer's own: wrong usage
        return _usage_sentence(error), 2
    if name == "Abort":
        return "interrupted", INTERRUPTED
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return "out of memory; use a smaller --size, or --device cpu for a full GPU", 1
    if isinstance(error, ModuleNotFoundError) and (error.name or "comet_cli") != "comet_cli":
        library = str(error.name).partition(".")[0]
        return f"the library '{library}' is not installed: pip install {library}", 1
    if isinstance(error, OSError) and streams.is_unprintable(error):
        return streams.told(error), 1
    if isinstance(error, OSError) and error.strerror:
        return " ".join(reason_of(error).split()), 1
    return (
        f"unexpected {name}: {' '.join(str(error).split()) or 'no message'} "
        "(a bug in comet; set COMET_DEBUG=1 for the traceback)",
        1,
    )


def _usage_sentence(error: Any) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return f"nothing to do\n\n{error.format_message()}"
    path = getattr(context, "command_path", "comet")
    return f"{message[:1].lower()}{message[1:]}; see {path} --help"
