"""The quadratic energy: E(x, z) = ½ Σ_p m_p(z) ‖x_p − f_p(z)‖² (Remark 1, as a network)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.base import BoundEnergy, as_it_is
from comet_cli.networks.layers import coordinate_grid

ABSOLUTE_WAVES = (0.5, 1.0, 2.0)  # cycles over half the picture
RELATIVE_WAVES = (0.5, 1.0, 2.0, 4.0)
LOG_PRECISION_LIMIT = 8.0


def fourier_features(coordinates: Tensor, waves: Sequence[float]) -> Tensor:
    """Return the coordinates (...,2) and their sines and cosines: (..., 2 + 4·len(waves))."""
    phases = [coordinates * (math.pi * w) for w in waves]
    return torch.cat([coordinates, *[p.sin() for p in phases], *[p.cos() for p in phases]], -1)


class BoundQuadraticEnergy(BoundEnergy):
    """½ Σ_p m_p ‖x_p − f_p‖² for precisions and means that are fixed."""

    def __init__(self, precision: Tensor, mean: Tensor) -> None:
        """Take precision m (B,J,1,R,R) and mean f (B,J,3,R,R)."""
        self.precision = precision
        self.mean = mean

    def __call__(self, x: Tensor) -> Tensor:
        """Return energies (B,J) of x (B,3,R,R)."""
        residual = x.unsqueeze(1) - self.mean
        return 0.5 * (self.precision * residual.square()).sum((2, 3, 4))

    def curvature(self, x: Tensor) -> Tensor:
        """Return m (B,J,1,R,R), the diagonal of the Hessian (at a fixed light)."""
        return self.precision

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundQuadraticEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`."""
        return type(self)(*[gather(t)[rows, columns] for t in self.parts()])

    def parts(self) -> tuple[Tensor, ...]:
        """Return what it was made of."""
        return self.precision, self.mean


class BoundLightEnergy(BoundQuadraticEnergy):
    """½ Σ_p m_p ‖x_p − f_p − g_p ⊙ (mean(x) − ½)‖²: the mean follows the light of the picture.

    The mean colour of the picture stands for its light. m and f are still computed once, but a
    component that sets the light now changes how the others look, which no mask composition can
    (section 3.1 of the paper, remark 1). The mean is held fixed within a step: its gradient is left
    out, or an object alone would tint what no component cares about to get the light it wants.
    """

    def __init__(self, precision: Tensor, mean: Tensor, response: Tensor) -> None:
        """Take precision m (B,J,1,R,R), mean f and response g (B,J,3,R,R)."""
        super().__init__(precision, mean)
        self.response = response

    def __call__(self, x: Tensor) -> Tensor:
        """Return energies (B,J) of x (B,3,R,R)."""
        light = x.detach().mean((2, 3), keepdim=True).unsqueeze(1) - 0.5
        residual = x.unsqueeze(1) - self.mean - self.response * light
        return 0.5 * (self.precision * residual.square()).sum((2, 3, 4))

    def parts(self) -> tuple[Tensor, ...]:
        """Return what it was made of."""
        return self.precision, self.mean, self.response


class BoundSeeingEnergy(BoundEnergy):
    """The same with a network that sees x; the Hessian's diagonal is approximated by m(x)."""

    def __init__(self, network: QuadraticEnergy, z: Tensor, positional: Sequence[bool]) -> None:
        """Keep what is needed to evaluate the network at each x."""
        # float32: the encoder may have run under autocast, the steps of a descent do not.
        self._network, self._z, self._positional = network, z.float(), positional

    def __call__(self, x: Tensor) -> Tensor:
        """Return energies (B,J) of x (B,3,R,R)."""
        precision, mean = self._network(self._z, self._positional, x)
        return BoundQuadraticEnergy(precision, mean)(x)

    def curvature(self, x: Tensor) -> Tensor:
        """Return m(x) (B,J,1,R,R)."""
        with torch.no_grad():
            return self._network(self._z, self._positional, x)[0]

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundSeeingEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`."""
        flags = [self._positional[j] for j in columns.tolist()]
        return BoundSeeingEnergy(self._network, gather(self._z)[rows, columns], flags)


class QuadraticEnergy(nn.Module):
    """Precision m = exp(a) and mean f from one network of z and pixel positions.

    A coarse grid (R/4) of position features, absolute and relative to the component's centre (the
    first two dimensions of z), passes convolutions modulated by z (FiLM) and is refined to R/2 and
    R. Not seeing x, m and f are computed once a component and the energy is quadratic in x.
    """

    def __init__(
        self,
        filter_dim: int,
        latent_dim: int,
        image_size: int,
        *,
        sees_image: bool = False,
        responds: bool = False,
    ) -> None:
        """Build; ``filter_dim`` F is the width at the coarse grid, F/2 and F/4 finer."""
        super().__init__()
        self.sees_image = sees_image
        self.responds = responds
        self.sizes = [math.ceil(image_size / 4), math.ceil(image_size / 2), image_size]
        wide, middle, narrow = 2 * filter_dim, filter_dim, max(filter_dim // 2, 8)
        absolute = 2 + 4 * len(ABSOLUTE_WAVES)
        relative = 3 + 4 * len(RELATIVE_WAVES)
        seen = 3 if sees_image else 0
        self.coarse_in = nn.Conv2d(absolute + relative + seen, wide, 1)
        self.coarse = nn.ModuleList([nn.Conv2d(wide, wide, 3, padding=1) for _ in range(3)])
        self.middle_in = nn.Conv2d(wide, middle, 1)
        self.middle_position = nn.Conv2d(relative + seen, middle, 1)
        self.middle = nn.Conv2d(middle, middle, 3, padding=1)
        self.fine_in = nn.Conv2d(middle, narrow, 1)
        self.fine_position = nn.Conv2d(relative + seen, narrow, 1)
        self.fine = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.out = nn.Conv2d(narrow, 7 if responds else 4, 3, padding=1)
        self.widths = [wide] * (1 + len(self.coarse)) + [middle, middle, narrow, narrow]
        self.modulation = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.SiLU(), nn.Linear(64, 2 * sum(self.widths))
        )
        nn.init.normal_(self.out.weight, std=0.02)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def _positions(self, size: int, centre: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Return absolute (N,·,S,S) and relative (N,·,S,S) position features."""
        grid = coordinate_grid(size, size, centre.device)
        offset = grid - centre[:, None, None, :]
        distance = offset.square().sum(-1, keepdim=True)
        relative = torch.cat([distance, fourier_features(offset, RELATIVE_WAVES)], -1)
        absolute = fourier_features(grid, ABSOLUTE_WAVES).expand(len(centre), -1, -1, -1)
        keep = keep[:, None, None, None]
        return (
            (absolute * keep).permute(0, 3, 1, 2),
            (relative * keep).permute(0, 3, 1, 2),
        )

    def forward(
        self, z: Tensor, positional: Sequence[bool], x: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return m (B,J,1,R,R), f (B,J,3,R,R) and, if there is one, the response g (B,J,3,R,R).

        Args:
            z: (B,J,D).
            positional: which components see pixel positions.
            x: (B,3,R,R) if it is seen.
        """
        batch, count, dim = z.shape
        flat = z.reshape(batch * count, dim)
        keep = torch.tensor(positional, dtype=z.dtype, device=z.device).repeat(batch)
        modulations = iter(self.modulation(flat).split([2 * w for w in self.widths], -1))

        def film(h: Tensor) -> Tensor:
            gain, bias = next(modulations)[..., None, None].chunk(2, 1)
            return F.silu(h * (1 + gain) + bias)

        def see(size: int, features: Tensor) -> Tensor:
            if x is None:
                return features
            small = F.interpolate(x, (size, size), mode="area") * 2 - 1
            return torch.cat([features, small.repeat_interleave(count, 0)], 1)

        coarse, middle, full = self.sizes
        absolute, relative = self._positions(coarse, flat[:, :2], keep)
        h = film(self.coarse_in(see(coarse, torch.cat([absolute, relative], 1))))
        for convolution in self.coarse:
            h = h + film(convolution(h))
        h = F.interpolate(self.middle_in(h), (middle, middle), mode="bilinear")
        h = film(
            h + self.middle_position(see(middle, self._positions(middle, flat[:, :2], keep)[1]))
        )
        h = h + film(self.middle(h))
        h = F.interpolate(self.fine_in(h), (full, full), mode="bilinear")
        h = film(h + self.fine_position(see(full, self._positions(full, flat[:, :2], keep)[1])))
        h = h + film(self.fine(h))
        out = self.out(h).float().view(batch, count, -1, full, full)
        limit = LOG_PRECISION_LIMIT
        precision = (limit * torch.tanh(out[:, :, :1] * 4 / limit)).exp()
        mean = torch.sigmoid(out[:, :, 1:4] * 4)
        return (precision, mean, *([out[:, :, 4:] * 4] if self.responds else []))

    def bind(
        self, z: Tensor, positional: Sequence[bool]
    ) -> BoundQuadraticEnergy | BoundLightEnergy | BoundSeeingEnergy:
        """Fix latents z (B,J,D); see :class:`comet_cli.networks.base.EnergyNetwork`."""
        if self.sees_image:
            return BoundSeeingEnergy(self, z, positional)
        return bound_energy(*self(z, positional))


def bound_energy(
    precision: Tensor, mean: Tensor, response: Tensor | None = None
) -> BoundQuadraticEnergy | BoundLightEnergy:
    """Return the energy of fixed precisions and means, and of responses if there are any."""
    if response is None:
        return BoundQuadraticEnergy(precision, mean)
    return BoundLightEnergy(precision, mean, response)
