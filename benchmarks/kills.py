"""A batch that is killed again and again: is every file whole, and does it come to its end?

Usage: python benchmarks/kills.py [--lines 200] [--kills 50] [--seed 0] [--model clevr]

Renders a list once without interruption, and once with SIGKILL at random moments, each followed by
``comet batch --resume``. After every kill each picture that is there must be a whole PNG; in the
end the folder must hold the same pictures, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the batch of a folder."""
    command = [sys.executable, "-m", "comet_cli", "batch", "list.txt", "--resume", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def check(folder: Path, whole: Path) -> tuple[int, int, int]:
    """Return how many pictures are there, are broken, and differ in their bytes."""
    there = sorted(folder.glob("[0-9]*.png"))
    broken = differing = 0
    for path in there:
        try:
            pixels = np.asarray(Image.open(path))
        except Exception:
            broken += 1
            continue
        same = path.read_bytes() == (whole / path.name).read_bytes()
        expected = np.asarray(Image.open(whole / path.name)).astype(int)
        differing += not same
        broken += bool(np.abs(pixels - expected).max() > 1)
    return len(there), broken, differing


def main() -> None:
    """Print what was found; exit with 1 if anything was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="clevr")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "killed")
        for folder in (whole, killed):
            folder.mkdir()
            shutil.copy(ROOT / "examples" / "clevr-a.png", folder / "a.png")
        encode = [sys.executable, "-m", "comet_cli", "encode", "a.png", "-m", options.model, "-q"]
        subprocess.run(encode, cwd=whole, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        shutil.copy(whole / "a.z", killed)
        text = "".join(
            f"a.z:{n % 3} -o {n:04}.png --seed {n} --init noise\n" for n in range(options.lines)
        )
        for folder in (whole, killed):
            (folder / "list.txt").write_text(text)
        began = time.perf_counter()
        if start(whole).wait():
            raise SystemExit("the uninterrupted batch failed")
        seconds = time.perf_counter() - began
        broken = landed = 0
        for _ in range(options.kills):
            process = start(killed)
            time.sleep(rng.uniform(0, seconds))
            landed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
            broken += check(killed, whole)[1]
            if len(list(killed.glob("[0-9]*.png"))) == options.lines:
                for path in rng.sample(sorted(killed.glob("[0-9]*.png")), options.lines // 2):
                    path.unlink()  # so that the next kill has something to hit
        code = start(killed).wait()
        there, bad, differing = check(killed, whole)
        extra = {p.name for p in killed.iterdir()} - {p.name for p in whole.iterdir()}
    print(f"{options.kills} kills, {landed} of them while it ran, in a batch of {options.lines}")
    print(f"uninterrupted {seconds:.1f} s; broken files after a kill: {broken}")
    print(f"after the last run (exit code {code}): {there} pictures, {bad} broken, ", end="")
    print(f"{differing} with other bytes (within 1/255), {len(extra)} files too many")
    raise SystemExit(1 if broken or bad or extra or code or there != options.lines else 0)


if __name__ == "__main__":
    main()
