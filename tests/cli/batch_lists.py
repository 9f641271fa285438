"""Lists for ``comet batch``, and what it says of them."""

import json
from pathlib import Path


def listed(*lines: str) -> str:
    Path("list.txt").write_text("\n".join(lines) + "\n")
    return "list.txt"


def results(done) -> list[dict]:
    return [json.loads(line) for line in done.out.splitlines()]


def statuses(done) -> list[str]:
    return [result["status"] for result in results(done)]


def first_lines(n: int) -> list[str]:
    return Path("list.txt").read_text().splitlines()[n - 1 : n]
