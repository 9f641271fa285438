"""The paper's energy networks: convolutions that see z, a mean over space, one number a component.

What does not depend on x (gains and biases of every block) is computed once when latents are bound;
what does not depend on z (stem and first convolution) is computed once for all components.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.base import BoundEnergy, as_it_is
from comet_cli.networks.conditional_block import ConditionalBlock, Modulation
from comet_cli.networks.layers import conv3x3, halve
from comet_cli.networks.pooled_gradient import PooledGradient


class BoundPooledEnergy(BoundEnergy):
    """E(x, z_j) of J fixed latents as a function of x."""

    def __init__(
        self, network: PooledEnergy, modulations: list[Modulation], positional: Sequence[bool]
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

    def gradients(self, x: Tensor) -> Tensor:
        """Return ∇_x E_j (B,J,3,R,R)."""
        return self._gradient(x.new_ones(len(self._positional))).each(x)

    def summed(self, scales: Tensor) -> Callable[[Tensor], Tensor]:
        """Return x -> Σ_j s_j ∇_x E_j (B,3,R,R)."""
        return self._gradient(scales).summed

    def _gradient(self, scales: Tensor) -> PooledGradient:
        return PooledGradient(self._network, self._modulations, self._positional, scales)

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundPooledEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`."""
        mixed = [Modulation(*[gather(t)[rows, columns] for t in m]) for m in self._modulations]
        flags = [self._positional[j] for j in columns.tolist()]
        return BoundPooledEnergy(self._network, mixed, flags)


class PooledEnergy(nn.Module):
    """What both sizes share: blocks that see z, a mean over space and a linear map."""

    sees_positions = False
    stem_halves = False
    image_stem: nn.Conv2d
    position_stem: nn.Conv2d

    def __init__(self, widths: Sequence[int], latent_dim: int) -> None:
        """Build blocks between ``widths``, and the map to energies; a subclass adds the stem."""
        super().__init__()
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.blocks = nn.ModuleList(ConditionalBlock(c, d, latent_dim) for c, d in pairs)
        self.to_energy = nn.Linear(widths[-1], 1)

    def conditional_blocks(self) -> list[ConditionalBlock]:
        """Return the blocks in order."""
        return [cast(ConditionalBlock, block) for block in self.blocks]

    def stem(self, x: Tensor, positional: bool) -> Tensor:
        """Return the first features of x (B,3,R,R), which no latent has a say in.

        A component whose positional embedding is switched off sees zeros in the features that
        hold it, so its energy depends on colours alone.

        Returns:
            (B,F,⌈R/2⌉,⌈R/2⌉), or (B,F,R,R) if the stem does not halve.
        """
        h = F.silu(self.image_stem(x))
        if self.stem_halves:
            h = halve(h)
        if not self.sees_positions:
            return h
        positions = self.position_features(x).expand(x.shape[0], -1, -1, -1)
        return torch.cat([h, positions if positional else torch.zeros_like(positions)], 1)

    def position_features(self, x: Tensor) -> Tensor:
        """Return the features (1,F/2,…) of the positions of pictures of the size of x."""
        h = F.silu(self.position_stem(_grid(x)))
        return halve(h) if self.stem_halves else h

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


class PooledEnergy64(PooledEnergy):
    """Energy network of the paper for about 64 pixels (any R works; Tetris uses it at 35).

    The stem pools once; three blocks F -> F -> F -> 2F follow.
    """

    stem_halves = True

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


class PooledEnergy128(PooledEnergy):
    """Energy network of the paper for about 128 pixels: F/4 filters first, five blocks."""

    def __init__(self, filter_dim: int, latent_dim: int) -> None:
        """Build the network for F = ``filter_dim`` (a multiple of 4) and D = ``latent_dim``."""
        quarter, half = filter_dim // 4, filter_dim // 2
        widths = [quarter, half, filter_dim, filter_dim, filter_dim, 2 * filter_dim]
        super().__init__(widths, latent_dim)
        self.image_stem = conv3x3(3, quarter)


def _grid(x: Tensor) -> Tensor:
    """Return pixel coordinates (1,2,R,R): 0 to 1 down the rows, then across the columns."""
    rows = torch.linspace(0, 1, x.shape[-2], device=x.device, dtype=x.dtype)
    columns = torch.linspace(0, 1, x.shape[-1], device=x.device, dtype=x.dtype)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).unsqueeze(0)
