"""Files in and out: bounded reading, the overwrite rule, and writes that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from comet_cli.errors import CometError, CometWarning, FileFormatError, UsageError

STANDARD = "-"
MAX_INPUT_BYTES = 1 << 30
ACCESS_LIST = "system.posix_acl_access"
# Folders of devices and of what is open: nothing is put beside a picture there.
SYSTEM_FOLDERS = ("/dev", "/proc")
COMPOSED = {
    "blends": re.compile(r"(?:\.z|\]|:[^/\\%]+)%\d*\.?\d+%."),
    "regions": re.compile(r"\.z@[^/\\]+$"),
}
_peeked: dict[str, bytes] = {}


class Told(Protocol):
    """What is called with each of several files as soon as it is written, and facts of it."""

    def __call__(self, path: str | Path, /, **facts: Any) -> None:
        """Take a file that was written."""


def tell_nobody(path: str | Path, /, **facts: Any) -> None:
    """Be the :class:`Told` of who does not ask."""


def show(path: str | Path) -> str:
    """Return a path as messages print it: control characters and odd bytes made visible."""
    return "".join(c if c.isprintable() else f"\\x{_number(c):02x}" for c in str(path))


def _number(character: str) -> int:
    """Return the number of a character, or of the byte that it stands for (PEP 383)."""
    code = ord(character)
    return code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code


def check_inputs(paths: Iterable[str], *, together: bool = True) -> None:
    """Check that every input can be opened, before any work.

    Args:
        paths: the inputs.
        together: one that cannot be opened stops the others; otherwise a folder, or a link that
            leads nowhere, as ``*`` finds them too, is left to fail when its turn comes.

    Raises:
        UsageError: an input that does not exist or is a folder, or ``-`` given twice.
    """
    standard = 0
    for path in paths:
        if path == STANDARD:
            standard += 1
        elif not together and os.path.lexists(path):
            continue
        elif (found := look(path)) is None:
            raise _missing(path)
        elif stat.S_ISDIR(found.st_mode):
            raise UsageError(f"'{show(path)}' is a folder, expected a file; name the files in it")
    if standard > 1:
        raise UsageError("standard input ('-') can be read once only; save it to a file first")


def _missing(path: str | Path) -> UsageError:
    try:
        os.stat(path)
    except OSError as error:  # which may be of a folder on the way
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            return UsageError(f"'{show(path)}' cannot be looked for: {error.strerror}")
    except ValueError:
        pass
    with contextlib.suppress(OSError, ValueError):
        return UsageError(
            f"'{show(path)}' is a link to '{show(os.readlink(path))}', which does not exist"
        )
    text = str(path)
    return UsageError(f"there is no file '{show(path)}'{_selected_of(text)}{_composed_of(text)}")


def _selected_of(text: str) -> str:
    """Return a hint where text is a file's name and then a selection, a region or a blend."""
    for at in (n for n, c in enumerate(text) if n and c in ":@%*["):
        if is_file(text[:at]):
            rest = show(text[at:])
            return f"; '{show(text[:at])}' is there, but '{rest}' after it has no meaning here"
    return ""


def _composed_of(text: str) -> str:
    """Return a hint where text is what ``comet compose`` alone reads as more than a file's name."""
    takes = [kind for kind, pattern in COMPOSED.items() if pattern.search(text)]
    return f"; only comet compose takes {' and '.join(takes)}" if takes else ""


def read_input(path: str | Path) -> bytes:
    """Return a file's bytes; ``-`` is standard input.

    Raises:
        UsageError: no such file.
        CometError: it cannot be read.
        FileFormatError: it is larger than 1 GiB.
    """
    if (data := _peeked.pop(str(path), b"")) != b"":
        return data
    try:
        if str(path) == STANDARD:
            data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_INPUT_BYTES + 1)
    except FileNotFoundError:
        raise _missing(path) from None
    except IsADirectoryError:
        raise UsageError(f"'{show(path)}' is a folder, expected a file") from None
    except OSError as error:
        raise CometError(f"'{show(path)}' cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_INPUT_BYTES:
        raise FileFormatError(f"'{show(path)}' is larger than 1 GiB, too large for an input")
    return data


def look(path: str | Path) -> os.stat_result | None:
    """Return what stands at a path, links followed; None where nothing does.

    Nothing is raised, where :mod:`pathlib` does: no file has a name that is too long.
    """
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def is_file(path: str | Path) -> bool:
    """Say whether a path leads to a file, which can be read again: no pipe, device or folder."""
    found = None if str(path) == STANDARD else look(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def read_file(path: str | Path) -> bytes:
    """Return the bytes of a file that was found in a folder: a pipe there is not waited for.

    Raises:
        CometError: it is no file, or cannot be read; see :func:`read_input`.
    """
    if os.path.exists(path) and not is_file(path):
        raise CometError(f"'{show(path)}' is no file but a folder, a pipe or a device")
    return read_input(path)


def walk(folder: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what :func:`os.walk` does; a folder that cannot be looked into is told.

    Raises:
        CometError: that is the first one.
    """

    def tell(error: OSError) -> None:
        sentence = f"'{show(str(error.filename))}' cannot be looked into: {error.strerror}"
        if str(error.filename) == str(folder):
            raise CometError(sentence)
        warnings.warn(f"{sentence}; what is in it is left out", CometWarning, stacklevel=3)

    yield from os.walk(folder, onerror=tell)


def peek_input(path: str | Path, count: int | None = None) -> bytes:
    """Return the first bytes of an input, all by default, and leave it to be read.

    Of what can be read only once (standard input, a pipe) everything is kept for the next
    :func:`read_input`.

    Raises:
        CometError: see :func:`read_input`; or of a file, OSError.
    """
    if is_file(path) and count is None:
        return read_input(path)
    if is_file(path):
        with open(path, "rb") as file:
            return file.read(count)
    data = read_input(path)
    _peeked[str(path)] = data
    return data[:count]


def has_place(path: str | Path) -> bool:
    """Say whether files can stand beside an input: it is a file, in a folder of the user's."""
    parent = os.path.realpath(os.path.dirname(path))
    system = parent.startswith(tuple(f"{folder}/" for folder in SYSTEM_FOLDERS))
    if (system or parent in SYSTEM_FOLDERS) and not parent.startswith("/dev/shm"):
        return False
    if str(path) == STANDARD:
        return False
    # A folder, and what is not there, fail on their own.
    return is_file(path) or os.path.isdir(path) or not os.path.exists(path)


def path_beside(path: str | Path, name: str, what: str) -> Path:
    """Return where a file of this name stands beside an input.

    Args:
        path: the input.
        name: of the file.
        what: is to be written, in words.

    Raises:
        UsageError: the input is a pipe or a device.
    """
    if not has_place(path):
        raise UsageError(
            f"'{show(path)}' is a pipe or a device, which has no folder for {what}; give an "
            f"output: -o FILE{Path(name).suffix}"
        )
    return Path(path).with_name(name)


def base_name(path: str | Path) -> str:
    """Return the name that files and recipes record: never a folder, user or host."""
    if str(path) == STANDARD:
        return "stdin"
    name = os.path.basename(str(path).replace("\\", "/"))
    return "".join(c if c.isprintable() else "?" for c in name)


Folders = dict[str, tuple[str, bool]]


def place_of(path: str | Path, folders: Folders) -> str:
    """Return what the names of one file have in common, also where it is not there yet.

    Links are followed, and where a folder takes ``A.z`` and ``a.z`` for one, so are they here.

    Args:
        path: the file.
        folders: what is known of folders; added to here.
    """
    folder, name = os.path.split(path)
    real, folded = _look_up(folder, folders)
    place = os.path.join(real, name)
    if name in ("", os.curdir, os.pardir) or os.path.islink(place):
        place = os.path.realpath(path)
        _, folded = _look_up(os.path.dirname(place), folders)
    return place.casefold() if folded else place


def _look_up(folder: str, folders: Folders) -> tuple[str, bool]:
    """Return where a folder really is, and whether it ignores capitals."""
    if folder not in folders:
        real = os.path.realpath(folder)
        folders[folder] = real, _ignores_case(real)
    return folders[folder]


def _ignores_case(folder: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.swapcase()
            if name != entry.name and name.casefold() == entry.name.casefold():
                other = os.path.join(folder, name)
                return os.path.lexists(other) and os.path.samefile(entry.path, other)
    return os.name == "nt"


def check_distinct(outputs: Sequence[tuple[str, Path]]) -> None:
    """Check that no two inputs, or options, would write the same file.

    Args:
        outputs: (input or option, output) pairs; ``-`` may take several. What is made of no input
            of its own stands for itself.

    Raises:
        UsageError: naming both inputs, or options.
    """
    seen: dict[str, str] = {}
    folders: Folders = {}
    named = [(source, output) for source, output in outputs if str(output) != STANDARD]
    for source, output in named if len(named) > 1 else ():
        key = place_of(output, folders)
        if key in seen:
            both = f"'{show(seen[key])}' and '{show(source)}'"
            if seen[key] == source == str(output):
                both = "two outputs"
            raise UsageError(
                f"{both} would both be written to '{show(output)}'; give each a name of its own"
            )
        seen[key] = source


def write_output(path: str | Path, data: bytes | memoryview) -> None:
    """Write a file whole or not at all: a temporary file beside it, then a rename.

    Devices and pipes are written to directly, ``-`` is standard output, and a symbolic link stays
    one.

    Raises:
        UsageError: the folder does not exist.
        CometError: no space left, or the file cannot be written; nothing is left behind.
    """
    try:
        if str(path) == STANDARD:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as device:
                device.write(data)
            return
        _write_and_rename(Path(os.path.realpath(path)), data)
    except BrokenPipeError:
        raise
    except FileNotFoundError:
        place = os.path.realpath(path) if os.path.islink(path) else path
        folder = Path(place).parent
        raise UsageError(f"the output folder '{show(folder)}' does not exist") from None
    except OSError as error:
        if str(path) == STANDARD:  # of which some may have been written
            raise CometError(f"standard output cannot be written: {error.strerror}") from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CometError(
                f"no space left for '{show(path)}' ({len(data)} bytes), which was not written; "
                "free some space and run the command again"
            ) from None
        raise CometError(f"'{show(path)}' cannot be written: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """Make a folder, unless it is there; the one that it is made in must be.

    Raises:
        CometError: it cannot be made.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise CometError(f"the folder '{show(path)}' cannot be made: {error.strerror}") from None


def mark_kept(path: str | Path) -> None:
    """Give a file that is kept as it is the present time: for ``make`` it was made now."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _write_and_rename(target: Path, data: bytes | memoryview) -> None:
    temporary = target.with_name(f".comet-{secrets.token_hex(8)}.tmp")
    # The system takes the umask, or the folder's access list, off 0666.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        _keep_permissions(temporary, target)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _keep_permissions(new: Path, old: Path) -> None:
    """Give a file the permissions of the one that it replaces, where the file system has any."""
    try:
        mode = os.stat(old).st_mode & 0o777
    except OSError:
        return  # it replaces none
    with contextlib.suppress(OSError):
        _keep_access_list(new, old)
    with contextlib.suppress(OSError):
        if os.stat(new).st_mode & 0o777 != mode:
            os.chmod(new, mode)


def _keep_access_list(new: Path, old: Path) -> None:
    """Give a file the access list of another, or none where that has none."""
    before, now = _access_list(old), _access_list(new)
    if before is not None and before != now:
        os.setxattr(new, ACCESS_LIST, before)
    elif before is None and now is not None:
        os.removexattr(new, ACCESS_LIST)


def _access_list(path: Path) -> bytes | None:
    """Return a file's access list (POSIX 1003.1e) as Linux stores it; None where it has none."""
    if sys.platform != "linux":
        return None
    try:
        return os.getxattr(path, ACCESS_LIST)
    except OSError:
        return None
