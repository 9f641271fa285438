"""``comet encode``: pictures to ``.z`` files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from comet_cli.errors import CometError, FileFormatError, Interrupted, UsageError
from comet_cli.formats.components import ComponentSet, components_bytes, is_components
from comet_cli.formats.files import (
    STANDARD,
    check_distinct,
    check_inputs,
    mark_kept,
    read_input,
    show,
    write_output,
)
from comet_cli.formats.overwriting import check_outputs
from comet_cli.inputs.face_alignment import align_faces, load_finder
from comet_cli.inputs.session import Opened, Progress, Session

ALIGNMENTS = ("face",)


@dataclass(frozen=True)
class Encoded:
    """What became of one picture: components in ``output``, or an error.

    Attributes:
        source: the picture, as typed.
        output: its ``.z``.
        components: what that holds.
        reused: they were there already, and match.
        error: why there are none.
    """

    source: str
    output: Path
    components: ComponentSet | None = None
    reused: bool = False
    error: CometError | None = None


def encoded_path(source: str, output: str | None, *, alone: bool) -> Path:
    """Return where the components of a picture go.

    Args:
        source: the picture; ``-`` is standard input.
        output: what ``-o`` said: a file, a folder, ``-``, or None for beside the picture, and for
            standard output where the picture comes from standard input.
        alone: it is the only picture.

    Raises:
        UsageError: several pictures and one output file, or standard input among files without an
            output.
    """
    name = Path(source).stem + ".z"
    if output is None:
        if source == STANDARD and not alone:
            raise UsageError(
                "standard input ('-') among other pictures needs an output: an existing folder, "
                "-o DIR/"
            )
        return Path(STANDARD) if source == STANDARD else Path(source).with_name(name)
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
    return Path(output)


def encode_files(
    sources: Sequence[str],
    session: Session,
    *,
    output: str | None = None,
    align: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
    told: Callable[[Encoded], None] | None = None,
) -> list[Encoded]:
    """Encode pictures and write a ``.z`` file each.

    Everything that can be checked beforehand is, before any work. With several pictures, one that
    cannot be read does not stop the others. A ``.z`` that is there already, where it is to go or
    beside the picture, and matches (:mod:`comet_cli.inputs.reuse`), is what encoding would give, so
    nothing is computed. Pictures are encoded one by one, several at a time, because in a batch the
    last bits of their latents would depend on the others.

    Args:
        sources: the pictures.
        session: opens models.
        output: see :func:`encoded_path`.
        align: ``face`` to crop and rotate each photo to its largest face; None to encode the
            pictures as they are.
        force: replace files that comet did not make.
        progress: told how many pictures are done.
        told: called with what became of each picture, as soon as that is known.

    Raises:
        UsageError: an input that does not exist, outputs that collide or may not be written, an
            unknown alignment.
        MissingExtraError: what finds faces is not installed.
        CometError: the only picture cannot be encoded.
        Interrupted: from the keyboard; what is encoded stays.
    """
    if align is not None and align not in ALIGNMENTS:
        raise UsageError(f"unknown alignment '{show(align)}'; use {', '.join(ALIGNMENTS)}")
    alone = len(sources) == 1
    check_inputs(sources, together=alone)
    plan = [(source, encoded_path(source, output, alone=alone)) for source in sources]
    check_distinct(plan)
    check_outputs([target for _, target in plan], force=force, inputs=sources)
    session.requested()
    prepare = _face_alignment(session) if align == "face" else None
    results: list[Encoded] = []
    begun: deque[_Begun] = deque()
    # Several pictures at a time, each by one thread, so that none changes the bytes of another.
    workers = 1 if alone or session.device.type != "cpu" else torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))

    def finish() -> None:
        results.append(_finish(*begun.popleft(), alone=alone))
        if told is not None:
            told(results[-1])
        if progress is not None:
            progress(len(results), len(plan))

    try:
        for source, target in plan:
            ready = _begin(source, target, session, prepare)
            if workers > 1 and not isinstance(ready, CometError):
                ready = pool.submit(ready).result
            begun.append((source, target, ready))
            if len(begun) > (2 * workers if workers > 1 else 0):
                finish()
        while begun:
            finish()
    except KeyboardInterrupt:
        if alone:
            raise
        done = sum(result.error is None for result in results)
        raise Interrupted(
            f"interrupted; {done} of {len(plan)} pictures were encoded and their files are "
            "kept, the same command goes on with the others"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return results


_Ready = Callable[[], Opened] | CometError
_Begun = tuple[str, Path, _Ready]


def _begin(
    source: str, target: Path, session: Session, prepare: Callable[[bytes, str], bytes] | None
) -> _Ready:
    """Read a picture, and return what infers its components, or why they cannot be."""
    try:
        data = read_input(source)
        if is_components(data):
            raise FileFormatError(f"'{show(source)}' holds components already, expected an image")
        if prepare is not None:
            data = prepare(data, f"'{show(source)}'")
        return session.begin(data, source, also=[] if str(target) == STANDARD else [target])
    except CometError as error:
        return error


def _finish(source: str, target: Path, ready: _Ready, *, alone: bool) -> Encoded:
    """Wait for the components of a picture, and write them."""
    try:
        if isinstance(ready, CometError):
            raise ready
        opened = ready()
        _write(target, opened.components)
    except CometError as error:
        if alone:
            raise
        return Encoded(source, target, error=error)
    return Encoded(source, target, opened.components, opened.reused)


def _write(target: Path, components: ComponentSet) -> None:
    """Write a ``.z``, unless that very file is there."""
    data = components_bytes(components)
    there = str(target) != STANDARD and target.is_file() and target.stat().st_size == len(data)
    if not there or read_input(target) != data:
        write_output(target, data)
    else:
        mark_kept(target)


def _face_alignment(session: Session) -> Callable[[bytes, str], bytes]:
    find = load_finder()
    return lambda data, where: align_faces(data, where, find, session.note)
