"""InfoGAN (Chen et al., "InfoGAN: interpretable representation learning", NeurIPS 2016)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from comet_cli.baselines.base import Baseline
from comet_cli.baselines.card import BaselineCard

GENERATOR_RATE = 5.0  # appendix C: 1e-3, where the discriminator has 2e-4
SIDE = 4  # of the innermost feature maps


class InfoGAN(Baseline):
    """Codes c of D numbers in [-1, 1] that can be read off the generated picture.

    The networks are after its appendix C (CelebA), with a layer more for each doubling of the size:
    one convolutional trunk that the discriminator and Q, which reads the codes, share, and a
    generator of transposed convolutions that mirrors it. Q is a Gaussian of each code. A step
    minimises −log D(x) − log(1 − D(G)) − λ·log Q(c|G) in the trunk's weights and −log D(G) −
    λ·log Q(c|G) in the generator's (equation 6, with the usual generator loss), both from the same
    generated pictures.
    """

    def __init__(self, card: BaselineCard) -> None:
        """Build for a card."""
        super().__init__(card)
        levels = int(math.log2(card.image_size // SIDE))
        widths = [card.filters * 2 ** min(n, 2) for n in range(levels)]
        flat = widths[-1] * SIDE**2
        trunk: list[nn.Module] = []
        up: list[nn.Module] = []
        for n, (a, b) in enumerate(zip([3, *widths[:-1]], widths, strict=True)):
            normed = [nn.BatchNorm2d(b)] if n else []
            trunk += [nn.Conv2d(a, b, 4, stride=2, padding=1), *normed, nn.LeakyReLU(0.1)]
            grow = nn.ConvTranspose2d(b, a, 4, stride=2, padding=1)
            up = [grow, *([nn.BatchNorm2d(a), nn.ReLU()] if n else [nn.Sigmoid()]), *up]
        self.generator = nn.Sequential(
            nn.Linear(card.noise_dim + card.latent_dim, flat),
            nn.BatchNorm1d(flat),
            nn.ReLU(),
            nn.Unflatten(1, (widths[-1], SIDE, SIDE)),
            *up,
        )
        self.reader = Reader(nn.Sequential(*trunk, nn.Flatten()), flat, card.latent_dim)

    def encode(self, x: Tensor) -> Tensor:
        """Return what Q reads, the codes' means (B,1,D)."""
        return self.reader(x)[1][:, None]

    def generate(self, code: Tensor, rest: Tensor) -> Tensor:
        """Return pictures (B,3,R,R) of codes (B,D) and what no code tells (B,noise_dim)."""
        made: Tensor = self.generator(torch.cat([rest, code], -1))
        return made

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the pictures of the codes that Q reads; what no code tells is 0."""
        code = self.reader(x)[1]
        return self.generate(code, code.new_zeros(len(x), self.card.noise_dim))

    def loss(self, x: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the sum of both networks' losses; each has gradients for its own weights only."""
        code = 2 * torch.rand(len(x), self.card.latent_dim, generator=noise).to(x.device) - 1
        rest = torch.randn(len(x), self.card.noise_dim, generator=noise).to(x.device)
        made = self.generate(code, rest)
        real = self.reader(x)[0]
        weights = dict(self.reader.named_parameters())
        fixed = {name: value.detach() for name, value in weights.items()}
        judged, *told = self._read(weights, made.detach())
        fooled, *heard = self._read(fixed, made)
        known = log_likelihood(code, *told) + log_likelihood(code, *heard)
        loss = F.softplus(-real) + F.softplus(judged) + F.softplus(-fooled)
        with torch.no_grad():
            self.eval()  # no statistics of pictures that no loss is of
            error = (self.reconstruct(x) - x).square().mean()
            self.train()
        return (loss - self.card.information * known).mean(), error

    def _read(self, weights: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, ...]:
        """Read generated pictures; the statistics that are kept are of real ones alone."""
        buffers = {name: value.clone() for name, value in self.reader.named_buffers()}
        read: tuple[Tensor, ...] = functional_call(self.reader, {**weights, **buffers}, (x,))
        return read

    def make_optimizer(self, rate: float) -> torch.optim.Optimizer:
        """Return Adam with β₁ = ½, and a larger rate for the generator."""
        return torch.optim.Adam(
            [
                {"params": self.reader.parameters(), "scale": 1.0},
                {"params": self.generator.parameters(), "scale": GENERATOR_RATE},
            ],
            lr=rate,
            betas=(0.5, 0.999),
        )


class Reader(nn.Module):
    """Discriminator and Q: pictures -> logit (B,) of being real, means and log variances (B,D)."""

    def __init__(self, trunk: nn.Module, width: int, codes: int) -> None:
        """Put both heads on a trunk that gives (B,width)."""
        super().__init__()
        self.trunk = trunk
        self.real = nn.Linear(width, 1)
        self.codes = nn.Sequential(
            nn.Linear(width, 128), nn.BatchNorm1d(128), nn.LeakyReLU(0.1), nn.Linear(128, 2 * codes)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read pictures."""
        features = self.trunk(x)
        mean, log_variance = self.codes(features).chunk(2, -1)
        return self.real(features)[:, 0], mean, log_variance


def log_likelihood(code: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(code; mean, variance) (B,), summed over codes (B,D)."""
    squares = (code - mean).square() * (-log_variance).exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)
