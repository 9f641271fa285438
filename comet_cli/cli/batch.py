"""``comet batch``."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from comet_cli.batch.lists import Ledger, read_lines, remove_leftovers, spool
from comet_cli.batch.shards import Shard, choose_shard
from comet_cli.cli.batch_lines import Drafts, LineParser
from comet_cli.cli.console import (
    INTERRUPTED,
    SOME_FAILED,
    explain,
    print_error,
    print_result,
)
from comet_cli.cli.verb import SERIES, Call, verb
from comet_cli.errors import CometError

if TYPE_CHECKING:
    from comet_cli.batch.jobs import BadLine, Job, Result


class InterruptedBatch(CometError):
    """A batch that was stopped from the keyboard."""

    exit_code = INTERRUPTED


@verb(*SERIES, "force", "quiet")
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
            parser, drafts = _parser(call, part), Drafts()
            series: dict[str, None] | None = {} if call.one_model else None
            total = _check(lines, ledger, part, parser, drafts, series)
            jobs = _jobs(lines, part, parser, drafts)
            for result in _results(jobs, call, batch_size, resume, tuple(series or ())):
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


def _parser(call: Call, part: Shard) -> LineParser:
    device = call.device
    if part.local is not None:
        from comet_cli.batch.memory import local_device

        device = local_device(device, part.local)
    return LineParser(
        force=call.force,
        model=call.model,
        device=device,
        precision=call.precision,
        fresh=call.fresh,
        one_model=call.one_model,
    )


def _check(
    lines: BinaryIO,
    ledger: Ledger,
    part: Shard,
    parser: LineParser,
    drafts: Drafts,
    series: dict[str, None] | None,
) -> int:
    """Refuse a list whose lines would write the same file; return how many lines are ours.

    What our lines say is kept in ``drafts``. With ``--one-model``, the files of all lines that
    leave the model to ``auto`` are put into ``series``: every part of a list chooses the same one.
    """
    total = 0
    for line in read_lines(lines):
        ours = part.holds(line.index)
        total += ours
        draft = None
        with contextlib.suppress(Exception):  # told in its place, when its turn comes
            draft = parser.read(line)
        if ours:
            drafts.add(draft)
        if draft is not None:
            ledger.enter(line.number, draft.request.writes, draft.request.reads)
            if series is not None and draft.session["model"] == "auto":
                series.update(dict.fromkeys(draft.request.selected))
    return total


def _jobs(
    lines: BinaryIO, part: Shard, parser: LineParser, drafts: Drafts
) -> Iterator[Job | BadLine]:
    ours = (line for line in read_lines(lines) if part.holds(line.index))
    for line, draft in zip(ours, drafts, strict=True):
        yield parser.job(line, draft)


def _results(
    jobs: Iterator[Job | BadLine],
    call: Call,
    batch_size: int | None,
    resume: bool,
    series: tuple[str, ...],
) -> Iterator[Result]:
    from comet_cli.batch.jobs import Sessions
    from comet_cli.batch.memory import BatchSize
    from comet_cli.batch.rendering import Renderer
    from comet_cli.batch.running import run_jobs

    return run_jobs(
        jobs,
        sessions=Sessions(call.report.note, series),
        renderer=Renderer(BatchSize(batch_size), note=call.report.note),
        resume=resume,
    )


def _tell(result: Result, quiet: bool) -> None:
    facts = {"line": result.line, "status": result.status, "path": result.output}
    if result.error is not None:
        facts["error"] = explain(result.error)[0]
        print_error(f"line {result.line}: {facts['error']}")
    if not quiet:
        several = {"paths": result.files} if len(result.files) > 1 else {}
        print_result(json.dumps({**facts, **several, **result.settings}))
    elif result.error is None:
        for path in result.files:
            print_result(path)
