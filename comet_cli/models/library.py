"""Where models are kept: finding, listing, loading, verifying and saving model folders.

A model folder holds ``model.safetensors``, ``card.json`` and usually a ``README.md``. Finding and
listing read cards only and import no torch.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comet_cli import __version__
from comet_cli.errors import CometError, FileFormatError, UnknownModelError, UsageError
from comet_cli.formats.files import write_output
from comet_cli.models.card import ModelCard
from comet_cli.models.hub_reference import PREFIX, origin_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from comet_cli.models.comet_model import CometModel

WEIGHTS = "model.safetensors"
CARD = "card.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be used by name.

    Attributes:
        name: what ``-m`` takes.
        folder: where it lies.
        origin: ``shipped`` with comet, ``hf:org/name@commit`` (from the Hub), ``local`` (imported
            or trained, in COMET_HOME) or ``folder`` (anywhere else).
        card: its facts.
    """

    name: str
    folder: Path
    origin: str
    card: ModelCard


def comet_home() -> Path:
    """Return the folder of the user's own models: ``COMET_HOME`` or the platform's data folder."""
    if home := os.environ.get("COMET_HOME"):
        return Path(home).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "comet"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "comet"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "comet"


def local_root() -> Path:
    """Return the folder that holds local models, a folder each."""
    return comet_home() / "models"


def shipped_root() -> Path:
    """Return the folder that holds shipped models.

    ``weights/`` at the root of a source checkout; ``comet_cli/weights`` where a wheel installed it.
    """
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "weights"
    # Only a checkout has pyproject.toml there; site-packages may hold someone else's `weights`.
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    return package / "weights"


def check_name(name: str) -> str:
    """Return ``name`` if a model may be called so.

    Raises:
        UsageError: it could not be a folder name on every platform, or looks like a path.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"'{name}' is no model name; use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return name


def refuse_shipped_name(name: str) -> None:
    """Raise UsageError if ``name`` belongs to a shipped model, which would hide a local one."""
    if (shipped_root() / name / CARD).is_file():
        raise UsageError(f"'{name}' is the name of a model that comes with comet; choose another")


def find(name_or_path: str | Path) -> Path:
    """Return a model's folder.

    Args:
        name_or_path: the name of a shipped or local model, the path of a model folder, or
            ``hf:org/name[@revision]``, which is downloaded unless it is in the Hub's cache. A name
            is looked up before a folder of that name in the working directory is considered.

    Raises:
        UnknownModelError: nothing of that name; the message lists the known models.
        FileFormatError: a path, or a repository, that is no model folder.
        CometError: the repository cannot be had; see :mod:`comet_cli.models.hub`.
    """
    text = str(name_or_path)
    if text.startswith(PREFIX):
        from comet_cli.models.hub import fetch

        return fetch(text)
    if not text:
        raise UnknownModelError(_unknown(text))
    path = Path(text).expanduser()
    if isinstance(name_or_path, str) and _NAME.fullmatch(text):
        for root in (shipped_root(), local_root()):
            if (root / text / CARD).is_file():
                return root / text
    if path.is_file() and path.name in (CARD, WEIGHTS):
        path = path.parent
    if (path / CARD).is_file():
        return path
    if path.exists():
        raise FileFormatError(f"{path} holds no {CARD}, so it is no comet model")
    raise UnknownModelError(_unknown(text))


def _unknown(text: str) -> str:
    known = [entry.name for entry in list_models()]
    if not known:
        return f"unknown model '{text}'; no model is installed (expected in {local_root()})"
    near = difflib.get_close_matches(text.lower(), known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    names = ", ".join(known)
    return f"unknown model '{text}'{hint} (known: {names}; or the path of a model folder)"


def list_models(problems: list[str] | None = None) -> list[ModelEntry]:
    """Return all models with a name, shipped ones first, each by name.

    Args:
        problems: receives a sentence for every folder whose card cannot be read; such a folder is
            left out of the result.
    """
    entries: list[ModelEntry] = []
    for origin, root in (("shipped", shipped_root()), ("local", local_root())):
        folders = sorted(root.iterdir()) if root.is_dir() else []
        for folder in folders:
            hidden = any(known.name == folder.name for known in entries)
            if hidden or not (folder / CARD).is_file() or not _NAME.fullmatch(folder.name):
                continue
            try:
                card = ModelCard.read(folder)
            except FileFormatError as error:
                if problems is not None:
                    problems.append(str(error))
                continue
            hub = None if origin == "shipped" else origin_of(folder, card.weights_sha256)
            entries.append(ModelEntry(folder.name, folder, str(hub or origin), card))
    return entries


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


def load(name: str | Path, device: str = "auto") -> CometModel:
    """Load a model, ready to use: evaluation mode, float32, no gradients for its weights.

    The weights are checked against the card's hash. torch's random state is left alone. A model
    in the Hub's cache is called ``hf:org/name@commit``, by which it is found again anywhere.

    Args:
        name: see :func:`find`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.

    Raises:
        UnknownModelError: nothing of that name.
        FileFormatError: damaged weights, or weights that do not fit the card.
        UsageError: a device that does not exist here.
    """
    import torch

    from comet_cli.models.comet_model import CometModel

    target = pick_device(device)
    folder = find(name)
    card, state = _read_checked(folder)
    hub = origin_of(folder, card.weights_sha256)
    if hub and folder.resolve().name == hub.revision:
        card = card.replace(name=str(hub))
    with torch.random.fork_rng(devices=[]):
        model = CometModel(card)
    _check_entries(state, model, folder / WEIGHTS)
    model.load_state_dict(state)
    return model.eval().requires_grad_(False).to(target)


def check(folder: Path) -> ModelCard:
    """Check all of a model folder: card, hash, and entries that fit the card.

    Raises:
        FileFormatError: it is no model, and why.
    """
    load(folder, "cpu")
    return ModelCard.read(folder)


def _read_checked(folder: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Return the card and the weights, whose hash is the card's."""
    card = ModelCard.read(folder)
    data = _read_weights(folder)
    _check_hash(data, card, folder)
    return card, _parse_weights(data, folder / WEIGHTS)


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


def _check_entries(state: Mapping[str, Tensor], model: CometModel, path: Path) -> None:
    """Raise FileFormatError that lists the entries which do not fit the model."""
    import torch

    expected = model.state_dict()
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


def pick_device(name: str = "auto") -> torch.device:
    """Return a device that exists here.

    Args:
        name: ``auto`` (the first CUDA device, else Apple's, else the CPU), ``cpu``, ``cuda``,
            ``cuda:n`` or ``mps``.

    Raises:
        UsageError: another word, or a device that this machine or this torch does not have.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        best = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
        return torch.device(best)
    if name == "cpu" or (name == "mps" and has_mps):
        return torch.device(name)
    if name == "mps":
        raise UsageError("device 'mps' needs a Mac with Apple silicon; use --device auto")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise UsageError(f"unknown device '{name}'; use auto, cpu, cuda, cuda:n or mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match.group(1) or 0) >= count:
        here = f"{count} CUDA devices are" if count else "no CUDA device is"
        raise UsageError(f"device '{name}' does not exist: {here} available; use --device auto")
    return torch.device(name)


def save(
    model: CometModel,
    folder: str | Path,
    *,
    card: ModelCard | None = None,
    extra: Mapping[str, str | bytes] | None = None,
    overwrite: bool = False,
    dtype: torch.dtype | None = None,
) -> ModelCard:
    """Write a model folder.

    Args:
        model: the weights, on any device.
        folder: made if need be. A new folder appears at once and complete; in an existing one
            every file is replaced atomically, the card last.
        card: facts to write; default ``model.card``.
        extra: further files, name -> content (``README.md``, ``recipe.toml``).
        overwrite: replace the model that the folder may hold.
        dtype: of the weights on disk (torch.float16 halves the file); default as they are.

    Returns:
        The card as written, with the hash of the weights and the version of comet.

    Raises:
        CometError: the folder holds something else or, without ``overwrite``, a model; no space.
    """
    chosen = model.card if card is None else card
    return save_state(
        model.state_dict(), chosen, folder, extra=extra, overwrite=overwrite, dtype=dtype
    )


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
    """Raise CometError if a model may not be written to ``folder``."""
    if folder.exists() and not folder.is_dir():
        raise CometError(f"{folder} is a file, expected a folder for the model")
    if (folder / CARD).exists() and not overwrite:
        raise CometError(f"{folder} holds a model already; use --force to replace it")


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


def local_folder(name: str) -> Path:
    """Return the folder of a local model.

    Raises:
        UsageError: a shipped model, which is not the user's to change.
        UnknownModelError: no local model of that name.
    """
    folder = local_root() / check_name(name)
    if not (folder / CARD).is_file():
        if (shipped_root() / name / CARD).is_file():
            raise UsageError(f"'{name}' comes with comet and cannot be removed")
        raise UnknownModelError(_unknown(name))
    return folder


def remove(name: str) -> Path:
    """Delete a local model and return the folder that it was in.

    Raises:
        UsageError, UnknownModelError: see :func:`local_folder`.
    """
    folder = local_folder(name)
    try:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    except OSError as error:
        raise CometError(f"{folder} cannot be removed: {error.strerror or error}") from None
    return folder


def entry(folder: Path) -> ModelEntry:
    """Return the entry of a model folder, wherever it lies."""
    origins = {"shipped": shipped_root(), "local": local_root()}
    parent = folder.resolve().parent
    origin = next((o for o, root in origins.items() if parent == root.resolve()), "folder")
    card, name = ModelCard.read(folder), folder.resolve().name
    hub = None if origin == "shipped" else origin_of(folder, card.weights_sha256)
    if hub and name == hub.revision:  # in the Hub's cache, where folders are named after commits
        name = str(hub)
    return ModelEntry(name, folder, str(hub or origin), card)


def to_json(entry: ModelEntry) -> dict[str, object]:
    """Return an entry as JSON values: its card, name, folder, origin, size in bytes, samples."""
    facts: dict[str, object] = json.loads(entry.card.to_json())
    facts.update(name=entry.name, folder=str(entry.folder), origin=entry.origin)
    facts["bytes"] = weights_size(entry.folder)
    sheets = sorted(entry.folder.glob("samples-*.png"))
    facts["sample_sheet"] = str(sheets[-1]) if sheets else None
    return facts


def weights_size(folder: Path) -> int:
    """Return the size of a model's weights in bytes, 0 if they are missing."""
    path = folder / WEIGHTS
    return path.stat().st_size if path.is_file() else 0
