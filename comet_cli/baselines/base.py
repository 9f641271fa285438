"""What baselines share: how they are trained and measured, and the Gaussian of a latent."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from comet_cli.baselines.card import BaselineCard
from comet_cli.errors import CometError


class Baseline(nn.Module):
    """A model without energies; it is measured as a comet model is.

    Symbols: B batch, K components (1 but of MONet), D latent dimension, R image size.
    """

    def __init__(self, card: BaselineCard) -> None:
        """Keep the card."""
        super().__init__()
        self.card = card

    @property
    def device(self) -> torch.device:
        """Device that the weights are on."""
        return next(self.parameters()).device

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Infer latents: x (B,3,R,R) in [0, 1] -> means (B,K,D)."""

    @abstractmethod
    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the picture that the latents of x make: (B,3,R,R) -> (B,3,R,R)."""

    @abstractmethod
    def loss(self, x: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and the mean square error of its pictures made again.

        Args:
            x: (B,3,R,R) in [0, 1].
            noise: random numbers, of the CPU.
        """

    def segment(self, x: Tensor) -> Tensor:
        """Return which component each pixel is of: (B,3,R,R) -> (B,R,R).

        Raises:
            CometError: there is one component.
        """
        raise CometError(f"'{self.card.name}' has no components that pixels could belong to")

    def make_optimizer(self, rate: float) -> torch.optim.Optimizer:
        """Return the optimizer of the paper; a group's ``scale`` multiplies the learning rate."""
        return torch.optim.Adam(self.parameters(), lr=rate)


def start_for_relu(module: nn.Module) -> None:
    """Draw the weights of a layer by He et al. 2015, with biases 0, so that inputs are not lost."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) ‖ N(0, 1)) (…) of latents (…,D): ½ Σ(μ² + σ² − log σ² − 1)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)


def sample_gaussian(mean: Tensor, log_variance: Tensor, noise: torch.Generator) -> Tensor:
    """Return mean + σ·ε."""
    epsilon = torch.randn(mean.shape, generator=noise).to(mean.device)
    return mean + (0.5 * log_variance).exp() * epsilon
