"""Dataclasses made from facts that somebody wrote: a card, a section of a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from comet_cli.errors import FileFormatError
from comet_cli.formats.files import show

Made = TypeVar("Made")

# What a value may be where a field is said to be of a plain type; other types check themselves.
_PLAIN = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def from_facts(cls: type[Made], values: Any, where: str) -> Made:
    """Make a dataclass of facts by the names of its fields.

    Args:
        cls: the dataclass; its own checks run too.
        values: the facts.
        where: what error messages begin with.

    Raises:
        FileFormatError: no table of facts, unknown or missing keys, a value of another type.
    """
    if not isinstance(values, Mapping):
        raise FileFormatError(f"{where}: expected a table of facts, not {show(repr(values)[:40])}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    nothing = dataclasses.MISSING
    needed = [
        name for name, f in fields.items() if f.default is nothing and f.default_factory is nothing
    ]
    check_keys(values, fields, needed, where)
    for name, value in values.items():
        check_type(name, value, fields[name].type, where)
    try:
        return cls(**values)
    except TypeError as error:
        raise FileFormatError(f"{where}: {error}") from None


def check_keys(
    values: Mapping[str, Any], known: Collection[str], needed: Collection[str], where: str
) -> None:
    """Check which facts there are.

    Raises:
        FileFormatError: unknown or missing keys.
    """
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise FileFormatError(
            f"{where}: unknown {show(', '.join(unknown))}; known are {', '.join(known)}"
        )
    missing = [name for name in needed if name not in values]
    if missing:
        raise FileFormatError(f"{where}: missing {', '.join(missing)}")


def check_type(name: str, value: Any, kind: Any, where: str) -> None:
    """Check a value of a plain type; a whole number may stand for one with a fraction.

    Args:
        name: of the fact.
        value: what is said.
        kind: a type or its name; of other than plain types nothing is checked.
        where: what the error begins with.

    Raises:
        FileFormatError: another type.
    """
    kind = getattr(kind, "__name__", kind)
    if kind in _PLAIN and type(value) not in _PLAIN[kind]:
        raise FileFormatError(
            f"{where}: {name} must be of type {kind}, not {show(repr(value)[:200])}"
        )
