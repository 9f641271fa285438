"""Networks for global factors that keep positions: an encoder and a quadratic energy of our own.

The paper's global encoder averages its features over space, and so forgets where things are; for
pictures that are aligned, such as faces, positions are most of what there is to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.base import BoundEnergy, as_it_is
from comet_cli.networks.layers import autocast, computes_low
from comet_cli.networks.quadratic_energy import (
    BoundQuadraticEnergy,
    BoundResizedEnergy,
    bound_energy,
    decoded,
    modulation_network,
    start_even,
)

BASE = 4  # side of the map that a latent is decoded to first
SEEN_SIDE = 16  # pixels; what an energy that sees the picture sees of it
SEEN_FEATURES, SEEN_HIDDEN = 128, 256


class PictureReader(nn.Module):
    """What an energy sees of the picture: features (B,128) of 16×16 pixels (B,3,16,16)."""

    def __init__(self, width: int = 32) -> None:
        """Build."""
        super().__init__()
        self.wide = nn.Conv2d(3, width, 3, padding=1)
        self.narrow = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.hidden = nn.Linear(width * (SEEN_SIDE // 2) ** 2, SEEN_FEATURES)

    def forward(self, small: Tensor) -> Tensor:
        """Return the features."""
        h = F.silu(self.narrow(F.silu(self.wide(2 * small - 1))))
        return F.silu(self.hidden(h.flatten(1)))


class BoundCoarseImageEnergy(BoundEnergy):
    """½ Σ_p m_p(x̄) ‖x_p − f_p(x̄)‖² with the coarse picture x̄, which a step holds fixed.

    Components see what the others made of the picture, and a lamp can stand in the same place of a
    room that is looked at from elsewhere. Precision and mean lag by one step (as coefficients
    do in lagged-diffusivity iterations): the gradient with respect to x̄ is left out, so that a step
    needs no gradient of the network, and is as stable as that of a fixed quadratic energy.
    """

    def __init__(
        self,
        network: SpatialQuadraticEnergy,
        z: Tensor,
        *,
        low: bool,
        lines: Tensor | None = None,
    ) -> None:
        """Fix latents.

        Args:
            network: what decodes them.
            z: (B,J,D).
            low: the network computes in bfloat16.
            lines: (S,R), see :meth:`resized`; None for pictures of the network's own size.
        """
        self._network, self._z, self._low, self._lines = network, z, low, lines
        self._last: tuple[Tensor, bool, BoundQuadraticEnergy | BoundResizedEnergy] | None = None

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundCoarseImageEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`; the picture has a say."""
        z = gather(self._z)[rows, columns]
        return BoundCoarseImageEnergy(self._network, z, low=self._low, lines=self._lines)

    def resized(self, lines: Tensor) -> BoundCoarseImageEnergy:
        """See :meth:`.BoundEnergy.resized`; x̄ is as small whatever the canvas."""
        return BoundCoarseImageEnergy(self._network, self._z, low=self._low, lines=lines)

    def at(self, x: Tensor) -> BoundQuadraticEnergy | BoundResizedEnergy:
        """Return what a step from x (B,3,R,R) descends on: precision and mean for that x.

        Energy and preconditioner of one step share it: it is computed once for one picture.
        """
        seen, graph = seen_pixels(x.detach()), torch.is_grad_enabled()
        if self._last is None or self._last[1] != graph or not torch.equal(self._last[0], seen):
            with autocast(x.device, self._low):
                precision, mean = self._network(self._z, seen)
            bound = BoundQuadraticEnergy(precision, mean)
            self._last = (seen, graph, bound if self._lines is None else bound.resized(self._lines))
        return self._last[2]

    def __call__(self, x: Tensor) -> Tensor:
        """Return energies (B,J) of x (B,3,R,R)."""
        return self.at(x)(x)

    def curvature(self, x: Tensor) -> Tensor:
        """Return m (B,J,1,R,R), the diagonal of the Hessian at a fixed x̄."""
        return self.at(x).curvature(x)

    def gradients(self, x: Tensor) -> Tensor:
        """Return ∇_x E_j (B,J,3,R,R) at a fixed x̄."""
        return self.at(x).gradients(x)

    def summed(self, scales: Tensor) -> Callable[[Tensor], Tensor]:
        """Return x -> Σ_j s_j ∇_x E_j(x) at a fixed x̄."""
        return lambda x: self.at(x).summed(scales)(x)


def seen_pixels(x: Tensor) -> Tensor:
    """Return what an energy sees of pictures (B,3,R,R): (B,3,16,16)."""
    return F.interpolate(x, (SEEN_SIDE, SEEN_SIDE), mode="area")


class SpatialQuadraticEnergy(nn.Module):
    """Precision m = exp(a) and mean f decoded from z, from 4×4 pixels to R×R.

    Every level doubles the side and is modulated by z (FiLM). With ``responds``, the mean
    responds to the mean colour of the picture as well (see :class:`BoundLightEnergy`); with
    ``sees_image``, a coarse picture first changes z (:class:`BoundCoarseImageEnergy`).
    """

    def __init__(
        self,
        filter_dim: int,
        latent_dim: int,
        image_size: int,
        *,
        responds: bool = False,
        sees_image: bool = False,
        mean_margin: float = 0.0,
    ) -> None:
        """Build the network of one card."""
        super().__init__()
        self.sees_image, self.mean_margin = sees_image, mean_margin
        sides = [BASE]
        while sides[-1] < image_size:
            sides.append(min(2 * sides[-1], image_size))
        self.sides = sides[1:]
        shares = [4.0, 4.0, 3.0, 2.0, 2 / 3]
        widths = [max(8, round(s * filter_dim)) for s in shares[: len(sides)]]
        widths += [widths[-1]] * (len(sides) - len(widths))
        self.base = nn.Linear(latent_dim, widths[0] * BASE * BASE)
        self.grow = nn.ModuleList(
            [nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        )
        self.refine = nn.ModuleList([nn.Conv2d(b, b, 3, padding=1) for b in widths[1:]])
        self.modulated = [w for w in widths[1:] for _ in range(2)]
        self.modulation = modulation_network(latent_dim, self.modulated)
        if sees_image:
            # At first nothing that is seen makes a difference.
            self.reader = PictureReader()
            self.seen_hidden = nn.Linear(latent_dim + SEEN_FEATURES, SEEN_HIDDEN)
            self.seen_change = nn.Linear(SEEN_HIDDEN, latent_dim, bias=False)
            nn.init.zeros_(self.seen_change.weight)
        self.out = nn.Conv2d(widths[-1], 7 if responds else 4, 3, padding=1)
        start_even(self.out)

    def forward(self, z: Tensor, seen: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return m (B,J,1,R,R), f (B,J,3,R,R) and, if there is one, the response g (B,J,3,R,R).

        Args:
            z: (B,J,D).
            seen: coarse pictures (B,3,16,16), if they are seen.
        """
        batch, count, dim = z.shape
        flat = z.reshape(batch * count, dim)
        if seen is not None:
            features = self.reader(seen).repeat_interleave(count, 0)
            hidden = self.seen_hidden(torch.cat([flat, features], -1))
            flat = flat + self.seen_change(F.silu(hidden))
        modulations = iter(self.modulation(flat).split([2 * w for w in self.modulated], -1))

        def film(h: Tensor) -> Tensor:
            gain, bias = next(modulations)[..., None, None].chunk(2, 1)
            return F.silu(h * (1 + gain) + bias)

        h = F.silu(self.base(flat)).unflatten(1, (-1, BASE, BASE))
        h = h.contiguous(memory_format=torch.channels_last)
        for side, grow, refine in zip(self.sides, self.grow, self.refine, strict=True):
            h = film(grow(F.interpolate(h, (side, side), mode="bilinear")))
            h = h + film(refine(h))
        return decoded(self.out(h).float().unflatten(0, (batch, count)), self.mean_margin)

    def bind(
        self, z: Tensor, positional: Sequence[bool]
    ) -> BoundQuadraticEnergy | BoundCoarseImageEnergy:
        """Fix latents z (B,J,D); positions are part of what is decoded, whatever the flags."""
        if self.sees_image:
            return BoundCoarseImageEnergy(self, z, low=computes_low(z.device))
        return bound_energy(*self(z))
