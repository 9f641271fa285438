"""Which lines of a list are this process's: ``--shard``, or the ranks of torchrun and SLURM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from comet_cli.errors import UsageError
from comet_cli.formats.files import show

# (rank, number of ranks, rank within the machine), in the order in which they are asked.
RANKS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
)


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of a list.

    Attributes:
        index: which, from 0.
        count: of how many.
        local: rank within the machine, where there is one.
        source: the variable that said so, "" for none.
    """

    index: int = 0
    count: int = 1
    local: int | None = None
    source: str = ""

    def holds(self, index: int) -> bool:
        """Say whether composition ``index`` of the list belongs to this part."""
        return index % self.count == self.index


def choose_shard(text: str | None, environment: Mapping[str, str]) -> Shard:
    """Return the part that was asked for, else that of the rank, else everything.

    Args:
        text: ``i/n``, i from 0.
        environment: variables.

    Raises:
        UsageError: no such part.
    """
    if text is not None:
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None:
            raise UsageError(f"--shard is '{show(text)}', expected I/N such as 0/4")
        return _checked(Shard(int(match[1]), int(match[2])), f"--shard is {text}")
    for rank, count, local in RANKS:
        if rank in environment and count in environment:
            shard = Shard(
                _number(environment, rank),
                _number(environment, count),
                _number(environment, local) if local in environment else None,
                rank,
            )
            return _checked(shard, f"{rank} is {shard.index} and {count} is {shard.count}")
    return Shard()


def _checked(shard: Shard, said: str) -> Shard:
    if shard.index >= shard.count:
        last = f"0/{shard.count} to {shard.count - 1}/{shard.count}" if shard.count else "0/1"
        raise UsageError(f"{said}, but parts are numbered from 0: {last}")
    return shard


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment[name]
    if not re.fullmatch(r"\d{1,9}", value):
        raise UsageError(
            f"{name} is '{show(value)}' in the environment, expected a number; --shard 0/1 goes "
            "before it"
        )
    return int(value)
