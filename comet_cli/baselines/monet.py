"""MONet (Burgess et al., "MONet: unsupervised scene decomposition and representation", 2019)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.baselines.base import Baseline, gaussian_kl, sample_gaussian, start_for_relu
from comet_cli.baselines.card import BaselineCard

BACKGROUND, FOREGROUND = 0.09, 0.11  # standard deviation of the first component's pixels, others'


class MONet(Baseline):
    """A recurrent attention network hands a component VAE one part of the picture after another.

    The loss (equation 3) is −log Σ_k m_k p(x|z_k) + β Σ_k KL(q(z_k|x, m_k) ‖ N(0, 1)) +
    γ KL(m ‖ m̂), summed over pixels, m being the attention's masks and m̂ those that the VAE makes.
    """

    def __init__(self, card: BaselineCard) -> None:
        """Build for a card."""
        super().__init__(card)
        self.attention = AttentionNetwork(card.image_size, card.filters)
        self.vae = ComponentVAE(card.image_size, card.latent_dim, card.filters)
        self.apply(start_for_relu)

    def masks(self, x: Tensor) -> Tensor:
        """Return the log of each component's share of each pixel (B,K,R,R) (equation 2)."""
        scope = torch.zeros_like(x[:, :1])
        found = []
        for _ in range(self.card.components - 1):
            logit = self.attention(torch.cat([x, scope], 1))
            found.append(scope + F.logsigmoid(logit))
            scope = scope + F.logsigmoid(-logit)
        return torch.cat([*found, scope], 1)

    def posterior(self, x: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log variances (B,K,D) of pictures and log masks (B,K,R,R)."""
        count = masks.shape[1]
        seen = torch.cat([x.repeat_interleave(count, 0), masks.flatten(0, 1)[:, None]], 1)
        mean, log_variance = self.vae.encoder(seen).chunk(2, -1)
        return mean.unflatten(0, (-1, count)), log_variance.unflatten(0, (-1, count))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return each component's picture (B,K,3,R,R) and mask logits (B,K,R,R)."""
        made = self.vae.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        return torch.sigmoid(made[:, :, :3]), made[:, :, 3]

    def encode(self, x: Tensor) -> Tensor:
        """Return the means (B,K,D)."""
        return self.posterior(x, self.masks(x))[0]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the components' pictures, each where its mask is."""
        masks = self.masks(x)
        pictures, _ = self.decode(self.posterior(x, masks)[0])
        return (masks.exp()[:, :, None] * pictures).sum(1)

    def segment(self, x: Tensor) -> Tensor:
        """Return the component with the largest mask (B,R,R)."""
        return self.masks(x).argmax(1)

    def loss(self, x: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the loss, a mean over pictures, and the mean square error."""
        masks = self.masks(x)
        mean, log_variance = self.posterior(x, masks)
        pictures, logits = self.decode(sample_gaussian(mean, log_variance, noise))
        told = mixture_log_likelihood(x, pictures, masks).sum((1, 2))
        hidden = gaussian_kl(mean, log_variance).sum(1)
        unlike = mask_kl(masks, logits.log_softmax(1)).sum((1, 2))
        loss = (-told + self.card.beta * hidden + self.card.gamma * unlike).mean()
        made = (masks.exp()[:, :, None] * pictures).sum(1)
        return loss, (made.detach() - x).square().mean()

    def make_optimizer(self, rate: float) -> torch.optim.Optimizer:
        """Return RMSProp (appendix B.3)."""
        return torch.optim.RMSprop(self.parameters(), lr=rate)


def mixture_log_likelihood(x: Tensor, pictures: Tensor, masks: Tensor) -> Tensor:
    """Return log Σ_k m_k N(x; picture_k, σ_k²) of each pixel (B,R,R).

    Args:
        x: (B,3,R,R).
        pictures: (B,K,3,R,R).
        masks: log m (B,K,R,R).
    """
    sigma = torch.full((pictures.shape[1], 1, 1), FOREGROUND, device=x.device)
    sigma[0] = BACKGROUND
    squares = (x[:, None] - pictures).square().sum(2) / sigma.square()
    logs = -0.5 * squares - 3 * (sigma.log() + 0.5 * math.log(2 * math.pi))
    return (masks + logs).logsumexp(1)


def mask_kl(attention: Tensor, made: Tensor) -> Tensor:
    """Return KL(attention ‖ made) of each pixel (B,R,R), both log shares (B,K,R,R)."""
    return (attention.exp() * (attention - made)).sum(1)


class AttentionNetwork(nn.Module):
    """A U-Net (appendix B.2): picture and log scope (B,4,R,R) -> logit of the share (B,1,R,R)."""

    def __init__(self, size: int, filters: int) -> None:
        """Build blocks down to feature maps of 4 by 4."""
        super().__init__()
        blocks = int(math.log2(size)) - 1
        widths = [filters if n < 2 else 2 * filters for n in range(blocks)]
        self.down = nn.ModuleList(
            _block(a, b) for a, b in zip([4, *widths[:-1]], widths, strict=True)
        )
        flat = widths[-1] * 16
        self.inner = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(flat, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()),
            *(nn.Linear(128, flat), nn.ReLU(), nn.Unflatten(1, (widths[-1], 4, 4))),
        )
        self.up = nn.ModuleList(
            _block(2 * a, b) for a, b in zip(widths[::-1], [*widths[-2::-1], filters], strict=True)
        )
        self.out = nn.Conv2d(filters, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x if not skips else F.interpolate(x, scale_factor=0.5))
            skips.append(x)
        x = self.inner(x)
        for n, block in enumerate(self.up):
            x = block(torch.cat([x, skips.pop()], 1))
            if n + 1 < len(self.up):
                x = F.interpolate(x, scale_factor=2.0)
        logits: Tensor = self.out(x)
        return logits


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.InstanceNorm2d(after, affine=True),
        nn.ReLU(),
    )


class ComponentVAE(nn.Module):
    """Encoder of picture and mask, and spatial broadcast decoder (appendix B.1)."""

    place: Tensor

    def __init__(self, size: int, latent_dim: int, filters: int) -> None:
        """Build; the decoder's maps are 8 pixels larger than the picture, which its layers cut."""
        super().__init__()
        widths = [4, filters, filters, 2 * filters, 2 * filters]
        layers: list[nn.Module] = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()]
        flat = widths[-1] * (size // 16) ** 2
        self.encoder = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(flat, 256), nn.ReLU(), nn.Linear(256, 2 * latent_dim)
        )
        layers = []
        for before in (latent_dim + 2, filters, filters, filters):
            layers += [nn.Conv2d(before, filters, 3), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(filters, 4, 1))
        line = torch.linspace(-1, 1, size + 8)
        place = torch.stack(torch.meshgrid(line, line, indexing="ij"))
        self.register_buffer("place", place, persistent=False)

    def decode(self, z: Tensor) -> Tensor:
        """Return logits of colours and of the mask (B,4,R,R) of latents (B,D)."""
        maps = z[:, :, None, None].expand(-1, -1, *self.place.shape[1:])
        made: Tensor = self.decoder(torch.cat([maps, self.place.expand(len(z), -1, -1, -1)], 1))
        return made
