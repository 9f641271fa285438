"""Pictures of a model's own components, put together again, and how close they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.evaluation.autoencoder import Measured
from comet_cli.models.comet_model import CometModel

WINDOW, SPREAD = 11, 1.5  # of SSIM, in pixels


def as_pictures(images: np.ndarray) -> Tensor:
    """Return (N,R,R,3) uint8 as (N,3,R,R) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def reconstruct(
    model: Measured,
    x: Tensor,
    *,
    num_steps: int | None = None,
    seed: int = 0,
    redraws: bool = True,
) -> Tensor:
    """Return the recomposition of all components of x: (B,3,R,R) -> (B,3,R,R)."""
    if not isinstance(model, CometModel):
        with torch.no_grad():
            return model.reconstruct(x)
    with torch.no_grad():
        z = model.encode(x, redraws=redraws)
    terms = [Term(model, z[:, k], component=k) for k in range(z.shape[1])]
    return render(terms, seed=seed, num_steps=num_steps)


@torch.no_grad()
def encode_all(model: Measured, x: Tensor, batch: int = 100) -> Tensor:
    """Return the components (N,K,D) of pictures (N,3,R,R)."""
    return torch.cat([model.encode(part.to(model.device)) for part in x.split(batch)])


def render_all(model: CometModel, z: Tensor, batch: int = 50) -> Tensor:
    """Return the pictures (N,3,R,R) of components (N,K,D)."""
    return torch.cat(
        [
            render([Term(model, part[:, k], component=k) for k in range(z.shape[1])]).cpu()
            for part in z.split(batch)
        ]
    )


def psnr(y: Tensor, x: Tensor) -> Tensor:
    """Return peak signal-to-noise ratios (B,) in dB of pictures in [0, 1]: −10 log₁₀ MSE."""
    return -10 * torch.log10((y - x).square().mean((1, 2, 3)).clamp_min(1e-12))


def ssim(y: Tensor, x: Tensor) -> Tensor:
    """Return the structural similarity (B,) of pictures (B,3,R,R) in [0, 1] (Wang et al. 2004).

    With their constants and their Gaussian window of 11 pixels (smaller in smaller pictures), the
    mean over the places where it fits, and over channels.
    """
    size = min(WINDOW, y.shape[-1] - (y.shape[-1] + 1) % 2)
    place = torch.arange(size, device=y.device) - size // 2
    line = torch.exp(-place.square() / (2 * SPREAD**2))
    window = torch.outer(line, line) / line.sum() ** 2

    def mean(values: Tensor) -> Tensor:
        return F.conv2d(values.flatten(0, 1)[:, None], window[None, None])

    a, b = mean(y), mean(x)
    variances = mean(y * y) - a * a + mean(x * x) - b * b
    covariance = mean(x * y) - a * b
    light = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
    alike = light * (2 * covariance + 0.03**2) / (variances + 0.03**2)
    return alike.flatten(1).mean(1).unflatten(0, y.shape[:2]).mean(1)


@dataclass(frozen=True)
class ReconstructionFigures:
    """Reconstruction error over a set of pictures.

    Attributes:
        count: pictures.
        psnr: mean over pictures of each one's PSNR, dB.
        psnr_std: standard deviation over pictures.
        ssim: mean structural similarity.
        mse: mean square error, pictures in [0, 1].
        psnr_5n: mean PSNR at five times the recommended number of rendering steps; nan of a model
            that renders in no steps.
        psnr_mean_image: PSNR of the set's own mean picture, for comparison.
    """

    count: int
    psnr: float
    psnr_std: float
    ssim: float
    mse: float
    psnr_5n: float
    psnr_mean_image: float


def evaluate_reconstruction(
    model: Measured,
    images: np.ndarray,
    *,
    batch: int = 32,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ReconstructionFigures:
    """Measure reconstruction.

    Args:
        model: the model.
        images: (N,R,R,3) uint8.
        batch: pictures rendered together.
        seed: of the noise.
        progress: called with (done, total) steps of all pictures.
    """
    x = as_pictures(images)
    stepped = isinstance(model, CometModel)
    done, share = 0, (1, 5) if stepped else (1, 1)

    def again(steps: int | None, each: int) -> Tensor:
        nonlocal done
        found = []
        for part in x.split(batch):
            own = part.to(model.device)
            found.append(reconstruct(model, own, num_steps=steps, seed=seed).cpu())
            done += each * len(part)
            if progress is not None:
                progress(done, sum(share) * len(x))
        return torch.cat(found)

    y = again(None, share[0])
    y5 = again(5 * model.card.render_steps if stepped else None, share[1])
    values = psnr(y, x)
    mean_image = x.mean(0, keepdim=True).expand_as(x)
    return ReconstructionFigures(
        count=len(x),
        psnr=float(values.mean()),
        psnr_std=float(values.std(unbiased=False)),
        ssim=float(ssim(y, x).mean()),
        mse=float((y - x).square().mean()),
        psnr_5n=float(psnr(y5, x).mean()) if stepped else float("nan"),
        psnr_mean_image=float(psnr(mean_image, x).mean()),
    )
