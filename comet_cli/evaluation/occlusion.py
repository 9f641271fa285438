"""Objects in front of others: what is seen where a recombination puts one before the other.

The paper's section 5.2 asks for consistency with respect to occlusion. Two pictures show an object
each, on the same ground; their objects are put into one picture, in which they overlap. The
generator renders both together, which is the truth.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.errors import CometError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy
from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.scene import instance_mask
from comet_cli.worlds.generator import sample_rng

LEAST = 30  # pixels of a 64-pixel picture that both objects would have


@dataclass(frozen=True)
class Pair:
    """Two pictures of one object each, and both objects in one.

    Attributes:
        alone: (2,R,R,3) uint8.
        together: (R,R,3) uint8, as the generator renders it.
        overlap: (R,R) bool, where both objects would be seen if the other were not there.
        nearer: which of the two is in front there, 0 or 1.
    """

    alone: np.ndarray
    together: np.ndarray
    overlap: np.ndarray
    nearer: int


@dataclass(frozen=True)
class Seen:
    """What compositions show where objects overlap.

    Attributes:
        psnr: in dB, of the pixels of all overlaps.
        nearer: share of pairs in which most pixels are more like the nearer object than the other.
        pairs: how many had both objects found.
    """

    psnr: float
    nearer: float
    pairs: int


def draw_pair(generator: Clevr, seed: int, index: int) -> Pair:
    """Draw scenes of two objects until they overlap in the picture, and render them.

    Args:
        generator: of the scenes; two objects each.
        seed: of the set.
        index: of the pair: the same number gives the same pair.
    """
    rng = sample_rng(seed, "test", index)
    least = LEAST * (generator.size / 64) ** 2
    while True:
        scene, both = generator.draw(rng)
        ones = [instance_mask((thing,), scene.camera, generator.size) > 0 for thing in scene.things]
        overlap = ones[0] & ones[1]
        if overlap.sum() >= least:
            break
    sampler = int(rng.integers(2**32))
    scenes = [dataclasses.replace(scene, things=(thing,)) for thing in scene.things]
    first, second = (
        generator.picture(each, mask.astype(np.uint8), sampler).image
        for each, mask in zip(scenes, ones, strict=True)
    )
    together = generator.picture(scene, both, sampler).image
    nearer = int((both[overlap] == 2).mean() > 0.5)
    return Pair(np.stack([first, second]), together, overlap, nearer)


def compare(model: CometModel, pairs: list[Pair]) -> dict[str, Seen]:
    """Compose each pair's objects, by descent and by masks.

    Args:
        model: one whose encoder colours.
        pairs: as drawn.

    Returns:
        ``energies``: descent on the sum of both pictures' components. ``masks``: the components'
        means under the attention of their own pictures, divided by its sum (as MONet composes,
        whose masks belong to pictures).

    Raises:
        CometError: the model's encoder has no attention.
    """
    if not model.card.colours:
        raise CometError(f"'{model.card.name}' has no attention to compose by")
    shown: dict[str, list[Tensor]] = {"energies": [], "masks": []}
    used: list[Pair] = []
    for pair in pairs:
        found = [model.find(as_pictures(picture[None]).to(model.device)) for picture in pair.alone]
        objects = [_largest(each.won[0]) for each in found]
        if any(k is None for k in objects):
            continue
        used.append(pair)
        chosen = [(0, 0), *[(n, int(k or 0)) for n, k in enumerate(objects)]]
        z = torch.stack([found[n].z[0, k] for n, k in chosen])[None]
        with torch.no_grad():
            terms = [Term(model, z[:, i], component=k) for i, (_, k) in enumerate(chosen)]
            shown["energies"].append(render(terms)[0].cpu())
            bound = model.bind(z, [k for _, k in chosen])
            attention = torch.stack([found[n].attention[0, k] for n, k in chosen])[:, None]
            # Where an object of either picture is, the ground is not.
            attention[0] = attention[0] * found[1].attention[0, 0]
            assert isinstance(bound, BoundQuadraticEnergy)
            mean = bound.mean_pictures(as_pictures(pair.alone[:1]).to(model.device))[0]
            shown["masks"].append(((attention * mean).sum(0) / attention.sum(0)).clamp(0, 1).cpu())
    return {name: measure(pictures, used) for name, pictures in shown.items()}


def _largest(won: Tensor) -> int | None:
    """The object that won most; None where the background has all."""
    most = int(won[1:].argmax()) + 1
    return most if won[most] > 0 else None


def measure(pictures: list[Tensor], pairs: list[Pair]) -> Seen:
    """Compare composed pictures (3,R,R) with the truth of their pairs, where objects overlap."""
    errors, wins = [], 0
    for picture, pair in zip(pictures, pairs, strict=True):
        shown = picture.permute(1, 2, 0).numpy()[pair.overlap]
        truth = pair.together[pair.overlap] / 255
        errors.append(((shown - truth) ** 2).mean(1))
        near, far = (pair.alone[n][pair.overlap] / 255 for n in (pair.nearer, 1 - pair.nearer))
        closer = np.abs(shown - near).sum(1) < np.abs(shown - far).sum(1)
        wins += int(closer.mean() > 0.5)
    if not pairs:
        return Seen(float("nan"), float("nan"), 0)
    error = float(np.concatenate(errors).mean())
    return Seen(-10 * np.log10(max(error, 1e-12)), wins / len(pairs), len(pairs))
