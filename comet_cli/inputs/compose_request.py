"""What one composition is to be: parsed once from a command line or a line of a batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from comet_cli.errors import UsageError
from comet_cli.formats.files import show
from comet_cli.inputs.modifiers import Argument, parse_argument
from comet_cli.inputs.seed_lists import parse_seeds, seed_paths
from comet_cli.models.card import STARTS


@dataclass(frozen=True)
class ComposeRequest:
    """A composition as it was asked for.

    Attributes:
        arguments: what is put together.
        output: the PNG; ``-`` for standard output.
        seed: of the noise.
        seeds: several seeds instead, or none.
        files: a PNG for each of several seeds; none where they go onto one sheet, ``output``.
        steps: N; default the largest that the models' cards recommend.
        step_size: multiplies every model's own λ.
        size: R of the canvas; default the largest of the models.
        init: ``noise``, ``grey``, ``black``, or an image file to start from.
        solver: a name in :data:`comet_cli.energy.solvers.SOLVERS`; default ``gd``.
        fast: fewer steps; see :func:`comet_cli.verbs.compose_recipe.fast_settings`.
        tolerance: stop when the energy has settled (:class:`comet_cli.energy.descent.Tolerance`).
        fps: frames a second of an animation; None for as long as its frames say.
        trace: an ``.apng``, ``.gif``, ``.webp`` or ``.mp4`` for the descent as an animation.
        scale: how the picture is enlarged (:mod:`comet_cli.drawing.scale`), or None.
        metadata: write the recipe into the picture.
        force: replace files that comet did not make.
    """

    arguments: tuple[Argument, ...]
    output: str
    seed: int = 0
    seeds: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
    steps: int | None = None
    step_size: float = 1.0
    size: int | None = None
    init: str | None = None
    solver: str | None = None
    fast: bool = False
    tolerance: float | None = None
    fps: float | None = None
    trace: str | None = None
    scale: str | None = None
    metadata: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        check_fast(self.fast, self.solver, self.steps)
        if self.seeds and self.seed != 0:
            raise UsageError("--seed and --seeds are both given; give one of them")
        if self.seeds and self.trace is not None:
            raise UsageError("--trace shows one descent, --seeds makes several; give one of them")
        if self.scale is not None and self.trace is not None:
            raise UsageError("--trace is enlarged as it is; leave --scale or --trace away")
        for option, given in (("--seeds", self.seeds), ("--trace", self.trace is not None)):
            if given and self.folders:
                raise UsageError(
                    f"'{show(self.folders[0])}' is a folder, which makes an animation, and "
                    f"{option} goes with one picture; give one of them"
                )
        if self.fps is not None and not self.folders:
            raise UsageError("--fps is for an animation, and no folder of .z files is given")
        if self.fps is not None and not 0.01 <= self.fps <= 1000:
            raise UsageError(f"--fps is {self.fps:g}, expected 0.01 to 1000 frames a second")

    @property
    def every_seed(self) -> tuple[int, ...]:
        """The seeds, also where there is one."""
        return self.seeds or (self.seed,)

    @property
    def paths(self) -> tuple[str, ...]:
        """The pictures that are written."""
        return self.files or (self.output,)

    @property
    def writes(self) -> tuple[str, ...]:
        """Every file that is written."""
        return (*self.paths, *([] if self.trace is None else [self.trace]))

    @property
    def start(self) -> str | None:
        """The image file that the descent starts from, or None."""
        return None if self.init is None or self.init in STARTS else self.init

    @property
    def selected(self) -> tuple[str, ...]:
        """The files, and folders, that components are selected of, each once."""
        paths = [selection.path for a in self.arguments for selection in a.selections]
        return tuple(dict.fromkeys(paths))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folders among the selections: each file in them makes a frame of an animation."""
        return tuple(path for path in self.selected if os.path.isdir(path))

    @cached_property
    def every_frame(self) -> list[tuple[str, ...]]:
        """The file of each folder, a frame each.

        Raises:
            UsageError: a folder without ``.z`` files, or folders of different lengths.
        """
        listed = {folder: list_frames(folder) for folder in self.folders}
        counts = {folder: len(files) for folder, files in listed.items()}
        if len(set(counts.values())) > 1:
            said = " and ".join(f"'{show(folder)}' holds {n}" for folder, n in counts.items())
            raise UsageError(f"folders that make one animation hold as many .z files: {said}")
        return list(zip(*listed.values(), strict=True))

    def each_frame(self) -> Iterator[ComposeRequest]:
        """Yield the request of each frame alone."""
        for files in self.every_frame:
            place = dict(zip(self.folders, files, strict=True))
            yield replace(
                self, fps=None, arguments=tuple(_placed(a, place) for a in self.arguments)
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """Every file that is read, each once."""
        found = [*self.selected]
        found += [a.mask for a in self.arguments if a.mask is not None]
        found += [] if self.start is None else [self.start]
        if self.folders:
            found = [path for path in found if path not in self.folders]
            found += [path for files in self.every_frame for path in files]
        return tuple(dict.fromkeys(found))


def check_fast(fast: bool, solver: str | None, steps: int | None) -> None:
    """Refuse ``--fast`` beside what it chooses.

    Raises:
        UsageError: there is a solver or a number of steps too.
    """
    for option, given in (("--solver", solver), ("--steps", steps)):
        if fast and given is not None:
            raise UsageError(
                f"--fast chooses the solver and the steps, and {option} is given; leave one of "
                "them away"
            )


def list_frames(folder: str) -> list[str]:
    """Return the ``.z`` files of a folder, in the shell's order.

    Raises:
        UsageError: there are none.
    """
    found = sorted(os.path.join(folder, name) for name in os.listdir(folder) if _is_frame(name))
    if not found:
        raise UsageError(
            f"the folder '{show(folder)}' holds no .z; comet encode makes such a folder of a video "
            "or an animated picture"
        )
    return found


def _is_frame(name: str) -> bool:
    return name.endswith(".z") and not name.startswith(".")


def _placed(argument: Argument, place: Mapping[str, str]) -> Argument:
    """Return an argument with files in the places of folders."""
    first, *second = (replace(s, path=place.get(s.path, s.path)) for s in argument.selections)
    return replace(argument, first=first, second=second[0] if second else None)


def parse_request(
    selections: Sequence[str],
    output: str,
    *,
    seeds: str | None = None,
    literal: bool = False,
    **settings: Any,
) -> ComposeRequest:
    """Return the request of what was typed.

    Args:
        selections: see :mod:`comet_cli.inputs.selection` and :mod:`comet_cli.inputs.modifiers`.
        output: the PNG; a folder or a name with ``{seed}`` for a file a seed.
        seeds: a list such as ``0-15``, or None.
        literal: the arguments are file names.
        settings: the further fields of :class:`ComposeRequest`.

    Raises:
        UsageError: a list of seeds that is none, or settings that contradict each other.
        SelectionError: see :func:`comet_cli.inputs.modifiers.parse_argument`.
    """
    several = () if seeds is None else tuple(parse_seeds(seeds))
    return ComposeRequest(
        tuple(parse_argument(text, literal=literal) for text in selections),
        output,
        seeds=several,
        files=tuple(seed_paths(output, several)) if several else (),
        **settings,
    )
