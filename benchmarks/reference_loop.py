"""The paper's procedure written plainly, as a reference for results and for time.

One forward pass a component, autograd on the sum of the energies, float32, no compilation, and a
second-order graph at every training step, as in the paper's released code. The network is written
out here as well, on the weights of one of our models, so that nothing of ours makes it faster.
tests/energy/test_reference.py compares results with it, benchmarks/speed.py times.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.models.comet_model import CometModel


def energy(network: nn.Module, x: Tensor, z: Tensor, positional: bool) -> Tensor:
    """Return E(x, z) (B,) of one component: x (B,3,R,R), z (B,D) (appendix A, 64 pixels)."""
    h = F.silu(network.image_stem(x))
    if network.sees_positions:
        line = torch.linspace(0, 1, x.shape[-1], device=x.device)
        grid = torch.stack(torch.meshgrid(line, line, indexing="ij"))
        positions = F.silu(network.position_stem(grid[None].expand(len(x), -1, -1, -1)))
        h = torch.cat([h, positions * float(positional)], 1)
    h = pool(h)
    for block in network.blocks:
        gain1, bias1 = block.modulation1(z)[..., None, None].chunk(2, 1)
        gain2, bias2 = block.modulation2(z)[..., None, None].chunk(2, 1)
        inner = F.silu(gain1 * block.conv1(h) + bias1)
        inner = F.silu(gain2 * block.conv2(inner) + bias2)
        h = pool(F.silu(block.conv_out(h + inner)))
    return network.to_energy(h.mean((2, 3))).squeeze(1)


def pool(h: Tensor) -> Tensor:
    """Halve a map: averages of 3×3."""
    return F.avg_pool2d(h, 3, stride=2, padding=1)


def descend(
    model: CometModel,
    z: Tensor,
    x: Tensor,
    *,
    num_steps: int,
    step_size: float,
    create_graph: bool = False,
) -> list[Tensor]:
    """Return the iterates x¹ … x^N of equation 2, each before its clamp.

    Args:
        model: of the paper's energy at 64 pixels, ``pooled-64``.
        z: (B,K,D).
        x: (B,3,R,R), the start.
        num_steps: N.
        step_size: λ.
        create_graph: keep second-order graphs, as a training does.
    """
    latents = [z[:, k] for k in range(z.shape[1])]
    flags: Sequence[bool] = model.card.positional
    iterates = []
    for _ in range(num_steps):
        x = x.detach().requires_grad_(True)
        total = torch.zeros(len(x), device=x.device)
        for k, latent in enumerate(latents):
            total = total + energy(model.energy_network, x, latent, flags[k])
        (gradient,) = torch.autograd.grad(total.sum(), x, create_graph=create_graph)
        iterates.append(x - step_size * gradient)
        x = iterates[-1].clamp(0, 1)
    return iterates


def render(model: CometModel, z: Tensor, x: Tensor, *, num_steps: int) -> Tensor:
    """Return the picture (B,3,R,R) of components z (B,K,D), from x (B,3,R,R)."""
    iterates = descend(model, z, x, num_steps=num_steps, step_size=model.card.render_step_size)
    return iterates[-1].detach().clamp(0, 1)


def training_loss(model: CometModel, x: Tensor, x0: Tensor) -> Tensor:
    """Return the square error of the last iterate (Algorithm 1): x and x0 (B,3,R,R)."""
    z = model.encoder(x)
    card = model.card
    iterates = descend(
        model, z, x0, num_steps=card.num_steps, step_size=card.step_size, create_graph=True
    )
    return (iterates[-1] - x).square().mean()
