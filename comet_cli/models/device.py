"""The device that networks run on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from comet_cli.errors import UsageError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """Return a device that exists here.

    On CUDA float32 is float32 from then on, in the whole process: convolutions would round it to
    10 bits otherwise.

    Args:
        name: ``auto`` (the first CUDA device, else Apple's, else the CPU), ``cpu``, ``cuda``,
            ``cuda:n`` or ``mps``.

    Raises:
        UsageError: another word, or a device that this machine or this torch does not have.
    """
    import torch

    device = _named(name)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def _named(name: str) -> torch.device:
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        best = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
        return torch.device(best)
    if name == "cpu" or (name == "mps" and has_mps):
        return torch.device(name)
    if name == "mps":
        raise UsageError("device 'mps' needs a Mac with Apple silicon; use --device auto")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise UsageError(f"unknown device '{name}'; use auto, cpu, cuda, cuda:n or mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match.group(1) or 0) >= count:
        here = f"{count} CUDA devices are" if count else "no CUDA device is"
        raise UsageError(f"device '{name}' does not exist: {here} available; use --device auto")
    return torch.device(name)
