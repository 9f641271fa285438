"""The compositions of a batch: planned, compared with what is there, and written."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comet_cli.errors import CometError
from comet_cli.formats.files import read_input, show
from comet_cli.formats.images import write_png
from comet_cli.formats.overwriting import check_output, made_by_comet
from comet_cli.formats.picture_recipe import (
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    Setting,
    read_recipe,
)
from comet_cli.inputs.session import Note, Opened, Session
from comet_cli.verbs.compose import plan_composition

MAX_BENCHES = 4
MAX_OPEN = 64
END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
# What pictures that are rendered together may differ in, or have in common.
TERM_FIELDS = {"model", "z", "weight", "component", "label"}
ROW_FIELDS = {"name", "terms", "picture"}
SETTINGS = {"seed", "steps", "step_size", "size", "init", "solver", "device", "precision"}
# What only the rendering can tell, so that no plan holds it.
FOUND = {"steps_taken"}


@dataclass(frozen=True)
class Job:
    """One composition of a list.

    Attributes:
        line: its number in the list, for messages.
        output: the PNG.
        selections: see :mod:`comet_cli.inputs.selection`.
        model: that encodes pictures, or ``auto``.
        device: see :class:`comet_cli.inputs.session.Session`.
        precision: see :class:`comet_cli.inputs.session.Session`.
        fresh: see :class:`comet_cli.inputs.session.Session`.
        settings: further arguments of :func:`comet_cli.verbs.compose.plan_composition`.
        metadata: write the recipe into the picture.
        force: replace a file that comet did not make.
        reads: every file that is read.
        also_writes: what is written beside the picture.
        compose: makes the picture by itself, where a setting is none that a batch knows; or None.
    """

    line: int
    output: str
    selections: Sequence[str]
    model: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    fresh: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    metadata: bool = True
    force: bool = False
    reads: Sequence[str] = ()
    also_writes: Sequence[str] = ()
    compose: Callable[[], None] | None = None


@dataclass(frozen=True)
class BadLine:
    """A line that is no composition.

    Attributes:
        line: its number.
        error: why.
        output: the PNG, where that much was understood.
    """

    line: int
    error: Exception
    output: str | None = None


@dataclass(frozen=True)
class Result:
    """What became of a line.

    Attributes:
        line: its number.
        status: ``written``, ``kept`` (it was there already) or ``failed``.
        output: the PNG, where known.
        error: why it failed.
        settings: of the recipe.
    """

    line: int
    status: str
    output: str | None
    error: Exception | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass
class Planned:
    """A composition with its recipe.

    Attributes:
        job: what was asked for.
        session: its models.
        recipe: of the picture; None where ``compose`` makes it by itself.
        kind: equal for compositions that can be rendered together; None for none.
    """

    job: Job
    session: Session
    recipe: PictureRecipe | None
    kind: tuple[Any, ...] | None = None

    def result(self, status: str) -> Result:
        """Return what became of it."""
        settings = self.recipe.settings if self.recipe is not None else {}
        return Result(self.job.line, status, self.job.output, settings=settings)

    def write(self, pixels: np.ndarray) -> None:
        """Write the picture, whole or not at all."""
        check_output(self.job.output, force=self.job.force, inputs=self.job.reads)
        write_png(pixels, self.job.output, self.recipe if self.job.metadata else None)


class CachingSession(Session):
    """A session that remembers the last files it opened: lines of a list speak of the same ones."""

    def __init__(self, **options: Any) -> None:
        """See :class:`comet_cli.inputs.session.Session`."""
        super().__init__(**options)
        self._opened: OrderedDict[tuple[Any, ...], Opened] = OrderedDict()

    def open(self, path: str, **options: Any) -> Opened:
        """See :meth:`.session.Session.open`; a file that has changed is read again."""
        try:
            facts = os.stat(path)
        except OSError:
            return super().open(path, **options)
        key = (path, facts.st_mtime_ns, facts.st_size, facts.st_ino, *sorted(options.items()))
        if key not in self._opened:
            self._opened[key] = super().open(path, **options)
        self._opened.move_to_end(key)
        while len(self._opened) > MAX_OPEN:
            self._opened.popitem(last=False)
        return self._opened[key]


class Sessions:
    """The sessions of a list: one for all lines, unless lines ask for models or devices."""

    def __init__(self, note: Note | None = None) -> None:
        """Open nothing yet."""
        self._note = note
        self._benches: OrderedDict[tuple[str, str, str, bool], Session] = OrderedDict()

    def of(self, job: Job) -> Session:
        """Return the session of a line; only the last few are held."""
        key = (job.model, job.device, job.precision, job.fresh)
        if key not in self._benches:
            self._benches[key] = CachingSession(
                model=job.model,
                device=job.device,
                precision=job.precision,
                fresh=job.fresh,
                note=self._note,
            )
        self._benches.move_to_end(key)
        while len(self._benches) > MAX_BENCHES:
            self._benches.popitem(last=False)
        return self._benches[key]


def plan_job(job: Job, sessions: Sessions) -> Planned:
    """Find the recipe of a line; pictures are encoded, nothing is rendered."""
    session = sessions.of(job)
    known = inspect.signature(plan_composition).parameters
    settings = {name: value for name, value in job.settings.items() if name in known}
    if job.compose is None:
        recipe = plan_composition(job.selections, session, **settings)
        return Planned(job, session, recipe, _kind(recipe, job))
    try:
        return Planned(job, session, plan_composition(job.selections, session, **settings))
    except (CometError, TypeError, ValueError):
        return Planned(job, session, None)  # settings that the verb itself understands


def _kind(recipe: PictureRecipe, job: Job) -> tuple[Any, ...] | None:
    """Return what compositions have in common that can be rendered together."""
    rows = recipe.rows
    if not _plain(rows[0], ROW_FIELDS) or not all(_plain(t, TERM_FIELDS) for t in rows[0].terms):
        return None
    if not set(recipe.settings) <= SETTINGS or recipe.settings.get("solver") == "langevin":
        return None  # Langevin dynamics draws from each picture's own seed as it goes
    terms = sorted((recipe.models[t.model].sha256, t.component, t.weight) for t in rows[0].terms)
    settings = sorted((n, str(v)) for n, v in recipe.settings.items() if n != "seed")
    return (job.model, job.device, job.precision, tuple(terms), tuple(settings))


def _plain(part: RecipeRow | RecipeTerm, known: set[str]) -> bool:
    """Say whether everything that a batch does not know has its default."""
    for each in dataclasses.fields(part):
        if each.name in known:
            continue
        value = getattr(part, each.name)
        default = each.default
        if each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        if type(value) is not type(default) or value != default:
            return False
    return True


def is_there(planned: Planned) -> bool:
    """Say whether the output is there, whole, and made by exactly this recipe."""
    job, recipe = planned.job, planned.recipe
    if recipe is None or not job.metadata or not os.path.isfile(job.output):
        return False
    try:
        data = read_input(job.output)
        found = read_recipe(data, f"'{show(job.output)}'")
    except CometError:
        return False
    settings = {n: v for n, v in found.settings.items() if n not in FOUND - {*recipe.settings}}
    if dataclasses.replace(found, settings=settings).to_json() != recipe.to_json():
        return False
    return data.endswith(END_OF_PNG) and all(map(made_by_comet, job.also_writes))
