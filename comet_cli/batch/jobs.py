"""The compositions of a batch: planned, compared with what is there, and written."""

from __future__ import annotations

import dataclasses
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comet_cli.errors import CometError
from comet_cli.formats.files import mark_kept, read_input, show, write_output
from comet_cli.formats.images import encode_png, is_unchanged
from comet_cli.formats.overwriting import check_output
from comet_cli.formats.picture_recipe import (
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    Setting,
    is_same,
    read_recipe,
)
from comet_cli.formats.png_entries import is_animated
from comet_cli.inputs.compose_request import ComposeRequest
from comet_cli.inputs.session import Note, Opened, Session
from comet_cli.verbs.compose import plan_composition, write_composition
from comet_cli.verbs.compose_animation import is_animation, plan_animation, write_animation

MAX_SESSIONS = 4
MAX_OPEN = 1024
END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
# What pictures that are rendered together may differ in, or have in common.
TERM_FIELDS = {"model", "z", "weight", "component", "label"}
ROW_FIELDS = {"name", "terms", "picture"}
SETTINGS = {"seed", "steps", "step_size", "size", "init", "solver", "device", "precision", "scale"}
# What only the rendering can tell, so that no plan holds it.
FOUND = {"steps_taken"}


@dataclass(frozen=True)
class Job:
    """One composition of a list.

    Attributes:
        line: its number in the list, for messages.
        request: the composition.
        model: that encodes pictures, or ``auto``.
        device: see :class:`comet_cli.inputs.session.Session`.
        precision: see :class:`comet_cli.inputs.session.Session`.
        fresh: see :class:`comet_cli.inputs.session.Session`.
        one_model: choose one model for all pictures of this line.
    """

    line: int
    request: ComposeRequest
    model: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    fresh: bool = False
    one_model: bool = False


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
        files: every file that was asked for.
    """

    line: int
    status: str
    output: str | None
    error: Exception | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    files: tuple[str, ...] = ()


@dataclass
class Planned:
    """A composition with its recipe.

    Attributes:
        job: what was asked for.
        session: its models.
        recipe: of the picture.
        kind: equal for compositions that can be rendered together; None for one that is rendered
            alone.
    """

    job: Job
    session: Session
    recipe: PictureRecipe
    kind: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        """Remember the whole request, of which a part may be there already."""
        self.asked = self.job.request
        self._taken: dict[str, Setting] = {}

    def result(self, status: str) -> Result:
        """Return what became of it."""
        taken = [self._taken[path] for path in self.asked.paths if path in self._taken]
        found: dict[str, Setting] = {}
        if len(taken) == len(self.asked.paths):
            found = {"steps_taken": taken[0] if len(taken) == 1 else ",".join(map(str, taken))}
        return Result(
            *(self.job.line, status, self.asked.output),
            settings={**self.recipe.settings, **found},
            files=self.asked.writes,
        )

    def finish(self, path: str, finished: PictureRecipe) -> None:
        """Remember what the recipe of a picture that is there tells, and no plan can."""
        if "steps_taken" in finished.settings:
            self._taken[path] = finished.settings["steps_taken"]

    def check_outputs(self) -> None:
        """Check, right before they are written, that the outputs may be."""
        request = self.job.request
        for path in request.writes:
            check_output(path, force=request.force, inputs=request.reads)

    def png(self, pixels: np.ndarray) -> bytes:
        """Return the picture's file."""
        return encode_png(pixels, self.recipe if self.job.request.metadata else None)

    def write(self, png: bytes) -> None:
        """Write the picture's file, whole or not at all."""
        self.check_outputs()
        write_output(self.job.request.output, png)

    def compose(self) -> None:
        """Render and write the composition by itself."""
        self.check_outputs()
        request = self.job.request
        if request.folders:
            made = [write_animation(request, self.session, recipe=self.recipe)]
        else:
            made = write_composition(request, self.session, recipe=self.recipe)
        for path, finished in zip(request.paths, made, strict=True):
            self.finish(path, finished)


class CachingSession(Session):
    """A session that remembers the last files it opened: lines of a list speak of the same ones."""

    def __init__(self, **options: Any) -> None:
        """See :class:`comet_cli.inputs.session.Session`."""
        super().__init__(**options)
        self._opened: OrderedDict[tuple[Any, ...], Opened] = OrderedDict()

    def open(self, path: str) -> Opened:
        """See :meth:`.session.Session.open`; a file that has changed is read again."""
        try:
            facts = os.stat(path)
        except OSError:
            return super().open(path)
        key = (path, facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if key not in self._opened:
            self._opened[key] = super().open(path)
        self._opened.move_to_end(key)
        while len(self._opened) > MAX_OPEN:
            self._opened.popitem(last=False)
        return self._opened[key]


class Sessions:
    """The sessions of a list: one for all lines, unless lines ask for models or devices."""

    def __init__(self, note: Note | None = None, series: Sequence[str] = ()) -> None:
        """Open nothing yet.

        Args:
            note: told what was chosen.
            series: files for whose pictures ``auto`` chooses one model, whatever their lines say.
        """
        self._note = note
        self._series = series
        self._sessions: OrderedDict[tuple[Any, ...], Session] = OrderedDict()

    def of(self, job: Job) -> Session:
        """Return the session of a line; only the last few are held."""
        # What one line chooses for its pictures is not chosen for those of others.
        alone = job.line if job.one_model and not self._series else None
        key = (job.model, job.device, job.precision, job.fresh, alone)
        if key not in self._sessions:
            session = CachingSession(
                model=job.model,
                device=job.device,
                precision=job.precision,
                fresh=job.fresh,
                one_model=job.one_model or bool(self._series),
                note=self._note,
            )
            session.choose_for_all(self._series)
            self._sessions[key] = session
        self._sessions.move_to_end(key)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return self._sessions[key]


def plan_job(job: Job, sessions: Sessions) -> Planned:
    """Find the recipe of a line; pictures are encoded, nothing is rendered."""
    session = sessions.of(job)
    if job.request.folders:  # an animation, which is rendered by itself
        return Planned(job, session, plan_animation(job.request, session))
    recipe = plan_composition(job.request, session)
    return Planned(job, session, recipe, _kind(recipe, job))


def _kind(recipe: PictureRecipe, job: Job) -> tuple[Any, ...] | None:
    """Return what compositions have in common that can be rendered together."""
    rows = recipe.rows
    if not _plain(rows[0], ROW_FIELDS) or not all(_plain(t, TERM_FIELDS) for t in rows[0].terms):
        return None
    if not set(recipe.settings) <= SETTINGS or recipe.settings.get("solver") == "langevin":
        return None  # Langevin dynamics draws from each picture's own seed as it goes
    if job.request.trace is not None:
        return None
    if len({(t.model, t.component, t.z.tobytes()) for t in rows[0].terms}) < len(rows[0].terms):
        return None  # copies of a term are one term, which others may have no copies of
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


def keep_what_is_there(planned: Planned) -> bool:
    """Keep outputs that are there, whole, and made by this recipe; say whether that is all.

    Of pictures of several seeds, each with a recipe of its own, those that lack stay to be made.
    """
    request, recipe = planned.job.request, planned.recipe
    if not request.metadata:  # a PNG tells by its recipe
        return False
    if not request.files:
        found = _held(request.output, recipe)
        traced = request.trace is None or _held(request.trace, recipe, traced=True) is not None
        if found is None or not traced:
            return False
        planned.finish(request.output, found)
        for path in request.writes:
            mark_kept(path)
        return True
    alike = {name: value for name, value in recipe.settings.items() if name != "seeds"}
    rest = []
    for path, seed in zip(request.files, request.seeds, strict=True):
        found = _held(path, dataclasses.replace(recipe, settings={**alike, "seed": seed}))
        if found is None:
            rest.append((path, seed))
            continue
        planned.finish(path, found)
        mark_kept(path)
    if rest:
        files, seeds = zip(*rest, strict=True)
        left = dataclasses.replace(request, files=files, seeds=seeds)
        planned.job = dataclasses.replace(planned.job, request=left)
    return not rest


def _held(path: str, recipe: PictureRecipe, *, traced: bool = False) -> PictureRecipe | None:
    """Return the recipe in a file; None where it is no whole PNG that was made by ``recipe``.

    Args:
        path: the file; an animation that is no PNG carries no recipe.
        recipe: how it is to be made.
        traced: it is to be the descent, which carries the recipe of its picture.
    """
    if not os.path.isfile(path):
        return None
    try:
        data = read_input(path)
        found = read_recipe(data, f"'{show(path)}'")
    except CometError:
        return None
    settings = {n: v for n, v in found.settings.items() if n not in FOUND - {*recipe.settings}}
    if not is_same(dataclasses.replace(found, settings=settings), recipe):
        return None
    if is_animated(data) != traced and not is_animation(recipe):
        return None
    return found if data.endswith(END_OF_PNG) and is_unchanged(data) else None
