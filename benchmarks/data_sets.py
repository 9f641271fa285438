"""Time of each data set that can be made, as a Markdown table.

Each is made in a temporary folder, at its own size, with the same number of pictures. The time of
20,000 is extrapolated from them; starting the processes is left out of it.

Usage: python benchmarks/data_sets.py [--count 48] [--jobs 2] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from comet_cli.data.catalogue import GENERATORS, make_generator
from comet_cli.data.make import make_dataset
from comet_cli.errors import MissingExtraError

MANY = 20_000
CHUNKS = 2  # that each process makes before the clock starts


def seconds_of(name: str, count: int, jobs: int, folder: Path) -> float:
    """Return the time that ``count`` pictures take, once all processes have made some."""
    started = CHUNKS * 8 * jobs
    times: dict[int, float] = {}
    make_dataset(
        make_generator(name),
        folder / name,
        count=started + count,
        jobs=jobs,
        progress=lambda done, _: times.setdefault(done, time.perf_counter()),
    )
    return times[started + count] - times[started]


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
    options = parser.parse_args()
    print(f"| data set | pixels | a picture | {MANY:,} pictures (extrapolated) |")
    print("| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or GENERATORS:
            try:
                seconds = seconds_of(name, options.count, options.jobs, Path(folder))
            except MissingExtraError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            each = seconds / options.count
            size = make_generator(name).size
            print(
                f"| `{name}` | {size} | {each * 1000:.1f} ms | {spell(each * MANY)} |", flush=True
            )
    print(
        f"\n{options.count} pictures of each measured with {options.jobs} processes "
        f"(time by the clock over pictures); {MANY:,} extrapolated. Load average at the end: "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    )


if __name__ == "__main__":
    main()
