"""Several seeds at once: the list that is typed, and the files that are written."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from comet_cli.errors import UsageError
from comet_cli.formats.files import show

MAX_SEEDS = 100_000
MAX_SHEET = 1024
PLACEHOLDER = "{seed}"
_PART = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?")


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of ``0-15`` or ``1,5,20-29``, in the order typed.

    Raises:
        UsageError: not such a list, a seed twice, or too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"--seeds is '{show(text)}', expected a list such as 0-15 or 1,5,9")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise UsageError(f"--seeds: the range {match[0]} is empty; write {last}-{first}")
        if last - first + 1 + len(seeds) > MAX_SEEDS:
            raise UsageError(f"--seeds '{show(text)}' is more than {MAX_SEEDS} seeds")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds '{show(text)}' names a seed twice")
    return seeds


def seed_paths(output: str, seeds: Sequence[int]) -> list[str]:
    """Return a file a seed, or nothing where all go onto one sheet.

    A folder (or a name that ends in a slash) takes ``seed-0.png`` …, with zeros in front so that
    names sort; ``{seed}`` in a name becomes the seed as it is.

    Raises:
        UsageError: more than a sheet holds.
    """
    if PLACEHOLDER in output:
        return [output.replace(PLACEHOLDER, str(seed)) for seed in seeds]
    if output != "-" and (output.endswith(("/", os.sep)) or os.path.isdir(output)):
        width = len(str(max(seeds)))
        return [os.path.join(output, f"seed-{seed:0{width}}.png") for seed in seeds]
    if len(seeds) > MAX_SHEET:
        raise UsageError(
            f"a sheet holds at most {MAX_SHEET} seeds, not {len(seeds)}; write files instead: "
            "-o 'out-{seed}.png'"
        )
    return []
