"""Composition: terms of any models, summed into one energy function of the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import fsum

import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.energy.threads import decodes_lightly, one_thread
from comet_cli.errors import CometError, DivergenceError
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.base import QUADRATIC_REST, BoundEnergy


@dataclass(frozen=True)
class Term:
    """One component's energy in a composition.

    Attributes:
        model: the model whose energy network scores the picture.
        z: (B,D) latents, or (D,) for one picture.
        weight: w, may be negative (the picture is pushed away from the component).
        component: which component of its image z was (positional embedding, messages).
        name: what error messages call the term.
        region: (R,R) in [0, 1], how strongly the term acts on each pixel of the canvas; None for
            everywhere.
    """

    model: CometModel
    z: Tensor
    weight: float = 1.0
    component: int | None = None
    name: str = ""
    region: Tensor | None = None

    def latents(self) -> Tensor:
        """Return z as (B,D)."""
        return self.z if self.z.ndim == 2 else self.z.unsqueeze(0)


@dataclass(frozen=True)
class Group:
    """Components that share one forward pass: terms of one model and region, or a batch's own.

    Attributes:
        bound: J components.
        scales: (J,) w λ s; None for 1 each.
        size: R_i that the canvas is resized to for them; None where it is seen as it is.
        region: (R,R), see :class:`Term`.
        names: what error messages call them; without names energies may be anything.
    """

    bound: BoundEnergy
    scales: Tensor | None = None
    size: int | None = None
    region: Tensor | None = None
    names: Sequence[str] = ()

    def view(self, x: Tensor) -> Tensor:
        """Return the canvas as the model sees it, resized differentiably.

        It sees all of the canvas, and its gradient reaches the region alone.
        """
        if self.region is not None and x.requires_grad:
            still = x.detach()
            x = still + (x - still) * self.region
        lines = self._lines(x)
        return x if lines is None else lines @ x @ lines.T

    def _lines(self, x: Tensor) -> Tensor | None:
        """Return the resize of a canvas's rows, and of its columns; None where there is none."""
        if self.size is None or x.shape[-1] == self.size:
            return None
        return resize_matrix(x.shape[-1], self.size, x.device)

    def _back(self, seen: Tensor, x: Tensor) -> Tensor:
        """Return to the canvas x what was found at the model's size: the transpose of the view."""
        lines = self._lines(x)
        found = seen if lines is None else lines.T @ seen @ lines
        return found if self.region is None else found * self.region

    def energy(self, x: Tensor) -> Tensor:
        """Return Σ_j w λ s E_j (B,) of the canvas x (B,3,R,R)."""
        energies = self.bound(self.view(x))
        if self.names and not torch.isfinite(energies).all():
            bad = (~torch.isfinite(energies)).any(0).nonzero().flatten().tolist()
            raise DivergenceError(
                f"the energy of {', '.join(self.names[j] for j in bad)} is not finite; "
                "use a smaller step size (--step-size 0.5) or smaller weights"
            )
        return (energies if self.scales is None else energies * self.scales).sum(1)

    @cached_property
    def _summed(self) -> Callable[[Tensor], Tensor] | None:
        """What gives the gradient without autograd, at the model's size; None if nothing does."""
        if self.scales is None:
            return None
        with torch.no_grad():
            return self.bound.summed(self.scales)

    def gradient(self, x: Tensor) -> Tensor | None:
        """Return ∇ of :meth:`energy` (B,3,R,R) without autograd; None where that cannot be."""
        if self._summed is None:
            return None
        with torch.no_grad():
            return self._back(self._summed(self.view(x)), x)

    def curvature(self, x: Tensor) -> Tensor | None:
        """Return Σ_j |w| λ s Sᵀ m_j (B,1,R,R), S the resize; None where no m_j is known."""
        # In the mode in which the gradient is taken, so that what is decoded serves both.
        with torch.set_grad_enabled(self._summed is None):
            diagonal = self.bound.curvature(self.view(x.detach()))
            if diagonal is None:
                return None
            if self.scales is not None:
                diagonal = diagonal * self.scales.abs()[:, None, None, None]
            return self._back(diagonal.sum(1), x)


@cache
def resize_matrix(size: int, other: int, device: torch.device) -> Tensor:
    """Return what resizes a line of ``size`` pixels, (other,size): bilinear, antialiased.

    As a matrix it has a gradient on every device, and always the same one.
    """
    with torch.inference_mode(False):
        line = torch.eye(size)[None, None]
        lines = F.interpolate(line, (other, size), mode="bilinear", antialias=True)
        return lines[0, 0].to(device)


class Composition:
    """Σ_i w_i λ_i s_i E_i(x): (B,3,R,R) -> (B,) (section 3.1), with its preconditioner.

    λ_i is the step size that the card of the term's model gives for rendering (the trained one,
    unless the card says otherwise), so one pooled model alone, descended with step size 1, is
    equation 2 of the paper. A quadratic energy is resized to the canvas
    (:meth:`.BoundEnergy.resized`), and s_i is 1. For another the canvas is resized, and
    s_i = (R / R_i)² makes up for that: the canvas then moves, seen at the model's own size, as fast
    as the model was trained to move.

    Attributes:
        terms: what is summed, each once, in canonical order; none of :meth:`of`.
    """

    def __init__(self, groups: Sequence[Group], terms: Sequence[Term] = ()) -> None:
        """Sum groups; see :func:`compose` and :meth:`of`."""
        self._groups, self.terms = groups, terms
        self._curvature: Tensor | None = None

    @classmethod
    def of(cls, bound: BoundEnergy) -> Composition:
        """Return Σ_k E(x, z_k) of one model's own components: what training descends on."""
        return cls([Group(bound)])

    def __call__(self, x: Tensor) -> Tensor:
        """Return the summed, scaled energies (B,)."""
        total = x.new_zeros(x.shape[0])
        for group in self._groups:
            total = total + group.energy(x)
        return total

    def gradient(self, x: Tensor) -> Tensor | None:
        """Return ∇_x Σ_i w_i λ_i s_i E_i(x) (B,3,R,R), with autograd where it must be.

        None where every energy needs autograd: it gives their values as well.
        """
        found = [group.gradient(x) for group in self._groups]
        if all(gradient is None for gradient in found):
            return None
        total = torch.zeros_like(x)
        for group, gradient in zip(self._groups, found, strict=True):
            if gradient is None:
                with torch.enable_grad():
                    canvas = x.detach().requires_grad_(True)
                    (gradient,) = torch.autograd.grad(group.energy(canvas).sum(), canvas)
            total = total + gradient
        return total

    def curvature(self, x: Tensor) -> Tensor:
        """Return the preconditioner P (B,1,R,R) of the descent.

        P = ρ + Σ |w_i| λ_i s_i Sᵀm_i over the terms whose energy is quadratic in x, with Sᵀ the
        transpose of the resize: a diagonal that majorises their Hessian, so the step treats them
        implicitly and every other term explicitly. ρ is 1 as soon as any term is not quadratic
        (its trained step must stay what it was) and a small constant otherwise. The fixed points
        are those of the summed gradient, whatever P is.
        """
        shape = (x.shape[0], 1, *x.shape[2:])
        if self._curvature is not None and self._curvature.shape == shape:
            return self._curvature
        total = x.new_zeros(shape)
        rest: float | Tensor = QUADRATIC_REST
        constant = True
        for group in self._groups:
            diagonal = group.curvature(x)
            if diagonal is not None:
                total = total + diagonal
                constant = constant and group.bound.constant_curvature
            else:
                rest = 1.0 if group.region is None else _raise_rest(rest, group.region)
        result = total + rest
        if constant and not result.requires_grad:
            self._curvature = result
        return result


def _raise_rest(rest: float | Tensor, region: Tensor) -> float | Tensor:
    """Return ρ with 1 wherever a term acts that is not quadratic."""
    return rest if isinstance(rest, float) and rest == 1.0 else torch.where(region > 0, 1.0, rest)


def _canonical_key(term: Term) -> tuple[str, str, bytes, float, int, bytes]:
    card, z, region = term.model.card, _bytes(term.latents()), _bytes(term.region)
    component = -1 if term.component is None else term.component
    return (card.weights_sha256, card.name, z, term.weight, component, region)


def _bytes(held: Tensor | None) -> bytes:
    if held is None:
        return b""
    return held.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()


def compose(terms: Sequence[Term], *, size: int | None = None) -> Composition:
    """Sum terms into one energy function (section 3.1: Σ_k E(x; z_k)).

    Terms are put in a canonical order first, so permuting the arguments changes no bit. The weights
    of copies of one term are added up. Terms of weight 0 are left out.

    Args:
        terms: any number of terms, of any number of models; their latents share a batch size.
        size: R of the canvas; default the largest R of the terms' models.

    Raises:
        CometError: no term, or latents of different batch sizes.
    """
    live = sorted(_without_copies(terms), key=_canonical_key)
    if not live:
        raise CometError("nothing to compose: every term has weight 0, or there is no term")
    batches = {t.latents().shape[0] for t in live}
    if len(batches) > 1:
        raise CometError(f"the terms hold latents of different batch sizes: {sorted(batches)}")
    canvas = canvas_size(live) if size is None else size
    alike: dict[tuple[str | int, bytes], list[Term]] = {}
    for term in live:
        if term.region is not None and tuple(term.region.shape) != (canvas, canvas):
            raise CometError(
                f"the region of {term.name or 'a term'} is {tuple(term.region.shape)}, expected "
                f"({canvas}, {canvas})"
            )
        alike.setdefault((_identity(term.model), _bytes(term.region)), []).append(term)
    with one_thread(decodes_lightly([members[0].model for members in alike.values()], canvas)):
        return Composition([_bind(members, canvas) for members in alike.values()], live)


def _without_copies(terms: Sequence[Term]) -> list[Term]:
    """Return terms that are all different, and of a weight: P would count copies by themselves."""
    alike: dict[tuple[str | int, bytes, int | None, bytes], list[Term]] = {}
    for term in terms:
        what, where = (_identity(term.model), _bytes(term.latents())), _bytes(term.region)
        alike.setdefault((*what, term.component, where), []).append(term)
    # Whatever the order of the copies, fsum gives the same bits.
    summed = [
        replace(copies[0], weight=fsum(c.weight for c in copies)) for copies in alike.values()
    ]
    return [term for term in summed if term.weight != 0]


def _identity(model: CometModel) -> str | int:
    """Return what copies of one model have in common; one that was never saved has no hash."""
    return model.card.weights_sha256 or id(model)


def _bind(members: Sequence[Term], canvas: int) -> Group:
    """Return terms of one model and region, bound together, for a canvas of that size."""
    model, region = members[0].model, members[0].region
    size: int = model.card.image_size
    z = torch.stack([t.latents() for t in members], 1).to(model.device)
    bound = model.bind_each(z, [t.component for t in members])
    unit = model.card.render_step_size
    seen_at: int | None = size
    if canvas != size:
        resized = bound.resized(resize_matrix(size, canvas, model.device))
        if resized is None:
            unit *= (canvas / size) ** 2
        else:
            bound, seen_at = resized, None
    return Group(
        bound,
        torch.tensor([t.weight * unit for t in members], device=model.device),
        seen_at,
        None if region is None else region.to(model.device, torch.float32),
        [t.name or f"{model.card.name}:{t.component}" for t in members],
    )


def canvas_size(terms: Sequence[Term]) -> int:
    """Return the largest image size of the terms' models."""
    return max(t.model.card.image_size for t in terms)
