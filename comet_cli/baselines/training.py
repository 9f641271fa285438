"""Baselines trained as models are: the same pictures, log, checkpoints and folder."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from comet_cli.baselines.base import Baseline
from comet_cli.baselines.card import BaselineCard
from comet_cli.baselines.folder import build, save_baseline
from comet_cli.baselines.recipe import BaselineRecipe, parse_any_recipe
from comet_cli.data.mixture import Pictures
from comet_cli.energy.threads import thread_limit
from comet_cli.errors import CometError
from comet_cli.evaluation.measure import measure
from comet_cli.models.device import pick_device
from comet_cli.models.folder import forget_former
from comet_cli.models.readme import README
from comet_cli.training import distributed
from comet_cli.training.batches import draw_batch, random_seed
from comet_cli.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    look,
    save_checkpoint,
    save_or_tell,
)
from comet_cli.training.going_on import (
    RECIPE,
    Memory,
    alone,
    check_folder,
    check_recipe,
    kept_recipe,
)
from comet_cli.training.loading import load_data
from comet_cli.training.log import Report, TrainingLog
from comet_cli.training.loop import check_finite
from comet_cli.training.measuring import measured_figures
from comet_cli.training.optimizers import learning_rate
from comet_cli.training.stopping import StopFlag, listening


@dataclass(frozen=True)
class BaselineResult:
    """What a call of :func:`train_baseline` reached; see :class:`.TrainingResult`."""

    model: Baseline
    iteration: int
    seconds: float
    finished: bool
    interrupted: bool
    unsaved: str = ""
    unmeasured: str = ""


def train_baseline(
    recipe: BaselineRecipe,
    folder: Path,
    *,
    max_seconds: float = math.inf,
    device: str = "auto",
    report: Report | None = None,
    measuring: Callable[[int], None] | None = None,
    measured: int = 500,
    force: bool = False,
) -> tuple[BaselineCard, BaselineResult]:
    """Train a recipe into a folder, going on where an earlier call stopped.

    Args:
        recipe: the recipe.
        folder: made if need be.
        max_seconds: stop after this training time.
        device: ``auto``, ``cpu``, ``cuda[:n]`` or ``mps``.
        report: called with each line of the log.
        measuring: called before figures are measured, with the number of pictures.
        measured: held-out pictures that the card's figures are measured on.
        force: go on although recipe or pictures are not those that the training began with.

    Returns:
        the card as written and what the training reached.

    Raises:
        UsageError: as of :func:`comet_cli.training.run.train_recipe`.
        CometError: no such pictures, a loss that is not finite, or several processes.
    """
    if distributed.size() > 1:
        raise CometError("a baseline is trained by one process: start comet without torchrun")
    begun = look(folder)
    check_folder(recipe, begun, folder, force=force)
    if begun.recipe:
        check_recipe(recipe, begun.recipe, folder, force=force, parse=parse_any_recipe)
    memory = Memory(begun.pictures, force=force)
    images, _, judged = load_data(recipe, measured, memory)
    place = str(pick_device(device))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CometError(f"cannot make the folder {folder}: {error.strerror}") from None
    with thread_limit(recipe.train.threads), alone(folder):
        if begun.alone:  # which check_folder lets pass with force alone
            forget_former(folder, (RECIPE, README))
        with StopFlag() as stopping:
            result = fit(
                recipe,
                images,
                folder,
                max_seconds=max_seconds,
                device=place,
                report=report,
                stopping=stopping,
                kept={"pictures": memory.now},
            )
            extra = kept_recipe(folder, recipe.text, begun.recipe, force=force)
            save = partial(save_fitted, result, recipe, folder, extra)
            card = save({})
            if measuring is not None and not stopping.asked:
                measuring(len(judged.images))
            masks = judged.masks if recipe.card.components > 1 else None
            kind = partial(measure, result.model, judged.images, masks)
            figures, why = measured_figures([kind], stopping)
            result = dataclasses.replace(result, interrupted=stopping.asked, unmeasured=why)
            return save(figures) if figures else card, result


def save_fitted(
    result: BaselineResult,
    recipe: BaselineRecipe,
    folder: Path,
    extra: Mapping[str, str],
    figures: dict[str, Any],
) -> BaselineCard:
    """Write a trained baseline's folder; return the card as written."""
    card = dataclasses.replace(
        recipe.card,
        iterations=result.iteration,
        train_seconds=round(result.seconds, 1),
        recipe=RECIPE if extra else "",
        figures=figures,
    )
    return save_baseline(result.model, card, folder, extra)


def fit(
    recipe: BaselineRecipe,
    images: Pictures,
    folder: Path,
    *,
    max_seconds: float = math.inf,
    device: str = "cpu",
    report: Report | None = None,
    stopping: StopFlag | None = None,
    kept: Mapping[str, Any] | None = None,
) -> BaselineResult:
    """Train on pictures (N,R,R,3) uint8, resuming from ``folder`` where it was begun.

    Raises:
        CometError: the loss is not finite; the last checkpoint stays as it was.
    """
    settings = recipe.train
    torch.manual_seed(settings.seed)
    model = build(recipe.card).to(device).train()
    optimizer = model.make_optimizer(settings.learning_rate)
    restored = load_checkpoint(folder, model, optimizer)
    state = TrainingState(0, 0.0, {}) if restored is None else restored[0]
    saved = None if restored is None else state.iteration
    began, before = time.monotonic(), state.seconds
    log = TrainingLog(folder, settings, report)
    log.go_on(state.iteration)
    noise = torch.Generator()

    def checkpoint() -> str:
        nonlocal saved
        state.seconds = before + time.monotonic() - began
        unsaved = save_or_tell(
            lambda: save_checkpoint(folder, model, optimizer, state, recipe.text, kept)
        )
        saved = saved if unsaved else state.iteration
        return unsaved

    with listening(stopping) as flag:
        while state.iteration < settings.iterations and not flag.asked:
            if time.monotonic() - began >= max_seconds:
                break
            x = draw_batch(images, recipe, state.iteration).to(device)
            noise.manual_seed(random_seed(settings.seed, state.iteration, 1))
            loss, error = model.loss(x, noise)
            check_finite("loss", [float(loss.detach())], state.iteration, saved)
            for group in optimizer.param_groups:
                group["lr"] = group.get("scale", 1.0) * learning_rate(settings, state.iteration)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            check_finite("gradient", [float(norm)], state.iteration, saved)
            optimizer.step()
            state.iteration += 1
            log.add(float(loss.detach()), float(error.detach()))
            now = time.monotonic()
            if state.iteration % settings.log_every == 0:
                log.write(log.line(state.iteration, before + now - began))
            if before + now - began >= state.seconds + settings.checkpoint_minutes * 60:
                checkpoint()
        unsaved = checkpoint()
        if log.waits:
            log.write(log.line(state.iteration, state.seconds))
    model.eval().requires_grad_(False)
    finished = state.iteration >= settings.iterations
    return BaselineResult(model, state.iteration, state.seconds, finished, flag.asked, unsaved)
