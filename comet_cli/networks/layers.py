"""What several networks are made of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KEPT = 31 << 20  # bytes


def computes_low(device: torch.device) -> bool:
    """Return whether the caller computes in bfloat16 on that device (autocast)."""
    kind = device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def autocast(device: torch.device, low: bool) -> AbstractContextManager[object]:
    """Compute in bfloat16, or in float32 whatever the caller computes in."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=low)


@cache
def coordinate_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return pixel centres (H,W,2), row then column, each from −1 to 1; made once, to be read."""
    with torch.inference_mode(False):
        rows = (torch.arange(height, device=device) + 0.5) / height * 2 - 1
        columns = (torch.arange(width, device=device) + 0.5) / width * 2 - 1
        return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return the one convolution of these networks: 3×3, stride 1, padding 1."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def conv3x3_of(x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return that convolution of x (B,C,H,W) by weights (C',C,3,3) that are not a module's."""
    return F.conv2d(x, weights, bias, padding=1)


def halve(x: Tensor) -> Tensor:
    """Pool (B,C,H,W) to (B,C,⌈H/2⌉,⌈W/2⌉): averages of 3×3, counting the padding."""
    return F.avg_pool2d(x, kernel_size=3, stride=2, padding=1)


class ResidualBlock(nn.Module):
    """Two convolutions added to the input, a third, and a pooling: (B,F,H,W) -> half the size."""

    def __init__(self, filter_dim: int) -> None:
        """Build a block of F -> F channels."""
        super().__init__()
        self.conv1 = conv3x3(filter_dim, filter_dim)
        self.conv2 = conv3x3(filter_dim, filter_dim)
        self.conv_out = conv3x3(filter_dim, filter_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,F,⌈H/2⌉,⌈W/2⌉) for x (B,F,H,W)."""
        h = F.silu(self.conv2(F.silu(self.conv1(x))))
        return halve(F.silu(self.conv_out(x + h)))


def enlarged(h: Tensor, size: int) -> Tensor:
    """Return h (N,C,s,s) bilinearly interpolated to (N,C,S,S), in its own precision.

    Two products of matrices: four times as fast as torch's own on a CPU.
    """
    lines = _interpolation(h.shape[-1], size, h.device, h.dtype)
    with autocast(h.device, low=False):
        return lines.T @ (h @ lines)


@cache
def _interpolation(small: int, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return what interpolates a line linearly, (small,size); made once, to be read."""
    with torch.inference_mode(False):
        unit = torch.eye(small, device=device)
        return F.interpolate(unit[None], size, mode="linear")[0].to(dtype)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed instead of fetching it anew at every step of a loop.

    glibc keeps blocks up to the size of the largest that was ever given back, 32 MB at most, and
    twice as much in all (mallopt(3), M_MMAP_THRESHOLD). Elsewhere this does nothing.
    """
    torch.empty(KEPT, dtype=torch.uint8)
