"""Where ``comet encode`` writes, and whether it may: known before torch is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comet_cli.errors import UsageError
from comet_cli.formats.files import STANDARD, check_distinct, check_inputs, path_beside, show
from comet_cli.formats.frames import has_frames
from comet_cli.formats.overwriting import check_output, check_outputs

ALIGNMENTS = ("face",)


@dataclass(frozen=True)
class EncodePlan:
    """Where components go.

    Attributes:
        outputs: each picture and its ``.z``; each video or animation and the folder of its frames.
        moving: the videos and animations.
    """

    outputs: tuple[tuple[str, Path], ...]
    moving: frozenset[str]


def plan_encoding(
    sources: Sequence[str],
    *,
    output: str | None = None,
    align: str | None = None,
    force: bool = False,
) -> EncodePlan:
    """Check all that can be checked before pictures are encoded; see :func:`.encode.encode_files`.

    Raises:
        UsageError: an input that does not exist, outputs that collide or may not be written, an
            unknown alignment.
    """
    if align is not None and align not in ALIGNMENTS:
        raise UsageError(f"unknown alignment '{show(align)}'; use {', '.join(ALIGNMENTS)}")
    alone = len(sources) == 1
    check_inputs(sources, together=alone)
    moving = frozenset(source for source in sources if has_frames(source))
    outputs = tuple(
        (
            source,
            frames_folder(source, output)
            if source in moving
            else encoded_path(source, output, alone=alone),
        )
        for source in sources
    )
    check_distinct(outputs)
    check_outputs([t for s, t in outputs if s not in moving], force=force, inputs=sources)
    for source, folder in outputs:
        if source in moving:
            _check_frames_folder(source, folder, force=force)
    return EncodePlan(outputs, moving)


def encoded_path(source: str, output: str | None, *, alone: bool) -> Path:
    """Return where the components of a picture go.

    Args:
        source: the picture; ``-`` is standard input.
        output: what ``-o`` said: a file, a folder, ``-``, or None for beside the picture, and for
            standard output where the picture comes from standard input.
        alone: it is the only picture.

    Raises:
        UsageError: several pictures and one output file, standard input among files without an
            output, or a file that is not called .z.
    """
    name = Path(source).stem + ".z"
    if output is None:
        if source == STANDARD and not alone:
            raise UsageError(
                "standard input ('-') among other pictures needs an output: an existing folder, "
                "-o DIR/"
            )
        if source == STANDARD:
            return Path(STANDARD)
        return path_beside(source, name, "its components")
    if os.path.isdir(output):
        return Path(output) / ("stdin.z" if source == STANDARD else name)
    if output.endswith(("/", os.sep)):
        raise UsageError(
            f"the output folder '{show(output)}' does not exist; make it: mkdir -p '{show(output)}'"
        )
    if not alone:
        raise UsageError(
            f"several pictures cannot be written to one file '{show(output)}'; "
            "give an existing folder: -o DIR/"
        )
    other = os.path.exists(output) and not os.path.isfile(output)  # a device or a pipe
    if output != STANDARD and not other and not output.lower().endswith(".z"):
        raise UsageError(
            f"components are written as .z, and '{show(output)}' is no name for them; write "
            f"'{show(output)}.z', or make the folder: mkdir -p '{show(output)}'"
        )
    return Path(output)


def frames_folder(source: str, output: str | None) -> Path:
    """Return the folder that the frames of a video or an animated picture go to.

    Args:
        source: the file.
        output: what ``-o`` said: an existing folder, in which one is made; None for beside it.

    Raises:
        UsageError: an output that is no existing folder.
    """
    name = Path(source).stem
    if output is None:
        folder = Path(source).with_name(name)
        return folder if folder != Path(source) else folder.with_name(f"{name}-frames")
    if not os.path.isdir(output):
        raise UsageError(
            f"'{show(source)}' has several frames, each of which becomes a .z; give an existing "
            "folder, in which a folder is made for them: -o DIR/"
        )
    return Path(output) / name


def frame_path(folder: Path, source: str, number: int) -> Path:
    """Return where the components of a frame go, counted from 1: the shell's order is theirs."""
    return folder / f"{Path(source).stem}-{number:05}.z"


def _check_frames_folder(source: str, folder: Path, *, force: bool) -> None:
    """Check, before any work, that a folder takes the frames of a file and will hold no others.

    Raises:
        UsageError: a file is there, or ``.z`` files of something else.
    """
    if not os.path.lexists(folder):
        check_output(folder)  # the folder that it is made in
        return
    if not os.path.isdir(folder):
        raise UsageError(
            f"the frames of '{show(source)}' go to a folder '{show(folder)}', and a file is called "
            "so; give another folder: -o DIR/"
        )
    ours = re.compile(re.escape(Path(source).stem) + r"-\d{5}\.z")
    there = sorted(path for path in folder.iterdir() if path.suffix == ".z")
    others = [path.name for path in there if not ours.fullmatch(path.name)]
    if others:
        raise UsageError(holds_others(source, folder, others))
    check_outputs([frame_path(folder, source, 1), *there], force=force, inputs=[source])


def holds_others(source: str, folder: Path, names: Sequence[str]) -> str:
    """Return the sentence for ``.z`` files that are no frames, where frames are to go."""
    more = f" and {len(names) - 1} more .z" if len(names) > 1 else ""
    return (
        f"'{show(folder)}' holds '{show(names[0])}'{more}, which "
        f"{'are no frames' if more else 'is no frame'} of '{show(source)}'; move them away, or "
        "give another folder: -o DIR/"
    )
