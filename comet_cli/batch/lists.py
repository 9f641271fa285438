"""The list of a batch: one composition a line, read in constant memory, and what its lines use."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD, Folders, check_inputs, place_of, show

MAX_LINE_BYTES = 1 << 20
LEFTOVER = re.compile(r"\.comet-[0-9a-f]{16}\.tmp")


@dataclass(frozen=True)
class Line:
    """One composition of a list.

    Attributes:
        number: of the line, from 1.
        index: of the composition, from 0; blank lines and comments are none.
        text: without white space around it.
    """

    number: int
    index: int
    text: str


def spool(path: str) -> BinaryIO:
    """Copy a list to a nameless temporary file: pipes too can then be read twice.

    What is written to the list from then on changes nothing.

    Args:
        path: the list; ``-`` for standard input.

    Raises:
        UsageError: no such file.
        CometError: it cannot be read, or there is no room for the copy.
    """
    check_inputs([path])
    try:
        copy = tempfile.TemporaryFile()
        if path == STANDARD:
            _copy(sys.stdin.buffer, copy)
        else:
            with open(path, "rb") as source:
                _copy(source, copy)
        copy.flush()
    except UnicodeError:
        raise CometError(f"the list '{show(path)}' begins as UTF-16, but is not") from None
    except OSError as error:
        raise CometError(f"the list '{show(path)}' cannot be read: {error.strerror}") from None
    return cast(BinaryIO, copy)


def _copy(source: IO[bytes], copy: IO[bytes]) -> None:
    """Copy a list; one in UTF-16, as PowerShell's ``>`` writes, becomes UTF-8."""
    head = source.read(2)
    encoding = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(head)
    if encoding is None:
        copy.write(head)
        shutil.copyfileobj(source, copy)
        return
    reader = codecs.getreader(encoding)(source)
    while text := reader.read(1 << 16):
        copy.write(text.encode("utf-8"))


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the compositions of a list from its start, one at a time.

    Blank lines and those that begin with ``#`` are left out. Of a line longer than 1 MiB the rest
    is dropped; :func:`check_length` tells.
    """
    file.seek(0)
    number = index = 0
    while data := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = data
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES + 1)
        text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data).strip()
        if text and not text.startswith("#"):
            yield Line(number, index, text)
            index += 1


def check_length(line: Line) -> None:
    """Refuse a line that was not read whole.

    Raises:
        UsageError: it is longer than 1 MiB.
    """
    if len(os.fsencode(line.text)) >= MAX_LINE_BYTES:
        raise UsageError("the line is longer than 1 MiB, too long for a composition")


class Ledger:
    """The files that the lines of a list write and read, kept on disk: any number of lines.

    The database is SQLite's own temporary one, which has no name and goes with its connection.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._folders: Folders = {}
        self._table = sqlite3.connect("", isolation_level=None)
        for command in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            "CREATE TABLE files (key BLOB PRIMARY KEY, line INTEGER, written INTEGER) "
            "WITHOUT ROWID",
            "CREATE TABLE folders (name BLOB PRIMARY KEY) WITHOUT ROWID",
            "BEGIN",
        ):
            self._table.execute(command)

    def close(self) -> None:
        """Forget everything."""
        self._table.close()

    def enter(self, line: int, writes: Sequence[str], reads: Sequence[str]) -> None:
        """Enter what a line writes and reads; its own files are not compared with each other.

        Raises:
            UsageError: two lines write one file, or one line writes what another reads; names
                both.
            CometError: no room on the disk for so many lines.
        """
        try:
            for path in writes:
                self._write(line, path)
            for path in reads:
                self._read(line, path)
        except sqlite3.Error as error:
            raise CometError(
                f"the list cannot be checked for lines that write the same file: {error}; "
                f"free some space in '{tempfile.gettempdir()}'"
            ) from None

    def folders(self) -> Iterator[str]:
        """Yield every folder that is written to."""
        for (name,) in self._table.execute("SELECT name FROM folders ORDER BY name"):
            yield os.fsdecode(name)

    def _write(self, line: int, path: str) -> None:
        real = place_of(path, self._folders)
        other = self._find(real)
        if other is not None and other[0] != line:
            if other[1]:
                raise UsageError(
                    f"lines {other[0]} and {line} would both be written to '{show(path)}'; "
                    "give each a name of its own"
                )
            raise _crossing(line, other[0], path)
        self._table.execute("INSERT OR REPLACE INTO files VALUES (?, ?, 1)", (_key(real), line))
        folder = os.fsencode(os.path.dirname(os.path.realpath(path)))
        self._table.execute("INSERT OR IGNORE INTO folders VALUES (?)", (folder,))

    def _read(self, line: int, path: str) -> None:
        real = place_of(path, self._folders)
        other = self._find(real)
        if other is None:
            self._table.execute("INSERT INTO files VALUES (?, ?, 0)", (_key(real), line))
        elif other[1] and other[0] != line:
            raise _crossing(other[0], line, path)

    def _find(self, real: str) -> tuple[int, bool] | None:
        found = self._table.execute(
            "SELECT line, written FROM files WHERE key = ?", (_key(real),)
        ).fetchone()
        return None if found is None else (found[0], bool(found[1]))


def _key(place: str) -> bytes:
    return hashlib.sha256(os.fsencode(place)).digest()[:16]


def _crossing(writer: int, reader: int, path: str) -> UsageError:
    return UsageError(
        f"line {writer} writes '{show(path)}', which line {reader} reads, and the lines of a batch "
        "are not rendered one after the other; make two lists of them"
    )


def remove_leftovers(folders: Iterator[str], before: float) -> int:
    """Remove the temporary files that a run which was killed has left, and return how many.

    A file that is being written exists for moments only, so one that is older than this whole run
    belongs to nobody.

    Args:
        folders: where to look.
        before: when this run began, in seconds since the epoch.
    """
    count = 0
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names = [entry.path for entry in entries if LEFTOVER.fullmatch(entry.name)]
        except OSError:  # a folder that does not exist holds nothing
            continue
        for name in names:
            with contextlib.suppress(OSError):
                if os.stat(name).st_mtime < before:
                    os.unlink(name)
                    count += 1
    return count
