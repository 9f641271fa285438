"""The cache folder: fingerprints of files, and entries that are whole or absent.

Everything in it is made again when it is missing, so it may be deleted at any time.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from comet_cli.errors import CometError
from comet_cli.formats.files import is_file, write_output
from comet_cli.formats.places import expanded, home_folder

# A file that changed again within the resolution of its times would look unchanged.
_SETTLED_NS = 2_000_000_000
_ABANDONED_SECONDS = 24 * 3600
_TEMPORARY = ".making-"
_BLOCK = 1 << 20

Facts = tuple[int, int, int, int]


def cache_home() -> Path:
    """The folder of caches: ``COMET_CACHE``, ``COMET_HOME/cache`` or the platform's."""
    if folder := os.environ.get("COMET_CACHE"):
        return expanded(folder)
    if home := os.environ.get("COMET_HOME"):
        return expanded(home) / "cache"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else home_folder() / "AppData" / "Local") / "comet" / "cache"
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Caches" / "comet"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home_folder() / ".cache") / "comet"


class Fingerprints:
    """Hashes of the content of files below a folder, kept from one call to the next.

    A file is read again unless its size, its times and its inode are those of the last time, and
    were settled then. Touching a file costs reading it; it does not change its hash.
    """

    def __init__(self, root: Path, purpose: str) -> None:
        """Recall what is known of `root`, a folder or a file; each `purpose` has its own memory."""
        self._root = root
        name = hashlib.sha256(json.dumps([str(root.resolve()), purpose]).encode()).hexdigest()
        self._file = cache_home() / "fingerprints" / f"{name}.json"
        self._known, self._entries = _recall(self._file)
        self._stored = self._known

    def digest(self, files: Iterable[Path], *facts: Any) -> str:
        """The hash of the names and contents of files, and of further JSON values."""
        now = time.time_ns()
        found = {}
        hashes = []
        for file in files:
            name = os.path.relpath(file, self._root)
            before = facts_of(file)
            known = self._known.get(name)
            if before is not None and known is not None and known[:-1] == list(before):
                content = known[-1]
            else:
                content = _hash(file)
            if before is not None and max(before[1:3]) < now - _SETTLED_NS:
                found[name] = [*before, content]
            hashes.append((name, content))
        self._known = found
        return hashlib.sha256(json.dumps([sorted(hashes), facts]).encode()).hexdigest()

    def remember(self, purpose: str, entry: Path) -> None:
        """Keep the hashes; an older entry that was made for the same purpose is removed."""
        older = self._entries.get(purpose)
        if older and older != entry.name:
            shutil.rmtree(entry.parent / older, ignore_errors=True)
        self._keep({**self._entries, purpose: entry.name})

    def keep(self) -> None:
        """Keep the hashes of files of which no entry is made."""
        self._keep(self._entries)

    def _keep(self, entries: dict[str, str]) -> None:
        if self._known == self._stored and entries == self._entries:
            return
        content = json.dumps({"files": self._known, "entries": entries})
        # Without them, the files are hashed again the next time.
        with contextlib.suppress(CometError, OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_output(self._file, content.encode())
            self._stored, self._entries = self._known, entries


def facts_of(file: Path) -> Facts | None:
    """What tells that a file may have changed; None if there is no such file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def make_entry(entry: Path, build: Callable[[Path], None]) -> None:
    """Let `build` fill a new folder, which is `entry` once it is complete.

    Where another process was faster, its folder stays and ours is removed.

    Raises:
        OSError: the cache cannot be written.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(entry.parent)
    temporary = entry.with_name(_TEMPORARY + secrets.token_hex(8))
    temporary.mkdir()
    try:
        build(temporary)
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def discard(entry: Path) -> None:
    """Remove an entry; others see it whole or not at all."""
    aside = entry.with_name(_TEMPORARY + secrets.token_hex(8))
    try:
        entry.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed have left."""
    for left in folder.glob(_TEMPORARY + "*"):
        try:
            if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue


def _recall(file: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    try:
        content = json.loads(file.read_bytes())
        files, entries = dict(content["files"]), dict(content["entries"])
        if all(len(known) == 5 for known in files.values()):
            # A name is joined to the cache folder and removed: nothing but a hash will do.
            return files, {k: v for k, v in entries.items() if v.isalnum()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}, {}


def _hash(file: Path) -> str:
    """The hash of a file's content; of one that cannot be read, the reason."""
    if file.exists() and not is_file(file):  # a pipe would be waited for
        return "unreadable: no file"
    found = hashlib.sha256()
    try:
        with open(file, "rb") as stream:
            while block := stream.read(_BLOCK):
                found.update(block)
    except OSError as error:
        return f"unreadable: {error.errno}"
    return found.hexdigest()
