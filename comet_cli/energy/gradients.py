"""What each component wants changed: gradients of energies, and segments (section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comet_cli.energy.render import MAX_SEED, start_picture
from comet_cli.errors import DivergenceError
from comet_cli.models.comet_model import CometModel

# A pixel where the strongest component pulls less than a fiftieth as hard as where it pulls
# hardest is nobody's.
QUIET = 0.02
# What a component's strength is measured against, so that one stray pixel does not empty its mask.
PEAK = 0.995
NOISE_STARTS = 4
POINTS = ("start", "image")


def strongest_segments(strength: np.ndarray, *, everywhere: bool = False) -> np.ndarray:
    """Return the strongest component at each pixel: arg max_k ‖∇_x E_k‖ (section 5.2).

    Args:
        strength: (K,R,R) ≥ 0.
        everywhere: a component takes the ground, so that no pixel is nobody's.

    Returns:
        (R,R) integers; −1 where all are quiet.
    """
    strongest = strength.argmax(0)
    if everywhere:
        return strongest
    loudest = strength.max((1, 2))[strongest]
    return np.where(strength.max(0) > QUIET * loudest, strongest, -1)


def component_mask(strength: np.ndarray, threshold: float) -> np.ndarray:
    """Return where a component pulls at least ``threshold`` times as hard as at its peak (5.2).

    Args:
        strength: (R,R) ≥ 0 of one component; its peak is its 99.5th percentile.
        threshold: above 0, up to 1.

    Returns:
        (R,R) bool; empty for a component that pulls nowhere. Masks of several may overlap.
    """
    return (strength > 0) & (strength >= threshold * np.quantile(strength, PEAK))


def gradient_strength(
    model: CometModel, z: Tensor, *, starts: int = NOISE_STARTS, seed: int = 0
) -> Tensor:
    """Return how strongly each component pulls at each pixel where a descent starts (section 5.2).

    The root mean square, over colour channels and several noise starts x⁰ ~ U(0, 1), of ∇_x E_k.

    Args:
        model: the model.
        z: (B,K,D).
        starts: number of noise starts.
        seed: of the first; the next ones count up.

    Returns:
        (B,K,R,R), at least 0.
    """
    total = torch.zeros((), device=z.device)
    for n in range(starts):
        at = (seed + n) % (MAX_SEED + 1)
        x0 = start_picture(len(z), model.card.image_size, init="noise", seed=at).to(z.device)
        total = total + model.gradients(x0, z).square().mean(2)
    return (total / starts).sqrt()


def segment(strength: Tensor) -> Tensor:
    """Return arg max_k ‖∇_x E_k‖ (section 5.2): (B,K,R,R) -> (B,R,R) int64."""
    return strength.argmax(1)


@dataclass(frozen=True)
class Attribution:
    """Gradients of one picture's components.

    Attributes:
        gradients: (K,3,R,R) float32, ∇_x E_k at mid-grey (``start``) or at the picture.
        strength: (K,R,R) float32 ≥ 0, the root mean square of ∇_x E_k over colour channels and,
            for ``start``, over noise starts; what ``comet evaluate segmentation`` measures.
        everywhere: a component takes the ground, so that no pixel is nobody's.
    """

    gradients: np.ndarray
    strength: np.ndarray
    everywhere: bool = False

    def segments(self) -> np.ndarray:
        """Return the strongest component a pixel, (R,R) integers; −1 where all are quiet."""
        return strongest_segments(self.strength, everywhere=self.everywhere)


def attribute(
    model: CometModel, z: Tensor, *, picture: Tensor, at: str = "start", seed: int = 0
) -> Attribution:
    """Return ∇_x E_k of K components of one picture, and how strong it is (section 5.2).

    Args:
        model: the model of the components.
        z: (K,D).
        picture: (3,R,R) in [0, 1]; only looked at with ``at="image"``.
        at: ``start``: where a rendering begins, before anything is drawn (signed map from
            mid-grey, strength averaged over noise); ``image``: at the picture itself.
        seed: of the noise.

    Raises:
        DivergenceError: a gradient is not finite.
    """
    z = z[None].to(model.device)
    grey = start_picture(1, model.card.image_size, init="grey", seed=seed)
    x = picture[None] if at == "image" else grey
    gradients = model.gradients(x.to(model.device), z)
    if at == "image":
        strength = gradients.square().mean(2).sqrt()
    else:
        strength = gradient_strength(model, z, seed=seed)
    for found in (gradients, strength):
        if not torch.isfinite(found).all():
            bad = (~torch.isfinite(found[0])).flatten(1).any(1).nonzero().flatten().tolist()
            raise DivergenceError(f"the gradient of component {bad[0]} is not finite")
    return Attribution(
        gradients[0].float().cpu().numpy(), strength[0].float().cpu().numpy(), model.card.ground
    )
