"""Verify a data-set folder: nothing missing, nothing broken, nothing in both splits."""

import hashlib
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comet_cli.data import dataset_folder
from comet_cli.data.coverage import Factor, factor_coverage
from comet_cli.errors import MissingInputError
from comet_cli.formats.files import show
from comet_cli.worlds.generator import SPLITS

# What a line of metadata holds besides the scene.
_BOOKKEEPING = frozenset({"file_name", "mask", "split", "index", "seed"})
_NO_FACTORS = _BOOKKEEPING | {"cell", "source"}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: a word to sort by: `description`, `count`, `missing`, `unreadable`, `size`, `mask`,
            `unlisted`, `scene` or `duplicate`.
        file: the file, relative to the data set.
        message: one sentence.
    """

    kind: str
    file: str
    message: str


@dataclass
class Report:
    """What was found.

    Attributes:
        folder: the data set.
        generator: the name of the generator or reader in dataset.json, or None.
        size: its picture size in pixels, or None if pictures differ or there are none.
        counts: readable pictures of each split.
        masks: readable masks of each split.
        coverage: the values of each recorded factor, over all splits.
        problems: everything that is wrong.
    """

    folder: str
    generator: str | None = None
    size: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)
    coverage: list[Factor] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def table(self) -> str:
        """Counts, size and factors, a line each."""
        rows = [(f"{split} pictures", str(count)) for split, count in self.counts.items()]
        rows += [(f"{split} masks", str(count)) for split, count in self.masks.items()]
        rows.append(("pixels a side", str(self.size or "different")))
        rows += [(factor.name, factor.describe()) for factor in self.coverage]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"ok": self.ok, **asdict(self)}


def check_folder(folder: str | Path) -> Report:
    """Verify a data set that was made or imported, or a folder in the same format.

    Raises:
        MissingInputError: there is no such folder.
        CometError: its metadata cannot be parsed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"there is no folder '{show(folder)}' to check")
    report = Report(folder=str(folder))
    description = dataset_folder.read_description(folder)
    if description is None:
        message = "There is no dataset.json; it is not a data set of `comet data make`."
        report.problems.append(Problem("description", "dataset.json", message))
        description = {}
    if description.get("complete") is False:
        message = "The import was not finished; the same command goes on with it."
        report.problems.append(Problem("description", "dataset.json", message))
    report.generator = description.get("generator") or description.get("reader")
    report.size = description.get("size")
    pictures: dict[str, dict[str, str]] = {}
    scenes: dict[str, dict[str, str]] = {}
    shown: list[dict[str, Any]] = []
    for split in SPLITS:
        entries = dataset_folder.read_metadata(folder, split)
        expected = (description.get("counts") or {}).get(split, 0)
        fewer = bool(description.get("generator")) and len(entries or []) < expected
        rest = " It was not made to its end; the same command goes on with it." if fewer else ""
        if entries is None:
            if expected or (folder / split).is_dir():
                message = f"The split {split} has no metadata.jsonl.{rest}"
                report.problems.append(Problem("missing", f"{split}/metadata.jsonl", message))
            entries = []
        elif description and len(entries) != expected:
            message = f"There are {len(entries)} lines, but dataset.json counts {expected}.{rest}"
            report.problems.append(Problem("count", f"{split}/metadata.jsonl", message))
        pictures[split], scenes[split] = _check_split(folder, split, entries, report)
        shown += [
            {key: value for key, value in entry.items() if key not in _NO_FACTORS}
            for entry in entries
        ]
    report.coverage = factor_coverage(shown, report.generator, description.get("subset"))
    _check_shared("duplicate", "the same picture as", pictures, report)
    _check_shared("scene", "the same scene as", scenes, report)
    return report


def _check_split(
    folder: Path, split: str, entries: list[dict[str, Any]], report: Report
) -> tuple[dict[str, str], dict[str, str]]:
    """Check each picture; returns file names by hash of pixels, and by hash of scene."""
    by_pixels: dict[str, str] = {}
    by_scene: dict[str, str] = {}
    seen: dict[str, int] = defaultdict(int)
    report.counts[split] = report.masks[split] = 0
    for entry in entries:
        name = f"{split}/{entry['file_name']}"
        seen[name] += 1
        picture = _open(folder, name, "picture", report)
        if picture is not None:
            report.counts[split] += 1
            by_pixels.setdefault(_digest(picture.convert("RGB").tobytes()), name)
            _check_size(name, picture, report)
        scene = _scene(entry)
        if scene is not None:
            by_scene.setdefault(_digest(scene.encode()), name)
        if entry.get("mask"):
            _check_mask(folder, split, entry, picture, report)
    for name in sorted(name for name, times in seen.items() if times > 1):
        report.problems.append(Problem("count", name, "It is listed more than once."))
    if (folder / split / "metadata.jsonl").is_file():
        there = dataset_folder.find_pictures(folder / split)
        unlisted = {file.relative_to(folder).as_posix() for file in there} - set(seen)
        for name in sorted(unlisted):
            report.problems.append(Problem("unlisted", name, "metadata.jsonl does not list it."))
    return by_pixels, by_scene


def _scene(entry: dict[str, Any]) -> str | None:
    """What a picture shows, whatever the order of its objects; None if it is not described."""
    shown = {key: value for key, value in entry.items() if key not in _BOOKKEEPING}
    objects = sorted(json.dumps(item, sort_keys=True) for item in shown.pop("objects", None) or [])
    return json.dumps([objects, shown], sort_keys=True) if objects or shown else None


def _open(folder: Path, name: str, what: str, report: Report) -> Image.Image | None:
    try:
        with Image.open(folder / name) as picture:
            picture.load()
            return picture.copy()
    except FileNotFoundError:
        report.problems.append(Problem("missing", name, f"The {what} is missing."))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        report.problems.append(Problem("unreadable", name, f"The {what} cannot be read: {error}."))
    return None


def _check_size(name: str, picture: Image.Image, report: Report) -> None:
    report.size = report.size or picture.width
    if picture.size != (report.size, report.size):
        message = (
            f"The picture is {picture.width}x{picture.height}, not {report.size}x{report.size}."
        )
        report.problems.append(Problem("size", name, message))


def _check_mask(
    folder: Path,
    split: str,
    entry: dict[str, Any],
    picture: Image.Image | None,
    report: Report,
) -> None:
    """The mask is there, as large as its picture, and shows every object and no others."""
    mask = _open(folder, entry["mask"], "mask", report)
    if mask is None:
        return
    report.masks[split] += 1
    if picture is not None and mask.size != picture.size:
        message = (
            f"The mask is {mask.width}x{mask.height}, its picture {picture.width}x{picture.height}."
        )
        report.problems.append(Problem("mask", entry["mask"], message))
    found = set(np.unique(np.asarray(mask)).tolist()) - {0}
    expected = set(range(1, len(entry.get("objects") or []) + 1))
    if expected and found != expected:
        message = f"The mask shows objects {sorted(found)}, its picture has {sorted(expected)}."
        report.problems.append(Problem("mask", entry["mask"], message))


def _check_shared(kind: str, words: str, hashed: dict[str, dict[str, str]], report: Report) -> None:
    train, test = (hashed[split] for split in SPLITS)
    for digest in sorted(set(train) & set(test), key=lambda each: test[each]):
        message = f"It shows {words} {train[digest]}."
        report.problems.append(Problem(kind, test[digest], message))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
