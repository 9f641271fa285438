"""β-VAE (Higgins et al., "β-VAE: learning basic visual concepts", ICLR 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.baselines.base import Baseline, gaussian_kl, sample_gaussian, start_for_relu
from comet_cli.baselines.card import BaselineCard


class BetaVAE(Baseline):
    """The convolutional networks of its table 1 (for CelebA): four layers of stride 2, one of 256.

    The loss is −log p(x|z) + β·KL(q(z|x) ‖ N(0, 1)), summed over pixels and latents (equation 4).
    A Gaussian decoder has the variance ½ at every pixel, so its term is the sum of square errors.
    """

    def __init__(self, card: BaselineCard) -> None:
        """Build for a card."""
        super().__init__(card)
        widths = [3, card.filters, card.filters, 2 * card.filters, 2 * card.filters]
        self._inner = (widths[-1], card.image_size // 16, card.image_size // 16)
        flat = widths[-1] * (card.image_size // 16) ** 2
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            down += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
            up = [nn.ReLU(), nn.ConvTranspose2d(b, a, 4, stride=2, padding=1), *up]
        self.encoder = nn.Sequential(
            *down,
            nn.Flatten(),
            nn.Linear(flat, 256),
            nn.ReLU(),
            nn.Linear(256, 2 * card.latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(card.latent_dim, 256),
            nn.ReLU(),
            nn.Linear(256, flat),
            nn.Unflatten(1, self._inner),
            *up,
        )
        self.apply(start_for_relu)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log variances (B,D)."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """Return the mean pictures (B,3,R,R) of latents (B,D)."""
        return torch.sigmoid(self.decoder(z))

    def encode(self, x: Tensor) -> Tensor:
        """Return the means (B,1,D)."""
        return self.posterior(x)[0][:, None]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the pictures of the means."""
        return self.decode(self.posterior(x)[0])

    def loss(self, x: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the negative bound, a mean over pictures, and the mean square error."""
        mean, log_variance = self.posterior(x)
        logits = self.decoder(sample_gaussian(mean, log_variance, noise))
        errors = (torch.sigmoid(logits) - x).square()
        if self.card.decoder == "bernoulli":
            told = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        else:
            told = errors
        bound = told.sum((1, 2, 3)) + self.card.beta * gaussian_kl(mean, log_variance)
        return bound.mean(), errors.mean()
