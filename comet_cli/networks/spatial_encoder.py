"""An encoder of global factors that keeps positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.layers import ResidualBlock

READ_SIDE = 64  # pixels; pictures of twice this side or more are shrunk to be encoded


class SpatialEncoder(nn.Module):
    """From a picture to K latents, through a feature map that is read as a whole.

    Symbols: B batch, F filters, K components, D latent dimension, R image size.
    """

    def __init__(self, filter_dim: int, components: int, latent_dim: int, image_size: int) -> None:
        """Build the network of one card."""
        super().__init__()
        self.components = components
        self.shrink = max(1, image_size // READ_SIDE)
        width = 2 * filter_dim
        self.stem = nn.Conv2d(3, width, kernel_size=4, stride=2, padding=1)
        side, blocks = image_size // self.shrink // 2, []
        while side > 8:
            blocks.append(ResidualBlock(width))
            side = -(-side // 2)
        self.blocks = nn.Sequential(*blocks)
        self.narrow = nn.Conv2d(width, filter_dim, kernel_size=1)
        self.hidden = nn.Linear(filter_dim * side * side, 256)
        self.to_latents = nn.Linear(256, components * latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Infer z (B,K,D) from x (B,3,R,R)."""
        if self.shrink > 1:
            x = F.avg_pool2d(x, self.shrink)
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)  # faster on a CPU
        features = F.silu(self.narrow(self.blocks(F.silu(self.stem(x))))).flatten(1)
        return self.to_latents(F.silu(self.hidden(features))).unflatten(1, (self.components, -1))
