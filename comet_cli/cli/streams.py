"""Standard input, output and error: closed, full, or under another name."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from comet_cli.errors import CometError
from comet_cli.formats.files import STANDARD

failed: set[IO[Any]] = set()
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_closed() -> None:
    """Open standard streams that are closed on the null device.

    What is written to them is lost, as whoever closed them wishes; without this, the next file that
    is opened would have their number, and take what libraries print.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is not None:
            continue
        stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
        with contextlib.suppress(OSError):
            if not _is_open(number):
                os.dup2(stream.fileno(), number)
        setattr(sys, name, stream)


def speak_utf8() -> None:
    """Let output hold any text and any file name, whatever the locale's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # replaced by whoever imports us
            continue
        name = codecs.lookup(stream.encoding).name
        if name == "ascii":
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        elif name != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Make one sentence of what keeps something from being printed.

    Raises:
        CometError: standard output takes no more; from then on it is silent.
        BrokenPipeError: its reader is gone.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise CometError(told(error)) from None


def told(error: OSError) -> str:
    """Return the sentence for an error of standard output."""
    return f"standard output cannot be written: {error.strerror}"


def settle() -> None:
    """Flush what the streams still hold; one that does not take it is silent from then on."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            silence(stream)


def is_unprintable(error: Exception) -> bool:
    """Say whether an error is standard output's: it names no file, and something is full."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
    return isinstance(error, OSError) and error.filename is None and error.errno in full


def silence(stream: IO[Any]) -> None:
    """Lead a stream that failed nowhere, so that what it still holds harms nobody at the end."""
    failed.add(stream)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def standard_name(path: str) -> str:
    """Return ``-`` for a path that is standard output, whatever it is called; else the path."""
    try:
        same = path != STANDARD and os.path.samestat(os.stat(path), os.fstat(1))
    except (OSError, ValueError):
        return path
    return STANDARD if same else path
