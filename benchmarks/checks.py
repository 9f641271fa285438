"""How long the checks of many files take, and that they grow with their number, not its square.

    python benchmarks/checks.py [--count 10000]

For each verb: seconds of processor time for a quarter, a half and all of the files, and by which
power of their number it grows (1 is in proportion). Every output is there already and comet's, so
that nothing is rendered or inferred. Ends with 1 where a power is above 1.4, or where the checks of
encode or replay take 2 seconds.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from comet_cli.batch.lists import Ledger, Line
from comet_cli.cli.app import main as comet
from comet_cli.cli.batch_lines import LineParser
from comet_cli.cli.checks import check_picture_outputs
from comet_cli.cli.replay import replayed_path
from comet_cli.errors import CometError
from comet_cli.formats.files import check_inputs
from comet_cli.formats.images import encode_png
from comet_cli.inputs.selection import parse_selections
from comet_cli.verbs.encode_plan import plan_encoding
from comet_cli.verbs.gallery import list_pictures
from comet_cli.verbs.inspect import inspect_file
from comet_cli.verbs.nearest import find_nearest
from comet_cli.verbs.score import split_arguments

MOST_POWER = 1.4
MOST_SECONDS = {"encode": 2.0, "replay": 2.0}


def encode(names: list[str]) -> None:
    """All components are there."""
    plan_encoding([f"{name}.png" for name in names])


def replay(names: list[str]) -> None:
    """All replays are there."""
    pictures = [f"{name}.png" for name in names]
    check_inputs(pictures, together=False)
    targets = [replayed_path(picture, None) for picture in pictures]
    check_picture_outputs(targets, force=False, as_json=False, reads=pictures, together=False)


def inspect(names: list[str]) -> None:
    """Components and pictures, all that is said of them."""
    for name in names:
        inspect_file(f"{name}.z")
        inspect_file(f"{name}-replay.png")


def score(names: list[str]) -> None:
    """Pictures told from selections, and looked for."""
    pictures, _ = split_arguments([*(f"{name}.png" for name in names), f"{names[0]}.z:0"])
    check_inputs(pictures, together=False)


def nearest(names: list[str]) -> None:
    """Components of all files compared."""
    query, *others = parse_selections([f"{names[0]}.z:0", *(f"{name}.z" for name in names)])
    find_nearest(query, others)


def gallery(names: list[str]) -> None:
    """A folder of so many pictures looked through."""
    folder = Path(f"of-{len(names)}")
    folder.mkdir()
    for name in names:
        os.link(f"{name}.png", folder / f"{name}.png")
    assert len(list_pictures(folder)) == len(names)


def batch(names: list[str]) -> None:
    """A list of so many lines read, and looked through for lines that write one file."""
    parser, ledger = LineParser(), Ledger()
    for n, name in enumerate(names):
        draft = parser.read(Line(n + 1, n, f"{name}.z:0 -o {name}-new.png"))
        ledger.enter(n + 1, draft.request.writes, draft.request.reads)
    ledger.close()


VERBS: tuple[Callable[[list[str]], None], ...] = (
    *(encode, replay, inspect, score, nearest, gallery, batch),
)


def furnish(count: int) -> list[str]:
    """Write pictures with their components and replays; return their names without an ending."""
    pixels = np.random.default_rng(0).integers(0, 256, (35, 35, 3), dtype=np.uint8)
    Path("0.png").write_bytes(encode_png(pixels))
    for command in (
        ["encode", "0.png", "-m", "tetris", "-q"],
        ["compose", "0.z", "--steps", "1", "-o", "0-replay.png", "-q"],
    ):
        if code := comet(command):
            raise SystemExit(code)
    names = [f"{n:05}" for n in range(count)]
    for name in names:
        for ending in (".png", ".z", "-replay.png"):
            shutil.copyfile(f"0{ending}", f"{name}{ending}")
    return names


def main() -> int:
    """Measure, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    os.environ["OMP_NUM_THREADS"] = "1"
    too_long = []
    with tempfile.TemporaryDirectory() as folder:
        before = os.getcwd()
        os.chdir(folder)
        try:
            names = furnish(count)
            steps = [count // 4, count // 2, count]
            print(f"| verb | {' | '.join(f'{n} files, s' for n in steps)} | power |")
            print(f"| --- |{' --- |' * (len(steps) + 1)}", flush=True)
            for verb in VERBS:
                taken = []
                for n in steps:
                    began = time.process_time()
                    verb(names[:n])
                    taken.append(time.process_time() - began)
                power = math.log(taken[-1] / taken[0], steps[-1] / steps[0])
                if power > MOST_POWER or taken[-1] > MOST_SECONDS.get(verb.__name__, math.inf):
                    too_long.append(verb.__name__)
                times = " | ".join(f"{seconds:.2f}" for seconds in taken)
                print(f"| {verb.__name__} | {times} | {power:.2f} |", flush=True)
        except CometError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            os.chdir(before)
    if too_long:
        print(f"too long: {', '.join(too_long)}", file=sys.stderr)
    return int(bool(too_long))


if __name__ == "__main__":
    raise SystemExit(main())
