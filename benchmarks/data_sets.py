"""Time of each data set that can be made, as a Markdown table.

Each is made in a temporary folder, at its own size: at least COUNT pictures, and more until SECONDS
have passed. The time of 20,000 is extrapolated from them; starting the processes is left out of it.

Usage: python benchmarks/data_sets.py [--count 48] [--jobs 2] [--write docs/data.md] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from marked import rewrite_marked

from comet_cli.data.make import make_dataset
from comet_cli.errors import MissingExtraError
from comet_cli.worlds.catalogue import GENERATORS, make_generator

MANY = 20_000
SECONDS = 1.0
CHUNKS = 2  # that each process makes before the clock starts


def seconds_each(name: str, count: int, jobs: int, folder: Path) -> tuple[float, int]:
    """Return the time of one picture once all processes have made some, and of how many."""
    started = CHUNKS * 8 * jobs
    while True:
        times: dict[int, float] = {}
        make_dataset(
            make_generator(name),
            folder / f"{name}-{count}",
            count=started + count,
            jobs=jobs,
            progress=lambda done, _, times=times: times.setdefault(done, time.perf_counter()),
        )
        seconds = times[started + count] - times[started]
        if seconds >= SECONDS:
            return seconds / count, count
        count *= 4


def spell(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the table in it")
    options = parser.parse_args()
    lines = [
        f"| data set | pixels | a picture | {MANY:,} pictures |",
        "| --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or GENERATORS:
            try:
                each, count = seconds_each(name, options.count, options.jobs, Path(folder))
            except MissingExtraError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            size = make_generator(name).size
            lines.append(f"| `{name}` | {size} | {each * 1000:.1f} ms | {spell(each * MANY)} |")
            print(f"{name}: {count} pictures, {each * 1000:.1f} ms each", file=sys.stderr)
    lines += [
        "",
        f"Time by the clock over pictures, with `--jobs {options.jobs}` on {os.cpu_count()} cores "
        f"(`python benchmarks/data_sets.py`); {MANY:,} are extrapolated from at least "
        f"{options.count} pictures and {SECONDS:g} s.",
    ]
    table = "\n".join(lines)
    print(table)
    print(f"load average at the end: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if options.write:
        rewrite_marked(options.write, "times", table)


if __name__ == "__main__":
    main()
