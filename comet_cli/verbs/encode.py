"""``comet encode``: pictures, and the frames of videos and animations, to ``.z`` files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from comet_cli.errors import CometError, FileFormatError, Interrupted, UsageError
from comet_cli.formats.components import ComponentSet, components_bytes, is_components
from comet_cli.formats.files import (
    STANDARD,
    is_file,
    make_folder,
    mark_kept,
    read_input,
    show,
    write_output,
)
from comet_cli.formats.frames import look_through, read_frames
from comet_cli.formats.overwriting import check_output
from comet_cli.inputs.face_alignment import align_faces, load_finder
from comet_cli.inputs.session import Opened, Progress, Session
from comet_cli.verbs.encode_plan import EncodePlan, frame_path, holds_others, plan_encoding


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


def encode_files(
    sources: Sequence[str],
    session: Session,
    *,
    output: str | None = None,
    align: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
    told: Callable[[Encoded], None] | None = None,
    plan: EncodePlan | None = None,
) -> list[Encoded]:
    """Encode pictures and write a ``.z`` file each.

    Everything that can be checked beforehand is, before any work. With several pictures, one that
    cannot be read does not stop the others. A ``.z`` that is there already, where it is to go or
    beside the picture, and matches (:mod:`comet_cli.inputs.reuse`), is what encoding would give, so
    nothing is computed. Pictures are encoded one by one, several at a time, because in a batch the
    last bits of their latents would depend on the others.

    Each frame of a video or an animated picture (:mod:`comet_cli.formats.frames`) is encoded like a
    picture, all by one model, into a folder of its own.

    Args:
        sources: the pictures.
        session: opens models.
        output: see :func:`.encode_plan.encoded_path` and :func:`.encode_plan.frames_folder`.
        align: ``face`` to crop and rotate each photo to its largest face; None to encode the
            pictures as they are.
        force: replace files that comet did not make.
        progress: told how many pictures are done.
        told: called with what became of each picture, as soon as that is known.
        plan: what :func:`.encode_plan.plan_encoding` returned for the same arguments.

    Raises:
        UsageError: an input that does not exist, outputs that collide or may not be written, an
            unknown alignment.
        MissingExtraError: what finds faces is not installed.
        CometError: the only picture cannot be encoded.
        Interrupted: from the keyboard; what is encoded stays.
    """
    if plan is None:
        plan = plan_encoding(sources, output=output, align=align, force=force)
    alone, moving = len(sources) == 1, plan.moving
    session.requested()
    prepare = _face_alignment(session) if align == "face" else None
    session.choose_for_all(sources, progress, prepare)
    results: list[Encoded] = []
    begun: deque[_Begun] = deque()
    # Several pictures at a time, each by one thread, so that none changes the bytes of another.
    several = not alone or bool(moving)
    workers = torch.get_num_threads() if several and session.device.type == "cpu" else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    counts = {source: 1 for source in sources}

    def finish() -> None:
        source, target, ready = begun.popleft()
        check = partial(check_output, target, force=force, inputs=[source])
        results.append(_finish(source, target, ready, check, alone=alone))
        if told is not None:
            told(results[-1])
        if progress is not None:
            progress(len(results), max(len(results), sum(counts.values())))

    def pieces() -> Iterator[_Begun]:
        for source, target in plan.outputs:
            if source in moving:
                yield from _begin_frames(source, target, session, prepare, counts)
            else:
                yield source, target, _begin(source, target, session, prepare)

    try:
        for source, target, ready in pieces():
            if workers > 1 and not isinstance(ready, CometError):
                ready = pool.submit(ready).result
            begun.append((source, target, ready))
            if len(begun) > (2 * workers if workers > 1 else 0):
                finish()
        while begun:
            finish()
    except KeyboardInterrupt:
        if not several:
            raise
        done = sum(result.error is None for result in results)
        again = "goes on with the others"
        if session.fresh:
            again = "encodes all again, for it says --fresh"
        raise Interrupted(
            f"interrupted; {done} of {max(len(results), sum(counts.values()))} pictures were "
            f"encoded and their files are kept, the same command {again}"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return results


_Ready = Callable[[], Opened] | CometError
_Begun = tuple[str, Path, _Ready]
_Prepare = Callable[[bytes, str], bytes]


def _begin(source: str, target: Path, session: Session, prepare: _Prepare | None) -> _Ready:
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


def _begin_frames(
    source: str,
    folder: Path,
    session: Session,
    prepare: _Prepare | None,
    counts: dict[str, int],
) -> Iterator[_Begun]:
    """Yield what infers the components of each frame; a file that is broken fails as a whole.

    Args:
        source: the video or the animated picture.
        folder: where its frames go; made here.
        session: the models.
        prepare: see :func:`_begin`.
        counts: told how many frames there are.
    """
    where = f"'{show(source)}'"
    try:
        data = read_input(source)
        found = look_through(data, where)
        counts[source] = found.count
        kept = {frame_path(folder, source, n) for n in range(1, found.count + 1)}
        there = sorted(folder.glob("*.z")) if folder.is_dir() else []
        if others := [path.name for path in there if path not in kept]:
            raise UsageError(holds_others(source, folder, others))
        model = session.requested()
        if model is None:
            pictures = [
                prepare(frame.picture, where) if prepare else frame.picture
                for frame in found.samples
            ]
            model = session.choose(
                ((picture, where) for picture in pictures), f"{where}, {found.count} frames,"
            )
        make_folder(folder)
    except CometError as error:
        yield source, folder, error
        return
    for n, frame in enumerate(read_frames(data, where), 1):
        target = frame_path(folder, source, n)
        try:
            about = f"frame {n} of {where}"
            picture = frame.picture if prepare is None else prepare(frame.picture, about)
            ready: _Ready = session.begin(picture, source, model=model, also=[target], frame=frame)
        except CometError as error:
            ready = error
        yield source, target, ready


def _finish(
    source: str, target: Path, ready: _Ready, check: Callable[[], None], *, alone: bool
) -> Encoded:
    """Wait for the components of a picture, and write them, if ``check`` lets them be."""
    try:
        if isinstance(ready, CometError):
            raise ready
        opened = ready()
        _write(target, opened.components, check)
    except CometError as error:
        if alone:
            raise
        return Encoded(source, target, error=error)
    return Encoded(source, target, opened.components, opened.reused)


def _write(target: Path, components: ComponentSet, check: Callable[[], None]) -> None:
    """Write a ``.z``, unless that very file is there."""
    data = components_bytes(components)
    there = str(target) != STANDARD and is_file(target) and target.stat().st_size == len(data)
    if not there or read_input(target) != data:
        check()  # the file may be another one than when all were checked
        write_output(target, data)
    else:
        mark_kept(target)


def _face_alignment(session: Session) -> Callable[[bytes, str], bytes]:
    find = load_finder()
    return lambda data, where: align_faces(data, where, find, session.note)
