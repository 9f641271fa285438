"""As many threads as there is work for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from comet_cli.models.comet_model import CometModel

LIGHT_SIZE = 128


@contextlib.contextmanager
def one_thread(light: bool) -> Iterator[None]:
    """Let the calling thread compute alone if the work is light, else with all threads.

    Of light work several threads would only wait for each other. How many threads torch uses is
    each thread's own.
    """
    before = torch.get_num_threads()
    if not light or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def decodes_lightly(models: Sequence[CometModel], size: int) -> bool:
    """Say whether rendering is light on a CPU: energies that are quadratic and see z alone.

    A latent is then decoded in milliseconds, and a step is a few operations on few numbers.

    Args:
        models: of the terms.
        size: R of the canvas.
    """
    return size <= LIGHT_SIZE and all(
        m.device.type == "cpu" and m.card.energy == "quadratic" and not m.card.sees_image
        for m in models
    )


def encodes_lightly(model: CometModel) -> bool:
    """Say whether one picture is encoded on a CPU by a small network."""
    return model.device.type == "cpu" and model.card.image_size <= LIGHT_SIZE
