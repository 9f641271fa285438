"""The paper's energy networks: convolutions that see z, a mean over space, one number a component.

What does not depend on x (gains and biases of every block) is computed once when latents are bound;
what does not depend on z (stem and first convolution) is computed once for all components.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.base import BoundEnergy, as_it_is
from comet_cli.networks.layers import conv3x3, halve


class Modulation(NamedTuple):
    """Gains and biases of one conditional block, each (B,J,C)."""

    gain1: Tensor
    bias1: Tensor
    gain2: Tensor
    bias2: Tensor


def _modulate(h: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Return SiLU(gain · h + bias): h (B,J|1,C,H,W), gain and bias (B,J,C) -> (B,J,C,H,W)."""
    return F.silu(gain[..., None, None] * h + bias[..., None, None])


class ConditionalBlock(nn.Module):
    """A residual block whose two convolutions are scaled and shifted by z; halves the size.

    Symbols: B batch, J components, c input and c' output channels, D latent dimension.
    """

    def __init__(self, inputs: int, outputs: int, latent_dim: int) -> None:
        """Build a block of ``inputs`` -> ``outputs`` channels for latents of ``latent_dim``."""
        super().__init__()
        self.conv1 = conv3x3(inputs, inputs)
        self.conv2 = conv3x3(inputs, inputs)
        self.conv_out = conv3x3(inputs, outputs)
        self.modulation1 = nn.Linear(latent_dim, 2 * inputs)
        self.modulation2 = nn.Linear(latent_dim, 2 * inputs)
        # Nearly the identity at first: a component starts without a say in the second convolution.
        nn.init.normal_(self.conv2.weight, std=1e-5)

    def modulation(self, z: Tensor) -> Modulation:
        """Return the gains and biases of z (B,J,D)."""
        gain1, bias1 = self.modulation1(z).chunk(2, dim=-1)
        gain2, bias2 = self.modulation2(z).chunk(2, dim=-1)
        return Modulation(gain1, bias1, gain2, bias2)

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """Return (B,J,c',⌈H/2⌉,⌈W/2⌉).

        Args:
            x: (B,J,c,H,W), or (B,1,c,H,W) if all components see the same: then the first
                convolution runs once for all of them.
            modulation: of this block.
        """
        return self.finish(x, self.convolve_first(x), modulation)

    def convolve_first(self, x: Tensor) -> Tensor:
        """Return the convolution that does not depend on z, of the shape of x (B,S,c,H,W)."""
        return self.conv1(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def finish(self, x: Tensor, first: Tensor, modulation: Modulation) -> Tensor:
        """Return the block's output from its input and its first convolution."""
        gain1, bias1, gain2, bias2 = modulation
        h = _modulate(first, gain1, bias1)
        h = self.conv2(h.flatten(0, 1)).unflatten(0, h.shape[:2])
        h = x + _modulate(h, gain2, bias2)
        out = halve(F.silu(self.conv_out(h.flatten(0, 1))))
        return out.unflatten(0, h.shape[:2])


class BoundPooledEnergy(BoundEnergy):
    """E(x, z_j) of J fixed latents as a function of x."""

    def __init__(
        self, network: _PooledEnergy, modulations: list[Modulation], positional: Sequence[bool]
    ) -> None:
        """Keep what depends on z; use the network's ``bind``."""
        self._network = network
        self._modulations = modulations
        self._positional = positional
        self._variants = sorted(set(positional)) if network.sees_positions else [False]
        self._variant_of = [
            self._variants.index(flag) if network.sees_positions else 0 for flag in positional
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """Return (B,J) for x (B,3,R,R).

        The batch may also be 1 in either x or the bound latents, and is then repeated.
        """
        first_block, *others = self._network.conditional_blocks()
        h = torch.stack([self._network.stem(x, flag) for flag in self._variants], 1)
        first = first_block.convolve_first(h)
        if len(self._variants) > 1:
            h, first = h[:, self._variant_of], first[:, self._variant_of]
        h = first_block.finish(h, first, self._modulations[0])
        for block, modulation in zip(others, self._modulations[1:], strict=True):
            h = block(h, modulation)
        energies: Tensor = self._network.to_energy(h.mean((3, 4)))
        return energies.squeeze(-1)

    def curvature(self, x: Tensor) -> Tensor | None:
        """Return None: nothing is known about the Hessian of this network."""
        return None

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundPooledEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`."""
        mixed = [Modulation(*[gather(t)[rows, columns] for t in m]) for m in self._modulations]
        flags = [self._positional[j] for j in columns.tolist()]
        return BoundPooledEnergy(self._network, mixed, flags)


class _PooledEnergy(nn.Module, ABC):
    """What both sizes share: blocks that see z, a mean over space and a linear map."""

    sees_positions = False

    def __init__(self, widths: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.blocks = nn.ModuleList(ConditionalBlock(c, d, latent_dim) for c, d in pairs)
        self.to_energy = nn.Linear(widths[-1], 1)

    def conditional_blocks(self) -> list[ConditionalBlock]:
        """Return the blocks in order."""
        return [cast(ConditionalBlock, block) for block in self.blocks]

    @abstractmethod
    def stem(self, x: Tensor, positional: bool) -> Tensor:
        """Return the first features of x (B,3,R,R), which no latent has a say in."""

    def bind(self, z: Tensor, positional: Sequence[bool]) -> BoundPooledEnergy:
        """Fix latents.

        Args:
            z: (B,J,D).
            positional: J flags: whether a component's energy sees pixel positions. Ignored by a
                network without a positional embedding.
        """
        if len(positional) != z.shape[1]:
            raise ValueError(f"{z.shape[1]} components, {len(positional)} positional flags")
        modulations = [block.modulation(z) for block in self.conditional_blocks()]
        return BoundPooledEnergy(self, modulations, positional)


class PooledEnergy64(_PooledEnergy):
    """Energy network of the paper for about 64 pixels (any R works; Tetris uses it at 35).

    The stem pools once; three blocks F -> F -> F -> 2F follow.
    """

    def __init__(self, filter_dim: int, latent_dim: int, positional: bool) -> None:
        """Build the network.

        Args:
            filter_dim: F; even if positional.
            latent_dim: D.
            positional: half of the stem's filters see pixel coordinates instead of colours.
        """
        super().__init__([filter_dim, filter_dim, filter_dim, 2 * filter_dim], latent_dim)
        self.sees_positions = positional
        self.image_stem = conv3x3(3, filter_dim // 2 if positional else filter_dim)
        if positional:
            self.position_stem = conv3x3(2, filter_dim // 2)

    def stem(self, x: Tensor, positional: bool) -> Tensor:
        """Return (B,F,⌈R/2⌉,⌈R/2⌉) for x (B,3,R,R).

        A component whose positional embedding is switched off sees zeros in the features that
        hold it, so its energy depends on colours alone.
        """
        h = F.silu(self.image_stem(x))
        if self.sees_positions:
            if positional:
                positions = F.silu(self.position_stem(_grid(x))).expand(x.shape[0], -1, -1, -1)
            else:
                positions = torch.zeros_like(h)
            h = torch.cat([h, positions], 1)
        return halve(h)


class PooledEnergy128(_PooledEnergy):
    """Energy network of the paper for about 128 pixels: F/4 filters first, five blocks."""

    def __init__(self, filter_dim: int, latent_dim: int) -> None:
        """Build the network for F = ``filter_dim`` (a multiple of 4) and D = ``latent_dim``."""
        quarter, half = filter_dim // 4, filter_dim // 2
        widths = [quarter, half, filter_dim, filter_dim, filter_dim, 2 * filter_dim]
        super().__init__(widths, latent_dim)
        self.image_stem = conv3x3(3, quarter)

    def stem(self, x: Tensor, positional: bool) -> Tensor:
        """Return (B,F/4,R,R) for x (B,3,R,R); this network has no positional embedding."""
        return F.silu(self.image_stem(x))


def _grid(x: Tensor) -> Tensor:
    """Return pixel coordinates (1,2,R,R): 0 to 1 down the rows, then across the columns."""
    rows = torch.linspace(0, 1, x.shape[-2], device=x.device, dtype=x.dtype)
    columns = torch.linspace(0, 1, x.shape[-1], device=x.device, dtype=x.dtype)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).unsqueeze(0)
