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
from comet_cli.networks.colouring_encoder import ColouringEncoder
from comet_cli.training import distributed
from comet_cli.training.batches import random_seed
from comet_cli.training.colouring_losses import bind_present
from comet_cli.training.loss_table import Batch, weighted_sum
from comet_cli.training.losses import reconstruction_loss
from comet_cli.training.settings import TrainSettings
from comet_cli.training.small_pictures import at_size_of, stage


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
        model = stage(self.model, self._small[0], settings, iteration)
        return training_loss(model, at_size_of(model, x), settings, iteration, taken)


def compile_networks(model: CometModel) -> None:
    """Compile the networks in place (needs a C++ compiler).

    Raises:
        CometError: the energy needs a second derivative of its network, which a compiled network
            does not offer.
    """
    if model.card.energy != "quadratic" or model.card.sees_image:
        raise CometError("recipe, [train]: compile is for the quadratic energy that sees z alone")
    if isinstance(model.encoder, ColouringEncoder):
        # Training calls the parts of it; this is its network, at both sizes of pictures.
        setattr(model.encoder, "see", torch.compile(model.encoder.see))  # noqa: B010
    else:
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
    noise = torch.Generator().manual_seed(random_seed(settings.seed, iteration, 1))
    torch.manual_seed(random_seed(settings.seed, iteration, 2))
    low = computes_low(settings.precision, x.device.type)
    shape = x.shape if taken is None else torch.Size((len(taken), *x.shape[1:]))
    every, x = x, distributed.part(x[: shape[0]])
    with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
        found = (
            model.find(x, draw=distributed.rand_like)
            if model.card.colours and taken is None
            else None
        )
        if found is not None:
            z = found.z
        elif taken is None:
            z = model.encode(x)
        else:
            rows, places = distributed.part(taken).to(x.device).unique(return_inverse=True)
            z = model.encode(every[rows])[places, torch.arange(taken.shape[1], device=x.device)]
        if settings.latent_noise:
            spread = distributed.whole(z.detach().float()).std(0, keepdim=True)
            noisy = torch.randn(shape[0], *z.shape[1:], generator=noise)
            z = z + settings.latent_noise * spread * distributed.part(noisy).to(x.device)
        bound = model.bind(z) if found is None else bind_present(model, z, found.present)
    x0 = distributed.part(torch.rand(shape, generator=noise)).to(x.device)
    if model.card.init in PLAIN_STARTS:
        # Renderings start from a plain picture unless told otherwise: train on both starts.
        plain = torch.rand(shape[0], 1, 1, 1, generator=noise) < 0.5
        x0 = torch.where(distributed.part(plain).to(x.device), PLAIN_STARTS[model.card.init], x0)
    steps = settings.num_steps or model.card.num_steps
    if settings.extra_steps:
        steps += int(torch.randint(settings.extra_steps + 1, (), generator=noise))
    descend = functools.partial(recomposition_iterates, model, x0=x0, num_steps=steps)
    iterates = descend(bound, keep=settings.loss)
    batch = Batch(
        model=model,
        settings=settings,
        x=x,
        z=z,
        bound=bound,
        found=found,
        output=iterates[-1],
        recompose=lambda other: descend(other, keep="last")[-1],
        noise=noise,
        low=low,
    )
    loss = weighted_sum(batch, reconstruction_loss(iterates, x), iteration)
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


def recomposition_iterates(
    model: CometModel, bound: BoundEnergy, x0: Tensor, *, num_steps: int, keep: str
) -> list[Tensor]:
    """Return iterates to take the loss on, each *before* its clamp (Algorithm 1).

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
