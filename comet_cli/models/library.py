"""Where models are kept: finding, listing, loading, verifying and saving model folders.

A model folder holds ``model.safetensors``, ``card.json`` and usually a ``README.md``. Finding and
listing read cards only and import no torch.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from comet_cli.errors import (
    CometError,
    CometWarning,
    FileFormatError,
    UnknownModelError,
    UsageError,
)
from comet_cli.formats.places import expanded, holds, home_folder, reason_of
from comet_cli.models.card import ModelCard
from comet_cli.models.folder import (
    CARD,
    NAME,
    WEIGHTS,
    check,
    check_name,
    forget_former,
    refuse_to_replace,
    verify,
    weights_size,
    write_folder,
)
from comet_cli.models.hub_reference import (
    ORIGIN,
    PREFIX,
    HubReference,
    origin_json,
    origin_of,
    parse_reference,
)


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
        return expanded(home)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else home_folder() / "AppData" / "Local") / "comet"
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Application Support" / "comet"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else home_folder() / ".local" / "share") / "comet"


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


def refuse_shipped_name(name: str) -> None:
    """Raise UsageError if ``name`` belongs to a shipped model, which would hide a local one."""
    if holds(shipped_root() / name, CARD):
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
    path = expanded(text)
    if isinstance(name_or_path, str) and NAME.fullmatch(text):
        for root in (shipped_root(), local_root()):
            if holds(root / text, CARD):
                _tell_hidden(path, root / text)
                return root / text
    if os.path.isfile(path) and path.name in (CARD, WEIGHTS):
        path = path.parent
    if holds(path, CARD):
        return path
    if os.path.exists(path):
        raise FileFormatError(f"{path} holds no {CARD}, so it is no comet model")
    raise UnknownModelError(_unknown(text))


def _tell_hidden(path: Path, taken: Path) -> None:
    """Warn that a folder of the working directory is not the model that its name means."""
    if holds(path, CARD) and not path.samefile(taken):
        warnings.warn(
            f"'{path}' means the model in '{taken}', not the folder of that name here; "
            f"for that give ./{path}",
            CometWarning,
            stacklevel=3,
        )


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
        problems: receives a sentence for every folder whose card cannot be read, or that cannot
            be looked into; such a folder is left out of the result.
    """
    entries: list[ModelEntry] = []
    for origin, root in (("shipped", shipped_root()), ("local", local_root())):
        for folder in _folders_in(root, problems):
            hidden = any(known.name == folder.name for known in entries)
            try:
                if hidden or not NAME.fullmatch(folder.name) or not holds(folder, CARD):
                    continue
                card = ModelCard.read(folder)
            except CometError as error:
                if problems is not None:
                    problems.append(str(error))
                continue
            hub = None if origin == "shipped" else origin_of(folder, card.weights_sha256)
            entries.append(ModelEntry(folder.name, folder, str(hub or origin), card))
    return entries


def _folders_in(root: Path, problems: list[str] | None) -> list[Path]:
    try:
        return sorted(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if problems is not None:
            problems.append(reason_of(error))
        return []


def local_folder(name: str) -> Path:
    """Return the folder of a local model.

    Raises:
        UsageError: a shipped model, which is not the user's to change.
        UnknownModelError: no local model of that name.
    """
    folder = local_root() / check_name(name)
    if not holds(folder, CARD):
        if holds(shipped_root() / name, CARD):
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


def pull(
    reference: str, name: str | None = None, *, overwrite: bool = False
) -> tuple[ModelCard, Path, HubReference]:
    """Copy a model of the Hub into the folder of local models, checked.

    Args:
        reference: ``[hf:]org/name[@revision]``.
        name: of the local model; default the repository's.
        overwrite: replace a local model of that name.

    Returns:
        The card, the folder, and the repository with the commit that it resolved to.

    Raises:
        UsageError: a name that a model cannot have, or a shipped one's.
        FileFormatError: the repository is no comet model, or damaged.
        CometError: see :func:`fetch`; or there is a model of that name.
    """
    from comet_cli.models.hub import FILES, fetch

    wanted = parse_reference(reference)
    name = check_name(wanted.name if name is None else name)
    refuse_shipped_name(name)
    target = local_root() / name
    # What is there already needs no force, so that a script can pull again.
    if not overwrite and not holds(target, CARD):
        refuse_to_replace(target, overwrite)
    folder = fetch(str(wanted))
    card = check(folder)
    origin = HubReference(wanted.repository, folder.name)
    if not overwrite and holds(target, CARD):
        if _is_same(target, card, origin):
            return card, target, origin
        refuse_to_replace(target, overwrite)
    files = {file: (folder / file).read_bytes() for file in FILES if (folder / file).is_file()}
    files[ORIGIN] = origin_json(origin, card.weights_sha256).encode()
    # The card last: it says that the rest is complete.
    files[CARD] = files.pop(CARD)
    write_folder(target, files)
    forget_former(target, files)
    return card, target, origin


def _is_same(target: Path, card: ModelCard, origin: HubReference) -> bool:
    """Say whether a local model is this one, undamaged."""
    try:
        found = verify(target)
    except FileFormatError:
        return False
    return found == card and origin_of(target, found.weights_sha256) == origin
