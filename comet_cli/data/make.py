"""Make a data set: seeded, in parallel, resumed where it was interrupted."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comet_cli.data import dataset_folder
from comet_cli.data.opening import claim_folder, make_folders
from comet_cli.errors import CometError, Interrupted, UsageError
from comet_cli.formats.files import show
from comet_cli.worlds.factor_grid import GridGenerator
from comet_cli.worlds.generator import SPLITS, Generator

# More would make a name of seven digits, and the order of names that of numbers no longer.
MOST_PICTURES = 1_000_000
_CHUNK = 8


@dataclass(frozen=True)
class MadeDataset:
    """What was done.

    Attributes:
        folder: where the data set is.
        counts: pictures of each split.
        made: pictures that were generated now.
        kept: pictures that were there already.
    """

    folder: Path
    counts: dict[str, int]
    made: int
    kept: int


def make_dataset(
    generator: Generator,
    folder: str | Path,
    *,
    count: int,
    test_count: int = 0,
    seed: int = 0,
    jobs: int = 1,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MadeDataset:
    """Generate a data set, keeping the pictures that a former run has completed.

    A picture depends on (seed, split, its number) alone: neither on `jobs`, nor on the counts.

    Args:
        generator: what makes the pictures.
        folder: where to; made if it is missing.
        count: pictures of the train split.
        test_count: pictures of the test split.
        seed: not negative.
        jobs: processes, each with one thread.
        force: start anew if the folder holds other things, or a set of other settings.
        progress: called with the pictures done and all pictures.

    Raises:
        UsageError: counts, seed or jobs out of range, or a folder that holds something else,
            or a picture of the set that another program has saved.
        MissingExtraError: the generator needs a package that is not installed.
        Interrupted: from the keyboard, or by SIGTERM; what is made stays.
        CometError: a process was ended; likewise.
    """
    folder = Path(folder)
    counts = dict(zip(SPLITS, (count, test_count), strict=True))
    _check(generator, counts, seed, jobs)
    generator.prepare()
    _open_folder(folder, _describe(generator, seed, counts), force)
    todo = [
        (split, index)
        for split in SPLITS
        for index in range(counts[split])
        if dataset_folder.read_entry(folder, split, index) is None
    ]
    for split, index in todo:
        dataset_folder.check_untouched(folder, split, index)
    total = sum(counts.values())
    kept = total - len(todo)
    make = functools.partial(_make_one, generator, folder, seed)
    there = kept
    try:
        with _ended_as_interrupted():
            try:
                for done, _ in enumerate(_run(make, todo, jobs), start=kept + 1):
                    if progress is not None:
                        progress(done, total)
            finally:
                # Also when interrupted: what is there can be used.
                there = _list_what_is_there(folder, counts)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {there} of {total} pictures are there and kept, the same command goes on"
        ) from None
    except BrokenProcessPool:
        raise CometError(
            f"a process that made pictures was ended, perhaps for want of memory; {there} of "
            f"{total} pictures are kept, the same command goes on, with fewer --jobs"
        ) from None
    return MadeDataset(folder, counts, made=len(todo), kept=kept)


def _list_what_is_there(folder: Path, counts: dict[str, int]) -> int:
    """Write metadata.jsonl of the pictures that are complete, and return how many they are."""
    there = 0
    for split, count in counts.items():
        found = (dataset_folder.read_entry(folder, split, index) for index in range(count))
        entries = [entry for entry in found if entry is not None]
        if entries:
            dataset_folder.write_metadata(folder, split, entries)
        there += len(entries)
    return there


@contextlib.contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end what is done within as Ctrl-C does, once: what tidies up goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(make: Callable, todo: list[tuple[str, int]], jobs: int) -> Iterator[tuple[str, int]]:
    if jobs == 1 or len(todo) <= _CHUNK:
        yield from map(make, todo)
        return
    # Renderers start threads, which a forked process would not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_belong_to_parent) as pool:
        try:
            yield from pool.map(make, todo, chunksize=_CHUNK)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _belong_to_parent() -> None:
    """Let the parent alone see Ctrl-C, and end where it is gone.

    It ends the others, which finish their pictures first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody waits for its pictures, and it would wait for more for ever


def _make_one(
    generator: Generator, folder: Path, seed: int, which: tuple[str, int]
) -> tuple[str, int]:
    split, index = which
    sample = generator.sample_at(seed, split, index)
    dataset_folder.write_sample(folder, split, index, seed, sample)
    return which


def _check(generator: Generator, counts: dict[str, int], seed: int, jobs: int) -> None:
    if not 0 <= min(counts.values()) <= max(counts.values()) <= MOST_PICTURES:
        raise UsageError(
            f"a split holds 0 to {MOST_PICTURES} pictures; found {list(counts.values())}"
        )
    if not any(counts.values()):
        raise UsageError("a data set without a picture was asked for; give --count")
    for split, count in counts.items():
        limit = generator.limit(split)
        if limit is not None and count > limit:
            restricted = ", so restricted," if _subset(generator) else ""
            raise UsageError(
                f"{generator.name}{restricted} has {limit} different {split} pictures, fewer than "
                f"the {count} asked for; ask for fewer"
            )
    if seed < 0:
        raise UsageError(f"the seed is {seed}, expected 0 or more")
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}, expected 1 or more")


def _describe(generator: Generator, seed: int, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "format": "comet-dataset",
        "format_version": dataset_folder.FORMAT_VERSION,
        "generator": generator.name,
        "version": generator.version,
        "seed": seed,
        "size": generator.size,
        "objects": list(generator.objects),
        "subset": _subset(generator),
        "counts": counts,
    }


def _subset(generator: Generator) -> dict[str, list[int]] | None:
    """The part of a grid that is made, as JSON values; None for all of it, or if it is no grid."""
    if not isinstance(generator, GridGenerator) or not generator.subset:
        return None
    return {name: list(kept) for name, kept in generator.subset.items()}


def _open_folder(folder: Path, description: dict[str, Any], force: bool) -> None:
    """Write dataset.json into a folder that is empty or holds (part of) the same data set."""
    present = claim_folder(folder, description, force=force, ignored={"counts"}) or {}
    for split, count in description["counts"].items():
        there = present.get("counts", {}).get(split, 0)
        if there > count:
            raise UsageError(
                f"'{show(folder)}' holds a data set of {there} {split} pictures, more than "
                f"{count}; ask for as many, or give --force to replace it"
            )
    for split, count in description["counts"].items():
        if count:
            make_folders(folder, split)
    dataset_folder.write_description(folder, description)
