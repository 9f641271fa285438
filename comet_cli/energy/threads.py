"""As many threads as there is work for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from comet_cli.models.comet_model import CometModel

LIGHT_SIZE = 128


@contextlib.contextmanager
def thread_limit(count: int) -> Iterator[None]:
    """Let torch compute with so many threads, 0 for as many as before, and then as before.

    How many threads torch uses is each thread's own.
    """
    before = torch.get_num_threads()
    if count in (0, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread(light: bool) -> contextlib.AbstractContextManager[None]:
    """Let the calling thread compute alone if the work is light, else with all threads.

    Of light work several threads would only wait for each other.
    """
    return thread_limit(1 if light else 0)


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
