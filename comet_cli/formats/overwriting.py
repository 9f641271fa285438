"""What may be written over: comet replaces what it made."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import MAX_INPUT_BYTES, STANDARD, read_input, show

TRACE_MARK = b"comet-trace"
NPZ_MARK = "comet_version.npy"
_FOREIGN = "exists and was not made by comet"


def made_by_comet(path: str | Path) -> bool:
    """Say whether comet wrote a file: a ``.z``, a picture, a trace or an ``.npz``.

    A picture that was changed since, in an editor that keeps its recipe, is somebody's work.
    """
    from comet_cli.formats.components import is_components

    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
            if head.startswith(b"\x89PNG"):
                from comet_cli.formats.images import is_unchanged

                return is_unchanged(head + file.read(MAX_INPUT_BYTES))
            if head.startswith((b"GIF8", b"RIFF")) or head[4:8] == b"ftyp":
                return TRACE_MARK in head + file.read(MAX_INPUT_BYTES)
            if head.startswith(b"PK"):
                return NPZ_MARK in zipfile.ZipFile(file).namelist()
            return is_components(head)
    except (OSError, zipfile.BadZipFile):
        return False


def _carries_recipe(path: Path) -> bool:
    from comet_cli.formats.picture_recipe import has_recipe

    try:
        return has_recipe(read_input(path))
    except CometError:
        return False


def check_output(path: str | Path, *, force: bool = False, inputs: Sequence[str] = ()) -> None:
    """Check that an output may be written, before any work.

    Args:
        path: the destination; ``-`` is standard output.
        force: replace a file that comet did not make.
        inputs: what the command reads; never overwritten, not even with ``force``.

    Raises:
        UsageError: the folder does not exist, the path is a folder or an input, or a file that
            comet did not make is there already.
    """
    if str(path) == STANDARD:
        return
    path = Path(path)
    if not path.parent.is_dir():
        folder = show(path.parent)
        raise UsageError(
            f"the output folder '{folder}' does not exist; make it: mkdir -p '{folder}'"
        )
    if path.is_dir():
        raise UsageError(f"the output '{show(path)}' is a folder, expected a file name")
    if not path.exists():
        return
    for source in inputs:
        if source != STANDARD and os.path.exists(source) and os.path.samefile(path, source):
            raise UsageError(
                f"the output '{show(path)}' is also an input, and inputs are never overwritten; "
                "choose another name"
            )
    if path.is_file() and not force and not made_by_comet(path):
        problem = "was changed after comet made it" if _carries_recipe(path) else _FOREIGN
        raise UsageError(
            f"'{show(path)}' {problem}; give --force to replace it, or choose another name"
        )
