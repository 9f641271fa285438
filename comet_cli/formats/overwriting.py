"""What may be written over: comet replaces what it made."""

from __future__ import annotations

import os
import stat
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from comet_cli.errors import CometError, CometWarning, UsageError
from comet_cli.formats.files import MAX_INPUT_BYTES, STANDARD, look, read_input, show

MAX_NAME_BYTES = 255
_FOREIGN = "exists and was not made by comet"
_CHANGED = "was changed after comet made it"


def made_by_comet(path: str | Path) -> bool:
    """Say whether comet wrote a file: ``.z``, picture, trace, page or ``.npz``.

    What was changed since, say in an editor that keeps its recipe, is somebody's work.
    """
    from comet_cli.formats.components import is_components, is_encoding
    from comet_cli.formats.seal import has_sealed_arrays, is_sealed

    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
            if head.startswith(b"\x89PNG"):
                from comet_cli.formats.images import is_unchanged

                return is_unchanged(head + file.read(MAX_INPUT_BYTES))
            if head.startswith((b"GIF8", b"RIFF")) or head[4:8] == b"ftyp":
                return is_sealed(head + file.read(MAX_INPUT_BYTES))
            if head.startswith(b"<!DOCTYPE html>"):
                return is_sealed(head + file.read(MAX_INPUT_BYTES))
            if head.startswith(b"PK"):
                return has_sealed_arrays(zipfile.ZipFile(file))
            return is_components(head) and is_encoding(head + file.read(MAX_INPUT_BYTES))
    except (OSError, zipfile.BadZipFile):
        return False


def may_write(path: Path, is_ours: Callable[[str], bool]) -> bool:
    """Say whether a text file may be written: there is none, or it is what comet wrote.

    One that was changed since, or that somebody else wrote, is kept, which is told.

    Args:
        path: the file.
        is_ours: tells by its text whether comet wrote it.
    """
    if not os.path.lexists(path):
        return True
    try:
        if is_ours(path.read_text(encoding="utf-8")):
            return True
    except (OSError, UnicodeDecodeError, CometError):
        pass
    sentence = f"'{show(path)}' is not as comet wrote it, and is kept as it is"
    warnings.warn(sentence, CometWarning, stacklevel=3)
    return False


def _problem(path: Path) -> str:
    """Return why a file is not replaced without being asked to."""
    from comet_cli.formats.components import is_components, parse_components
    from comet_cli.formats.picture_recipe import has_recipe
    from comet_cli.formats.seal import ARRAYS_SEAL, SEAL

    try:
        data = read_input(path)
    except CometError:
        return _FOREIGN
    if is_components(data):
        try:
            parse_components(data)
        except CometError:
            return "is a .z file that is damaged, or of another version of comet"
        return _CHANGED
    mark = SEAL in data or f"{ARRAYS_SEAL}.npy".encode() in data or has_recipe(data)
    return _CHANGED if mark else _FOREIGN


def check_output(
    path: str | Path,
    *,
    force: bool = False,
    inputs: Iterable[str] = (),
    is_ours: Callable[[Path], bool] = made_by_comet,
) -> None:
    """Check that one output may be written; see :func:`check_outputs`."""
    check_outputs([path], force=force, inputs=inputs, is_ours=is_ours)


def check_outputs(
    paths: Iterable[str | Path],
    *,
    force: bool = False,
    inputs: Iterable[str] = (),
    is_ours: Callable[[Path], bool] = made_by_comet,
) -> None:
    """Check that outputs may be written, before any work.

    Args:
        paths: the destinations; ``-`` is standard output.
        force: replace files that comet did not make.
        inputs: what the command reads; never overwritten, not even with ``force``.
        is_ours: says which files may be replaced: those that comet made, and of that kind.

    Raises:
        UsageError: a folder does not exist or cannot be written, the path is a folder or an input,
            or a file that is not to be replaced is there already.
    """
    read = {_identity(look(source)) for source in inputs if source != STANDARD} - {None}
    folders: set[Path] = set()
    for path in paths:
        if str(path) != STANDARD:
            _check(Path(path), force, read, folders, is_ours)


def _identity(found: os.stat_result | None) -> tuple[int, int] | None:
    """Return what a file is, whatever it is called; None where there is none."""
    return None if found is None else (found.st_dev, found.st_ino)


def _check(
    path: Path,
    force: bool,
    read: Collection[object],
    folders: set[Path],
    is_ours: Callable[[Path], bool],
) -> None:
    if path.parent not in folders:
        check_folder(path.parent)
        folders.add(path.parent)
    found = look(path)
    if found is None:
        if os.path.islink(path):
            _check_link(path)
        if len(os.fsencode(path.name)) > MAX_NAME_BYTES:
            raise UsageError(f"the output '{show(path)}' has a name of more than 255 bytes")
        return
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"the output '{show(path)}' is a folder, expected a file name")
    if _identity(found) in read:
        raise UsageError(
            f"the output '{show(path)}' is also an input, and inputs are never overwritten; "
            "choose another name"
        )
    if stat.S_ISREG(found.st_mode) and not force and not is_ours(path):
        of_another_kind = is_ours is not made_by_comet and made_by_comet(path)
        problem = "is of another kind" if of_another_kind else _problem(path)
        raise UsageError(
            f"'{show(path)}' {problem}; give --force to replace it, or choose another name"
        )


def check_new_folder(folder: str | Path) -> None:
    """Check, before any work, that a folder takes files, or can be made with those that it is in.

    Raises:
        UsageError: there is a file of that name, or it or the folder that it is made in cannot be
            written.
    """
    place = Path(os.path.abspath(folder))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not os.path.isdir(place):
        raise UsageError(f"'{show(place)}' is no folder, so '{show(folder)}' cannot be one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(
            f"the folder '{show(folder)}' cannot be written: '{show(place)}' takes no files"
        )


def _check_link(path: Path) -> None:
    """Check a link that leads to no file yet."""
    target = os.path.realpath(path)
    if os.path.islink(target):
        raise UsageError(f"the output '{show(path)}' is a link that leads to itself")
    check_folder(os.path.dirname(target))


def check_folder(folder: str | Path) -> None:
    """Check that a folder takes files, before any work.

    Raises:
        UsageError: it does not exist, or cannot be written.
    """
    if not os.path.isdir(folder):
        raise UsageError(
            f"the output folder '{show(folder)}' does not exist; make it: mkdir -p '{show(folder)}'"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the output folder '{show(folder)}' cannot be written")
