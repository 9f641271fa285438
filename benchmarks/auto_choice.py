"""How often ``-m auto`` chooses the model that was trained for a picture.

Usage: python benchmarks/auto_choice.py [--count 20] [--seed 0] [--only DATASET...]

Renders held-out pictures of each data set that a shipped model stands for, and counts for how many
of them the automatic choice is that model.
"""

from __future__ import annotations

import argparse
import collections
import os
import tempfile
from pathlib import Path

from comet_cli.data.make import make_dataset
from comet_cli.formats.files import read_input
from comet_cli.inputs.session import Session
from comet_cli.worlds.catalogue import make_generator

MODELS = {
    "clevr": "clevr",
    "clevr-real": "clevr",
    "clevr-lighting": "clevr-lighting",
    "clevr-toy": "clevr-toy",
    "tetris": "tetris",
    "toon": "faces-toon",
    "room": "room",
    "drive-real": "drive",
    "drive-virtual": "drive",
}


def choices(dataset: str, folder: Path, count: int, seed: int, session: Session) -> list[str]:
    """Return the name of the model chosen for each of ``count`` new pictures of a data set."""
    make_dataset(
        make_generator(dataset, None, None, {}),
        folder,
        count=0,
        test_count=count,
        seed=seed,
        jobs=os.cpu_count() or 1,
    )
    pictures = sorted((folder / "test").glob("*.png"))
    return [session.encode(read_input(path), path.name).model.card.name for path in pictures]


def main() -> None:
    """Print a table; exit with 1 below 95 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="pictures of each data set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    session = Session(fresh=True)
    right = total = 0
    print(f"{'data set':<16} {'model':<16} {'right':>9}  chosen instead")
    for dataset in options.only:
        with tempfile.TemporaryDirectory() as folder:
            found = collections.Counter(
                choices(dataset, Path(folder), options.count, options.seed, session)
            )
        hits = found.pop(MODELS[dataset], 0)
        right, total = right + hits, total + options.count
        others = ", ".join(f"{name} {count}" for name, count in found.most_common())
        cell = f"{hits}/{options.count}"
        print(f"{dataset:<16} {MODELS[dataset]:<16} {cell:>9}  {others}", flush=True)
    print(f"{right} of {total} pictures: {right / total:.1%}")
    raise SystemExit(right < 0.95 * total)


if __name__ == "__main__":
    main()
