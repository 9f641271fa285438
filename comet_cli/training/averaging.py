"""The moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from comet_cli.models.comet_model import CometModel


def update_average(
    average: dict[str, Tensor], model: CometModel, decay: float, iteration: int
) -> None:
    """Move the exponential moving average of the weights; young averages move faster.

    Numbers that are not floating point, such as BatchNorm's count of batches, are the last ones.
    """
    decay = min(decay, iteration / (iteration + 10))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)  # a count


class averaged:
    """Context: the model holds the averaged weights, in evaluation mode."""

    def __init__(self, model: CometModel, average: dict[str, Tensor]) -> None:
        """Remember both."""
        self._model, self._average = model, average

    def __enter__(self) -> None:
        """Swap the average in."""
        self._live = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        self._model.load_state_dict(self._average)
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        """Swap the live weights back."""
        self._model.load_state_dict(self._live)
        self._model.train()
