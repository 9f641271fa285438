"""What an object looks like up close: a window of the picture around it, the same size for all."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.layers import autocast, coordinate_grid

SIDE = 16  # points a side of a window
# Standard deviations of an object on each side of its centre that a window reaches. That holds a
# square (1.7 of them) and a disc (2), and some of what is around.
REACH = 2.5


def filters(centre: Tensor, spread: Tensor, size: int) -> Tensor:
    """Return Gaussian filters (...,16,R) that read a window along one axis of a picture.

    The filter bank of Gregor et al., "DRAW: A recurrent neural network for image generation", 2015
    (section 3.2). What lies outside the picture is read as 0.

    Args:
        centre: (...) of windows, −1 to 1.
        spread: (...) of objects, in the same units, above 0.
        size: R.
    """
    points = (torch.arange(SIDE, device=centre.device) + 0.5) / SIDE * 2 - 1
    pixel, step = 2 / size, 2 * REACH / SIDE * spread
    width = (step / 2).clamp_min(pixel / 2)[..., None, None]
    at = centre[..., None] + points * (REACH * spread)[..., None]
    line = coordinate_grid(1, size, centre.device)[0, :, 1]
    distance = (line - at[..., None]) / width
    return (-distance.square() / 2).exp() * pixel / (width * math.sqrt(2 * math.pi))


class Glimpses(nn.Module):
    """Colours under objects' attention, read in a window around each, -> (B,J,D).

    Means over an object forget its outline and what is where on it. A window follows the object's
    place and size, so that it shows the same object in the same way wherever it is; those are told
    by other numbers. The last layer starts at zero.
    """

    def __init__(self, width: int, latent_dim: int) -> None:
        """Build; ``width`` is that of the network at its coarsest."""
        super().__init__()
        self.fine = nn.Conv2d(4, width // 2, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(width // 2, width, 3, stride=2, padding=1)
        self.hidden = nn.Linear(width * (SIDE // 4) ** 2, 2 * width)
        self.out = nn.Linear(2 * width, latent_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def read(self, colour: Tensor, attention: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
        """Return windows (B,J,4,16,16): colours under attention, and attention.

        Args:
            colour: (B,3,R,R).
            attention: (B,J,R,R).
            centre: (B,J,2), row and column; where windows lie is not trained.
            spread: (B,J,2), standard deviations.
        """
        size = colour.shape[-1]
        with torch.no_grad():
            bank = filters(centre, spread, size)
        held = attention[:, :, None]
        held = torch.cat([held * colour[:, None], held], 2)
        return bank[:, :, :1] @ held @ bank[:, :, 1:].transpose(-1, -2)

    def forward(self, colour: Tensor, attention: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
        """Return what is added to latents, (B,J,D); arguments as of :meth:`read`."""
        with autocast(colour.device, low=False):
            windows = self.read(colour, attention, centre, spread)
        h = F.silu(self.coarse(F.silu(self.fine(windows.flatten(0, 1)))))
        h = self.out(F.silu(self.hidden(h.flatten(1))))
        return h.unflatten(0, windows.shape[:2])
