"""Baselines on disk: a folder with card and weights, like a model's."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from comet_cli.baselines.base import Baseline
from comet_cli.baselines.beta_vae import BetaVAE
from comet_cli.baselines.card import BaselineCard, is_baseline, read_card
from comet_cli.baselines.infogan import InfoGAN
from comet_cli.baselines.monet import MONet
from comet_cli.errors import FileFormatError
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel
from comet_cli.models.device import pick_device
from comet_cli.models.folder import CARD, WEIGHTS, weights_hash, write_folder
from comet_cli.models.library import find
from comet_cli.version import __version__

NETWORKS: dict[str, type[Baseline]] = {"beta-vae": BetaVAE, "infogan": InfoGAN, "monet": MONet}


def build(card: BaselineCard) -> Baseline:
    """Return the baseline of a card, with random weights."""
    return NETWORKS[card.kind](card)


def save_baseline(
    model: Baseline, card: BaselineCard, folder: Path, extra: Mapping[str, str]
) -> BaselineCard:
    """Write a baseline's folder, the card last, and return the card as written.

    Args:
        model: the weights.
        card: facts to write.
        folder: made if need be.
        extra: further files, name -> text.

    Raises:
        CometError: it cannot be written.
    """
    data = save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()})
    sha256 = hashlib.sha256(data).hexdigest()
    card = dataclasses.replace(card, weights_sha256=sha256, comet_version=__version__)
    files = {name: text.encode() for name, text in extra.items()}
    write_folder(folder, {WEIGHTS: data, **files, CARD: card.to_json().encode()})
    return card


def load_any(name: str | Path, device: str = "auto") -> CometModel | Baseline:
    """Load a model or a baseline, ready to use; see :func:`comet_cli.models.comet_model.load`.

    Raises:
        UnknownModelError: nothing of that name.
        FileFormatError: damaged weights, or weights that do not fit the card.
    """
    folder = find(name)
    if not is_baseline(folder):
        return comet_model.load(name, device)
    card, target = read_card(folder), pick_device(device)
    if weights_hash(folder) != card.weights_sha256:
        raise FileFormatError(f"{folder / WEIGHTS} is not the file that {CARD} describes")
    with torch.random.fork_rng(devices=[]):
        model = build(card)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError:
        raise FileFormatError(f"{folder / WEIGHTS} does not fit its {CARD}") from None
    return model.eval().requires_grad_(False).to(target)
