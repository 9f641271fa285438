"""As many threads as there is work for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from comet_cli.models.comet_model import CometModel

LIGHT_SIZE = 128


@contextlib.contextmanager
def fitting_threads(models: Sequence[CometModel], size: int) -> Iterator[None]:
    """Let a CPU use one thread where more would only wait for each other, else all.

    That is where every energy is quadratic and sees z alone, and pictures have up to 128 pixels:
    a latent is decoded in milliseconds, and a step is a few operations on a few thousand numbers.
    The count of threads is the calling thread's own.

    Args:
        models: of the terms.
        size: R of the canvas.
    """
    before = torch.get_num_threads()
    light = size <= LIGHT_SIZE and all(
        m.device.type == "cpu" and m.card.energy == "quadratic" and not m.card.sees_image
        for m in models
    )
    if not light or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
