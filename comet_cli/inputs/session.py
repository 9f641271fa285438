"""From arguments to components: opening files, encoding pictures, finding the right model."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.energy.threads import encodes_lightly, one_thread
from comet_cli.errors import CometError, FileFormatError, UnknownModelError, UsageError
from comet_cli.formats.components import PRECISIONS as ENCODED_IN
from comet_cli.formats.components import (
    ComponentSet,
    is_components,
    parse_components,
    sealed_components,
)
from comet_cli.formats.files import base_name, peek_input, read_input, show
from comet_cli.formats.frames import Frame, has_frames, look_through, tell_first
from comet_cli.formats.images import decode_mask, from_bytes, load_image, to_bytes
from comet_cli.formats.picture_recipe import PictureRecipe, RecipeRow
from comet_cli.inputs.auto_model import choose_model
from comet_cli.inputs.reuse import matching_latents, path_beside
from comet_cli.models import comet_model, known_folders, library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.device import pick_device
from comet_cli.models.hub_reference import PREFIX as HUB_PREFIX

Note = Callable[[str], None]
Progress = Callable[[int, int], None]
AUTO = "auto"
PRECISIONS = ("auto", *ENCODED_IN)


@dataclass(frozen=True)
class Opened:
    """An input: a picture that was encoded, or a ``.z`` file.

    Attributes:
        path: as typed.
        model: the model its components belong to.
        components: the components.
        picture: (R,R,3) uint8 as the model saw it; None for a ``.z``.
        reused: a ``.z`` that matches the picture was read instead of encoding it.
    """

    path: str
    model: CometModel
    components: ComponentSet
    picture: np.ndarray | None = None
    reused: bool = False

    @property
    def name(self) -> str:
        """Base name."""
        return base_name(self.path)

    def label(self, component: int) -> str:
        """Return the component's label, "" if it has none."""
        return self.components.labels[component] if self.components.labels else ""


class Session:
    """The models of one command, each opened once, and what they make of its files."""

    def __init__(
        self,
        *,
        model: str = AUTO,
        device: str = "auto",
        precision: str = "auto",
        fresh: bool = False,
        one_model: bool = False,
        note: Note | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            model: name or folder of the model that encodes pictures; ``auto`` for the one that
                each picture is most likely one of (:meth:`choose`).
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
            precision: ``auto`` (float32), ``float32`` or ``bfloat16`` (autocast).
            fresh: encode pictures whose ``.z`` is there already, and choose their model anew.
            one_model: instead of ``auto`` for each picture, choose one model for all of them.
            note: told what was chosen.

        Raises:
            UsageError: a device or precision that does not exist here.
        """
        if precision not in PRECISIONS:
            raise UsageError(f"unknown precision '{precision}'; use {', '.join(PRECISIONS)}")
        self.device = pick_device(device)
        self.precision = "float32" if precision == "auto" else precision
        self.fresh = fresh
        self.one_model = one_model
        self.note: Note = note or (lambda sentence: None)
        self._requested = model
        self._named: dict[str, CometModel] = {}
        self._models: dict[str, CometModel] = {}  # by the hash of their weights
        self._series: CometModel | None = None
        self._chosen: dict[str, str] = {}  # what auto took, by picture
        self._told: set[str] = set()

    def note_once(self, sentence: str) -> None:
        """Tell the user something that holds for the whole command, the first time."""
        if sentence not in self._told:
            self._told.add(sentence)
            self.note(sentence)

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Compute in the chosen precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            yield

    def environment(self) -> dict[str, str]:
        """Return the settings that a recipe records about the machine: no names of its own."""
        return {"device": self.device.type, "precision": self.precision}

    def load(self, name: str) -> CometModel:
        """Return the model of a name, folder or ``hf:org/name``, found and loaded once."""
        if name not in self._named:
            folder = library.find(name)
            sha256 = ModelCard.read(folder).weights_sha256
            if sha256 not in self._models:
                self._models[sha256] = comet_model.load(folder, str(self.device))
                if not name.startswith(HUB_PREFIX):  # whose cache is found by the name
                    known_folders.remember(folder, sha256)
            self._named[name] = self._models[sha256]
        return self._named[name]

    def requested(self) -> CometModel | None:
        """Return the model given with ``-m`` or chosen for all, None for ``auto``."""
        return self._series if self._requested == AUTO else self.load(self._requested)

    def model_of(self, name: str, sha256: str, where: str) -> CometModel:
        """Return the model that made some components.

        Args:
            name: what the model was called.
            sha256: hash of its weights.
            where: named in error messages.

        Raises:
            UnknownModelError: no such model is installed (lists the known).
            FileFormatError: a model of that name is, but with other weights.
        """
        self.requested()
        if sha256 in self._models:
            return self._models[sha256]
        entries = library.list_models()
        for entry in entries:
            if entry.card.weights_sha256 == sha256:
                return self.load(str(entry.folder))
        if folder := known_folders.recall(sha256):
            return self.load(str(folder))
        if name.startswith(HUB_PREFIX):
            self.note(f"{where} was made with '{show(name)}', which is taken from the Hub")
            model = self.load(name)
            if model.card.weights_sha256 == sha256:
                return model
            raise FileFormatError(
                f"{where} was made with other weights than '{show(name)}' has (sha256 "
                f"{sha256[:12]}…, there is {model.card.weights_sha256[:12]}…); encode the picture "
                "again"
            )
        for entry in entries:
            if name in (entry.name, entry.card.name):
                raise FileFormatError(
                    f"{where} was made with another version of model '{show(name)}' (sha256 "
                    f"{sha256[:12]}…, installed is {entry.card.weights_sha256[:12]}…); encode the "
                    "picture again, or give that version's folder with -m"
                )
        known = ", ".join(entry.name for entry in entries) or "none"
        raise UnknownModelError(
            f"{where} was made with model '{show(name)}', which is not installed "
            f"(known: {known}); give its folder with -m"
        )

    def open(self, path: str) -> Opened:
        """Open a ``.z`` file, or a picture, which is encoded; ``-`` is standard input."""
        data = read_input(path)
        where = f"'{show(path)}'"
        if is_components(data) or path.endswith(".z"):
            components = parse_components(data, where)
            model = self.model_of(components.model, components.model_sha256, where)
            _check_fit(components, model, where)
            return Opened(path, model, components)
        return self.encode(data, path)

    def encode(
        self,
        data: bytes,
        path: str,
        *,
        model: CometModel | None = None,
        also: Sequence[Path] = (),
    ) -> Opened:
        """Infer the components of a picture; see :meth:`begin`."""
        return self.begin(data, path, model=model, also=also)()

    def begin(
        self,
        data: bytes,
        path: str,
        *,
        model: CometModel | None = None,
        also: Sequence[Path] = (),
        frame: Frame | None = None,
    ) -> Callable[[], Opened]:
        """Do all that is to be done before the components of a picture are inferred.

        A ``.z`` beside the picture is read instead where it matches (:mod:`.reuse`); nothing
        but the time taken tells.

        Args:
            data: the picture's file.
            path: as typed.
            model: to encode it with; default the requested or the best one.
            also: further files that may hold its components.
            frame: of which ``data`` is the picture, or what was cut out of it.

        Returns:
            What infers them; any thread may call it.
        """
        where = f"'{show(path)}'"
        if model is None and (model := self.requested()) is None:
            model = self.choose([(data, where)], where)
            self._chosen[path] = model.card.name
        card = model.card
        if frame is None:
            tell_first(data, where)
        picture = load_image(data, card.image_size, where=where)
        sha256 = hashlib.sha256(data).hexdigest()
        z = (
            None
            if self.fresh
            else self._latents_beside(
                card, sha256, None if frame is not None else path_beside(path), path, also
            )
        )

        def finish() -> Opened:
            found = self.infer(model, picture) if z is None else z
            components = ComponentSet(
                z=found,
                model=card.name,
                model_sha256=card.weights_sha256,
                image_size=card.image_size,
                labels=card.names_of(len(found)),
                source=base_name(path),
                source_sha256=sha256,
                seconds=0.0 if frame is None else frame.seconds,
                precision=self.precision,
            )
            components = sealed_components(components)
            return Opened(path, model, components, to_bytes(picture), reused=z is not None)

        return finish

    def choose(self, pictures: Iterable[tuple[bytes, str]], what: str) -> CometModel:
        """Return the installed model that a picture, or all of a series, is most likely one of.

        See :func:`comet_cli.inputs.auto_model.choose_model`.

        Args:
            pictures: each one's file, and what messages call it.
            what: all of them, in messages.
        """
        return choose_model(
            pictures,
            what,
            load=self.load,
            judge=self._judge,
            note=self.note,
            environment=self.environment(),
            fresh=self.fresh,
        )

    def choose_for_all(
        self,
        paths: Sequence[str],
        progress: Progress | None = None,
        prepare: Callable[[bytes, str], bytes] | None = None,
    ) -> None:
        """With ``one_model``, take from now on one model for all pictures (:meth:`choose`).

        Args:
            paths: the inputs; those that hold components choose nothing. Of a video or an animated
                picture, some frames are looked at.
            progress: called with (done, total) pictures.
            prepare: makes of a picture's file, and what messages call it, that of what is encoded.
        """
        if not self.one_model or self.requested() is not None:
            return
        pictures = [path for path in dict.fromkeys(paths) if not _holds_components(path)]
        if len(pictures) > 1:
            what = f"the {len(pictures)} pictures"
            with contextlib.suppress(FileFormatError):  # of every picture, when its turn comes
                self._series = self.choose(_samples(pictures, progress, prepare), what)

    def tell_choices(self) -> None:
        """Tell where ``auto`` took different models for the pictures of one command."""
        chosen = Counter(self._chosen.values())
        if len(chosen) > 1:
            self.note_once(
                f"{len(chosen)} models were chosen for {chosen.total()} pictures; "
                "for a series, --one-model chooses one for all of them"
            )

    def _judge(self, model: CometModel, data: bytes, target: torch.Tensor) -> float:
        """Return the mean squared error of a model's reconstruction beside ``target`` (3,S,S)."""
        # Redraws would take longest where a picture is strange to a model.
        picture = load_image(data, model.card.image_size)
        z = torch.from_numpy(self.infer(model, picture, redraws=False)).to(model.device)
        terms = [Term(model, z[k], 1.0, k, str(k)) for k in range(len(z))]
        try:
            with self.arithmetic():
                image = render(terms)
        except CometError:
            return math.inf
        size = target.shape[-1]
        image = F.interpolate(image.float().cpu(), (size, size), mode="bilinear", antialias=True)
        return float((image[0] - target).square().mean())

    def infer(self, model: CometModel, picture: np.ndarray, *, redraws: bool = True) -> np.ndarray:
        """Return the latents (k,D) float32 that a model infers from a picture (3,R,R)."""
        x = torch.from_numpy(picture)[None].to(model.device)
        with one_thread(encodes_lightly(model)), torch.no_grad(), self.arithmetic():
            z = model.components_of(x, redraws=redraws)
        return z.float().cpu().numpy()

    def _latents_beside(
        self,
        card: ModelCard,
        sha256: str,
        beside: Path | None,
        path: str,
        also: Sequence[Path],
    ) -> np.ndarray | None:
        places = [*also, *([] if beside is None else [beside])]
        z, others = matching_latents(dict.fromkeys(places), card, sha256, precision=self.precision)
        if beside in others and beside not in also:  # else it is about to be replaced
            self.note(
                f"'{show(str(beside))}' is not what encoding made of '{show(path)}' as it is, "
                "which is encoded again"
            )
        return z

    def terms(self, recipe: PictureRecipe, row: RecipeRow, where: str = "the recipe") -> list[Term]:
        """Return the terms of a recipe's row.

        Raises:
            UnknownModelError, FileFormatError: see :meth:`model_of`; or latents that do not fit.
        """
        terms = []
        for t in row.terms:
            reference = recipe.models[t.model]
            model = self.model_of(reference.name, reference.sha256, where)
            if len(t.z) != model.card.latent_dim:
                raise FileFormatError(
                    f"{where} holds a latent of {len(t.z)} numbers, model '{model.card.name}' "
                    f"takes {model.card.latent_dim}"
                )
            z = torch.from_numpy(np.array(t.z, np.float32)).to(model.device)
            region = None
            if t.mask:
                region = torch.from_numpy(from_bytes(decode_mask(t.mask, f"a mask in {where}"))[0])
            name = t.label or str(t.component)
            terms.append(Term(model, z, t.weight, t.component, name, region))
        return terms


def _holds_components(path: str) -> bool:
    """Say whether a file holds components; what cannot be read fails when it is opened."""
    try:
        return path.endswith(".z") or is_components(peek_input(path, 1 << 16))
    except (OSError, ValueError, CometError):
        return True


def _samples(
    paths: Sequence[str],
    progress: Progress | None,
    prepare: Callable[[bytes, str], bytes] | None,
) -> Iterator[tuple[bytes, str]]:
    """Yield the files of pictures, and some frames of those that have several."""
    for n, path in enumerate(paths):
        where = f"'{show(path)}'"
        with contextlib.suppress(CometError):  # it fails when its turn comes
            if has_frames(path):
                files = [frame.picture for frame in look_through(read_input(path), where).samples]
            else:
                files = [peek_input(path)]
            for file in files:
                yield (file if prepare is None else prepare(file, where)), where
        if progress is not None:
            progress(n + 1, len(paths))


def _check_fit(components: ComponentSet, model: CometModel, where: str) -> None:
    card = model.card
    if components.z.shape[1] != card.latent_dim or components.image_size != card.image_size:
        raise FileFormatError(
            f"{where} holds components (K, {components.z.shape[1]}) for pictures of "
            f"{components.image_size} pixels, its model '{card.name}' takes "
            f"(K, {card.latent_dim}) and {card.image_size}"
        )


def term_of(opened: Opened, component: int, weight: float = 1.0) -> Term:
    """Return one component of an input as a term."""
    z = torch.from_numpy(opened.components.z[component].copy()).to(opened.model.device)
    return Term(opened.model, z, weight, component, f"{opened.name}:{component}")
