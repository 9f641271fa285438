"""The model card: every fact needed to rebuild and run a model, and where it comes from."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.formats.facts import from_facts
from comet_cli.formats.files import show
from comet_cli.models import architectures

FORMAT = "comet-model"
VERSION = 1
PLAIN_STARTS = {"grey": 0.5, "black": 0.0}
STARTS = ("noise", *PLAIN_STARTS)
# Facts of an encoder that was made by hand and is no more; other models' older cards hold them too.
RETIRED = ("parts", "restarts", "restart_above")
# What is known of the model that a training started from.
START_FACTS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "weights_sha256": (str,),
    "iterations": (int,),
    "train_seconds": (int, float),
}


def _is_start(facts: Mapping[str, Any]) -> bool:
    return set(facts) == set(START_FACTS) and all(
        isinstance(facts[name], kind) for name, kind in START_FACTS.items()
    )


def without_effect(facts: Mapping[str, Any]) -> set[str]:
    """Return which facts of a card do nothing: global components attend to nothing."""
    return set() if facts["encoder"] == "recurrent" else {"attention"}


@dataclass(frozen=True)
class ModelCard:
    """Facts of one model (``weights/<name>/card.json``).

    Symbols: K components, D latent dimension, R image size in pixels, F filters.

    Attributes:
        name: the model's name, as ``-m`` takes it.
        encoder: ``global`` or ``recurrent``.
        attention: of the recurrent encoder, ``lstm`` (the authors' network) or ``colouring`` (ours:
            objects are found by learned embeddings); the global encoder has none.
        ground: component 0 takes the ground, the others an object each; needed by ``colouring``.
        energy: ``pooled-64``, ``pooled-128`` (the authors' networks) or ``quadratic`` (ours).
        redraws: colouring attention: so often at most a picture is encoded again, from drawn
            seeds, that its components do not make up.
        redraw_above: mean square error of what they make up above which they do not.
        glimpses: colouring attention: an object's latent also follows from a window of the picture
            around it.
        sees_image: quadratic only: precision and mean are functions of x too; of a coarse
            picture, held fixed within a step, where the energy is spatial.
        spatial: global encoder and quadratic energy only: networks of our own that keep positions.
        responds: quadratic only: the mean responds to the mean colour of the picture.
        mean_margin: quadratic only: how far the mean goes beyond black and white. A little of what
            is darker than black then makes a deep shadow, which stays the ground's.
        filter_dim: F.
        components: K the model was trained with.
        latent_dim: D.
        image_size: R.
        positional: K flags: does the energy of component k see pixel positions.
        step_size: λ the model was trained with (1.0 for the preconditioned quadratic energy).
        num_steps: N the model was trained with.
        render_step_size: λ recommended for rendering.
        render_steps: N recommended for rendering.
        init: where a rendering starts unless told otherwise: ``noise``, ``grey`` or
            ``black``.
        weights_sha256: hash of ``model.safetensors`` ("" before the weights are written).
        labels: K names or []; of an encoder that colours two or [], see :meth:`names_of`.
        description: one line.
        intended_use, limits: what the model is for; what it cannot do, and whom it may serve badly.
        offered: whether ``-m auto`` tries this model; one made to compare with need not be.
        dataset, licence, recipe: where the weights come from.
        iterations, train_seconds: what led to the weights in all, that of ``started_from`` too.
        started_from: the model that training started from, if any: its ``name``,
            ``weights_sha256``, ``iterations`` and ``train_seconds`` (:data:`START_FACTS`).
        defaults_from: for imported models, the facts that the checkpoint lacked.
        figures: measured figures, name -> value or nested tables.
        comet_version: version that wrote the card.
    """

    name: str
    encoder: str
    energy: str
    filter_dim: int
    components: int
    latent_dim: int
    image_size: int
    positional: list[bool]
    step_size: float
    num_steps: int
    render_step_size: float
    render_steps: int
    init: str = "noise"
    attention: str = "lstm"
    ground: bool = False
    redraws: int = 0
    redraw_above: float = 1e-4
    glimpses: bool = False
    sees_image: bool = False
    spatial: bool = False
    responds: bool = False
    mean_margin: float = 0.0
    offered: bool = True
    weights_sha256: str = ""
    labels: list[str] = field(default_factory=list)
    description: str = ""
    intended_use: str = ""
    limits: str = ""
    dataset: str = ""
    licence: str = ""
    recipe: str = ""
    iterations: int = 0
    train_seconds: float = 0.0
    started_from: dict[str, Any] = field(default_factory=dict)
    defaults_from: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    comet_version: str = ""

    def __post_init__(self) -> None:
        """Check every fact once, so that nothing downstream has to.

        Raises:
            FileFormatError: a fact that no model can have.
        """
        checks = [
            *(
                (getattr(self, key) in known, f"{key} must be one of {known}")
                for key in ("encoder", "attention", "energy")
                for known in [architectures.words(key)]
            ),
            (self.init in STARTS, f"init must be one of {STARTS}"),
            (
                all(
                    type(n) is int and n >= 1
                    for n in (
                        self.filter_dim,
                        self.components,
                        self.latent_dim,
                        self.image_size,
                        self.num_steps,
                        self.render_steps,
                    )
                ),
                "filter_dim, components, latent_dim, image_size, num_steps and render_steps "
                "must be positive integers",
            ),
            (
                len(self.positional) == self.components
                and all(isinstance(p, bool) for p in self.positional),
                "positional must hold one true/false a component",
            ),
            (
                all(
                    isinstance(s, int | float) and math.isfinite(s) and s > 0
                    for s in (self.step_size, self.render_step_size)
                ),
                "step_size and render_step_size must be positive numbers",
            ),
            (
                not self.started_from or _is_start(self.started_from),
                f"started_from must be empty or hold {', '.join(START_FACTS)}",
            ),
            (
                len(self.labels) in (0, 2 if self.colours else self.components),
                "labels must be empty or two, for component 0 and what the others are"
                if self.colours
                else "labels must be empty or one a component",
            ),
        ]
        for holds, sentence in (*checks, *architectures.checks(self)):
            if not holds:
                raise FileFormatError(f"model card of '{self.name}': {sentence}")

    @property
    def sees_positions(self) -> bool:
        """Whether the energy of any component sees pixel positions."""
        return any(self.positional)

    @property
    def colours(self) -> bool:
        """Whether the encoder finds objects by colouring, and says where it found them."""
        return self.encoder == "recurrent" and self.attention == "colouring"

    def names_of(self, count: int) -> tuple[str, ...]:
        """Return the names of a picture's components, () where they have none.

        Of an encoder that colours, K is a limit: there are as many as the picture has, and labels
        are two words, for component 0 and for what the others are.
        """
        if self.colours:
            first, other = self.labels or ("background", "object")
            return (first, *(f"{other}{k}" for k in range(1, count)))
        return tuple(self.labels) if len(self.labels) == count else ()

    @property
    def usually_positional(self) -> bool:
        """Whether most of its components see positions, as one does that is none of them."""
        return any(self.positional) and 2 * sum(self.positional) >= len(self.positional)

    def is_whole(self, components: Collection[int | None]) -> bool:
        """Return whether components can be all that a picture has: what lacks some is a part."""
        wanted = {0} if self.colours else set(range(self.components))
        return wanted <= set(components)

    def replace(self, **changes: Any) -> ModelCard:
        """Return a copy with some facts changed (and checked again)."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """Return the card as sorted, indented JSON with a final newline."""
        facts = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "card.json") -> ModelCard:
        """Read a card.

        Args:
            text: JSON.
            where: named in error messages.

        Raises:
            FileFormatError: not JSON, another format or version, unknown or missing keys.
        """
        try:
            facts = json.loads(text)
        except ValueError as error:
            raise FileFormatError(f"{where} is not JSON: {error}") from None
        if not isinstance(facts, dict) or facts.pop("format", None) != FORMAT:
            raise FileFormatError(f"{where} is not a comet model card")
        version = facts.pop("version", None)
        if version != VERSION:
            raise FileFormatError(f"{where} has card version {version}, this comet reads {VERSION}")
        if facts.get("attention") == "competitive":
            raise FileFormatError(
                f"{where} is of a model with competitive attention, which comet no longer has; "
                "train it again with attention = 'colouring'"
            )
        facts = {key: value for key, value in facts.items() if key not in RETIRED}
        return from_facts(cls, facts, where)

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Read ``folder/card.json``."""
        path = folder / "card.json"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise FileFormatError(
                f"'{show(folder)}' holds no card.json, so it is no comet model"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path} cannot be read: {error}") from None
        return cls.from_json(text, where=str(path))
