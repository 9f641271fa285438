"""What the paper's released code calls the parameters of its networks, and what we call them."""

from __future__ import annotations

import re

from comet_cli.errors import CometError
from comet_cli.models.card import ModelCard

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


def is_dead(key: str) -> bool:
    """Say whether the released networks carry an entry of this name and never use it."""
    return _DEAD.match(key) is not None


def module_names(card: ModelCard) -> dict[str, str]:
    """Return what the released code calls the modules of a card's networks -> our names."""
    encoder = _RECURRENT_ENCODER if card.encoder == "recurrent" else _GLOBAL_ENCODER
    energy = _ENERGY_128 if card.energy == "pooled-128" else _ENERGY_64
    modules = {old: f"encoder.{new}" for old, new in encoder.items()}
    return modules | {old: f"energy_network.{new}" for old, new in energy.items()}


def our_name(key: str, modules: dict[str, str]) -> str:
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


def released_name(new: str, modules: dict[str, str]) -> str:
    """Return what the released code calls one of our parameters."""
    for old, ours in modules.items():
        if new.startswith(ours + "."):
            rest = new[len(ours) + 1 :]
            for theirs, inner in _WITHIN_BLOCK.items():
                rest = re.sub(rf"^{inner}\.", f"{theirs}.", rest)
            return f"{old}.{rest}_l0" if old == "lstm" else f"{old}.{rest}"
    raise CometError(f"{new} has no name in the released code")
