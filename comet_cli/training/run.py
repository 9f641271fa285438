"""From a recipe to a model folder: load, train, measure, save."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from comet_cli.data.dataset_folder import read_description
from comet_cli.energy.threads import thread_limit
from comet_cli.errors import CometError, MissingExtraError
from comet_cli.evaluation.measure import rounded
from comet_cli.evaluation.swaps import check_swaps, evident_labels, measure_swaps
from comet_cli.models import comet_model, known_folders
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.device import pick_device
from comet_cli.models.folder import forget_former
from comet_cli.models.readme import README, has_own_readme, model_readme
from comet_cli.training import distributed
from comet_cli.training.checkpoint import look
from comet_cli.training.going_on import (
    RECIPE,
    Memory,
    alone,
    check_folder,
    check_recipe,
    kept_recipe,
)
from comet_cli.training.loading import HeldOut, load_data, load_matches, measure_held_out
from comet_cli.training.log import Report
from comet_cli.training.loop import TrainingResult, check_before, train
from comet_cli.training.measuring import measured_figures
from comet_cli.training.objective import training_loss
from comet_cli.training.recipe import TrainingRecipe, read_recipe
from comet_cli.training.small_pictures import at_half_size
from comet_cli.training.starting import start_weights, started_from
from comet_cli.training.stopping import StopFlag

# Of the card's swap accuracy; `comet evaluate swaps` takes its time.
SWAP_PAIRS, PROBE_ITERATIONS = 200, 800
TIMED = 3  # iterations that an estimate measures; the first one is slow


def train_recipe(
    path: Path | TrainingRecipe,
    folder: Path,
    *,
    max_seconds: float = math.inf,
    device: str = "auto",
    report: Report | None = None,
    begin: Callable[[], None] | None = None,
    estimate: Callable[[float, int], None] | None = None,
    measuring: Callable[[int], None] | None = None,
    measured: int = 500,
    force: bool = False,
) -> tuple[ModelCard, TrainingResult]:
    """Train a recipe into a model folder, going on where an earlier call stopped.

    The model folder (weights, card, recipe, README) is written at the end of every call, also of
    one that time or a signal ended, so that ``-m FOLDER`` works at once. Then figures are measured
    for its card: not after a signal, and a signal ends that too.

    Args:
        path: the recipe, or its file (TOML); folders in it are relative to the current folder.
        folder: made if need be; holds the checkpoint, the log and the sample sheets too.
        max_seconds: stop after this training time.
        device: ``auto``, ``cpu``, ``cuda[:n]`` or ``mps``.
        report: called with each line of the log (of several processes, in the first alone).
        begin: called when the data are read and the folder is there (in the first process alone).
        estimate: called before training, with the seconds an iteration takes and how many are left.
        measuring: called before figures are measured, with the number of pictures.
        measured: held-out pictures that the card's figures are measured on.
        force: go on although recipe or pictures are not those that the training began with.

    Returns:
        the card as written and what the training reached.

    Raises:
        UsageError: the folder holds a training by another recipe or of other pictures, one that is
            at work, or a model without one.
        CometError: what the recipe names is not there, or cannot be trained or measured on.
    """
    recipe = path if isinstance(path, TrainingRecipe) else read_recipe(path)
    first = distributed.rank() == 0
    # The folder may be on the first machine only.
    begun = distributed.from_first(look(folder))
    check_folder(recipe, begun, folder, force=force)
    if begun.recipe:
        check_recipe(recipe, begun.recipe, folder, force=force)
    start = begun.started_from  # the model of then, whatever has become of it
    if start is None:  # a model that was just trained is on the first machine only, too
        start = distributed.from_first(started_from(recipe) if first else None)
    memory = Memory(begun.pictures, force=force)
    images, held_out, judged = load_data(recipe, measured, memory)
    if recipe.data.swaps:
        check_swaps(Path(recipe.data.swaps), **swap_settings(recipe))
    # What a training lacks is found before anything is written.
    place = str(pick_device(distributed.local_device(device)))
    check_before(recipe, images, place)
    weights = start_weights(recipe) if first and not begun.recipe else None
    initial = distributed.from_first(weights)
    matches = load_matches(recipe, images)
    if recipe.train.tensorboard and first:
        report = with_tensorboard(report, folder)
    try:
        if first:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CometError(f"cannot make the folder {folder}: {error.strerror}") from None
    only = alone(folder) if first else contextlib.nullcontext()
    with thread_limit(recipe.train.threads), only:
        if first and begin is not None:
            begin()
        if first and begun.alone:  # which check_folder lets pass with force alone
            forget_former(folder, (RECIPE, README))
        left = recipe.train.iterations - begun.iteration
        if estimate is not None and left > 0 and distributed.size() == 1:
            estimate(seconds_each(recipe, device, begun.iteration), left)
        with StopFlag() as stopping:
            result = train(
                recipe,
                images,
                folder,
                held_out=held_out.images[: recipe.data.held_out_count],
                max_seconds=max_seconds,
                device=place,
                report=report,
                initial=initial,
                stopping=stopping,
                matches=matches,
                kept={"pictures": memory.now, "started_from": start},
            )
            if not first:
                return recipe.card, result
            extra = kept_recipe(folder, recipe.text, begun.recipe, force=force)
            save = partial(save_trained, result, recipe, folder, start, extra)
            card = save({})
            if measuring is not None and not stopping.asked:
                measuring(len(judged.images))
            kinds = kinds_of_figures(result.model, recipe, judged)
            figures, why = measured_figures(kinds, stopping)
            result = dataclasses.replace(result, interrupted=stopping.asked, unmeasured=why)
            return save(figures) if figures else card, result


def seconds_each(recipe: TrainingRecipe, device: str = "auto", done: int = 0) -> float:
    """Return the mean time of the iterations that are left, measured on noise.

    Args:
        recipe: of the training.
        device: where.
        done: iterations before.
    """
    card, settings = recipe.card, recipe.train
    place = pick_device(device)
    model = CometModel(card).to(place)
    small_left = max(0, settings.small_iterations - done)
    stages = [(model, settings.iterations - done - small_left)]
    if small_left:
        stages.append((at_half_size(model), small_left))
    total = 0.0
    for stage, count in stages:
        size = stage.card.image_size
        x = torch.rand(settings.batch, 3, size, size).to(place)
        times = []
        for _ in range(TIMED if count else 0):
            begun = time.perf_counter()
            # All losses are in force at the end.
            training_loss(stage, x, settings, settings.iterations)[0].backward()  # type: ignore[no-untyped-call]
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            elif place.type == "mps":
                torch.mps.synchronize()
            times.append(time.perf_counter() - begun)
        total += min(times, default=0.0) * count
    return total / max(1, sum(count for _, count in stages))


def with_tensorboard(report: Report | None, folder: Path) -> Report:
    """Return a report that also writes each line of the log for TensorBoard.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError(
            "the recipe asks for tensorboard, which is not installed: pip install tensorboard"
        ) from None

    @functools.cache
    def writer() -> Any:  # made with the first line, when the folder is there
        return SummaryWriter(str(folder / "tensorboard"))

    def write(line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "iteration":
                writer().add_scalar(name, value, line["iteration"])
        writer().flush()
        if report is not None:
            report(line)

    return write


def kinds_of_figures(
    model: CometModel, recipe: TrainingRecipe, held_out: HeldOut
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Yield what measures a card's figures, kind by kind.

    Args:
        model: trained.
        recipe: of the training.
        held_out: what is measured on.
    """
    yield lambda: measure_held_out(model, held_out)
    if recipe.data.swaps:
        swaps = partial(measure_swaps, model, Path(recipe.data.swaps), **swap_settings(recipe))
        yield lambda: {"swaps": rounded(swaps(iterations=PROBE_ITERATIONS))}


def save_trained(
    result: TrainingResult,
    recipe: TrainingRecipe,
    folder: Path,
    before: dict[str, Any],
    extra: Mapping[str, str],
    figures: dict[str, Any],
) -> ModelCard:
    """Write a trained model's folder; return the card as written.

    Args:
        result: of the training.
        recipe: of the training.
        folder: where.
        before: the card's ``started_from``.
        extra: :func:`comet_cli.training.going_on.kept_recipe`.
        figures: measured on it.
    """
    half = recipe.train.weights == "float16"
    if half:
        result.model.half().float()
    labels = recipe.card.labels
    # Components of a model that colours are named by what they are from the start.
    if "swaps" in figures and not recipe.card.colours:
        labels = labels or evident_labels(figures["swaps"]["factors"], recipe.card.components)
    card = dataclasses.replace(
        recipe.card,
        labels=labels,
        iterations=result.iteration + before.get("iterations", 0),
        train_seconds=round(result.seconds + before.get("train_seconds", 0.0), 1),
        started_from=before,
        recipe=RECIPE if extra else "",
        figures=figures,
    )
    if has_own_readme(folder):
        extra = {**extra, README: model_readme(card)}
    dtype = torch.float16 if half else None
    saved = comet_model.save(
        result.model, folder, card=card, extra=extra, overwrite=True, dtype=dtype
    )
    known_folders.remember(folder, saved.weights_sha256)
    return saved


def swap_settings(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return how the swap accuracy of a recipe is measured."""
    names = recipe.data.swap_factors or None
    return {"measured": swap_pairs(recipe), "names": names, "count": SWAP_PAIRS}


def swap_pairs(recipe: TrainingRecipe) -> Path | None:
    """Return where the pairs of the card's swap accuracy are.

    Where the recipe says, else where all figures are measured. None, for the test split of the
    swaps' own data set, where that is another generator's.
    """
    if recipe.data.swaps_measured:
        return Path(recipe.data.swaps_measured)
    if not recipe.data.measured or not isinstance(recipe.data.measured, str):
        return None
    found = [read_description(Path(p)) for p in (recipe.data.measured, recipe.data.swaps)]
    generators = [(description or {}).get("generator") for description in found]
    alike = generators[0] is not None and generators[0] == generators[1]
    return Path(recipe.data.measured) if alike else None
