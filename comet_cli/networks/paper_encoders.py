"""Encoders of the paper: from an image to its K components (section 3.2, appendix A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.layers import ResidualBlock, conv3x3


class GlobalEncoder(nn.Module):
    """Encoder for global factors: mean over space, then all K latents at once.

    Symbols: B batch, F filters, K components, D latent dimension, R image size.
    """

    def __init__(self, filter_dim: int, components: int, latent_dim: int, image_size: int) -> None:
        """Build the network of one card.

        Args:
            filter_dim: F.
            components: K.
            latent_dim: D.
            image_size: R; no parameter depends on it.
        """
        super().__init__()
        self.components = components
        self.stem = conv3x3(3, filter_dim)
        self.blocks = nn.Sequential(*(ResidualBlock(filter_dim) for _ in range(3)))
        self.hidden = nn.Linear(filter_dim, filter_dim)
        self.to_latents = nn.Linear(filter_dim, components * latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Infer z (B,K,D) from x (B,3,R,R)."""
        features = self.blocks(F.relu(self.stem(x))).mean((2, 3))
        latents = self.to_latents(F.relu(self.hidden(features)))
        return latents.unflatten(1, (self.components, -1))


class RecurrentEncoder(nn.Module):
    """Encoder for objects: an LSTM attends to the feature map K times, one component each.

    The cell state, beside each position's feature, decides where to look; nothing but the order
    tells one component from another, so K may be changed after training.

    Symbols: B batch, F filters, K components, D latent dimension, P positions, R image size.
    """

    def __init__(self, filter_dim: int, components: int, latent_dim: int, image_size: int) -> None:
        """Build the network of one card.

        Args:
            filter_dim: F.
            components: K.
            latent_dim: D.
            image_size: R; no parameter depends on it. P = ⌈R/16⌉².
        """
        super().__init__()
        self.components = components
        self.filter_dim = filter_dim
        self.stem = conv3x3(3, filter_dim)
        self.blocks = nn.Sequential(*(ResidualBlock(filter_dim) for _ in range(4)))
        self.attention_hidden = nn.Linear(2 * filter_dim, filter_dim)
        self.attention_score = nn.Linear(filter_dim, 1)
        self.attended = nn.Linear(2 * filter_dim, filter_dim)
        self.cell = nn.LSTMCell(filter_dim, filter_dim)
        self.to_latent = nn.Linear(filter_dim, latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Infer z (B,K,D) from x (B,3,R,R)."""
        features = self.blocks(F.relu(self.stem(x))).flatten(2).transpose(1, 2)  # (B,P,F)
        hidden = features.new_zeros(features.shape[0], self.filter_dim)
        state = hidden
        latents = []
        for _ in range(self.components):
            spread = state.unsqueeze(1).expand_as(features)
            context = torch.cat([spread, features], dim=2)
            scores = self.attention_score(F.relu(self.attention_hidden(context)))
            weights = scores.softmax(dim=1)
            attended = self.attended((weights * context).sum(1))
            hidden, state = self.cell(attended, (hidden, state))
            latents.append(self.to_latent(hidden))
        return torch.stack(latents, 1)
