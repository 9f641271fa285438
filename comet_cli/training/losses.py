"""What training minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from comet_cli.errors import CometError, MissingExtraError
from comet_cli.networks.base import QUADRATIC_REST, BoundEnergy
from comet_cli.training import distributed

# Of MS-SSIM: sides of a window in pixels. At the coarsest of five scales the picture must be wider.
STRUCTURE_WINDOWS = (11, 9, 7, 5, 3)


def reconstruction_loss(iterates: Sequence[Tensor], target: Tensor) -> Tensor:
    """Return the mean square error, summed over the iterates (equation 1, Algorithm 1)."""
    return torch.stack([(y - target).square().mean() for y in iterates]).sum()


def parsimony_loss(precision: Tensor) -> Tensor:
    """Return mean log(1 + (Σ_k m_k − max_k m_k) / s): precision that the winner does not need.

    s is far below ρ, so that a component falls silent where it loses, and shows nothing there when
    it is rendered alone.

    Args:
        precision: m (B,K,1,R,R).
    """
    excess = precision.sum(1) - precision.amax(1)
    return torch.log1p(excess / (0.02 * QUADRATIC_REST)).mean()


def purity_loss(precision: Tensor) -> Tensor:
    """Return mean 1 − Σ_k w_k², w = m / Σ m: pixels are one component's, not a blend.

    Args:
        precision: m (B,K,1,R,R).
    """
    share = precision / precision.sum(1, keepdim=True)
    return (1 - share.square().sum(1)).mean()


def area_loss(precision: Tensor) -> Tensor:
    """Return the share of the picture that components other than the first (the ground) claim.

    Args:
        precision: m (B,K,1,R,R).
    """
    return (precision[:, 1:].sum(1) / precision.sum(1)).mean()


def gradient_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of horizontal and vertical image gradients.

    The square error alone prefers a blurred edge to one a pixel off.

    Args:
        output: (B,3,R,R).
        target: (B,3,R,R).
    """
    difference = output - target
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    return across + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()


def clamped(output: Tensor) -> Tensor:
    """Return a picture within 0..1; the gradient passes as if nothing had been clamped."""
    return output + (output.clamp(0, 1) - output).detach()


def structure_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return 1 − MS-SSIM (Wang et al. 2003), by pytorch-msssim: sharpness at every scale.

    The window is the largest up to the usual 11 pixels for which the picture has all five scales.

    Args:
        output: (B,3,R,R); what lies outside 0..1 counts as clamped, but still has a gradient.
        target: (B,3,R,R).

    Raises:
        CometError: pictures of 32 pixels or fewer.
        MissingExtraError: pytorch-msssim is not installed.
    """
    try:
        from pytorch_msssim import ms_ssim
    except ImportError:
        raise MissingExtraError(
            "the recipe's structure loss needs pytorch-msssim, which is not installed: "
            "pip install pytorch-msssim"
        ) from None
    side = min(target.shape[-2:])
    window = next((w for w in STRUCTURE_WINDOWS if (w - 1) * 16 < side), None)
    if window is None:
        raise CometError(f"recipe, [train]: structure needs more than 32 pixels, there are {side}")
    return 1 - ms_ssim(clamped(output), target, data_range=1.0, win_size=window)


def shuffle_components(
    bound: BoundEnergy, z: Tensor, generator: torch.Generator
) -> tuple[BoundEnergy, Tensor]:
    """Return a batch of recombined pictures' energies and latents.

    Each component is taken from a picture of the batch (of all processes) drawn for it alone; what
    the network made of the latents is moved along with them, so that nothing is computed again,
    unless the picture has a say in it.

    Args:
        bound: the batch's own components.
        z: (B,K,D).
        generator: draws the permutations.
    """
    batch, count = len(z) * distributed.size(), z.shape[1]
    drawn = [torch.randperm(batch, generator=generator) for _ in range(count)]
    rows = distributed.part(torch.stack(drawn, 1)).to(z.device)
    columns = torch.arange(count, device=z.device)
    mixed = bound.recombine(rows, columns, distributed.whole)
    return mixed, distributed.whole(z)[rows, columns]


def dependence_loss(z: Tensor) -> Tensor:
    """Return the mean squared distance correlation of two components' latents.

    0 where they are independent.

    Components that say nothing of each other can be recombined at will: a combination that no
    picture showed is then no stranger than those that were seen. The bias-corrected form (Székely
    and Rizzo, "Partial distance correlation with methods for dissimilarities", 2014, section 3), so
    that independent latents give 0 on average in small batches too (and single values below it).
    It does not depend on the latents' scale.

    Args:
        z: (B,K,D).

    Raises:
        CometError: fewer than 4 pictures, or fewer than 2 components.
    """
    z = distributed.whole(z.float()).transpose(0, 1)
    components, count = z.shape[:2]
    if count < 4 or components < 2:
        raise CometError(
            "recipe, [train]: dependence needs 2 components and a batch of 4 or more, there are "
            f"{components} and {count}"
        )
    # Of coinciding latents the square root has no gradient, hence the small number.
    squares = (z.unsqueeze(1) - z.unsqueeze(2)).square().sum(-1)
    others = 1 - torch.eye(count, device=z.device)
    distances = (squares + 1e-8).sqrt() * others
    rows = distances.sum(2, keepdim=True) / (count - 2)
    mean = distances.sum((1, 2), keepdim=True) / ((count - 1) * (count - 2))
    centred = ((distances - rows - rows.transpose(1, 2) + mean) * others).flatten(1)
    units = centred / (centred.norm(dim=1, keepdim=True) + 1e-8)
    pairs = torch.triu_indices(components, components, offset=1, device=z.device)
    return (units @ units.T)[pairs[0], pairs[1]].mean()


def swap_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean square difference of latents in units of their variance over the batch.

    Args:
        found: (B,K,D), encoded from a recombined picture.
        wanted: (B,K,D), the latents it was made of; not trained by this loss.
    """
    wanted = wanted.detach().float()
    variance = distributed.whole(wanted).var(0, keepdim=True).mean(-1, keepdim=True) + 1e-4
    return ((found.float() - wanted).square() / variance).mean()
