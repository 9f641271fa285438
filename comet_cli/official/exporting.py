"""Checkpoints as the paper's released training script writes them: the reverse of ``official``.

A file holds ``FLAGS`` (an ``argparse.Namespace``), K times the state of the one network, and the
state of a fresh optimiser. Entries that the released networks carry and never use are filled with
what leaves a layer neutral.
"""

from __future__ import annotations

import argparse
import io
import re
from collections import OrderedDict

import torch
from torch import Tensor, nn

from comet_cli.errors import CometError
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.official.names import module_names, released_name

LOST = "names of components, figures, and how to render"
LEARNING_RATE = 1e-4
# Data sets after which their code chooses other networks or sizes.
_RESERVED = ("toy", "tetris", "celebahq_128")
_LARGE, _TETRIS, _USUAL = "celebahq_128", "tetris", "celebahq"
_MASK_FILTERS = 32
# A wider block's first norm has no weights there.
_MOST_NORMED = 128


def official_bytes(model: CometModel) -> bytes:
    """Return a model as the bytes of a ``.pth``; the same model gives the same bytes.

    Raises:
        CometError: a network that is none of theirs.
    """
    card = model.card
    refuse_foreign(card)
    state = released_state(model)
    content: dict[str, object] = {"FLAGS": released_flags(card)}
    content |= {f"model_state_dict_{k}": state for k in range(card.components)}
    parameters = [nn.Parameter(v) for k, v in state.items() if k != "downsample.filt"]
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    content["optimizer_state_dict_0"] = optimiser.state_dict()
    # In memory first: the file's name would be written into it.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def refuse_foreign(card: ModelCard) -> None:
    """Raise CometError for a model that the released code cannot run, with the reason."""
    positions = card.energy == "pooled-64" and any(card.positional)
    reasons = [
        (not card.energy.startswith("pooled"), f"its {card.energy} energy is comet's own"),
        (
            card.encoder == "recurrent" and card.attention != "lstm",
            f"its {card.attention} attention is comet's own",
        ),
        (
            positions and not all(card.positional),
            "some of its components see positions and others do not; there all do or none",
        ),
        (
            positions and card.image_size not in (35, 64),
            f"it sees positions in pictures of {card.image_size} pixels; there they have 35 or 64",
        ),
        (
            not _can_be_grouped(card.filter_dim),
            f"its {card.filter_dim} filters do not fall into groups, as its norms need",
        ),
    ]
    found = [reason for holds, reason in reasons if holds]
    if found:
        raise CometError(
            f"model '{card.name}' cannot be exported for the code of the paper's authors, which "
            f"has no such network: {'; '.join(found)}"
        )


def _can_be_grouped(width: int) -> bool:
    """Say whether their norms, which nothing uses, can be built: F/4 groups, 32 of many."""
    if width > _MOST_NORMED:
        return width % 32 == 0
    return width >= 4 and width % (width // 4) == 0


def released_flags(card: ModelCard) -> argparse.Namespace:
    """Return the flags that the released script would have been called with."""
    flags = argparse.Namespace(
        train=True,
        optimize_test=False,
        cuda=True,
        single=False,
        dataset=_dataset(card),
        logdir="cachedir",
        exp=card.name,
        resume_iter=0,
        batch_size=12,
        num_epoch=10000,
        lr=LEARNING_RATE,
        log_interval=10,
        save_interval=1000,
        data_workers=4,
        ensembles=card.components,
        vae_beta=0.0,
        filter_dim=card.filter_dim,
        components=card.components,
        component_weight=False,
        tie_weight=True,
        optimize_mask=False,
        recurrent_model=card.encoder == "recurrent",
        pos_embed=card.energy == "pooled-64" and any(card.positional),
        spatial_feat=False,
        num_steps=card.num_steps,
        num_visuals=16,
        num_additional=0,
        step_lr=card.step_size,
        latent_dim=card.latent_dim,
        sample=True,
        decoder=False,
        nodes=1,
        gpus=1,
        node_rank=0,
    )
    usual = {_LARGE: 128, _TETRIS: 35}.get(flags.dataset, 64)
    if card.image_size != usual:
        # They know a size by the data set alone; ours reads it from here.
        flags.im_size = card.image_size
    if flags.dataset != card.dataset:
        # Likewise: theirs chooses the network by this name, which cannot be any text.
        flags.trained_on = card.dataset
    return flags


def _dataset(card: ModelCard) -> str:
    """Return the data set whose network and size are the model's, its own where that can be."""
    if card.energy == "pooled-128":
        return _LARGE
    if card.image_size == 35:
        return _TETRIS
    known = re.fullmatch(r"\w+", card.dataset) and card.dataset not in _RESERVED
    return card.dataset if known else _USUAL


def released_state(model: CometModel) -> OrderedDict[str, Tensor]:
    """Return the weights under the released code's names, with its unused entries."""
    modules = module_names(model.card)
    state: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in model.state_dict().items():
        # A copy, so that no storage of the model's is shared with the file.
        state[released_name(name, modules)] = value.detach().float().cpu().clone()
    state.update(unused_entries(model.card))
    return state


def unused_entries(card: ModelCard) -> dict[str, Tensor]:
    """Return the entries that the released networks have and never use."""
    width, latent = card.filter_dim, card.latent_dim
    stem = width // 4 if card.energy == "pooled-128" else width
    entries: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        entries[f"{name}.weight"] = torch.zeros(shape)
        entries[f"{name}.bias"] = torch.zeros(shape[0])

    layer("gain", stem, latent)
    layer("bias", stem, latent)
    layer("latent_map", 8 * width, latent)
    layer("latent_decode", latent * card.components, width, 3, 3)
    layer("mask_decode.g.0", _MASK_FILTERS, latent + 2, 3, 3)
    for index in (2, 4, 6):
        layer(f"mask_decode.g.{index}", _MASK_FILTERS, _MASK_FILTERS, 3, 3)
    layer("mask_decode.g.8", latent, _MASK_FILTERS, 1, 1)
    for index in (1, 2, 3):
        for part in ("conv1", "conv2", "conv_downsample"):
            layer(f"decode_layer{index}.{part}", width, width, 3, 3)
    recurrent = card.encoder == "recurrent"
    blocks = [f"embed_layer{n}" for n in range(1, 5 if recurrent else 4)]
    for block in blocks + [f"decode_layer{n}" for n in (1, 2, 3)]:
        for norm in ("bn1", "bn2"):
            if norm == "bn2" or width <= _MOST_NORMED:
                entries[f"{block}.{norm}.weight"] = torch.ones(width)
                entries[f"{block}.{norm}.bias"] = torch.zeros(width)
    blur = torch.tensor([1.0, 2.0, 1.0]) / 4
    entries["downsample.filt"] = torch.outer(blur, blur).expand(latent, 1, 3, 3).clone()
    if recurrent:
        positions = 9 if _dataset(card) == _TETRIS else 16
        entries["pos_embedding"] = torch.zeros(positions, width)
    return entries
