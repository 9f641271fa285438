"""The optimizers that a recipe can name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from comet_cli.errors import CometError
from comet_cli.training.settings import TrainSettings

# Layers that read or write pixels and latents; orthogonal updates are for those between them.
OUTER_LAYERS = ("stem", "out", "to_latents", "base")
LEAST_SIDE = 16  # of a matrix that is worth an orthogonal update


class MuonWithAdam(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for the matrices of hidden layers, Adam for everything else.

    A convolution's weight (O,I,H,W) is treated as a matrix (O,IHW). Updates are scaled to the size
    of Adam's (Liu et al. 2025), so that one learning rate serves both.
    """

    def __init__(self, model: nn.Module, lr: float) -> None:
        """Share a model's parameters out.

        Raises:
            CometError: this version of torch has no Muon.
        """
        if not hasattr(torch.optim, "Muon"):
            raise CometError("recipe, [train]: optimizer muon needs torch 2.9 or later")
        self._hidden = [p for n, p in model.named_parameters() if is_hidden_matrix(n, p)]
        others = [p for n, p in model.named_parameters() if not is_hidden_matrix(n, p)]
        super().__init__([*self._hidden, *others], {"lr": lr})
        # The same memory seen as matrices: what Muon writes there, the model has.
        self._matrices = [nn.Parameter(p.detach().view(len(p), -1)) for p in self._hidden]
        self._muon = torch.optim.Muon(
            self._matrices, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        )
        self._adam = torch.optim.Adam(others, lr=lr)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter from its gradient."""
        for matrix, parameter in zip(self._matrices, self._hidden, strict=True):
            matrix.grad = None if parameter.grad is None else parameter.grad.view_as(matrix)
        for optimizer in (self._muon, self._adam):
            for group in optimizer.param_groups:
                group["lr"] = self.param_groups[0]["lr"]
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._muon.load_state_dict(state_dict["muon"])
        self._adam.load_state_dict(state_dict["adam"])


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is a hidden layer's matrix that is worth an orthogonal update."""
    if parameter.ndim < 2 or any(part in OUTER_LAYERS for part in name.split(".")):
        return False
    return min(len(parameter), parameter[0].numel()) >= LEAST_SIDE


def make_optimizer(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe's name, ``adam``, ``adamw`` or ``muon``."""
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))
    if name == "muon":
        return MuonWithAdam(model, lr)
    return torch.optim.Adam(model.parameters(), lr=lr)


def learning_rate(settings: TrainSettings, iteration: int) -> float:
    """Return the learning rate of an iteration (0-based)."""
    rate = settings.learning_rate
    if settings.warm_up and iteration < settings.warm_up:
        return rate * (iteration + 1) / settings.warm_up
    if settings.schedule == "cosine":
        done = iteration / settings.iterations
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
    return rate
