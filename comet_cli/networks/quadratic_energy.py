"""The quadratic energy: E(x, z) = ½ Σ_p m_p(z) ‖x_p − f_p(z)‖² (Remark 1, as a network)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.base import BoundEnergy, as_it_is
from comet_cli.networks.layers import enlarged

ABSOLUTE_WAVES = (0.5, 1.0, 2.0)  # cycles over half the picture
RELATIVE_WAVES = (0.5, 1.0, 2.0, 4.0)
LOG_PRECISION_LIMIT = 8.0


class BoundQuadraticEnergy(BoundEnergy):
    """½ Σ_p m_p ‖x_p − f_p‖² for precisions and means that are fixed."""

    constant_curvature = True

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

    def gradients(self, x: Tensor) -> Tensor:
        """Return ∇_x E_j = m_j ⊙ (x − f_j) (B,J,3,R,R)."""
        return self.precision * (x.unsqueeze(1) - self.mean_pictures(x))

    def summed(self, scales: Tensor) -> Callable[[Tensor], Tensor]:
        """Return x -> a ⊙ x − c, with a = Σ_j s_j m_j and c = Σ_j s_j m_j f_j computed once."""
        return self.gradient_of(*self.sums(scales))

    @staticmethod
    def gradient_of(*sums: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the gradient (:meth:`summed`) that sums make (:meth:`sums`)."""
        slope, pull = sums
        return lambda x: slope * x - pull

    def sums(self, scales: Tensor) -> list[Tensor]:
        """Return Σ_j s_j m_j (B,1,R,R), and Σ_j s_j m_j p_j (B,3,R,R) for the other parts p."""
        weighted = self.precision * scales[:, None, None, None]
        return [weighted.sum(1), *[(weighted * part).sum(1) for part in self.parts()[1:]]]

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundQuadraticEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`."""
        return type(self)(*[gather(t)[rows, columns] for t in self.parts()])

    def parts(self) -> tuple[Tensor, ...]:
        """Return what it was made of."""
        return self.precision, self.mean

    def resized(self, lines: Tensor) -> BoundResizedEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.resized`."""
        return BoundResizedEnergy(self, lines)

    def mean_pictures(self, x: Tensor) -> Tensor:
        """Return f (B,J,3,R,R), as it is beside x (B,3,R,R)."""
        return self.mean


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

    @staticmethod
    def gradient_of(*sums: Tensor) -> Callable[[Tensor], Tensor]:
        """Return x -> a ⊙ x − c − d ⊙ (mean(x) − ½), with d = Σ_j s_j m_j g_j."""
        slope, pull, answer = sums
        return lambda x: slope * x - pull - answer * (x.mean((2, 3), keepdim=True) - 0.5)

    def parts(self) -> tuple[Tensor, ...]:
        """Return what it was made of."""
        return self.precision, self.mean, self.response

    def mean_pictures(self, x: Tensor) -> Tensor:
        """Return f + g ⊙ (mean(x) − ½) (B,J,3,R,R): the means in the light of x (B,3,R,R)."""
        light = x.detach().mean((2, 3), keepdim=True).unsqueeze(1) - 0.5
        return self.mean + self.response * light


class BoundResizedEnergy(BoundEnergy):
    """An energy of fixed precisions and means on a canvas of another size (S,S).

    The logarithm of m is resized, as shares of components are functions of it. The other parts are
    weighted by m as they are resized: what a component says where it does not care is no part of
    its outline. One component is resized after the other, when it is needed: a large canvas holds
    sums alone.
    """

    def __init__(self, bound: BoundQuadraticEnergy, lines: Tensor) -> None:
        """Take the energy, and what resizes a line of its pixels: (S,R), no number below 0."""
        self._bound, self._lines = bound, lines
        self.constant_curvature = bound.constant_curvature

    def _each(self) -> Iterator[BoundQuadraticEnergy]:
        """Yield the energy of one component after the other."""
        lines = self._lines
        for j in range(self._bound.precision.shape[1]):
            precision, *others = (part[:, j : j + 1] for part in self._bound.parts())
            total = lines @ precision @ lines.T
            weighted = [lines @ (precision * part) @ lines.T / total for part in others]
            yield type(self._bound)((lines @ precision.log() @ lines.T).exp(), *weighted)

    def __call__(self, x: Tensor) -> Tensor:
        """Return energies (B,J) of x (B,3,S,S)."""
        return torch.cat([one(x) for one in self._each()], 1)

    def curvature(self, x: Tensor) -> Tensor:
        """Return m (B,J,1,S,S)."""
        return torch.cat([one.precision for one in self._each()], 1)

    def gradients(self, x: Tensor) -> Tensor:
        """Return ∇_x E_j (B,J,3,S,S)."""
        return torch.cat([one.gradients(x) for one in self._each()], 1)

    def summed(self, scales: Tensor) -> Callable[[Tensor], Tensor]:
        """See :meth:`BoundQuadraticEnergy.summed`."""
        totals: list[Tensor] = []
        for one, scale in zip(self._each(), scales.split(1), strict=True):
            sums = one.sums(scale)
            totals = [a.add_(b) for a, b in zip(totals, sums, strict=True)] if totals else sums
        return self._bound.gradient_of(*totals)

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundResizedEnergy:
        """See :meth:`comet_cli.networks.base.BoundEnergy.recombine`."""
        return BoundResizedEnergy(self._bound.recombine(rows, columns, gather), self._lines)


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


def bound_energy(
    precision: Tensor, mean: Tensor, response: Tensor | None = None
) -> BoundQuadraticEnergy:
    """Return the energy of fixed precisions and means, and of responses if there are any."""
    if response is None:
        return BoundQuadraticEnergy(precision, mean)
    return BoundLightEnergy(precision, mean, response)


def modulation_network(latent_dim: int, widths: Sequence[int]) -> nn.Sequential:
    """Return the network of z that gives a gain and a bias a channel to layers of these widths."""
    return nn.Sequential(nn.Linear(latent_dim, 64), nn.SiLU(), nn.Linear(64, 2 * sum(widths)))


def start_even(out: nn.Conv2d) -> None:
    """Let a last layer start near m = 1 and f = ½ everywhere."""
    nn.init.normal_(out.weight, std=0.02)
    if out.bias is not None:
        nn.init.zeros_(out.bias)


def decoded(out: Tensor, mean_margin: float = 0.0) -> tuple[Tensor, ...]:
    """Return m (B,J,1,R,R), f (B,J,3,R,R) and, of seven channels, g (B,J,3,R,R).

    m = exp(L tanh(4 a / L)) with a limit L, f = (1 + 2 e) sigmoid(4 b) − e, g = 4 c.

    Args:
        out: a, b and, if the mean responds, c: (B,J,4|7,R,R), of the last layer.
        mean_margin: e, how far the mean goes beyond black and white.
    """
    limit = LOG_PRECISION_LIMIT
    precision = (limit * torch.tanh(out[:, :, :1] * 4 / limit)).exp()
    mean = torch.sigmoid(out[:, :, 1:4] * 4)
    if mean_margin:
        mean = mean * (1 + 2 * mean_margin) - mean_margin
    return (precision, mean, *([out[:, :, 4:] * 4] if out.shape[2] > 4 else []))


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
        mean_margin: float = 0.0,
    ) -> None:
        """Build; ``filter_dim`` F is the width at the coarse grid, F/2 and F/4 finer."""
        super().__init__()
        self.sees_image, self.mean_margin = sees_image, mean_margin
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
        self.modulation = modulation_network(latent_dim, self.widths)
        start_even(self.out)

    def resized(self, image_size: int) -> QuadraticEnergy:
        """Return the same network, with the very same weights, for pictures of another size."""
        other = copy.copy(self)
        if self._compiled_call_impl is not None:  # which a copy does not take over
            other.compile()
        other.sizes = [math.ceil(image_size / 4), math.ceil(image_size / 2), image_size]
        return other

    def _positions(
        self, layer: nn.Conv2d, size: int, centre: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what a 1×1 convolution makes of position features (N,·,S,S), without them.

        Each feature is of the row, of the column, or a sum of two such. So the convolution is a sum
        of a function of the row (N,C,S,1) and one of the column (N,C,1,S).

        Args:
            layer: of absolute features, if it is the first, relative ones, and what else is seen.
            size: S.
            centre: (N,2).
            keep: (N,) 1 where positions are seen, else 0.
        """
        line = (torch.arange(size, device=centre.device) + 0.5) / size * 2 - 1
        offset = line - centre[..., None]
        absolute = 2 + 4 * len(ABSOLUTE_WAVES) if layer is self.coarse_in else 0
        found = [offset.square()[..., None], offset[..., None]]
        phases = offset[..., None] * (math.pi * torch.tensor(RELATIVE_WAVES, device=line.device))
        found += [phases.sin(), phases.cos()]
        if absolute:
            phases = line[:, None] * (math.pi * torch.tensor(ABSOLUTE_WAVES, device=line.device))
            fixed = torch.cat([line[:, None], phases.sin(), phases.cos()], -1)
            found.append(fixed.expand(*offset.shape, -1))
        features = torch.cat(found, -1) * keep[:, None, None, None]
        weight = layer.weight[:, :, 0, 0]
        pairs = torch.arange(1 + 2 * len(RELATIVE_WAVES), device=line.device) * 2 + absolute + 1
        both = []
        for axis in (0, 1):
            chosen = [pairs.new_tensor([absolute]), pairs + axis]
            if absolute:
                chosen.append(torch.arange(axis, absolute, 2, device=line.device))
            both.append(weight[:, torch.cat(chosen)] @ features[:, axis].transpose(1, 2))
        rows, columns = both
        if layer.bias is not None:
            rows = rows + layer.bias[:, None]
        return rows[..., None], columns[:, :, None]

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

        def place(layer: nn.Conv2d, size: int, h: Tensor | None = None) -> Tensor:
            """Add positions and what is seen to h (N,C,S,S), then modulate."""
            gain, bias = next(modulations)[..., None, None].chunk(2, 1)
            gain = 1 + gain
            rows, columns = self._positions(layer, size, flat[:, :2], keep)
            if x is not None:
                small = F.interpolate(x, (size, size), mode="area") * 2 - 1
                seen = F.conv2d(small, layer.weight[:, -3:]).repeat_interleave(count, 0)
                h = seen if h is None else h + seen
            placed = (rows * gain + bias) + columns * gain
            return F.silu(placed if h is None else h * gain + placed)

        coarse, middle, full = self.sizes
        h = place(self.coarse_in, coarse)
        for convolution in self.coarse:
            h = h + film(convolution(h))
        h = enlarged(self.middle_in(h), middle)
        h = place(self.middle_position, middle, h)
        h = h + film(self.middle(h))
        h = enlarged(self.fine_in(h), full)
        h = place(self.fine_position, full, h)
        h = h + film(self.fine(h))
        out = self.out(h).float().view(batch, count, -1, full, full)
        return decoded(out, self.mean_margin)

    def bind(
        self, z: Tensor, positional: Sequence[bool]
    ) -> BoundQuadraticEnergy | BoundSeeingEnergy:
        """Fix latents z (B,J,D); see :class:`comet_cli.networks.base.EnergyNetwork`."""
        if self.sees_image:
            return BoundSeeingEnergy(self, z, positional)
        return bound_energy(*self(z, positional))
