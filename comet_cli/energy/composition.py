"""Composition: terms of any models, summed into one energy function of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

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


@dataclass
class _Group:
    """The terms of one model and region, bound together so that they share one forward pass."""

    model: CometModel
    bound: BoundEnergy
    scales: Tensor  # (J,): weight · λ · area ratio
    names: list[str]
    region: Tensor | None = None  # (R,R)

    def view(self, x: Tensor) -> Tensor:
        """Return the canvas as the model sees it, resized differentiably.

        It sees all of the canvas, and its gradient reaches the region alone.
        """
        size = self.model.card.image_size
        if self.region is not None and x.requires_grad:
            still = x.detach()
            x = still + (x - still) * self.region
        if x.shape[-1] == size:
            return x
        return F.interpolate(x, (size, size), mode="bilinear", antialias=True)


class Composition:
    """Σ_i w_i λ_i s_i E_i(x): (B,3,R,R) -> (B,), with the curvature of its quadratic part.

    λ_i is the step size that the card of the term's model gives for rendering (the trained one,
    unless the card says otherwise), so one pooled model alone, descended with step size 1, is
    equation 2 of the paper. s_i = (R / R_i)² makes up for the resize: the
    canvas then moves, seen at the model's own size, as fast as the model was trained to move.
    """

    def __init__(self, groups: list[_Group]) -> None:
        """Wrap bound groups; use :func:`compose`."""
        self._groups = groups
        self._curvature: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the summed, scaled energies (B,)."""
        total = x.new_zeros(x.shape[0])
        for group in self._groups:
            energies = group.bound(group.view(x))
            if not torch.isfinite(energies).all():
                bad = (~torch.isfinite(energies)).any(0).nonzero().flatten().tolist()
                raise DivergenceError(
                    f"the energy of {', '.join(group.names[j] for j in bad)} is not finite; "
                    "use a smaller step size (--step-size 0.5) or smaller weights"
                )
            total = total + (energies * group.scales).sum(1)
        return total

    def term_energies(self, x: Tensor) -> dict[str, Tensor]:
        """Return each term's unscaled energy (B,) by name, in canonical order."""
        found: dict[str, Tensor] = {}
        for group in self._groups:
            energies = group.bound(group.view(x))
            found.update({name: energies[:, j] for j, name in enumerate(group.names)})
        return found

    def curvature(self, x: Tensor) -> Tensor:
        """Return the preconditioner P (B,1,R,R) of the descent.

        P = ρ + Σ |w_i| λ_i s_i Rᵀm_i over the terms whose energy is quadratic in x, with Rᵀ the
        transpose of the resize: a diagonal that majorises their Hessian, so the step treats them
        implicitly and every other term explicitly. ρ is 1 as soon as any term is not quadratic
        (its trained step must stay what it was) and a small constant otherwise. The fixed points
        are those of the summed gradient, whatever P is.
        """
        if self._curvature is not None:
            return self._curvature
        total = x.new_zeros(x.shape[0], 1, *x.shape[-2:])
        fixed = True
        rest: float | Tensor = QUADRATIC_REST
        for group in self._groups:
            with torch.enable_grad():
                canvas = x.detach()[:, :1].clone().requires_grad_(True)
                seen = group.view(canvas)
                diagonal = group.bound.curvature(group.view(x.detach()))
                if diagonal is None:
                    rest = 1.0 if group.region is None else _raise_rest(rest, group.region)
                    continue
                weighted = (diagonal.detach() * group.scales.abs()[:, None, None, None]).sum(1)
                if seen is canvas:  # no resize and no region
                    total = total + weighted
                else:
                    total = total + torch.autograd.grad((seen * weighted).sum(), canvas)[0]
            fixed = fixed and not group.model.card.sees_image
        result = total + rest
        if fixed:
            self._curvature = result
        return result


def _raise_rest(rest: float | Tensor, region: Tensor) -> float | Tensor:
    """Return ρ with 1 wherever a term acts that is not quadratic."""
    return rest if isinstance(rest, float) and rest == 1.0 else torch.where(region > 0, 1.0, rest)


def _canonical_key(term: Term) -> tuple[str, str, bytes, float, int, bytes]:
    card = term.model.card
    z = term.latents().detach().to("cpu", torch.float32).contiguous().numpy().tobytes()
    component = -1 if term.component is None else term.component
    return (card.weights_sha256, card.name, z, term.weight, component, _region_bytes(term))


def _region_bytes(term: Term) -> bytes:
    if term.region is None:
        return b""
    return term.region.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()


def compose(terms: Sequence[Term], *, size: int | None = None) -> Composition:
    """Sum terms into one energy function (section 3.1: Σ_k E(x; z_k)).

    Terms are put in a canonical order first, so permuting the arguments changes no bit. Terms of
    weight 0 are left out.

    Args:
        terms: any number of terms, of any number of models; their latents share a batch size.
        size: R of the canvas; default the largest R of the terms' models.

    Raises:
        CometError: no term, or latents of different batch sizes.
    """
    live = sorted((t for t in terms if t.weight != 0), key=_canonical_key)
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
        # Copies of one model are one model; a model that was never saved has no hash.
        key = term.model.card.weights_sha256 or id(term.model)
        alike.setdefault((key, _region_bytes(term)), []).append(term)
    groups = []
    for members in alike.values():
        model = members[0].model
        z = torch.stack([t.latents() for t in members], 1).to(model.device)
        bound = model.bind(z, [t.component for t in members])
        unit = model.card.render_step_size * (canvas / model.card.image_size) ** 2
        scales = torch.tensor([t.weight * unit for t in members], device=model.device)
        names = [t.name or f"{model.card.name}:{t.component}" for t in members]
        region = members[0].region
        region = None if region is None else region.to(model.device, torch.float32)
        groups.append(_Group(model, bound, scales, names, region))
    return Composition(groups)


def canvas_size(terms: Sequence[Term]) -> int:
    """Return the largest image size of the terms' models."""
    return max(t.model.card.image_size for t in terms)


class TrainingEnergy:
    """Σ_k E(x, z_k) of one model's own components, with its preconditioner: (B,3,R,R) -> (B,)."""

    def __init__(self, bound: BoundEnergy) -> None:
        """Wrap the bound components."""
        self._bound = bound

    def __call__(self, x: Tensor) -> Tensor:
        """Return the summed energies (B,)."""
        return self._bound(x).sum(1)

    def curvature(self, x: Tensor) -> Tensor:
        """Return ρ + Σ_k m_k where the energy is quadratic, 1 where it is not."""
        diagonal = self._bound.curvature(x)
        if diagonal is None:
            return x.new_ones(1, 1, 1, 1)
        return diagonal.sum(1) + QUADRATIC_REST
