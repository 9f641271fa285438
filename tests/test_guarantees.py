"""docs/guarantees.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_each_guarantee_names_a_test_that_is_there():
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    lines = re.split(r"^\d+\. ", text, flags=re.M)[1:]
    assert len(lines) == 10
    for line in lines:
        names = re.findall(r"`(tests/\S+\.py)::(\w+)`", line)
        assert names, line
        for file, name in names:
            assert f"\ndef {name}(" in (ROOT / file).read_text("utf-8"), (file, name)
