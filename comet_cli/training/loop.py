"""The training loop (Algorithm 1 of the paper)."""

from __future__ import annotations

import dataclasses
import functools
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

from comet_cli.data.mixture import Pictures, draw_rows
from comet_cli.errors import CometError
from comet_cli.models.card import PLAIN_STARTS
from comet_cli.models.comet_model import BoundEnergy, CometModel
from comet_cli.models.quadratic_energy import (
    BoundQuadraticEnergy,
    BoundRespondingEnergy,
)
from comet_cli.networks.colouring_encoder import ColouringEncoder
from comet_cli.training import distributed
from comet_cli.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from comet_cli.training.colouring_losses import ColouringWeights, bind_present, colouring_loss
from comet_cli.training.losses import (
    Recombinable,
    area_loss,
    dependence_loss,
    gradient_loss,
    parsimony_loss,
    purity_loss,
    recomposition_iterates,
    reconstruction_loss,
    shuffle_components,
    structure_loss,
    swap_loss,
)
from comet_cli.training.matching import Matches
from comet_cli.training.optimizers import make_optimizer
from comet_cli.training.perceptual import SQUARE_ERROR_WEIGHT, perceptual_loss
from comet_cli.training.recipe import Recipe, TrainSettings
from comet_cli.training.small_pictures import at_half_size, halved

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
    recipe: Recipe,
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
    if settings.perceptual:  # what it lacks is said now, not after its warm-up
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
    small = at_half_size(model) if settings.small_iterations else None
    step: nn.Module = TrainingStep(model, small)
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
                    seen = step_model(model, small, settings, state.iteration - 1)
                    line["held_out_psnr"] = round(held_out_psnr(seen, state.ema, held_out), 3)
                with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                if report is not None:
                    report(line)
                errors, losses, marked = [], [], time.monotonic()
            if first and now - sampled >= settings.sample_minutes * 60 and held_out is not None:
                from comet_cli.training.samples import write_samples

                seen = step_model(model, small, settings, state.iteration - 1)
                with averaged(seen, state.ema):
                    write_samples(seen, held_out, folder / f"samples-{state.iteration:07d}.png")
                sampled = time.monotonic()
            if before + now - began >= state.seconds + settings.checkpoint_minutes * 60:
                checkpoint()
    checkpoint()
    model.load_state_dict(state.ema)
    model.eval().requires_grad_(False)
    finished = state.iteration >= settings.iterations
    return TrainingResult(model, state.iteration, state.seconds, finished, stopping.asked)


def step_model(
    model: CometModel, small: CometModel | None, settings: TrainSettings, iteration: int
) -> CometModel:
    """Return the model that an iteration (0-based) trains: at first the small one, if any."""
    return model if small is None or iteration >= settings.small_iterations else small


class TrainingStep(nn.Module):
    """A model and its loss as one module, as DistributedDataParallel wants it."""

    def __init__(self, model: CometModel, small: CometModel | None = None) -> None:
        """Hold the model, and the same for pictures of half the size."""
        super().__init__()
        self.model = model
        self._small = [small]  # not a module of its own: its weights are the model's

    def forward(
        self, x: Tensor, settings: TrainSettings, iteration: int, taken: Tensor | None = None
    ) -> tuple[Tensor, float]:
        """See :func:`training_loss`."""
        model = step_model(self.model, self._small[0], settings, iteration)
        if model is not self.model:
            x = halved(x)
        return training_loss(model, x, settings, iteration, taken)


def compile_networks(model: CometModel) -> None:
    """Compile the networks in place (needs a C++ compiler).

    Raises:
        CometError: the energy needs a second derivative of its network, which a compiled network
            does not offer.
    """
    if model.card.energy != "quadratic" or model.card.sees_image:
        raise CometError("recipe, [train]: compile is for the quadratic energy that sees z alone")
    model.encoder.compile()
    model.energy_network.compile()


def training_loss(
    model: CometModel,
    x: Tensor,
    settings: TrainSettings,
    iteration: int,
    taken: Tensor | None = None,
) -> tuple[Tensor, float]:
    """Return the loss of one batch and its last iterate's mean square error.

    Where several processes train, both are of this process's part of the batch.

    Args:
        model: in training.
        x: (B,3,R,R), and after them (B+E,3,R,R) what ``taken`` needs beside them.
        settings: which losses.
        iteration: 0-based.
        taken: (B,K) which picture of x each component is taken from; default its own.
    """
    noise = torch.Generator().manual_seed(_seed(settings.seed, iteration, 1))
    torch.manual_seed(_seed(settings.seed, iteration, 2))
    low = computes_low(settings.precision, x.device.type)
    shape = x.shape if taken is None else torch.Size((len(taken), *x.shape[1:]))
    every, x = x, distributed.part(x[: shape[0]])
    with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
        colouring = None
        if isinstance(model.encoder, ColouringEncoder) and taken is None:
            colouring = model.encoder.colour(x)
            z = colouring.z
        elif taken is None:
            z = model.encode(x)
        else:
            rows, places = distributed.part(taken).to(x.device).unique(return_inverse=True)
            z = model.encode(every[rows])[places, torch.arange(taken.shape[1], device=x.device)]
        if settings.latent_noise:
            spread = distributed.whole(z.detach().float()).std(0, keepdim=True)
            noisy = torch.randn(shape[0], *z.shape[1:], generator=noise)
            z = z + settings.latent_noise * spread * distributed.part(noisy).to(x.device)
        bound: BoundEnergy
        if colouring is not None and not model.card.sees_image:
            bound = bind_present(model, dataclasses.replace(colouring, z=z))
        else:
            bound = model.bind(z)
    x0 = distributed.part(torch.rand(shape, generator=noise)).to(x.device)
    if model.card.init in PLAIN_STARTS:
        # Renderings start from a plain picture unless told otherwise: train on both starts.
        plain = torch.rand(shape[0], 1, 1, 1, generator=noise) < 0.5
        x0 = torch.where(distributed.part(plain).to(x.device), PLAIN_STARTS[model.card.init], x0)
    steps = settings.num_steps or model.card.num_steps
    if settings.extra_steps:
        steps += int(torch.randint(settings.extra_steps + 1, (), generator=noise))
    iterates = recomposition_iterates(model, bound, x0, num_steps=steps, keep=settings.loss)
    loss = reconstruction_loss(iterates, x)
    if settings.perceptual and iteration >= settings.perceptual_warm_up:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            distance = perceptual_loss(iterates[-1], x, settings.perceptual_weights)
        loss = SQUARE_ERROR_WEIGHT * loss + settings.perceptual * distance
    if settings.gradient:
        loss = loss + settings.gradient * gradient_loss(iterates[-1], x)
    if settings.structure:
        loss = loss + settings.structure * structure_loss(iterates[-1], x)
    if colouring is not None and isinstance(bound, BoundQuadraticEnergy | BoundRespondingEnergy):
        weights = ColouringWeights(
            sigma=settings.mixture_sigma,
            mixture=settings.mixture,
            consistency=settings.consistency,
            area=settings.attention_area,
            silence=settings.silence,
        )
        loss = loss + colouring_loss(x, colouring.attention, bound, weights)
    share = penalty_weight(settings, iteration)
    if settings.dependence and share:
        loss = loss + settings.dependence * share * dependence_loss(z)
    if settings.swap and share:
        if not isinstance(bound, Recombinable):
            raise CometError(
                "recipe, [train]: swap is for the quadratic energy that is spatial or does not see "
                "the image"
            )
        mixed, wanted = shuffle_components(bound, z, noise)
        shown = recomposition_iterates(model, mixed, x0, num_steps=steps, keep="last")[-1]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            found = model.encode(shown.clamp(0, 1))
        loss = loss + settings.swap * share * swap_loss(found, wanted)
    if settings.parsimony or settings.purity or settings.area:
        confidence = bound.curvature(x)
        if confidence is None or model.card.sees_image:
            raise CometError(
                "recipe, [train]: parsimony, purity and area are for the quadratic energy that "
                "does not see the image"
            )
        penalty = settings.parsimony * parsimony_loss(confidence)
        penalty = penalty + settings.purity * purity_loss(confidence)
        penalty = penalty + settings.area * area_loss(confidence)
        loss = loss + share * penalty
    return loss, float((iterates[-1].detach() - x).square().mean())


@functools.cache
def computes_low(precision: str, device: str) -> bool:
    """Whether networks are computed in bfloat16: asked for, or quick on this device (``auto``)."""
    if precision != "auto":
        return precision == "bfloat16"
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device == "cpu" and supported is not None and bool(supported())


def learning_rate(settings: TrainSettings, iteration: int) -> float:
    """Return the learning rate of an iteration (0-based)."""
    rate = settings.learning_rate
    if settings.warm_up and iteration < settings.warm_up:
        return rate * (iteration + 1) / settings.warm_up
    if settings.schedule == "cosine":
        done = iteration / settings.iterations
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
    return rate


def penalty_weight(settings: TrainSettings, iteration: int) -> float:
    """Return the share of the penalties' weights in force at an iteration (0-based)."""
    if not settings.penalty_warm_up:
        return 1.0
    return min(1.0, max(0.0, (4 * iteration / settings.penalty_warm_up - 1) / 3))


def draw_batch(images: Pictures, recipe: Recipe, iteration: int) -> Tensor:
    """Return the batch (B,3,R,R) of an iteration: a function of seed and iteration alone.

    Of a mixture, each data set gives its share.
    """
    generator = np.random.default_rng(_seed(recipe.train.seed, iteration, 0))
    return _read(images, draw_rows(images, generator, recipe.train.batch), recipe, generator)


def draw_matched(
    images: Pictures, recipe: Recipe, iteration: int, matches: Matches
) -> tuple[Tensor, Tensor]:
    """Return the batch of an iteration with what its components are taken from.

    Returns:
        the batch, and after it the pictures that are needed beside it: (B+E,3,R,R), and which of
        them each component is taken from: (B,K).
    """
    generator = np.random.default_rng(_seed(recipe.train.seed, iteration, 0))
    rows = draw_rows(images, generator, recipe.train.batch)
    rows, taken = matches.draw(rows, generator)
    return _read(images, rows, recipe, generator), torch.from_numpy(taken)


def _read(
    images: Pictures, rows: np.ndarray, recipe: Recipe, generator: np.random.Generator
) -> Tensor:
    """Return pictures (B,3,R,R), augmented; in place, as small batches cost torch more."""
    pixels = np.asarray(images[rows])
    if recipe.data.flip:
        mirrored = generator.random(len(pixels)) < 0.5
        turned = pixels[mirrored]
        for channel in range(3):  # pixels of three bytes are slow to copy
            pixels[mirrored, :, :, channel] = turned[:, :, ::-1, channel]
    x = pixels.astype(np.float32)
    x /= 255
    if recipe.data.colour_jitter:
        gains = 1 + recipe.data.colour_jitter * generator.uniform(-1, 1, (len(x), 1, 1, 3))
        x *= gains.astype(np.float32)
        np.clip(x, 0, 1, out=x)
    return torch.from_numpy(x).permute(0, 3, 1, 2)


def update_average(
    average: dict[str, Tensor], model: CometModel, decay: float, iteration: int
) -> None:
    """Move the exponential moving average of the weights; young averages move faster."""
    decay = min(decay, iteration / (iteration + 10))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - decay)


class averaged:
    """Context: the model holds the averaged weights, in evaluation mode."""

    def __init__(self, model: CometModel, average: dict[str, Tensor]) -> None:
        """Remember both."""
        self._model, self._average = model, average

    def __enter__(self) -> None:
        """Swap the average in."""
        self._live = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        self._model.load_state_dict(self._average)
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        """Swap the live weights back."""
        self._model.load_state_dict(self._live)
        self._model.train()


def held_out_psnr(model: CometModel, average: dict[str, Tensor], held_out: np.ndarray) -> float:
    """Return the mean PSNR (dB) of recompositions with the averaged weights, without restarts."""
    from comet_cli.evaluation.reconstruction import psnr, reconstruct

    with averaged(model, average):
        x = torch.from_numpy(held_out).permute(0, 3, 1, 2).float().to(model.device) / 255
        if x.shape[-1] == 2 * model.card.image_size:
            x = halved(x)
        return float(psnr(reconstruct(model, x, restarts=False), x).mean())


def _not_finite(what: str, iteration: int) -> str:
    return (
        f"the {what} is not finite at iteration {iteration}; the last checkpoint is kept: "
        "lower learning_rate or step_size and start again from it"
    )


def _seed(seed: int, iteration: int, stream: int) -> int:
    return int(np.random.SeedSequence([seed, iteration, stream]).generate_state(1)[0])


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
