"""Train what is missing of a table's rows, one after the other, each at several seeds.

Usage: python benchmarks/train_rows.py RECIPE.toml… [--seeds 0 1 2] [--out runs/table1]
           [--max-time MINUTES]

A row is a folder OUT/NAME-SEED. What is finished is left as it is, and what was interrupted goes
on, so the same call can be given again at any time. Then, for table 1:

    comet evaluate table1 runs/table1/*/
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from comet_cli.baselines.recipe import parse_any_recipe
from comet_cli.baselines.trained import read_trained
from comet_cli.errors import CometError


def with_seed(text: str, seed: int) -> str:
    """Return a recipe's text with another seed."""
    text = re.sub(r"^seed *=.*\n?", "", text, flags=re.MULTILINE)
    return text.replace("[train]\n", f"[train]\nseed = {seed}\n", 1)


def is_finished(folder: Path, text: str) -> bool:
    """Return whether a folder holds this recipe's training, finished.

    Raises:
        CometError: it holds the training of another recipe.
    """
    try:
        trained = read_trained(folder)
    except CometError:
        return False
    if (folder / "recipe.toml").read_text("utf-8") != text:
        raise CometError(f"{folder} was trained by another recipe: give another --out")
    return trained.card.iterations >= parse_any_recipe(text).train.iterations


def main() -> int:
    """Train; return how many rows could not be finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/table1"))
    parser.add_argument("--max-time", type=float, help="minutes for a row in this call")
    given = parser.parse_args()
    left = 0
    for seed in given.seeds:  # every row once before any row a second time
        for recipe in given.recipes:
            folder = given.out / f"{recipe.stem}-{seed}"
            text = with_seed(recipe.read_text("utf-8"), seed)
            if is_finished(folder, text):
                continue
            given.out.mkdir(parents=True, exist_ok=True)
            path = given.out / f"{recipe.stem}-{seed}.toml"
            path.write_text(text, "utf-8")
            call = ["-m", "comet_cli", "train", str(path), "-o", str(folder)]
            if given.max_time is not None:
                call += ["--max-time", str(given.max_time)]
            if subprocess.run([sys.executable, *call]).returncode or not is_finished(folder, text):
                left += 1
    print(f"{left} rows are not finished" if left else "all rows are finished", file=sys.stderr)
    return left


if __name__ == "__main__":
    sys.exit(min(main(), 1))
