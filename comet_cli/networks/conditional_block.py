"""The block of the paper's energy networks: convolutions that a latent scales and shifts."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

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
