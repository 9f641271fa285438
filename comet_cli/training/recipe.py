"""A training recipe: one TOML file that says everything a training run depends on."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.models.card import ModelCard
from comet_cli.training.sources import parse_sources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class DataSettings:
    """Where the pictures come from.

    Attributes:
        train: a data-set folder (its split ``train``), a plain folder of pictures, a pack or an
            array file; or a table, or a list of tables, as :class:`.sources.Source` describes.
        held_out: whose split ``test`` is held out, written like ``train``; default the same.
        measured: whose split ``test`` the card's figures are measured on; default ``held_out``.
            A set of its own keeps what the log and the sheets led to out of them.
        swaps: a labelled data-set folder; the card's swap accuracy is measured on it, and the card
            names components after the factors that follow them.
        swaps_measured: a data set of the same factors, whose split ``test`` holds the pairs that
            are swapped; default ``measured`` where that is one, else ``swaps``.
        swap_factors: the factors read there; default all of a grid.
        held_out_count: how many held-out pictures the log and the sheets use.
        flip: mirror pictures left to right at random.
        colour_jitter: largest relative change of each channel's gain.
    """

    train: str | dict[str, Any] | list[Any]
    held_out: str | dict[str, Any] | list[Any] = ""
    measured: str | dict[str, Any] | list[Any] = ""
    swaps: str = ""
    swaps_measured: str = ""
    swap_factors: list[str] = field(default_factory=list)
    held_out_count: int = 64
    flip: bool = False
    colour_jitter: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            FileFormatError: a setting out of its range.
        """
        _check(
            "data",
            [
                (self.held_out_count >= 1, "held_out_count must be at least 1"),
                (0 <= self.colour_jitter < 1, "colour_jitter must be at least 0 and below 1"),
            ],
        )
        for key in ("train", "held_out", "measured"):
            if key == "train" or getattr(self, key) != "":
                parse_sources(getattr(self, key), key)


@dataclass(frozen=True)
class TrainSettings:
    """How the weights are found.

    Attributes:
        iterations: optimizer steps.
        batch: B.
        small_iterations: the first so many iterations see pictures pooled to half their size.
        optimizer: ``adam``; ``adamw``, with weight decay and a shorter memory; or ``muon``: Muon
            for the matrices of hidden layers, Adam for the rest.
        learning_rate: the optimizer's, after ``warm_up`` iterations of linear growth.
        schedule: ``constant`` or ``cosine`` (to a hundredth of the learning rate).
        warm_up: iterations.
        clip: largest gradient norm.
        ema: decay of the averaged weights that are saved (0: the last weights).
        num_steps: N of the descent in training (default: the card's).
        loss: ``last`` (the released code) or ``all`` iterates (Algorithm 1 of the paper).
        parsimony: weight of the penalty on confidence beyond the most confident component's
            (quadratic energy): pixels are explained by one component, others fall silent.
        purity: weight of the penalty on pixels that several components share.
        area: weight of the penalty on the share of the picture that components other than
            component 0 claim (quadratic energy with a ground): objects end where they end.
        mixture: weight of the mixture likelihood (colouring attention): a pixel is one component's.
        mixture_sigma: the likelihood's σ, in units of a channel's range.
        consistency: weight of the agreement of attention and precision (colouring attention).
        attention_area: weight of the share of the picture that objects attend to (colouring
            attention), from the start: none parks in a corner and paints background.
        silence: weight of the precision of absent components (colouring attention).
        gradient: weight of the mean absolute difference of image gradients (sharper edges).
        structure: weight of 1 − MS-SSIM (an extra): edges and texture at every scale.
        perceptual: weight of the perceptual distance LPIPS of VGG-16 (an extra); where it is in
            force the square error weighs a tenth, as in the released code for 128 pixels.
        perceptual_warm_up: iterations of square error without it (the released code: 10,000).
        perceptual_weights: the backbone's weights, torchvision's file vgg16-397923af.pth; default
            torch.hub's copy. Nothing is downloaded.
        swap: weight of the swap loss (quadratic energy): a picture recombined of components of
            the batch's pictures must be encoded to those components.
        dependence: weight of the mean distance correlation of two components' latents: none says
            what another one says.
        extra_steps: up to so many steps more than N, drawn for each batch: what a step makes of a
            picture that further steps have made already.
        latent_noise: noise added to the latents, in units of their standard deviation.
        penalty_warm_up: iterations until swap, dependence and the three penalties have their full
            weight; they are off for the first quarter of them. From the start they keep objects
            from being found.
        precision: ``bfloat16`` autocast or ``float32`` for the networks; ``auto``: bfloat16 where
            the machine computes with it.
        weights: ``float32`` or ``float16``: how the weights are saved, and rounded to before the
            card's figures are measured.
        compile: compile encoder and energy network (needs a C++ compiler).
        seed: of weights, batches and noise.
        threads: CPU threads (0: leave as it is).
        checkpoint_minutes: time between checkpoints.
        sample_minutes: time between sample sheets.
        log_every: iterations between lines of the log.
        tensorboard: write the log for TensorBoard too (an extra).
        start_from: a model to start from (fine-tuning), a name or a folder.
        keep: which of its components the first of ours start from, 0-based; default the first. A
            model of global components may get fewer or more of them so.
        match: for each component the labelled factors that it holds. In training it is taken from
            another picture that has the same values of them (match pairing: Shu et al., "Weakly
            supervised disentanglement with guarantees", 2020), so that it can say nothing else.
    """

    iterations: int
    small_iterations: int = 0
    batch: int = 16
    optimizer: str = "adam"
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warm_up: int = 0
    clip: float = 10.0
    ema: float = 0.0
    num_steps: int = 0
    loss: str = "last"
    parsimony: float = 0.0
    purity: float = 0.0
    area: float = 0.0
    mixture: float = 1.0
    mixture_sigma: float = 0.1
    consistency: float = 1.0
    attention_area: float = 1e-3
    silence: float = 1e-4
    gradient: float = 0.0
    structure: float = 0.0
    perceptual: float = 0.0
    perceptual_warm_up: int = 0
    perceptual_weights: str = ""
    swap: float = 0.0
    dependence: float = 0.0
    extra_steps: int = 0
    latent_noise: float = 0.0
    penalty_warm_up: int = 0
    precision: str = "float32"
    weights: str = "float32"
    compile: bool = False
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 5.0
    sample_minutes: float = 10.0
    log_every: int = 100
    tensorboard: bool = False
    start_from: str = ""
    keep: list[int] = field(default_factory=list)
    match: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            FileFormatError: a setting out of its range.
        """
        checks = [
            (self.iterations >= 1, "iterations must be at least 1"),
            (self.batch >= 1, "batch must be at least 1"),
            (0 < self.learning_rate < math.inf, "learning_rate must be a positive number"),
            (
                self.optimizer in ("adam", "adamw", "muon"),
                "optimizer must be adam, adamw or muon",
            ),
            (
                0 <= self.small_iterations <= self.iterations,
                "small_iterations must be at least 0 and at most iterations",
            ),
            (0 < self.mixture_sigma < math.inf, "mixture_sigma must be a positive number"),
            (self.schedule in ("constant", "cosine"), "schedule must be constant or cosine"),
            (self.loss in ("last", "all"), "loss must be last or all"),
            (
                self.precision in ("auto", "float32", "bfloat16"),
                "precision must be auto, float32 or bfloat16",
            ),
            (
                all(type(k) is int and k >= 0 for k in self.keep)
                and len(set(self.keep)) == len(self.keep),
                "keep must list different components, 0-based",
            ),
            (not self.keep or bool(self.start_from), "keep is for start_from"),
            (
                all(
                    type(group) is list and group and all(type(f) is str for f in group)
                    for group in self.match
                ),
                "match must list one or more names of factors for each component",
            ),
            (self.weights in ("float32", "float16"), "weights must be float32 or float16"),
            (0 <= self.ema < 1, "ema must be at least 0 and below 1"),
            (
                all(
                    0 <= w < math.inf
                    for w in (
                        self.parsimony,
                        self.purity,
                        self.area,
                        self.mixture,
                        self.consistency,
                        self.attention_area,
                        self.silence,
                        self.gradient,
                        self.structure,
                        self.perceptual,
                        self.swap,
                        self.dependence,
                        self.latent_noise,
                    )
                ),
                "parsimony, purity, area, mixture, consistency, attention_area, silence, "
                "gradient, structure, perceptual, swap, dependence and latent_noise must not be "
                "negative",
            ),
            (
                0 <= self.perceptual_warm_up
                and (not self.perceptual or self.perceptual_warm_up < self.iterations),
                "perceptual_warm_up must be at least 0 and below iterations",
            ),
            (self.clip > 0, "clip must be positive"),
            (self.log_every >= 1, "log_every must be at least 1"),
            (
                self.checkpoint_minutes >= 0 and self.sample_minutes >= 0,
                "checkpoint_minutes and sample_minutes must not be negative",
            ),
            (
                min(self.warm_up, self.num_steps, self.extra_steps, self.seed, self.threads) >= 0,
                "warm_up, num_steps, extra_steps, seed and threads must not be negative",
            ),
        ]
        _check("train", checks)


def _check(section: str, checks: Sequence[tuple[bool, str]]) -> None:
    for holds, sentence in checks:
        if not holds:
            raise FileFormatError(f"recipe, [{section}]: {sentence}")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe: the model's facts, the data, the training."""

    card: ModelCard
    data: DataSettings
    train: TrainSettings
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check what concerns several sections.

        Raises:
            FileFormatError: ``match`` does not fit the components, or what changes pictures.
        """
        match, several = self.train.match, isinstance(self.data.train, list)
        _check(
            "train",
            [
                (
                    not match or len(match) == self.card.components,
                    f"match must list the factors of each of the {self.card.components} components",
                ),
                (
                    not match or not (self.data.flip or self.data.colour_jitter),
                    "match needs pictures as they were labelled, without flip and colour_jitter",
                ),
                (not match or not several, "match is for one data set"),
                (
                    not match or self.card.encoder == "global",
                    "match is for the global encoder: objects have no fixed component",
                ),
            ],
        )


def _section(kind: type, values: Any, name: str, where: str) -> Any:
    if not isinstance(values, dict):
        raise FileFormatError(f"{where}: no section [{name}]")
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise FileFormatError(
            f"{where}, [{name}]: unknown {', '.join(unknown)}; known are {', '.join(known)}"
        )
    needed = [
        n
        for n, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [n for n in needed if n not in values]
    if missing:
        raise FileFormatError(f"{where}, [{name}]: missing {', '.join(missing)}")
    for key, value in values.items():
        wanted = str(known[key].type)
        fits = {
            "int": type(value) is int,
            "float": type(value) in (int, float),
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
        }.get(wanted, True)
        if not fits:
            raise FileFormatError(
                f"{where}, [{name}]: {key} must be of type {wanted}, not {value!r}"
            )
    try:
        return kind(**values)
    except TypeError as error:
        raise FileFormatError(f"{where}, [{name}]: {error}") from None


def _with_defaults(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the section [model] with what follows from its other facts."""
    count = facts.get("components")
    return {
        "positional": [True] * count if type(count) is int else [],
        "render_step_size": facts.get("step_size", 1.0),
        "render_steps": facts.get("num_steps", 1),
        **facts,
    }


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """Read a recipe.

    Args:
        text: TOML with the sections [model], [data] and [train].
        where: named in error messages.

    Raises:
        FileFormatError: not TOML, an unknown or missing key, a value out of range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{where} is not TOML: {error}") from None
    extra = sorted(set(document) - {"model", "data", "train"})
    if extra:
        raise FileFormatError(f"{where}: unknown section [{extra[0]}]")
    facts = document.get("model")
    if isinstance(facts, dict):
        facts = _with_defaults(facts)
    card = _section(ModelCard, facts, "model", where)
    data = _section(DataSettings, document.get("data"), "data", where)
    train = _section(TrainSettings, document.get("train"), "train", where)
    return Recipe(card, data, train, text)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file (see :func:`parse_recipe`)."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError(f"there is no recipe {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    return parse_recipe(text, where=str(path))
