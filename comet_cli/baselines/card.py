"""The facts of a baseline: section [baseline] of its recipe, ``card.json`` of its folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.formats.facts import from_facts
from comet_cli.models.folder import CARD

FORMAT = "comet-baseline"
VERSION = 1
KINDS = ("beta-vae", "infogan", "monet")
DECODERS = ("gaussian", "bernoulli")


@dataclass(frozen=True)
class BaselineCard:
    """Facts of one baseline.

    Symbols: K components, D latent dimension, R image size in pixels.

    Attributes:
        kind: ``beta-vae``, ``infogan`` or ``monet``.
        name: what its figures are called.
        image_size: R, a power of two from 16 on.
        latent_dim: D; of MONet, of each component.
        components: K of MONet; 1 of the others.
        filters: channels of the first layers.
        beta: weight of the latents' Kullback-Leibler divergence (β-VAE, MONet).
        gamma: weight of that of the masks (MONet).
        decoder: ``gaussian`` or ``bernoulli`` (β-VAE).
        information: λ, weight of the codes' mutual information (InfoGAN).
        noise_dim: numbers of a picture that no code tells (InfoGAN).
        weights_sha256: hash of ``model.safetensors`` ("" before the weights are written).
        labels: always [].
        description, dataset, licence, recipe, iterations, train_seconds, figures, comet_version:
            as on a model's card.
    """

    kind: str
    name: str
    image_size: int
    latent_dim: int
    components: int = 1
    filters: int = 32
    beta: float = 1.0
    gamma: float = 0.5
    decoder: str = "gaussian"
    information: float = 0.1
    noise_dim: int = 62
    weights_sha256: str = ""
    labels: list[str] = field(default_factory=list)
    description: str = ""
    dataset: str = ""
    licence: str = ""
    recipe: str = ""
    iterations: int = 0
    train_seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    comet_version: str = ""

    def __post_init__(self) -> None:
        """Check every fact once.

        Raises:
            FileFormatError: a fact that no baseline can have.
        """
        size, several = self.image_size, self.kind == "monet"
        for holds, sentence in (
            (self.kind in KINDS, f"kind must be one of {', '.join(KINDS)}"),
            (self.decoder in DECODERS, f"decoder must be one of {', '.join(DECODERS)}"),
            (
                size >= 16 and size & (size - 1) == 0,
                f"image_size must be a power of two from 16 on, not {size}",
            ),
            (
                min(self.latent_dim, self.filters, self.noise_dim) >= 1,
                "latent_dim, filters and noise_dim must be at least 1",
            ),
            (
                self.components >= 2 if several else self.components == 1,
                "components must be 2 or more for monet" if several else "components is for monet",
            ),
            (
                min(self.beta, self.gamma, self.information) >= 0,
                "beta, gamma and information must not be negative",
            ),
        ):
            if not holds:
                raise FileFormatError(f"baseline '{self.name}': {sentence}")

    def to_json(self) -> str:
        """Return the card as sorted, indented JSON with a final newline."""
        facts = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_card(folder: Path) -> BaselineCard:
    """Read ``folder/card.json``.

    Raises:
        FileFormatError: it is no baseline's.
    """
    path = folder / CARD
    facts = _facts(path)
    if facts.pop("format", None) != FORMAT or facts.pop("version", None) != VERSION:
        raise FileFormatError(f"{path} is not a baseline's card that this comet reads")
    return from_facts(BaselineCard, facts, str(path))


def is_baseline(folder: Path) -> bool:
    """Whether a model folder holds a baseline."""
    try:
        return _facts(folder / CARD).get("format") == FORMAT
    except FileFormatError:
        return False  # what is wrong with it is for the model's reader to say


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    if not isinstance(facts, dict):
        raise FileFormatError(f"{path} is not a card")
    return facts
