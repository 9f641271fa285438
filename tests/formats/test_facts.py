"""Dataclasses from facts: one sentence for whatever does not fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from comet_cli.errors import FileFormatError
from comet_cli.formats.facts import from_facts


@dataclass
class Cup:
    name: str
    volume: float
    handles: int = 1
    full: bool = False
    marks: list[str] = field(default_factory=list)

    def __post_init__(self):
        len(self.marks)


def test_facts_become_fields_and_the_rest_are_defaults():
    assert from_facts(Cup, {"name": "a", "volume": 2}, "cup") == Cup("a", 2, 1, False, [])


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (["name"], r"expected a table of facts, not \['name'\]$"),
        ({"name": "a", "volume": 1, "lid": 1, "foot": 2}, "unknown foot, lid; known are name, vol"),
        ({"\x1b[2J": 1}, r"unknown \\x1b\[2J;"),
        ({"full": True}, "missing name, volume$"),
        ({"name": "a", "volume": "big"}, "volume must be of type float, not 'big'$"),
        ({"name": "a", "volume": 1, "handles": True}, "handles must be of type int, not True$"),
        ({"name": "a", "volume": 1, "handles": 1.0}, "handles must be of type int, not 1.0$"),
        ({"name": 3, "volume": 1}, "name must be of type str, not 3$"),
        ({"name": "a", "volume": 1, "full": 1}, "full must be of type bool, not 1$"),
        ({"name": "a", "volume": 1, "marks": 3}, r"len\(\)"),
    ],
)
def test_facts_that_do_not_fit_are_one_sentence(facts, sentence):
    with pytest.raises(FileFormatError, match=f"^cup.json: .*{sentence}") as caught:
        from_facts(Cup, facts, "cup.json")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
