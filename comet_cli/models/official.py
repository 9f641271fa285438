"""Import of checkpoints written by the paper's released training script.

Such a file is a pickle ``{'FLAGS': argparse.Namespace, 'model_state_dict_0': …, …}``. It is read
with torch's restricted unpickler and never executed; entries that the released networks carry but
never use are dropped by name, and everything a card needs is deduced from shapes and flags.
"""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from comet_cli.errors import CometError, FileFormatError
from comet_cli.models import store
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel

# Their demo renders with these, whatever the model was trained with.
RENDER_STEP_SIZE = 200.0
RENDER_STEPS = 30

# Flags beyond this are noise, not facts; the largest known is a step size of 1000.
MOST = 100_000

_DEAD = re.compile(
    r"(gain|bias|latent_map|latent_decode)\.(weight|bias)$"
    r"|mask_decode\.|decode_layer\d+\.|downsample\."
    r"|\w+\.bn[12]\.(weight|bias)$"
    r"|pos_embedding$"
)

# Module of the released code -> module of ours.
_ENCODER = {
    "embed_conv1": "stem",
    "embed_layer1": "blocks.0",
    "embed_layer2": "blocks.1",
    "embed_layer3": "blocks.2",
}
_GLOBAL_ENCODER = {**_ENCODER, "embed_fc1": "hidden", "embed_fc2": "to_latents"}
_RECURRENT_ENCODER = {
    **_ENCODER,
    "embed_layer4": "blocks.3",
    "at_fc1": "attention_hidden",
    "at_fc2": "attention_score",
    "map_embed": "attended",
    "lstm": "cell",
    "embed_fc2": "to_latent",
}
_ENERGY_64 = {
    "conv1": "image_stem",
    "conv1_embed": "position_stem",
    "layer_encode": "blocks.0",
    "layer1": "blocks.1",
    "layer2": "blocks.2",
    "energy_map": "to_energy",
}
_ENERGY_128 = {
    "conv1": "image_stem",
    "layer_encode": "blocks.0",
    "layer1": "blocks.1",
    "layer2": "blocks.2",
    "layer3": "blocks.3",
    "layer4": "blocks.4",
    "energy_map": "to_energy",
}
_WITHIN_BLOCK = {
    "conv_downsample": "conv_out",
    "latent_fc1": "modulation1",
    "latent_fc2": "modulation2",
}


@dataclass(frozen=True)
class OfficialCheckpoint:
    """A checkpoint of the released code in our terms.

    Attributes:
        card: facts of the model; ``card.defaults_from`` lists those the file did not tell.
        state: our parameter names -> float32 tensors, complete for ``card``.
        dropped: the released names of the entries that nothing uses.
    """

    card: ModelCard
    state: dict[str, Tensor]
    dropped: list[str]


def read_checkpoint(path: str | Path, name: str | None = None) -> OfficialCheckpoint:
    """Read a checkpoint of the released training script without executing it.

    Args:
        path: the ``.pth`` file.
        name: of the model; default made from the file's name.

    Raises:
        FileFormatError: no such checkpoint, one that asks for code to be run, entries that are
            missing, misshaped or unknown, or components with different weights.
    """
    path = Path(path)
    where = path.name
    name = store.check_name(default_name(path) if name is None else name)
    content = _unpickle(path)
    flags = _flags(content, where)
    states = _state_dicts(content, where)
    if flags.get("decoder") is True:
        raise FileFormatError(
            f"{where} was trained with --decoder, so it holds a mask decoder and no energy function"
        )
    card = _deduce_card(states[0], flags, len(states), name, where)
    state, dropped = _translate(states[0], card, where)
    return OfficialCheckpoint(card, state, dropped)


def import_official(
    path: str | Path,
    name: str | None = None,
    destination_root: str | Path | None = None,
    *,
    dry_run: bool = False,
    overwrite: bool = False,
) -> tuple[ModelCard, Path]:
    """Turn a checkpoint of the released training script into a model folder.

    Args:
        path: the ``.pth`` file.
        name: of the model and its folder; default made from the file's name.
        destination_root: the folder that the model's folder is made in; default
            ``COMET_HOME/models``.
        dry_run: check everything, write nothing.
        overwrite: replace a model of that name.

    Returns:
        The card (without hash if ``dry_run``) and the model's folder.

    Raises:
        FileFormatError: see :func:`read_checkpoint`.
        CometError: a model of that name exists already.
    """
    checkpoint = read_checkpoint(path, name)
    card = checkpoint.card
    if destination_root is None:
        store.refuse_shipped_name(card.name)
    root = store.local_root() if destination_root is None else Path(destination_root)
    folder = root / card.name
    if dry_run:
        store.refuse_to_replace(folder, overwrite)
        return card, folder
    card = store.save_state(
        checkpoint.state,
        card,
        folder,
        extra={"README.md": _readme(card, Path(path).name)},
        overwrite=overwrite,
    )
    return card, folder


def default_name(path: Path) -> str:
    """Return a model name made from a file name: ``CelebA HQ.pth`` -> ``celeba-hq``."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "imported"


def _unpickle(path: Path) -> dict[str, Any]:
    """Read the pickle with nothing allowed but tensors, containers and the flags' two classes."""
    if not path.is_file():
        raise FileFormatError(f"{path} is no file; expected a checkpoint (.pth)")
    # An EasyDict is read as its items: the unpickler knows OrderedDict anyway, so this name for it
    # allows nothing new and needs no easydict.
    allowed: list[Any] = [argparse.Namespace, (OrderedDict, "easydict.EasyDict")]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        culprit = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({culprit.group(1)})" if culprit else ""
        raise FileFormatError(
            f"{path.name} is refused: it asks for something other than tensors and flags{what}, "
            "and comet executes nothing that it finds in a checkpoint"
        ) from None
    except Exception as error:  # torch raises almost anything on a file that is no checkpoint
        first_line = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0][:120]
        raise FileFormatError(
            f"{path.name} is no readable checkpoint, or is truncated; expected a .pth file "
            f"({first_line})"
        ) from None
    if not isinstance(content, dict):
        raise FileFormatError(
            f"{path.name} holds a {type(content).__name__}, expected the dictionary with FLAGS and "
            "model_state_dict_0 that the released training script writes"
        )
    return content


def _flags(content: dict[str, Any], where: str) -> dict[str, Any]:
    flags = content.get("FLAGS", {})
    if isinstance(flags, argparse.Namespace):
        return vars(flags)
    if isinstance(flags, dict):
        return flags
    raise FileFormatError(f"{where} has FLAGS of type {type(flags).__name__}, expected a Namespace")


def _state_dicts(content: dict[str, Any], where: str) -> list[dict[str, Tensor]]:
    """Return the models' state dicts, checked to be one and the same."""
    states: list[dict[str, Tensor]] = []
    while (state := content.get(f"model_state_dict_{len(states)}")) is not None:
        if not isinstance(state, dict) or not all(
            isinstance(key, str) and _is_plain(value) for key, value in state.items()
        ):
            raise FileFormatError(
                f"{where}: model_state_dict_{len(states)} is not a dict of tensors"
            )
        states.append(state)
    if not states:
        raise FileFormatError(
            f"{where} lacks model_state_dict_0; it holds {', '.join(sorted(map(str, content)))}"
        )
    first = states[0]
    for k, state in enumerate(states[1:], 1):
        if state.keys() != first.keys() or not all(_same(state[n], first[n]) for n in first):
            raise FileFormatError(
                f"{where}: model_state_dict_{k} differs from model_state_dict_0; comet shares one "
                "energy network between components, so only models trained with --tie_weight "
                "can be imported"
            )
    return states


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def _deduce_card(
    state: dict[str, Tensor], flags: dict[str, Any], copies: int, name: str, where: str
) -> ModelCard:
    """Find every fact of the card in shapes first, in flags second, in defaults last."""
    needed = ("embed_conv1.weight", "layer_encode.latent_fc1.weight", "embed_fc2.weight")
    missing = [key for key in needed if key not in state]
    if missing:
        raise FileFormatError(
            f"{where} lacks the entries {', '.join(missing)}, so it holds no energy network and "
            "encoder of the paper"
        )
    if any(state[key].ndim < 2 or state[key].numel() == 0 for key in needed):
        raise FileFormatError(f"{where}: {', '.join(needed)} must be matrices that are not empty")
    defaults: list[str] = []

    def flag(fact: str, key: str, kind: type, default: Any) -> Any:
        value = flags.get(key)
        if _is_number(value) and 0 < value < MOST:
            return kind(value)
        defaults.append(fact)
        return default

    filter_dim = state["embed_conv1.weight"].shape[0]
    latent_dim = state["layer_encode.latent_fc1.weight"].shape[1]
    recurrent = "lstm.weight_ih_l0" in state
    large = "layer4.conv1.weight" in state
    if recurrent:
        components = flag("components", "components", int, copies)
    else:
        components = max(state["embed_fc2.weight"].shape[0] // latent_dim, 1)
        told = flags.get("components", components)
        if _is_number(told) and told != components:
            raise FileFormatError(
                f"{where}: FLAGS say {told} components, but the encoder makes "
                f"{components} latents of {latent_dim} numbers"
            )
    divisor = 4 if large else 2 if "conv1_embed.weight" in state else 1
    if filter_dim % divisor:
        raise FileFormatError(
            f"{where} has {filter_dim} filters, expected a multiple of {divisor} in this network"
        )
    image_size, size_known = _image_size(state, flags, large)
    if not size_known:
        defaults.append("image_size")
    positional = "conv1_embed.weight" in state
    return ModelCard(
        name=name,
        encoder="recurrent" if recurrent else "global",
        energy="pooled-128" if large else "pooled-64",
        filter_dim=filter_dim,
        components=components,
        latent_dim=latent_dim,
        image_size=image_size,
        positional=[positional] * components,
        step_size=flag("step_size", "step_lr", float, 500.0),
        num_steps=flag("num_steps", "num_steps", int, 10),
        render_step_size=RENDER_STEP_SIZE,
        render_steps=RENDER_STEPS,
        description=f"Imported from {where}, a checkpoint of the paper's released training script.",
        dataset=re.split(r"[/\\]", str(flags.get("dataset", "")))[-1][:80],
        defaults_from=sorted([*defaults, "render_step_size", "render_steps"]),
    )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _image_size(state: dict[str, Tensor], flags: dict[str, Any], large: bool) -> tuple[int, bool]:
    """Return R and whether the file told it.

    The released code fixes R by the data set: 128 for celebahq_128 (which alone uses the larger
    network), 35 for tetris (whose 3×3 feature map shows in pos_embedding too), 64 otherwise.
    """
    dataset = flags.get("dataset")
    size = flags.get("im_size")
    if type(size) is int and 0 < size < MOST:
        return size, True
    if large:
        return 128, dataset == "celebahq_128"
    positions = state.get("pos_embedding")
    if positions is not None:
        return (35 if positions.shape[0] == 9 else 64), True
    return (35 if dataset == "tetris" else 64), isinstance(dataset, str)


def _translate(
    state: dict[str, Tensor], card: ModelCard, where: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Rename live entries, drop dead ones, and refuse what is neither, missing or misshaped."""
    encoder = _RECURRENT_ENCODER if card.encoder == "recurrent" else _GLOBAL_ENCODER
    energy = _ENERGY_128 if card.energy == "pooled-128" else _ENERGY_64
    modules = {old: f"encoder.{new}" for old, new in encoder.items()}
    modules |= {old: f"energy_network.{new}" for old, new in energy.items()}
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in CometModel(card).state_dict().items()}

    translated: dict[str, Tensor] = {}
    old_names: dict[str, str] = {}
    dropped: list[str] = []
    problems: list[str] = []
    for key, tensor in state.items():
        if _DEAD.match(key):
            dropped.append(key)
            continue
        new = _our_name(key, modules)
        if new not in expected:
            problems.append(f"unknown entry {key} {_shape(tensor)}")
            continue
        if not tensor.is_floating_point():
            problems.append(f"{key} holds {tensor.dtype}, expected floating-point numbers")
        translated[new] = tensor.detach().to(torch.float32).clone()
        old_names[new] = key
    for new, shape in expected.items():
        if new not in translated:
            problems.append(f"missing entry {_released_name(new, modules)} {shape}")
        elif tuple(translated[new].shape) != shape:
            found = _shape(translated[new])
            problems.append(f"{old_names[new]} is {found}, expected {shape}")
        elif not torch.isfinite(translated[new]).all():
            problems.append(f"{old_names[new]} is not finite")
    if problems:
        raise FileFormatError(
            f"{where} does not fit the {card.encoder} encoder and {card.energy} energy network "
            f"(F {card.filter_dim}, K {card.components}, D {card.latent_dim}): "
            + "; ".join(problems)
        )
    return translated, sorted(dropped)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _our_name(key: str, modules: dict[str, str]) -> str:
    """Translate one entry's name; returns a name that no model has if there is no translation."""
    module, _, rest = key.partition(".")
    if module not in modules:
        return ""
    if module == "lstm":
        return f"{modules[module]}.{rest.removesuffix('_l0')}"
    inner, dot, parameter = rest.partition(".")
    if dot:
        rest = f"{_WITHIN_BLOCK.get(inner, inner)}.{parameter}"
    return f"{modules[module]}.{rest}"


def _released_name(new: str, modules: dict[str, str]) -> str:
    """Return what the released code calls one of our parameters."""
    for old, ours in modules.items():
        if new.startswith(ours + "."):
            rest = new[len(ours) + 1 :]
            for theirs, inner in _WITHIN_BLOCK.items():
                rest = re.sub(rf"^{inner}\.", f"{theirs}.", rest)
            return f"{old}.{rest}_l0" if old == "lstm" else f"{old}.{rest}"
    raise CometError(f"{new} has no name in the released code")


def _readme(card: ModelCard, file_name: str) -> str:
    defaults = ", ".join(card.defaults_from)
    return f"""---
library_name: comet-cli
tags: [comet, energy-based-model]
---
# {card.name}

Imported by `comet models import` from `{file_name}`, a checkpoint of the training script that
comes with *Unsupervised Learning of Compositional Energy Concepts* (Du et al., NeurIPS 2021).
The weights and their licence are their authors'.

* {card.components} components of {card.latent_dim} numbers, {card.encoder} encoder, {card.energy}
  energy network, {card.filter_dim} filters, images of {card.image_size}×{card.image_size} pixels
* trained with {card.num_steps} steps of size {card.step_size:g} on `{card.dataset or "unknown"}`
* not in the checkpoint, so defaults: {defaults}

    comet decompose picture.png -m {card.name} -o sheet.png
"""
