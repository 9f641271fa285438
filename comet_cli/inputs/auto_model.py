"""``-m auto``: the model that a picture is most likely one of, remembered a picture.

What was found is kept in the cache folder under the hash of all that it follows from (the picture,
the weights of every installed model, the arithmetic, the version of comet), so that a picture is
judged once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from comet_cli.errors import CometError, FileFormatError, UnknownModelError
from comet_cli.formats.cache import cache_home
from comet_cli.formats.files import write_output
from comet_cli.formats.images import image_size, load_image
from comet_cli.models import library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.version import __version__

MAX_CHOICE_BYTES = 1 << 20
ALIKE = 10**0.1  # mean square errors within a decibel

# The mean squared error of a model's reconstruction of a picture's file, beside that picture.
Judge = Callable[[CometModel, bytes, torch.Tensor], float]


def choose_model(
    pictures: Iterable[tuple[bytes, str]],
    what: str,
    *,
    load: Callable[[str], CometModel],
    judge: Judge,
    note: Callable[[str], None],
    environment: Mapping[str, str],
    fresh: bool = False,
) -> CometModel:
    """Return the installed model that a picture, or all of a series, is most likely one of.

    The one that reconstructs it best; of those within a decibel of it, the one that does best
    beside its own usual error (:func:`closest`). Of those that are offered, if any is: models made
    to compare with are for who names them.

    Args:
        pictures: each one's file, and what messages call it.
        what: all of them, in messages.
        load: loads the model of a folder.
        judge: says how well a model reconstructs the picture.
        note: told the choice.
        environment: what the arithmetic depends on; a choice is remembered with it.
        fresh: judge anew, whatever is remembered.

    Raises:
        UnknownModelError: no model is installed, or none can be loaded.
        FileFormatError: the only picture cannot be read; of a series, no picture can.
    """
    installed = library.list_models()
    entries = [entry for entry in installed if entry.card.offered] or installed
    if not entries:
        raise UnknownModelError(
            f"no model is installed (looked in {library.shipped_root()} and "
            f"{library.local_root()}); give a model folder with -m"
        )
    if len(entries) == 1:
        note(f"model '{entries[0].name}' (the only one there is to choose) encodes {what}")
        return load(str(entries[0].folder))
    left_out: dict[str, None] = {}
    found_errors: list[dict[str, float]] = []
    broken: FileFormatError | None = None
    for data, where in pictures:
        memory = _memory(data, entries, environment)
        one = {} if fresh else _recall(memory, entries)
        if not one:
            try:
                one = _judge_all(data, where, entries, load, judge, left_out)
            except FileFormatError as error:  # of a series, it fails when its turn comes
                broken = error
                continue
            if len(one) == len(entries):  # a model that was left out may be mended
                _remember(memory, one)
        found_errors.append(one)
    for sentence in left_out:
        note(sentence)
    if not found_errors:
        raise broken or FileFormatError(f"there is no picture among {what}")
    judged = set.intersection(*map(set, found_errors))
    errors = {n: sum(one[n] for one in found_errors) / len(found_errors) for n in judged}
    ranked = sorted((error, name) for name, error in errors.items())
    found = ", ".join(f"{name} {-10 * math.log10(max(e, 1e-10)):.1f} dB" for e, name in ranked)
    usual = {entry.name: usual_error(entry.card) for entry in entries}
    name = closest(errors, usual)
    best = next(entry for entry in entries if entry.name == name)
    how = (
        "best" if name == ranked[0][1] else "about as well as any, and better than it usually does"
    )
    note(f"model '{best.name}' reconstructs {what} {how} ({found})")
    return load(str(best.folder))


def closest(errors: Mapping[str, float], usual: Mapping[str, float | None]) -> str:
    """Return the name of the model that a picture is most likely one of.

    The one with the least error; of several that differ by less than a decibel,
    the one that is best beside the errors that it usually makes, where all their cards tell them.

    Args:
        errors: mean square error of the picture, by model.
        usual: the same of pictures that a model was made for; None where nothing tells.
    """
    least = min(errors.values())
    near = [name for name, error in sorted(errors.items()) if error <= ALIKE * least]
    scales = {name: usual.get(name) or 0.0 for name in near}
    if not all(scales.values()):
        return min(near, key=lambda name: errors[name])
    return min(near, key=lambda name: errors[name] / scales[name])


def usual_error(card: ModelCard) -> float | None:
    """Return the mean square error that a card's PSNR stands for, None where it has none."""
    reconstruction = card.figures.get("reconstruction")
    psnr = reconstruction.get("psnr") if isinstance(reconstruction, Mapping) else None
    return None if not isinstance(psnr, int | float) else float(10 ** (-psnr / 10))


def _judge_all(
    data: bytes,
    where: str,
    entries: Sequence[library.ModelEntry],
    load: Callable[[str], CometModel],
    judge: Judge,
    left_out: dict[str, None],
) -> dict[str, float]:
    """Return the mean squared error of each model's reconstruction, by the model's name."""
    # All candidates are judged at one size, or the smallest would have the easiest task.
    size = min(image_size(data, where), max(e.card.image_size for e in entries))
    target = torch.from_numpy(load_image(data, size, where=where))
    errors = {}
    for entry in entries:
        try:
            model = load(str(entry.folder))
        except FileFormatError as error:
            left_out[f"model '{entry.name}' is left out: {error}"] = None
            continue
        errors[entry.name] = judge(model, data, target)
    if not errors:
        raise UnknownModelError("no installed model can be loaded; see comet doctor")
    return errors


def _memory(
    data: bytes, entries: Sequence[library.ModelEntry], environment: Mapping[str, str]
) -> Path:
    facts = {
        "picture": hashlib.sha256(data).hexdigest(),
        "models": [(entry.name, entry.card.to_json()) for entry in entries],
        "versions": [__version__, str(torch.__version__)],
        **environment,
    }
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_home() / "choices" / f"{name}.json"


def _recall(memory: Path, entries: Sequence[library.ModelEntry]) -> dict[str, float]:
    """Return what is remembered, nothing where it is not there or damaged."""
    try:
        with open(memory, "rb") as file:
            errors = json.loads(file.read(MAX_CHOICE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    sound = isinstance(errors, dict) and set(errors) == {entry.name for entry in entries}
    if not sound or not all(type(error) is float and error >= 0 for error in errors.values()):
        return {}
    return errors


def _remember(memory: Path, errors: dict[str, float]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_output(memory, json.dumps(errors, sort_keys=True).encode())
    except (OSError, CometError):  # a cache that cannot be written costs time only
        return
