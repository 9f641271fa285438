"""An attribute probe: a small network that reads factors off pictures, trained on their labels.

It judges models and has no part in their training. It never sees a model's pictures in training
either; real ones are blurred at random instead, so that it is not a judge of sharpness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.evaluation.reconstruction import as_pictures


class Probe(nn.Module):
    """Pictures (B,3,R,R) -> one value index a factor (B,number of factors)."""

    def __init__(self, image_size: int, levels: Sequence[int], extra: int = 0) -> None:
        """Build.

        Args:
            image_size: R.
            levels: how many values each factor has.
            extra: how many numbers it is told beside a picture.
        """
        super().__init__()
        self.levels = list(levels)
        widths, layers, side = [3, 32, 64, 96, 128], [], image_size
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
            side = -(-side // 2)
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(min(side, 4)), nn.Flatten())
        self.hidden = nn.Linear(widths[-1] * min(side, 4) ** 2 + extra, 256)
        self.heads = nn.Linear(256, sum(self.levels))

    def forward(self, x: Tensor, extra: Tensor | None = None) -> list[Tensor]:
        """Return the logits (B,levels) of each factor."""
        h = self.features((2 * x - 1).contiguous(memory_format=torch.channels_last))
        h = h if extra is None else torch.cat([h, extra], -1)
        return list(self.heads(F.relu(self.hidden(h))).split(self.levels, -1))

    @torch.no_grad()
    def read(self, x: Tensor, batch: int = 250) -> np.ndarray:
        """Return the most likely values (B,number of factors) of pictures (B,3,R,R)."""
        parts = [torch.stack([o.argmax(-1) for o in self(p)], -1) for p in x.split(batch)]
        return torch.cat(parts).cpu().numpy()


def train_probe(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    iterations: int = 1500,
    batch: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Train a probe on labelled pictures.

    Args:
        images: (N,R,R,3) uint8.
        labels: (N,factors) value indices, from 0.
        iterations: optimizer steps.
        batch: pictures a step.
        seed: of weights and batches.
        progress: called with (done, total) iterations.
    """
    torch.manual_seed(seed)
    probe = Probe(images.shape[1], (labels.max(0) + 1).tolist())
    draw = np.random.default_rng(seed)
    targets = torch.from_numpy(labels).long()

    def loss() -> Tensor:
        chosen = draw.integers(len(images), size=batch)
        return sum_of_losses(probe(soften(as_pictures(images[chosen]), draw)), targets[chosen])

    return fit(probe, loss, iterations, progress)


def fit(
    probe: Probe,
    loss: Callable[[], Tensor],
    iterations: int,
    progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Train a probe and return it, fixed.

    Args:
        probe: whose weights are trained.
        loss: draws a batch and returns the probe's loss on it.
        iterations: optimizer steps.
        progress: called with (done, total) steps.
    """
    optimizer = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=iterations)
    for n in range(iterations):
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(n + 1, iterations)
    return probe.eval().requires_grad_(False)


def sum_of_losses(outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Return the sum of the factors' cross entropies.

    Args:
        outputs: the logits (B,levels) of each factor.
        targets: (B,factors) value indices.
    """
    return torch.stack(
        [F.cross_entropy(o, t) for o, t in zip(outputs, targets.T, strict=True)]
    ).sum()


def soften(x: Tensor, draw: np.random.Generator) -> Tensor:
    """Return a batch mixed with its blurred copy, each picture by a share of its own, and noise."""
    blurred = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    share = torch.from_numpy(draw.uniform(0, 1, (len(x), 1, 1, 1)) ** 2).float()
    noise = torch.from_numpy(draw.normal(0, 0.01, tuple(x.shape))).float()
    return x + share * (blurred - x) + noise
