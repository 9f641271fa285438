"""What metadata.jsonl and dataset.json say, checked: anybody may have written them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.formats.files import show

# What commands read of dataset.json, and of what kind it is; what is null or missing is not said.
_KINDS: dict[str, tuple[type, str]] = {
    "generator": (str, "a text"),
    "reader": (str, "a text"),
    "size": (int, "a number of pixels"),
    "counts": (dict, "a number of pictures for each split"),
    "subset": (dict, "a list of numbers for each factor"),
}
_PARTS = {"counts": int, "subset": list}


def parse_metadata(data: bytes, file: Path) -> list[dict[str, Any]]:
    """Return the entries of a metadata.jsonl; blank lines are none.

    Args:
        data: the file's content.
        file: where it was, for messages.

    Raises:
        FileFormatError: a line that is not what an entry has to be.
    """
    entries = []
    # Not splitlines: a text may hold a separator of lines that is none of JSON.
    lines = data.decode("utf-8-sig", "replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if problem := problem_of(entry):
            raise FileFormatError(
                f"line {number} of '{show(file)}' {problem}; make the data set again, or mend the "
                "line"
            )
        entries.append(entry)
    return entries


def problem_of(entry: Any) -> str:
    """Return what is wrong with an entry of metadata, "" if nothing is."""
    if not isinstance(entry, dict) or not _is_inside(entry.get("file_name")):
        return "is not a JSON object with a file_name in that folder"
    if entry.get("mask") and not _is_inside(entry["mask"]):
        return f"has the mask {_short(entry['mask'])}, expected a file of the data set"
    objects = entry.get("objects") or []
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        return f"has the objects {_short(objects)}, expected a list of JSON objects"
    return ""


def _is_inside(name: Any) -> bool:
    return isinstance(name, str) and not Path(name).is_absolute()


def parse_description(data: bytes, file: Path) -> dict[str, Any]:
    """Return the content of a dataset.json.

    Raises:
        FileFormatError: it is not a JSON object, or says what cannot be.
    """
    where = f"'{show(file)}'"
    try:
        description = json.loads(data.decode("utf-8-sig"))
    except ValueError as error:
        raise FileFormatError(f"{where} is not valid JSON: {error}") from error
    if not isinstance(description, dict):
        raise FileFormatError(f"{where} does not hold a JSON object")
    for key, (kind, words) in _KINDS.items():
        value = description.get(key)
        if value is not None and not _is_of(value, kind, _PARTS.get(key)):
            raise FileFormatError(
                f"{where} has the {key} {_short(value)}, expected {words}; make the data set "
                "again, or mend it"
            )
    return description


def _is_of(value: Any, kind: type, parts: type | None) -> bool:
    """Whether a value is of a kind, and its own values are; true is no number."""
    inner = value.values() if isinstance(value, Mapping) and parts else ()
    return type(value) is kind and all(type(each) is parts for each in inner)


def _short(value: Any) -> str:
    return f"{json.dumps(value):.40}"
