"""A list of compositions, carried out: a window of lines at a time, results in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial

from comet_cli.batch.jobs import (
    BadLine,
    Job,
    Planned,
    Result,
    Sessions,
    keep_what_is_there,
    plan_job,
)
from comet_cli.batch.rendering import Outcome, Renderer
from comet_cli.drawing.scale import scale_factor
from comet_cli.errors import Interrupted
from comet_cli.verbs.compose_recipe import MAX_SIZE

# Lines that are planned ahead, in batches, so that others may stand between those that match.
AHEAD = 4
MAX_PICTURE_BYTES = 64 << 20
# Pictures that wait for the disk.
MOST_UNWRITTEN = 64


def run_jobs(
    jobs: Iterable[Job | BadLine],
    *,
    sessions: Sessions | None = None,
    renderer: Renderer | None = None,
    resume: bool = False,
) -> Iterator[Result]:
    """Render compositions, those of one kind together, and yield what became of each, in order.

    ``jobs`` is consumed as results are asked for, little more than a window ahead, so memory does
    not depend on how many there are. One that fails does not stop the others. Pictures are written
    in order, beside the rendering of the next.

    Args:
        jobs: from the lines of a list.
        sessions: the models.
        renderer: how they are rendered.
        resume: leave alone what is there already, whole and made by the same recipe.
    """
    sessions = sessions or Sessions()
    renderer = renderer or Renderer()
    # One thread writes, so that of a batch the first are written whatever ends the run; another
    # compresses the next.
    encoder, writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    window = _Window(sessions, renderer, resume, encoder, writer)
    told: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            window.take(job)
            if window.is_full():
                yield from _as_written(window, told)
                window = _Window(sessions, renderer, resume, encoder, writer)
        yield from _as_written(window, told)
        yield from (result.result() for result in told)
    except KeyboardInterrupt:
        yield from (result.result() for result in told)
        raise
    finally:
        writer.shutdown(cancel_futures=True)
        encoder.shutdown(cancel_futures=True)


def _as_written(window: _Window, told: deque[Future[Result]]) -> Iterator[Result]:
    """Finish a window, and yield what became of lines once it is known; ``told`` keeps the rest."""
    for result in window.finish():
        told.append(result)
        while told and (told[0].done() or len(told) > window.most_unwritten):
            yield told[0].result()
            told.popleft()


class _Window:
    """Some lines that follow each other."""

    def __init__(
        self,
        sessions: Sessions,
        renderer: Renderer,
        resume: bool,
        encoder: Executor,
        writer: Executor,
    ) -> None:
        self._sessions, self._renderer, self._resume = sessions, renderer, resume
        self._encoder, self._writer = encoder, writer
        self._results: list[Future[Result] | None] = []
        self._planned: dict[int, Planned] = {}
        self._bytes = 0
        self._full = AHEAD
        self.most_unwritten = MOST_UNWRITTEN

    def is_full(self) -> bool:
        """Say whether enough lines, or too large pictures to start from, are held."""
        return len(self._results) >= self._full or self._bytes > MAX_PICTURE_BYTES

    def take(self, job: Job | BadLine) -> None:
        """Plan one more line."""
        at = len(self._results)
        self._results.append(None)
        if isinstance(job, BadLine):
            self._results[at] = _known(Result(job.line, "failed", job.output, job.error))
            return
        try:
            planned = plan_job(job, self._sessions)
            if self._resume and keep_what_is_there(planned):
                self._results[at] = _known(planned.result("kept"))
        except Exception as error:
            self._results[at] = _known(_failure(job, error))
            return
        self._planned[at] = planned
        self._full = max(self._full, AHEAD * self._renderer.size.most(planned.session.device))
        self._bytes += sum(len(row.picture) for row in planned.recipe.rows)
        size = planned.recipe.setting("size", int, low=1, high=MAX_SIZE)
        size *= scale_factor(job.request.scale)
        self.most_unwritten = min(self.most_unwritten, MAX_PICTURE_BYTES // (3 * size * size))

    def finish(self) -> Iterator[Future[Result]]:
        """Render what is to be rendered; yield every result as soon as those before it are."""
        told = 0
        for batch in self._batches():
            self._carry_out(batch)
            while told < len(self._results) and (result := self._results[told]) is not None:
                yield result
                told += 1
        yield from (result for result in self._results[told:] if result is not None)

    def _batches(self) -> Iterator[list[int]]:
        """Yield positions that are rendered together, in the order of their first lines."""
        kinds: dict[Hashable, list[int]] = {}
        for at, planned in self._planned.items():
            kinds.setdefault(("alone", at) if planned.kind is None else planned.kind, []).append(at)
        for kind, members in kinds.items():
            if all(self._results[at] is not None for at in members):
                continue
            recipe, session = self._planned[members[0]].recipe, self._planned[members[0]].session
            count = 1
            if len(members) > 1:
                count = self._renderer.size.choose(recipe, session, kind)
            loose: list[int] = []
            for start in range(0, len(members), count):
                batch = members[start : start + count]
                missing = [at for at in batch if self._results[at] is None]
                # A run that was killed while it wrote a batch has written the first of it: that
                # batch is rendered as it was, so that its bytes are those of a run without a kill.
                if missing and batch[-len(missing) :] == missing:
                    yield batch
                else:
                    loose += missing
            for start in range(0, len(loose), count):
                yield loose[start : start + count]

    def _carry_out(self, batch: list[int]) -> None:
        members = [self._planned[at] for at in batch]
        if members[0].kind is None:
            self._results[batch[0]] = _known(_settle(members[0], members[0].compose))
            return
        outcomes = self._renderer.render(members)
        for at, planned, outcome in zip(batch, members, outcomes, strict=True):
            if self._results[at] is None:
                png = self._encoder.submit(_encode, planned, outcome)
                write = partial(_write, planned, png)
                self._results[at] = self._writer.submit(_settle, planned, write)


def _settle(planned: Planned, action: Callable[[], None]) -> Result:
    """Do what is left to do for a line, and return what became of it."""
    try:
        action()
        return planned.result("written")
    except Interrupted:  # a line of several pictures that was stopped from the keyboard
        raise KeyboardInterrupt from None
    except Exception as error:
        return _failure(planned.job, error)


def _known(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def _failure(job: Job, error: Exception) -> Result:
    return Result(job.line, "failed", job.request.output, error)


def _encode(planned: Planned, outcome: Outcome) -> bytes:
    if isinstance(outcome, Exception):
        raise outcome
    return planned.png(outcome)


def _write(planned: Planned, png: Future[bytes]) -> None:
    planned.write(png.result())
