"""The training loop (Algorithm 1 of the paper)."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from comet_cli.data.mixture import Pictures
from comet_cli.errors import CometError
from comet_cli.models.comet_model import CometModel
from comet_cli.training import distributed
from comet_cli.training.averaging import averaged, update_average
from comet_cli.training.batches import draw_batch, draw_matched
from comet_cli.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from comet_cli.training.matching import Matches
from comet_cli.training.objective import TrainingStep, compile_networks
from comet_cli.training.optimizers import learning_rate, make_optimizer
from comet_cli.training.perceptual import perceptual_loss
from comet_cli.training.recipe import TrainingRecipe

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainingResult:
    """What a call of :func:`train` reached.

    Attributes:
        model: with the averaged weights where the recipe asks for them.
        iteration: optimizer steps done in all.
        seconds: training time in all.
        finished: the recipe's iterations are done (otherwise: time or a signal ended it).
        interrupted: a signal ended it.
    """

    model: CometModel
    iteration: int
    seconds: float
    finished: bool
    interrupted: bool


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
    stop_on_signal: bool = True,
    matches: Matches | None = None,
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
        stop_on_signal: stop with a checkpoint at SIGTERM and SIGINT.
        matches: of the recipe's ``match``: where else a picture's components may be taken from.

    Raises:
        CometError: the loss is not finite (the last checkpoint stays as it was), or the pictures
            do not fit the recipe.
    """
    settings, card = recipe.train, recipe.card
    if images.ndim != 4 or images.shape[1:] != (card.image_size, card.image_size, 3):
        raise CometError(
            f"the model takes {card.image_size}-pixel pictures, the data are {images.shape[1:]}"
        )
    if len(images) == 0:
        raise CometError("no picture to train on")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.losses.get("perceptual"):  # what it lacks is said now, not after its warm-up
        blank = torch.zeros(1, 3, card.image_size, card.image_size, device=device)
        perceptual_loss(blank, blank, settings.perceptual_weights)
    torch.manual_seed(settings.seed)
    model = CometModel(card).to(device)
    if initial is not None:
        model.load_state_dict(initial)
    distributed.check_batch(settings.batch)
    first = distributed.rank() == 0
    optimizer = make_optimizer(settings.optimizer, model, settings.learning_rate)
    state = TrainingState(0, 0.0, {k: v.detach().clone() for k, v in model.state_dict().items()})
    restored = load_checkpoint(folder, model, optimizer)
    if restored is not None:
        state, _ = restored
        state.ema = {k: v.to(device) for k, v in state.ema.items()}
    if settings.compile:
        compile_networks(model)
    step: nn.Module = TrainingStep(model)
    if distributed.size() > 1:
        step = nn.parallel.DistributedDataParallel(step, find_unused_parameters=True)
    stopping = _StopFlag(stop_on_signal)
    began = marked = sampled = time.monotonic()
    before = state.seconds
    errors: list[float] = []
    losses: list[float] = []
    model.train()

    def checkpoint() -> None:
        state.seconds = before + time.monotonic() - began
        if first:
            save_checkpoint(folder, model, optimizer, state, recipe.text)

    def asked() -> bool:
        late = time.monotonic() - began >= max_seconds
        return distributed.any_of(stopping.asked or late, model.device)

    with stopping:
        while state.iteration < settings.iterations and not asked():
            if matches is None:
                x, taken = draw_batch(images, recipe, state.iteration), None
            else:
                x, taken = draw_matched(images, recipe, state.iteration, matches)
            loss, error = step(x.to(device), settings, state.iteration, taken)
            error = distributed.mean(error, model.device)
            losses.append(distributed.mean(float(loss.detach()), model.device))
            if not (math.isfinite(error) and math.isfinite(losses[-1])):
                raise CometError(_not_finite("loss", state.iteration))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, state.iteration)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            if not math.isfinite(float(norm)):  # a step would spoil weights and checkpoint
                raise CometError(_not_finite("gradient", state.iteration))
            optimizer.step()
            state.iteration += 1
            update_average(state.ema, model, settings.ema, state.iteration)
            errors.append(error)
            now = time.monotonic()
            if state.iteration % settings.log_every == 0 and first:
                pace = (now - marked) / len(errors)
                line = {
                    "iteration": state.iteration,
                    "seconds": round(before + now - began, 1),
                    "seconds_left": round(pace * (settings.iterations - state.iteration)),
                    "loss": round(float(np.mean(losses)), 6),
                    "train_psnr": round(-10 * math.log10(max(float(np.mean(errors)), 1e-12)), 3),
                    "images_per_second": round(settings.batch / pace, 1),
                }
                if held_out is not None:
                    line["held_out_psnr"] = round(held_out_psnr(model, state.ema, held_out), 3)
                with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                if report is not None:
                    report(line)
                errors, losses, marked = [], [], time.monotonic()
            if first and now - sampled >= settings.sample_minutes * 60 and held_out is not None:
                from comet_cli.training.samples import write_samples

                with averaged(model, state.ema):
                    write_samples(model, held_out, folder / f"samples-{state.iteration:07d}.png")
                sampled = time.monotonic()
            if before + now - began >= state.seconds + settings.checkpoint_minutes * 60:
                checkpoint()
    checkpoint()
    model.load_state_dict(state.ema)
    model.eval().requires_grad_(False)
    finished = state.iteration >= settings.iterations
    return TrainingResult(model, state.iteration, state.seconds, finished, stopping.asked)


def held_out_psnr(model: CometModel, average: dict[str, Tensor], held_out: np.ndarray) -> float:
    """Return the mean PSNR (dB) of recompositions with the averaged weights, without restarts."""
    from comet_cli.evaluation.reconstruction import psnr, reconstruct

    with averaged(model, average):
        x = torch.from_numpy(held_out).permute(0, 3, 1, 2).float().to(model.device) / 255
        return float(psnr(reconstruct(model, x, restarts=False), x).mean())


def _not_finite(what: str, iteration: int) -> str:
    return (
        f"the {what} is not finite at iteration {iteration}; the last checkpoint is kept: "
        "lower learning_rate or step_size and start again from it"
    )


class _StopFlag:
    """SIGTERM and SIGINT ask the loop to stop at its next iteration instead of killing it."""

    def __init__(self, listen: bool) -> None:
        self.asked = False
        self._listen = listen and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._listen:
            self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        if self._listen:
            for number, handler in self._before.items():
                signal.signal(number, handler)
