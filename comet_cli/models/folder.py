"""Reading, checking and writing a model folder: ``model.safetensors`` and ``card.json``."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from comet_cli.errors import CometError, FileFormatError, UsageError
from comet_cli.formats.files import write_output
from comet_cli.formats.places import holds
from comet_cli.models.card import ModelCard
from comet_cli.version import __version__

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WEIGHTS = "model.safetensors"
CARD = "card.json"
# What comet makes in a model's folder beside those two; ``samples-`` has the iteration.
BESIDE = (
    "README.md", "recipe.toml", "config.json", "origin.json", "measured.json", "checkpoint.pt",
    "log.jsonl", "samples-[0-9]*.png", "tensorboard/events.out.tfevents.*",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(name: str) -> str:
    """Return ``name`` if a model may be called so.

    Raises:
        UsageError: it could not be a folder name on every platform, or looks like a path.
    """
    if not NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"'{name}' is no model name; use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return name


def weights_hash(folder: Path) -> str:
    """Return the sha256 of a model's weights as they lie on disk.

    Raises:
        FileFormatError: the file is missing or unreadable.
    """
    return hashlib.sha256(_read_weights(folder)).hexdigest()


def verify(folder: Path) -> ModelCard:
    """Check a model's weights against the hash in its card, and return the card.

    Raises:
        FileFormatError: they differ, or either file cannot be read.
    """
    card = ModelCard.read(folder)
    _check_hash(_read_weights(folder), card, folder)
    return card


def _read_weights(folder: Path) -> bytes:
    try:
        return (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise FileFormatError(f"{folder} holds no {WEIGHTS}, so it is no comet model") from None
    except OSError as error:
        raise FileFormatError(f"{folder / WEIGHTS} cannot be read: {error.strerror}") from None


def _check_hash(data: bytes, card: ModelCard, folder: Path) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != card.weights_sha256:
        expected = card.weights_sha256[:12] or "nothing"
        raise FileFormatError(
            f"{folder / WEIGHTS} has sha256 {found[:12]}…, but {CARD} says {expected}…; the file "
            "is damaged or belongs to another version of the model, so get the folder again"
        )


def check(folder: Path) -> ModelCard:
    """Check all of a model folder: card, hash, and entries that fit the card.

    Raises:
        FileFormatError: it is no model, and why.
    """
    return read_checked(folder)[0]


def read_checked(folder: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Return the card and the weights, whose hash and entries are the card's.

    Raises:
        FileFormatError: damaged weights, or weights that do not fit the card.
    """
    card = ModelCard.read(folder)
    data = _read_weights(folder)
    _check_hash(data, card, folder)
    state = _parse_weights(data, folder / WEIGHTS)
    _check_entries(state, card, folder / WEIGHTS)
    return card, state


def _parse_weights(data: bytes, path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    try:
        state = parse(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FileFormatError(f"{path} is no readable safetensors file: {error}") from None
    return {
        key: value.to(torch.float32) if value.is_floating_point() else value
        for key, value in state.items()
    }


def _check_entries(state: Mapping[str, Tensor], card: ModelCard, path: Path) -> None:
    """Raise FileFormatError that lists the entries which do not fit the card."""
    import torch

    from comet_cli.models.architectures import empty_state

    expected = empty_state(card)
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in expected]
    for key in expected.keys() & state.keys():
        found, wanted = tuple(state[key].shape), tuple(expected[key].shape)
        if found != wanted:
            problems.append(f"{key} is {found}, expected {wanted}")
        elif not torch.isfinite(state[key]).all():
            problems.append(f"{key} is not finite")
    if problems:
        raise FileFormatError(f"{path} does not fit its {CARD}: {'; '.join(sorted(problems))}")


def save_state(
    state: Mapping[str, Tensor],
    card: ModelCard,
    folder: str | Path,
    *,
    extra: Mapping[str, str | bytes] | None = None,
    overwrite: bool = False,
    dtype: torch.dtype | None = None,
) -> ModelCard:
    """Write a model folder from a state dict; see :func:`save`."""
    from safetensors.torch import save as serialise

    folder = Path(folder)
    refuse_to_replace(folder, overwrite)
    tensors = {}
    for key, value in state.items():
        value = value.detach().to("cpu")
        if dtype is not None and value.is_floating_point():
            value = value.to(dtype)
        # A clone: entries that share memory (tied weights) cannot be stored.
        tensors[key] = value.contiguous().clone()
    data = serialise(tensors)
    card = card.replace(weights_sha256=hashlib.sha256(data).hexdigest(), comet_version=__version__)
    files: dict[str, bytes] = {WEIGHTS: data}
    for name, content in (extra or {}).items():
        files[name] = content.encode() if isinstance(content, str) else content
    files[CARD] = card.to_json().encode()
    write_folder(folder, files)
    return card


def refuse_to_replace(folder: Path, overwrite: bool) -> None:
    """Refuse to write a model to a folder that is a file, or that holds one.

    Raises:
        CometError: it may not be written.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise CometError(f"{folder} is a file, expected a folder for the model")
    if not overwrite and holds(folder, CARD):
        raise UsageError(f"'{folder}' holds a model already; use --force to replace it")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files in order; a folder that does not exist yet appears complete or not at all."""
    try:
        if folder.is_dir():
            for name, data in files.items():
                write_output(folder / name, data)
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            # An inner folder, because the outer one is private to the user (mode 0700).
            made = Path(temporary) / folder.name
            made.mkdir()
            for name, data in files.items():
                (made / name).write_bytes(data)
            os.replace(made, folder)
    except OSError as error:
        raise CometError(f"{folder} cannot be written: {error.strerror or error}") from None


def forget_former(folder: Path, brought: Collection[str]) -> None:
    """Remove what comet made in a folder for a model that another one replaces.

    A checkpoint of the former model would be gone on from, and its log, sheets and figures would
    be taken for the new one's.

    Args:
        folder: of the model.
        brought: names of the new model's own files.
    """
    try:
        for pattern in BESIDE:
            for path in sorted(folder.glob(pattern)):
                if path.relative_to(folder).as_posix() not in brought:
                    path.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise CometError(f"the former model in {folder} cannot be removed: {reason}") from None


def weights_size(folder: Path) -> int:
    """Return the size of a model's weights in bytes, 0 if they are missing."""
    path = folder / WEIGHTS
    return os.path.getsize(path) if os.path.isfile(path) else 0
