"""The settings of a recipe's sections [data] and [train], and what they must be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.training.sources import parse_sources

# Settings of [train] that are one of a few words, and those that have a smallest value.
CHOICES = {
    "optimizer": ("adam", "adamw", "muon"),
    "schedule": ("constant", "cosine"),
    "loss": ("last", "all"),
    "precision": ("auto", "float32", "bfloat16"),
    "weights": ("float32", "float16"),
}
LEAST = {
    **dict.fromkeys(("iterations", "batch", "log_every"), 1),
    **dict.fromkeys(
        ("small_iterations", "warm_up", "num_steps", "extra_steps", "seed", "threads"), 0
    ),
    **dict.fromkeys(("latent_noise", "perceptual_warm_up", "penalty_warm_up"), 0),
    **dict.fromkeys(("checkpoint_minutes", "sample_minutes"), 0),
}
# Settings of losses: without their weights they would do nothing.
OF_LOSSES = {
    "mixture_sigma": ("mixture", "consistency"),
    **dict.fromkeys(("perceptual_warm_up", "perceptual_weights"), ("perceptual",)),
}


@dataclass(frozen=True)
class DataSettings:
    """Where the pictures come from.

    Attributes:
        train: a data-set folder (its split ``train``), a plain folder of pictures, a pack or an
            array file; or a table, or a list of tables (:class:`.sources.TrainingData`).
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
        check(
            "data",
            [
                (bool(self.swaps) or not self.swap_factors, "swap_factors is for swaps"),
                (bool(self.swaps) or not self.swaps_measured, "swaps_measured is for swaps"),
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
        mixture_sigma: σ of the mixture likelihood, in units of a channel's range.
        perceptual_warm_up: iterations of square error without it (the released code: 10,000).
        perceptual_weights: the backbone's weights, torchvision's file vgg16-397923af.pth; default
            torch.hub's copy. Nothing is downloaded.
        extra_steps: up to so many steps more than N, drawn for each batch: what a step makes of a
            picture that further steps have made already.
        latent_noise: noise added to the latents, in units of their standard deviation.
        penalty_warm_up: iterations until the losses that the table calls penalties have their full
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
        start_from: a model to start from (fine-tuning): a name, a folder, or ``hf:org/name``; or a
            recipe, ``NAME.toml``, which is trained first, into ``runs/NAME``.
        keep: which of its components the first of ours start from, 0-based; default the first. A
            model of global components may get fewer or more of them so.
        match: for each component the labelled factors that it holds. In training it is taken from
            another picture that has the same values of them (match pairing: Shu et al., "Weakly
            supervised disentanglement with guarantees", 2020), so that it can say nothing else.
        losses: weights of the losses beside the square error, by their names in
            :data:`.loss_table.LOSSES`; in a recipe each is a setting of its own.
        full_size: weights of losses after ``small_iterations``, where they change then.
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
    mixture_sigma: float = 0.1
    perceptual_warm_up: int = 0
    perceptual_weights: str = ""
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
    losses: dict[str, float] = field(default_factory=dict)
    full_size: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            FileFormatError: a setting out of its range.
        """
        check("train", self._checks())

    def weights_at(self, iteration: int) -> dict[str, float]:
        """Return the weights of the losses in an iteration (0-based), by their names."""
        later = self.full_size if iteration >= self.small_iterations else {}
        return {**self.losses, **later}

    def weighs(self, name: str) -> bool:
        """Say whether a loss has a weight at any time."""
        return bool(self.losses.get(name) or self.full_size.get(name))

    def _checks(self) -> Iterable[tuple[bool, str]]:
        for name, words in CHOICES.items():
            listed = f"{', '.join(words[:-1])} or {words[-1]}"
            yield getattr(self, name) in words, f"{name} must be {listed}"
        for name, least in LEAST.items():
            sentence = (
                f"{name} must be at least {least}" if least else f"{name} must not be negative"
            )
            yield least <= getattr(self, name) < math.inf, sentence
        for name, weight in (*self.losses.items(), *self.full_size.items()):
            yield 0 <= weight < math.inf, f"{name} must not be negative or infinite"
        yield (
            not self.full_size or 0 < self.small_iterations < self.iterations,
            "full_size is for trainings whose small_iterations are some of the iterations",
        )
        yield 0 < self.learning_rate < math.inf, "learning_rate must be a positive number"
        yield (
            self.small_iterations <= self.iterations,
            "small_iterations must be at most iterations",
        )
        yield 0 < self.mixture_sigma < math.inf, "mixture_sigma must be a positive number"
        for name, losses in OF_LOSSES.items():
            unused = getattr(self, name) == getattr(type(self), name)
            yield unused or any(map(self.weighs, losses)), f"{name} is for {' and '.join(losses)}"
        mixes = any(map(self.weighs, ("swap", "depth_order", "cover")))
        yield (
            self.batch > 1 or not (mixes or self.latent_noise),
            "latent_noise, swap, depth_order and cover need a batch of 2 or more",
        )
        yield self.clip > 0, "clip must be positive"
        yield 0 <= self.ema < 1, "ema must be at least 0 and below 1"
        yield (
            not self.weighs("perceptual") or self.perceptual_warm_up < self.iterations,
            "perceptual_warm_up must be below iterations",
        )
        yield (
            all(type(k) is int and k >= 0 for k in self.keep)
            and len(set(self.keep)) == len(self.keep),
            "keep must list different components, 0-based",
        )
        yield not self.keep or bool(self.start_from), "keep is for start_from"
        yield (
            all(
                type(group) is list and group and all(type(f) is str for f in group)
                for group in self.match
            ),
            "match must list one or more names of factors for each component",
        )


def check(section: str, checks: Iterable[tuple[bool, str]]) -> None:
    """Check what must hold in a section of a recipe.

    Raises:
        FileFormatError: with the sentence of the first check that does not hold.
    """
    for holds, sentence in checks:
        if not holds:
            raise FileFormatError(f"recipe, [{section}]: {sentence}")
