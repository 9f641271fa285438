"""The training loop (Algorithm 1 of the paper)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from comet_cli.data.mixture import Pictures
from comet_cli.energy.threads import thread_limit
from comet_cli.errors import CometError, DivergenceError
from comet_cli.models.comet_model import CometModel
from comet_cli.training import distributed
from comet_cli.training.averaging import averaged, update_average
from comet_cli.training.batches import draw_batch, draw_matched
from comet_cli.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    save_or_tell,
)
from comet_cli.training.log import Report, TrainingLog, held_out_figures, told_if_it_fails
from comet_cli.training.matching import Matches
from comet_cli.training.objective import TrainingStep, compile_networks
from comet_cli.training.optimizers import learning_rate, make_optimizer
from comet_cli.training.perceptual import perceptual_loss
from comet_cli.training.recipe import TrainingRecipe
from comet_cli.training.samples import write_samples
from comet_cli.training.small_pictures import at_half_size, stage
from comet_cli.training.stopping import StopFlag, listening


@dataclass(frozen=True)
class TrainingResult:
    """What a call of :func:`train` reached.

    Attributes:
        model: with the averaged weights where the recipe asks for them.
        iteration: optimizer steps done in all.
        seconds: training time in all.
        finished: the recipe's iterations are done (otherwise: time or a signal ended it).
        interrupted: a signal ended it.
        unsaved: why the last checkpoint could not be written, or "".
        unmeasured: why the card lacks figures although nothing interrupted them, or "".
    """

    model: CometModel
    iteration: int
    seconds: float
    finished: bool
    interrupted: bool
    unsaved: str = ""
    unmeasured: str = ""


def train(
    recipe: TrainingRecipe,
    images: Pictures,
    folder: Path,
    *,
    held_out: np.ndarray | None = None,
    max_seconds: float = math.inf,
    device: str = "cpu",
    report: Report | None = None,
    initial: dict[str, Tensor] | None = None,
    stopping: StopFlag | None = None,
    matches: Matches | None = None,
    kept: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train the recipe's model on pictures, resuming from ``folder`` where it was begun.

    Args:
        recipe: facts of the model and settings.
        images: (N,R,R,3) uint8, an array or a mixture of data sets.
        folder: checkpoint, log (``log.jsonl``) and sample sheets go here; must exist.
        held_out: (M,R,R,3) uint8 for the log's PSNR and the sample sheets.
        max_seconds: stop after this time, counted from this call.
        device: torch device.
        report: called with each line of the log.
        initial: weights to start from when there is no checkpoint (fine-tuning).
        stopping: ends it with a checkpoint; default one that SIGTERM and SIGINT set.
        matches: of the recipe's ``match``: where else a picture's components may be taken from.
        kept: with the checkpoint (:func:`comet_cli.training.checkpoint.save_checkpoint`).

    Raises:
        CometError: the loss is not finite (the last checkpoint stays as it was), or the pictures
            do not fit the recipe.
    """
    settings, first = recipe.train, distributed.rank() == 0
    check_before(recipe, images, device)
    torch.manual_seed(settings.seed)
    model = CometModel(recipe.card).to(device)
    if initial is not None:
        model.load_state_dict(initial)
    optimizer = make_optimizer(settings.optimizer, model, settings.learning_rate)
    state = TrainingState(0, 0.0, {k: v.detach().clone() for k, v in model.state_dict().items()})
    restored = load_checkpoint(folder, model, optimizer)
    saved: int | None = None
    if restored is not None:
        state, _ = restored
        saved = state.iteration
        state.ema = {k: v.to(device) for k, v in state.ema.items()}
    if settings.compile:
        compile_networks(model)
    small = at_half_size(model) if settings.small_iterations else None
    step: nn.Module = TrainingStep(model, small)
    if distributed.size() > 1:
        with distributed.together():
            step = nn.parallel.DistributedDataParallel(step, find_unused_parameters=True)
    began = sampled = time.monotonic()
    before, begun_at = state.seconds, state.iteration
    log = TrainingLog(folder, settings, report)
    if first:
        log.go_on(begun_at)
    model.train()

    def checkpoint() -> str:
        nonlocal saved
        state.seconds = before + time.monotonic() - began
        if not first:
            return ""
        unsaved = save_or_tell(
            lambda: save_checkpoint(folder, model, optimizer, state, recipe.text, kept)
        )
        saved = saved if unsaved else state.iteration
        return unsaved

    def write_line() -> None:
        line = log.line(state.iteration, before + time.monotonic() - began)
        if held_out is not None:
            seen = stage(model, small, settings, state.iteration - 1)
            try:
                line |= held_out_figures(seen, state.ema, held_out)
            except DivergenceError:
                raise gone_astray("energy of held-out pictures", state.iteration, saved) from None
        log.write(line)

    def write_sheet() -> None:
        seen = stage(model, small, settings, state.iteration - 1)
        if held_out is not None:
            with told_if_it_fails("no sample sheet"), averaged(seen, state.ema):
                write_samples(seen, held_out, folder / f"samples-{state.iteration:07d}.png")

    def asked(flag: StopFlag) -> bool:
        late = time.monotonic() - began >= max_seconds
        return distributed.any_of(flag.asked or late, model.device)

    with thread_limit(settings.threads), listening(stopping) as flag, distributed.together():
        while state.iteration < settings.iterations and not asked(flag):
            if matches is None:
                x, taken = draw_batch(images, recipe, state.iteration), None
            else:
                x, taken = draw_matched(images, recipe, state.iteration, matches)
            loss, error = step(x.to(device), settings, state.iteration, taken)
            means = [distributed.mean(v, model.device) for v in (float(loss.detach()), error)]
            check_finite("loss", means, state.iteration, saved)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, state.iteration)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            # A step would spoil weights and checkpoint.
            check_finite("gradient", [float(norm)], state.iteration, saved)
            optimizer.step()
            state.iteration += 1
            update_average(state.ema, model, settings.ema, state.iteration)
            now = time.monotonic()
            log.add(*means)
            if first and state.iteration % settings.log_every == 0:
                write_line()
            if first and now - sampled >= settings.sample_minutes * 60:
                write_sheet()
                sampled = time.monotonic()
            if before + now - began >= state.seconds + settings.checkpoint_minutes * 60:
                checkpoint()
        unsaved = checkpoint()
        if first and log.waits:
            write_line()
        if first and state.iteration > begun_at:
            write_sheet()
    model.load_state_dict(state.ema)
    model.eval().requires_grad_(False)
    finished = state.iteration >= settings.iterations
    return TrainingResult(model, state.iteration, state.seconds, finished, flag.asked, unsaved)


def check_before(recipe: TrainingRecipe, images: Pictures, device: str) -> None:
    """Say what a training lacks before it begins.

    Raises:
        CometError: pictures that do not fit the recipe, a batch that cannot be shared out, or a
            loss whose library or weights are not there, or a model that cannot be compiled or
            trained at half its size.
    """
    settings, side = recipe.train, recipe.card.image_size
    if images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise CometError(f"the model takes {side}-pixel pictures, the data are {images.shape[1:]}")
    if len(images) == 0:
        raise CometError("no picture to train on")
    distributed.check_batch(settings.batch)
    if settings.compile:
        compile_networks(CometModel(recipe.card))
    if settings.small_iterations:
        at_half_size(CometModel(recipe.card))
    if settings.weighs("perceptual"):
        blank = torch.zeros(1, 3, side, side, device=device)
        perceptual_loss(blank, blank, settings.perceptual_weights)


def check_finite(what: str, values: Iterable[float], iteration: int, saved: int | None) -> None:
    """Stop a training whose loss or gradient is no number any more.

    Args:
        what: they are.
        values: of this iteration.
        iteration: at which.
        saved: the iteration of the checkpoint; None where there is none.
    """
    if not all(map(math.isfinite, values)):
        raise gone_astray(what, iteration, saved)


def gone_astray(what: str, iteration: int, saved: int | None) -> CometError:
    """Return the error of :func:`check_finite`, with what can be done."""
    advice = "nothing was saved yet: lower learning_rate or step_size and start again"
    if saved is not None:
        advice = (
            f"the checkpoint of iteration {saved} is kept: lower learning_rate in the recipe and "
            "go on from it"
        )
    return CometError(f"the {what} is not finite at iteration {iteration}; {advice}")
