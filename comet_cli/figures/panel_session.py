"""What the panels of a figure are made with: opened inputs, renderings, gradient maps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from comet_cli.drawing.maps import signed_map
from comet_cli.energy.composition import Term
from comet_cli.energy.gradients import attribute
from comet_cli.energy.render import render
from comet_cli.formats.files import base_name
from comet_cli.formats.images import encode_png, from_bytes, to_bytes
from comet_cli.inputs.session import Opened, Session, term_of
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel


@dataclass(frozen=True)
class PanelInput:
    """An input of a panel.

    Attributes:
        caption: the file's name, or "rendering of a.z".
        terms: its K components.
        labels: what they are called.
        picture: (R,R,3) uint8, what is shown as the input.
    """

    caption: str
    terms: tuple[Term, ...]
    labels: tuple[str, ...]
    picture: np.ndarray

    @property
    def model(self) -> CometModel:
        """The model that inferred the components."""
        return self.terms[0].model


class PanelSession:
    """Opens, renders and maps for the panels of one figure."""

    def __init__(self, *, device: str = "auto", precision: str = "auto") -> None:
        """Open nothing yet; see :class:`comet_cli.inputs.session.Session`."""
        self._new_session = partial(Session, device=device, precision=precision)
        self._sessions: dict[str, Session] = {}
        self._arithmetic = self._new_session().arithmetic
        self.models: dict[str, str] = {}

    def _session_of(self, model: str) -> Session:
        if model not in self._sessions:
            session = self._new_session(model=model)
            session.requested()
            self._sessions[model] = session
        return self._sessions[model]

    def card(self, model: str) -> ModelCard:
        """Return a model's card.

        Raises:
            UnknownModelError: no such model.
        """
        return self._session_of(model).load(model).card

    def open(self, path: Path, model: str) -> PanelInput:
        """Open a picture, or a ``.z``, for a model.

        A ``.z`` is shown as it is rendered. One of another model is rendered by that model, and
        the rendering is encoded: no photograph needs to be there.

        Raises:
            UnknownModelError: this model, or that of the ``.z``, is not installed.
        """
        session = self._session_of(model)
        opened = session.open(str(path))
        caption, picture = base_name(path), opened.picture
        if picture is None:
            caption = f"rendering of {caption}"
            picture = self.draw(_terms(opened))
            if opened.model.card.weights_sha256 != self.card(model).weights_sha256:
                self._note(opened.model.card)
                opened = session.encode(encode_png(picture), str(path))
                picture = picture if opened.picture is None else opened.picture
        self._note(opened.model.card)
        components = opened.components
        labels = components.labels or [f"component{k}" for k in range(len(components))]
        spaced = tuple(re.sub(r"(?<=[a-z])(\d+)$", r" \1", label) for label in labels)
        return PanelInput(caption, tuple(_terms(opened)), spaced, picture)

    def _note(self, card: ModelCard) -> None:
        self.models[card.name] = card.weights_sha256

    def draw(self, terms: Sequence[Term]) -> np.ndarray:
        """Render a composition with the models' own settings: (R,R,3) uint8."""
        with self._arithmetic():
            return to_bytes(render(terms)[0])

    def maps(self, source: PanelInput) -> list[np.ndarray]:
        """Return −∇_x E_k of each component where a rendering begins: (R,R,3) uint8 each."""
        z = torch.stack([t.z for t in source.terms])
        picture = torch.from_numpy(from_bytes(source.picture))
        with self._arithmetic():
            found = attribute(source.model, z, picture=picture)
        return [signed_map(-gradient) for gradient in found.gradients]


def _terms(opened: Opened) -> list[Term]:
    return [term_of(opened, k) for k in range(len(opened.components))]
