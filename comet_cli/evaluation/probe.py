"""An attribute probe: a small network that reads factors off pictures, trained on their labels.

It judges models and has no part in their training. It never sees a model's pictures in training
either; real ones are blurred at random instead, so that it is not a judge of sharpness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.errors import CometError

BOOKKEEPING = ("file_name", "mask", "split", "index", "seed", "source", "visible")
PARTS = 4  # that numbers are cut into


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


class FactorReader:
    """The factors of a data set as classes that a probe can tell apart.

    The classes of a grid of factors are its value indices. Elsewhere a factor is named by its path
    (``light.intensity``); texts are classes as they are, and so are whole numbers that take at most
    four values; others are cut into quarters that hold equally many pictures of the set that the
    reader was made for.

    Attributes:
        names: of the factors.
    """

    def __init__(
        self, metadata: Sequence[dict[str, Any]], names: Sequence[str] | None = None
    ) -> None:
        """Learn the classes.

        Args:
            metadata: entries of the training pictures.
            names: the factors wanted; default all of a grid.

        Raises:
            CometError: no factors, or not those.
        """
        first = metadata[0] if metadata else {}
        grid = first.get("factors")
        known = sorted(plain_values(first))
        self._grid = False
        if isinstance(grid, dict) and all(type(v) is int for v in grid.values()):
            self._grid, known = True, list(grid)
        if names is None and not self._grid:
            raise CometError(
                "the pictures have no grid of factors ('factors' in metadata.jsonl)"
                + (f"; name some of {', '.join(known)}" if known else "")
            )
        self.names = known if names is None else list(names)
        unknown = [n for n in self.names if n not in known]
        if unknown:
            raise CometError(f"no factor '{unknown[0]}' in the data; there are {', '.join(known)}")
        self._edges: dict[str, np.ndarray] = {}
        self._classes: dict[str, list[Any]] = {}
        for name in [] if self._grid else self.names:
            values = self._values(metadata, name)
            if are_classes(values):
                self._classes[name] = sorted(set(values), key=str)
            else:
                self._edges[name] = np.quantile(values, np.arange(1, PARTS) / PARTS)

    def _values(self, metadata: Sequence[dict[str, Any]], name: str) -> list[Any]:
        try:
            if self._grid:
                return [entry["factors"][name] for entry in metadata]
            return [plain_values(entry)[name] for entry in metadata]
        except KeyError:
            raise CometError(f"a picture lacks the factor '{name}'") from None

    def labels(self, metadata: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the classes (N,factors) of pictures, from 0.

        Raises:
            CometError: a factor that is missing, or a value that no training picture has.
        """
        columns = []
        for name in self.names:
            values = self._values(metadata, name)
            if name in self._edges:
                values = np.searchsorted(self._edges[name], values).tolist()
            elif name in self._classes:
                classes = self._classes[name]
                new = [v for v in values if v not in classes]
                if new:
                    raise CometError(f"no training picture has {name} {new[0]}")
                values = [classes.index(v) for v in values]
            columns.append(values)
        return np.array(columns).T


def plain_values(entry: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return texts, truth values and numbers (as floats) by path, without bookkeeping."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        if not prefix and name in BOOKKEEPING:
            continue
        if isinstance(value, dict):
            found.update(plain_values(value, f"{prefix}{name}."))
        elif isinstance(value, bool | str):
            found[prefix + name] = value
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
    return found


def are_classes(values: Sequence[Any]) -> bool:
    """Say whether values are classes as they are, and no numbers to cut into quarters."""
    if not all(isinstance(v, float) for v in values):
        return True
    return len(set(values)) <= PARTS and all(v.is_integer() for v in values)


def as_pictures(images: np.ndarray) -> Tensor:
    """Return (N,R,R,3) uint8 as (N,3,R,R) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def train_probe(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    iterations: int = 1500,
    batch: int = 64,
    seed: int = 0,
) -> Probe:
    """Train a probe on labelled pictures.

    Args:
        images: (N,R,R,3) uint8.
        labels: (N,factors) value indices, from 0.
        iterations: optimizer steps.
        batch: pictures a step.
        seed: of weights and batches.
    """
    torch.manual_seed(seed)
    probe = Probe(images.shape[1], (labels.max(0) + 1).tolist())
    draw = np.random.default_rng(seed)
    targets = torch.from_numpy(labels).long()

    def loss() -> Tensor:
        chosen = draw.integers(len(images), size=batch)
        return sum_of_losses(probe(soften(as_pictures(images[chosen]), draw)), targets[chosen])

    return fit(probe, loss, iterations)


def fit(probe: Probe, loss: Callable[[], Tensor], iterations: int) -> Probe:
    """Train a probe and return it, fixed.

    Args:
        probe: whose weights are trained.
        loss: draws a batch and returns the probe's loss on it.
        iterations: optimizer steps.
    """
    optimizer = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=iterations)
    for _ in range(iterations):
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        schedule.step()
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
