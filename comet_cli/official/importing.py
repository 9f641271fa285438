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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from comet_cli.errors import FileFormatError, MissingInputError, UsageError
from comet_cli.models import folder as model_folder
from comet_cli.models import library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.official.names import is_dead, module_names, our_name, released_name

# Their demo renders with these, whatever the model was trained with.
RENDER_STEP_SIZE = 200.0
RENDER_STEPS = 30

CHECKPOINTS = (b"PK", b"\x80")  # archives of torch, and pickles
SHOWN = 6  # entries that do not fit, in a sentence

# Flags beyond this are noise, not facts; the largest known is a step size of 1000.
MOST = 100_000


@dataclass(frozen=True)
class Misfit:
    """An entry of a checkpoint that does not fit.

    Attributes:
        kind: ``missing``, ``unknown``, ``shape``, ``type`` or ``value``.
        entry: its name in the released code.
        found, expected: what it is and should be.
    """

    kind: str
    entry: str
    found: str
    expected: str

    def __str__(self) -> str:
        """Return what is wrong in words."""
        if self.kind in ("missing", "unknown"):
            return f"{self.kind} entry {self.entry} {self.found or self.expected}"
        return f"{self.entry} is {self.found}, expected {self.expected}"


class MisfitError(FileFormatError):
    """A checkpoint whose entries are not those of the paper's networks; ``misfits`` lists them."""

    def __init__(self, sentence: str, misfits: Sequence[Misfit]) -> None:
        """Name the first entries in the sentence."""
        shown = [str(misfit) for misfit in misfits[:SHOWN]]
        if len(misfits) > SHOWN:
            shown.append(f"and {len(misfits) - SHOWN} more")
        super().__init__(f"{sentence}: {'; '.join(shown)}")
        self.misfits = tuple(misfits)


@dataclass(frozen=True)
class Told:
    """What whoever imports a checkpoint says about it; None for what the file or a default says.

    Attributes:
        components: K, for a file that does not tell.
        image_size: R, likewise.
        render_steps: N of renderings, which no file tells.
        render_step_size: λ of renderings, likewise.
    """

    components: int | None = None
    image_size: int | None = None
    render_steps: int | None = None
    render_step_size: float | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one that no model can have.
        """
        for name, value in vars(self).items():
            if value is not None and not 0 < value < MOST:
                raise UsageError(f"{name} is {value}, expected more than 0 and less than {MOST}")


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


def read_checkpoint(
    path: str | Path, name: str | None = None, told: Told | None = None
) -> OfficialCheckpoint:
    """Read a checkpoint of the released training script without executing it.

    Args:
        path: the ``.pth`` file.
        name: of the model; default made from the file's name.
        told: facts that the file may lack.

    Raises:
        UsageError: a fact that contradicts the file.
        MissingInputError: no such checkpoint.
        FileFormatError: one that asks for code to be run, entries that are
            missing, misshaped or unknown, or components with different weights.
    """
    path = Path(path)
    where = path.name
    name = model_folder.check_name(default_name(path) if name is None else name)
    content = _unpickle(path)
    flags = _flags(content, where)
    states = _state_dicts(content, where)
    if flags.get("decoder") is True:
        raise FileFormatError(
            f"{where} was trained with --decoder, so it holds a mask decoder and no energy function"
        )
    if flags.get("dataset") == "toy" or "steps" in states[0]:
        raise FileFormatError(
            f"{where} was trained on 'toy', with networks of its own that the paper does not have"
        )
    card = _deduce_card(states[0], flags, len(states), name, where, told or Told())
    state, dropped = _translate(states[0], card, where)
    return OfficialCheckpoint(card, state, dropped)


def import_official(
    path: str | Path,
    name: str | None = None,
    destination_root: str | Path | None = None,
    *,
    told: Told | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
) -> tuple[ModelCard, Path]:
    """Turn a checkpoint of the released training script into a model folder.

    Args:
        path: the ``.pth`` file.
        name: of the model and its folder; default made from the file's name.
        destination_root: the folder that the model's folder is made in; default
            ``COMET_HOME/models``.
        told: facts that the file may lack.
        dry_run: check everything, write nothing.
        overwrite: replace a model of that name.

    Returns:
        The card (without hash if ``dry_run``) and the model's folder.

    Raises:
        UsageError, FileFormatError: see :func:`read_checkpoint`.
        CometError: a model of that name exists already.
    """
    checkpoint = read_checkpoint(path, name, told)
    card = checkpoint.card
    if destination_root is None:
        library.refuse_shipped_name(card.name)
    root = library.local_root() if destination_root is None else Path(destination_root)
    folder = root / card.name
    if dry_run:
        model_folder.refuse_to_replace(folder, overwrite)
        return card, folder
    extra = {"README.md": _readme(card, Path(path).name)}
    card = model_folder.save_state(checkpoint.state, card, folder, extra=extra, overwrite=overwrite)
    model_folder.forget_former(folder, extra)
    return card, folder


def default_name(path: Path) -> str:
    """Return a model name made from a file name: ``CelebA HQ.pth`` -> ``celeba-hq``."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "imported"


def _refusal(path: Path, error: Exception) -> FileFormatError:
    """Return why a checkpoint is not read."""
    if isinstance(error, pickle.UnpicklingError):
        culprit = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({culprit.group(1)})" if culprit else ""
        return FileFormatError(
            f"{path.name} is refused: it asks for something other than tensors and flags{what}, "
            "and comet executes nothing that it finds in a checkpoint"
        )
    first_line = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0][:120]
    return FileFormatError(
        f"{path.name} is no readable checkpoint, or is truncated; expected a .pth file "
        f"({first_line})"
    )


def _unpickle(path: Path) -> dict[str, Any]:
    """Read the pickle with nothing allowed but tensors, containers and the flags' two classes."""
    if not path.is_file():
        here = "a folder" if path.is_dir() else "no file"
        own = f"; what comet trained is used as it is: -m {path}" if path.is_dir() else ""
        raise MissingInputError(f"{path} is {here}, expected a checkpoint (.pth){own}")
    with path.open("rb") as file:
        begins_well = file.read(2).startswith(CHECKPOINTS)
    # An EasyDict is read as its items: the unpickler knows OrderedDict anyway, so this name for it
    # allows nothing new and needs no easydict.
    allowed: list[Any] = [argparse.Namespace, (OrderedDict, "easydict.EasyDict")]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises almost anything on a file that is no checkpoint
        if not begins_well:
            raise FileFormatError(
                f"{path.name} is no readable checkpoint; expected one of PyTorch (.pth)"
            ) from None
        raise _refusal(path, error) from None
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
    state: dict[str, Tensor],
    flags: dict[str, Any],
    copies: int,
    name: str,
    where: str,
    told: Told,
) -> ModelCard:
    """Find every fact of the card in shapes, else in flags, else in what is told or usual."""
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
        return usual(fact, default)

    def usual(fact: str, default: Any) -> Any:
        value = getattr(told, fact, None)
        if value is None:
            defaults.append(fact)
        return default if value is None else value

    filter_dim = state["embed_conv1.weight"].shape[0]
    latent_dim = state["layer_encode.latent_fc1.weight"].shape[1]
    recurrent = "lstm.weight_ih_l0" in state
    large = "layer4.conv1.weight" in state
    if recurrent:
        components = flag("components", "components", int, copies)
    else:
        components = max(state["embed_fc2.weight"].shape[0] // latent_dim, 1)
        flagged = flags.get("components", components)
        if _is_number(flagged) and flagged != components:
            raise FileFormatError(
                f"{where}: FLAGS say {flagged} components, but the encoder makes "
                f"{components} latents of {latent_dim} numbers"
            )
    divisor = 4 if large else 2 if "conv1_embed.weight" in state else 1
    if filter_dim % divisor:
        raise FileFormatError(
            f"{where} has {filter_dim} filters, expected a multiple of {divisor} in this network"
        )
    image_size, size_known = _image_size(state, flags, large)
    if not size_known:
        image_size = usual("image_size", image_size)
    for fact, value in (("components", components), ("image_size", image_size)):
        if getattr(told, fact) not in (None, value):
            raise UsageError(f"{where} tells that {fact} is {value}, not {getattr(told, fact)}")
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
        render_step_size=float(usual("render_step_size", RENDER_STEP_SIZE)),
        render_steps=usual("render_steps", RENDER_STEPS),
        description=f"Imported from {where}, a checkpoint of the paper's released training script.",
        dataset=_dataset(flags),
        defaults_from=sorted(defaults),
    )


def _dataset(flags: dict[str, Any]) -> str:
    """Return what a model was trained on: as comet's export says, or the released code's name."""
    said = flags.get("trained_on")
    if isinstance(said, str):
        return said
    return re.split(r"[/\\]", str(flags.get("dataset", "")))[-1][:80]


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
    modules = module_names(card)
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in CometModel(card).state_dict().items()}

    translated: dict[str, Tensor] = {}
    dropped: list[str] = []
    problems: list[Misfit] = []
    for key, tensor in state.items():
        if is_dead(key):
            dropped.append(key)
            continue
        new = our_name(key, modules)
        if new not in expected:
            problems.append(Misfit("unknown", key, _shape(tensor), ""))
            continue
        translated[new] = tensor.detach().to(torch.float32).clone()
        if not tensor.is_floating_point():
            problems.append(Misfit("type", key, str(tensor.dtype), "floating-point numbers"))
        elif tuple(tensor.shape) != expected[new]:
            problems.append(Misfit("shape", key, _shape(tensor), str(expected[new])))
        elif not torch.isfinite(translated[new]).all():
            problems.append(Misfit("value", key, "not finite", "finite numbers"))
    for new in expected.keys() - translated.keys():
        entry = released_name(new, modules)
        problems.append(Misfit("missing", entry, "", str(expected[new])))
    if problems:
        problems.sort(key=lambda p: (p.kind, p.entry))
        raise MisfitError(
            f"{where} does not fit the {card.encoder} encoder and {card.energy} energy network "
            f"(F {card.filter_dim}, K {card.components}, D {card.latent_dim})",
            problems,
        )
    return translated, sorted(dropped)


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _readme(card: ModelCard, file_name: str) -> str:
    defaults = ", ".join(card.defaults_from) or "none"
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
