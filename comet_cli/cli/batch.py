"""``comet batch``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from comet_cli.batch.lists import Ledger, read_lines, remove_leftovers, spool
from comet_cli.batch.shards import Shard, choose_shard
from comet_cli.cli.batch_lines import LineParser
from comet_cli.cli.console import (
    INTERRUPTED,
    SOME_FAILED,
    explain,
    print_error,
    print_result,
)
from comet_cli.cli.verb import SESSION, Call, verb
from comet_cli.errors import CometError

if TYPE_CHECKING:
    from comet_cli.batch.jobs import Result


class InterruptedBatch(CometError):
    """A batch that was stopped from the keyboard."""

    exit_code = INTERRUPTED


@verb(*SESSION, "force", "quiet")
def batch(
    call: Call,
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A list with one composition in each line.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished pictures that match their line.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make only part I (from 0) of N parts.",
            show_default="the rank under torchrun or SLURM, else everything",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=4096,
            help="How many pictures to make at once.",
            show_default="what fits",
        ),
    ] = None,
) -> None:
    """Make many pictures from a list, a composition a line.

    A line holds the arguments of compose, or JSON with their names. Pictures of the same models are
    rendered together. Each picture is a line of JSON on standard output, in the order of the list.

    Example: comet batch list.txt --resume > results.jsonl
    """
    began = time.time()
    report = call.report
    part = choose_shard(shard, os.environ)
    if part.source:
        report.note(f"part {part.index} of {part.count}, by {part.source}; --shard 0/1 for all")
    counts = {"written": 0, "kept": 0, "failed": 0}
    ledger = Ledger()
    try:
        with spool(source) as lines:
            total = _check(lines, ledger, part)
            for result in _results(lines, part, call, batch_size, resume):
                counts[result.status] += 1
                _tell(result, call.quiet)
        remove_leftovers(ledger.folders(), began)
    except KeyboardInterrupt:
        raise InterruptedBatch(
            f"interrupted after {sum(counts.values())} compositions; the pictures written are "
            "kept, the same command with --resume goes on"
        ) from None
    finally:
        ledger.close()
    report.note(", ".join(f"{count} {status}" for status, count in counts.items()))
    if total and counts["failed"] == total:
        raise CometError(f"none of the {total} compositions could be made")
    if counts["failed"]:
        report.exit_code = SOME_FAILED


def _check(lines: BinaryIO, ledger: Ledger, part: Shard) -> int:
    """Refuse a list whose lines would write the same file; return how many lines are ours."""
    parser = LineParser()
    total = 0
    for line in read_lines(lines):
        total += part.holds(line.index)
        try:
            writes, reads = parser.files(line)
        except Exception:  # told in its place, when its turn comes
            continue
        ledger.enter(line.number, writes, reads)
    return total


def _results(
    lines: BinaryIO,
    part: Shard,
    call: Call,
    batch_size: int | None,
    resume: bool,
) -> Iterator[Result]:
    from comet_cli.batch.jobs import Sessions
    from comet_cli.batch.memory import BatchSize, local_device
    from comet_cli.batch.rendering import Renderer
    from comet_cli.batch.running import run_jobs

    parser = LineParser(
        force=call.force,
        model=call.model,
        device=local_device(call.device, part.local),
        precision=call.precision,
        fresh=call.fresh,
    )
    return run_jobs(
        (parser.job(line) for line in read_lines(lines) if part.holds(line.index)),
        sessions=Sessions(call.report.note),
        renderer=Renderer(BatchSize(batch_size), note=call.report.note),
        resume=resume,
    )


def _tell(result: Result, quiet: bool) -> None:
    facts = {"line": result.line, "status": result.status, "path": result.output}
    if result.error is not None:
        facts["error"] = explain(result.error)[0]
        print_error(f"line {result.line}: {facts['error']}")
    if not quiet:
        print_result(json.dumps({**facts, **result.settings}))
    elif result.error is None and result.output is not None:
        print_result(result.output)
