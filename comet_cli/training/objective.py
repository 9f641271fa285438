"""The loss of one batch (Algorithm 1 of the paper)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from comet_cli.energy.composition import Composition
from comet_cli.energy.descent import descent_step
from comet_cli.errors import CometError
from comet_cli.models.card import PLAIN_STARTS
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.base import BoundEnergy
from comet_cli.training import distributed
from comet_cli.training.batches import _seed
from comet_cli.training.losses import (
    area_loss,
    dependence_loss,
    gradient_loss,
    parsimony_loss,
    purity_loss,
    reconstruction_loss,
    shuffle_components,
    structure_loss,
    swap_loss,
)
from comet_cli.training.perceptual import SQUARE_ERROR_WEIGHT, perceptual_loss
from comet_cli.training.recipe import TrainSettings


class TrainingStep(nn.Module):
    """A model and its loss as one module, as DistributedDataParallel wants it."""

    def __init__(self, model: CometModel) -> None:
        """Hold the model."""
        super().__init__()
        self.model = model

    def forward(
        self, x: Tensor, settings: TrainSettings, iteration: int, taken: Tensor | None = None
    ) -> tuple[Tensor, float]:
        """See :func:`training_loss`."""
        return training_loss(self.model, x, settings, iteration, taken)


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
        if taken is None:
            z = model.encode(x)
        else:
            rows, places = distributed.part(taken).to(x.device).unique(return_inverse=True)
            z = model.encode(every[rows])[places, torch.arange(taken.shape[1], device=x.device)]
        if settings.latent_noise:
            spread = distributed.whole(z.detach().float()).std(0, keepdim=True)
            noisy = torch.randn(shape[0], *z.shape[1:], generator=noise)
            z = z + settings.latent_noise * spread * distributed.part(noisy).to(x.device)
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
    share = penalty_weight(settings, iteration)
    if settings.dependence and share:
        loss = loss + settings.dependence * share * dependence_loss(z)
    if settings.swap and share:
        card = model.card
        if card.energy != "quadratic" or (card.sees_image and not card.spatial):
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
        precision = bound.curvature(x)
        if precision is None or model.card.sees_image:
            raise CometError(
                "recipe, [train]: parsimony, purity and area are for the quadratic energy that "
                "does not see the image"
            )
        penalty = settings.parsimony * parsimony_loss(precision)
        penalty = penalty + settings.purity * purity_loss(precision)
        penalty = penalty + settings.area * area_loss(precision)
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


def penalty_weight(settings: TrainSettings, iteration: int) -> float:
    """Return the share of the penalties' weights in force at an iteration (0-based)."""
    if not settings.penalty_warm_up:
        return 1.0
    return min(1.0, max(0.0, (4 * iteration / settings.penalty_warm_up - 1) / 3))


def recomposition_iterates(
    model: CometModel, bound: BoundEnergy, x0: Tensor, *, num_steps: int, keep: str
) -> list[Tensor]:
    """Return iterates to take the loss on, each *before* its clamp (DESIGN of Algorithm 1).

    x is detached between steps, so only the steps whose iterates are kept need a second-order
    graph; clamping happens between steps only, because a clamped output has no gradient.

    Args:
        model: gives λ.
        bound: its components.
        x0: (B,3,R,R).
        num_steps: N.
        keep: ``last`` or ``all``.
    """
    x, kept = x0, []
    for n in range(1, num_steps + 1):
        wanted = keep == "all" or n == num_steps
        with torch.set_grad_enabled(wanted):
            energy = Composition.of(bound.at(x))
        y = descent_step(energy, x, model.card.step_size, create_graph=wanted)
        if wanted:
            kept.append(y)
        x = y.detach().clamp(0, 1)
    return kept
