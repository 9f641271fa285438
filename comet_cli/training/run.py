"""From a recipe to a model folder: load, train, measure, save."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from comet_cli.data.mixture import Pictures
from comet_cli.errors import CometError, MissingExtraError
from comet_cli.evaluation.measure import rounded
from comet_cli.evaluation.swaps import evident_labels, measure_swaps
from comet_cli.models import store
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.competitive_encoder import CompetitiveEncoder
from comet_cli.training.loading import HeldOut, load_data, measure_held_out
from comet_cli.training.loop import Report, TrainingResult, train
from comet_cli.training.recipe import Recipe, read_recipe

# Of the card's swap accuracy; `comet evaluate swaps` takes its time.
SWAP_PAIRS, PROBE_ITERATIONS = 200, 800


def train_recipe(
    path: Path,
    folder: Path,
    *,
    max_seconds: float = math.inf,
    device: str = "auto",
    report: Report | None = None,
    measured: int = 500,
) -> tuple[ModelCard, TrainingResult]:
    """Train a recipe into a model folder, going on where an earlier call stopped.

    The model folder (weights, card with measured figures, recipe, README) is written at the end
    of every call, also of one that time or a signal ended, so that ``-m FOLDER`` works at once.

    Args:
        path: the recipe (TOML); folders in it are relative to the current folder.
        folder: made if need be; holds the checkpoint, the log and the sample sheets too.
        max_seconds: stop after this training time.
        device: ``auto``, ``cpu``, ``cuda[:n]`` or ``mps``.
        report: called with each line of the log.
        measured: held-out pictures that the card's figures are measured on.

    Returns:
        the card as written and what the training reached.
    """
    recipe = read_recipe(path)
    images, held_out, judged = load_data(recipe, measured)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CometError(f"cannot make the folder {folder}: {error.strerror}") from None
    result = train(
        recipe,
        images,
        folder,
        held_out=held_out.images[: recipe.data.held_out_count],
        max_seconds=max_seconds,
        device=str(store.pick_device(device)),
        report=with_tensorboard(report, folder) if recipe.train.tensorboard else report,
        initial=start_weights(recipe, images),
    )
    card = save_trained(result, recipe, folder, judged)
    return card, result


def with_tensorboard(report: Report | None, folder: Path) -> Report:
    """Return a report that also writes each line of the log for TensorBoard.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError(
            "the recipe asks for tensorboard, which is not installed: "
            "pip install 'comet-cli[tensorboard]'"
        ) from None
    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "iteration":
                writer.add_scalar(name, value, line["iteration"])
        writer.flush()
        if report is not None:
            report(line)

    return write


def start_weights(recipe: Recipe, images: Pictures) -> dict[str, torch.Tensor]:
    """Return the weights a training starts from.

    Those of ``start_from``, or random ones (of the recipe's seed) whose encoder, where it has a
    ground, starts from the mean picture of the data.
    """
    torch.manual_seed(recipe.train.seed)
    model = CometModel(recipe.card)
    if recipe.train.start_from:
        other = store.load(recipe.train.start_from, device="cpu")
        weights = grown(other.state_dict(), model.state_dict())
        widths = [(card.filter_dim, card.latent_dim) for card in (other.card, recipe.card)]
        if weights is None or widths[0] != widths[1]:
            raise CometError(
                f"start_from: '{recipe.train.start_from}' has another architecture than the recipe"
            )
        model.load_state_dict(weights)
    elif isinstance(model.encoder, CompetitiveEncoder):
        some = images[:: max(1, len(images) // 2000)]
        mean = torch.from_numpy(np.median(some, axis=0)).permute(2, 0, 1).float() / 255
        model.encoder.set_ground(mean)
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def grown(
    old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor] | None:
    """Return the weights of ``new`` with what ``old`` has of them.

    A layer with more inputs or outputs than before keeps the former ones. New inputs weigh nothing
    at first, and new outputs a hundredth of their random weights, so that the network does what it
    did: features that were trained are large, and random weights on them would be a leap. None if
    the layers are others, or narrower.
    """
    fits = old.keys() == new.keys() and all(
        a.ndim == new[k].ndim and all(m <= n for m, n in zip(a.shape, new[k].shape, strict=True))
        for k, a in old.items()
    )
    if not fits:
        return None
    found = {}
    for key, value in old.items():
        weights = new[key] * 0.01
        if value.ndim > 1:
            weights[: len(value)] = 0
        weights[tuple(slice(n) for n in value.shape)] = value
        found[key] = weights
    return found


def save_trained(
    result: TrainingResult,
    recipe: Recipe,
    folder: Path,
    held_out: HeldOut,
) -> ModelCard:
    """Measure a trained model and write its folder; return the card as written."""
    half = recipe.train.weights == "float16"
    if half:
        result.model.half().float()
    figures, labels = measure_held_out(result.model, held_out), recipe.card.labels
    if recipe.data.swaps:
        swaps = measure_swaps(
            result.model,
            Path(recipe.data.swaps),
            names=recipe.data.swap_factors or None,
            count=SWAP_PAIRS,
            iterations=PROBE_ITERATIONS,
        )
        figures["swaps"] = rounded(swaps)
        labels = labels or evident_labels(swaps, recipe.card.components)
    card = dataclasses.replace(
        recipe.card,
        labels=labels,
        iterations=result.iteration,
        train_seconds=round(result.seconds, 1),
        recipe="recipe.toml",
        figures=figures,
    )
    extra: dict[str, Any] = {"recipe.toml": recipe.text, "README.md": model_readme(card)}
    dtype = torch.float16 if half else None
    return store.save(result.model, folder, card=card, extra=extra, overwrite=True, dtype=dtype)


def model_readme(card: ModelCard) -> str:
    """Return a model card in the Hub's format, made of the card's facts alone."""
    figures = "\n".join(f"| {name} | {value} |" for name, value in flat(card.figures))
    network = card.energy + (", sees the image" if card.sees_image else "")
    network += "".join(f", {word}" for word in ("spatial", "responds") if getattr(card, word))
    attention = f", {card.attention} attention" if card.encoder == "recurrent" else ""
    told = "".join(
        f"{title}: {text}\n\n"
        for title, text in (("Intended use", card.intended_use), ("Limits", card.limits))
        if text
    )
    return f"""---
license: {card.licence.lower() or "other"}
library_name: comet-cli
tags: [comet, energy-based-model, image-decomposition]
---
# {card.name}

{card.description}

{told}| fact | value |
| --- | --- |
| components K | {card.components} |
| latent dimension D | {card.latent_dim} |
| image size R | {card.image_size} |
| encoder | {card.encoder}{attention} |
| energy | {network} |
| filters F | {card.filter_dim} |
| components' names | {", ".join(card.labels) or "none"} |
| rendering | {card.render_steps} steps of {card.render_step_size:g}, from {card.init} |
| data | {card.dataset} |
| training | {card.iterations} iterations, {card.train_seconds / 60:.0f} minutes |

Figures measured on held-out pictures:

| figure | value |
| --- | --- |
{figures}

Use it: `comet encode picture.png -m {card.name}`. Train it again: `comet train recipe.toml -o DIR`.
"""


def flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested figures as (dotted name, value) rows."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append(
                (f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value))
            )
    return rows
