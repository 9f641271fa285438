"""Speed of loading: batches of mapped pictures against decoding files each time; size of a pack.

Both are timed in turn, several times, in one process. Without --data, 500 pictures of `dsprites`
are made for it.

Usage: python benchmarks/loading.py [--data DIR] [--size 64] [--batch 16] [--rounds 7]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from comet_cli.data.dataset_folder import list_pictures, splits_in
from comet_cli.data.make import make_dataset
from comet_cli.data.mapped import map_pictures
from comet_cli.data.packing import pack_dataset
from comet_cli.formats.files import read_input
from comet_cli.formats.images import load_image, to_bytes
from comet_cli.training.batches import draw_batch
from comet_cli.training.recipe import parse_recipe
from comet_cli.worlds.catalogue import make_generator

SECONDS = 0.3  # of each measurement
RECIPE = """
[model]
name = "loading"
encoder = "recurrent"
energy = "quadratic"
filter_dim = 8
components = 2
latent_dim = 8
image_size = {size}
step_size = 1.0
num_steps = 1
[data]
train = "pictures"
flip = true
[train]
iterations = 1
batch = {batch}
"""


def rate(step: Callable[[int], object], pictures: int) -> tuple[float, float]:
    """Return pictures a second, by the clock and by processor time; a step makes ``pictures``."""
    clock, processor, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - clock < SECONDS:
        step(done)
        done += 1
    count = done * pictures
    return count / (time.perf_counter() - clock), count / (time.process_time() - processor)


def measure(data: Path, size: int, batch: int, rounds: int) -> None:
    """Print rates (median and best round, since other programs only slow one down) and ratio."""
    split = "train" if "train" in splits_in(data) else None
    start = time.perf_counter()
    images = map_pictures(data, split, size).images
    first = time.perf_counter() - start
    start = time.perf_counter()
    images = map_pictures(data, split, size).images
    again = time.perf_counter() - start
    recipe = parse_recipe(RECIPE.format(size=size, batch=batch))
    files = itertools.cycle([file for file, _ in list_pictures(data, split)])
    found: dict[str, list[tuple[float, float]]] = {"mapped": [], "decoded": []}
    for number in range(rounds + 1):
        mapped = rate(lambda i: draw_batch(images, recipe, i), batch)
        decoded = rate(lambda _: to_bytes(load_image(read_input(next(files)), size)), 1)
        if number:  # the first round warms up
            found["mapped"].append(mapped)
            found["decoded"].append(decoded)
    print(f"{len(images)} pictures, {size} pixels, batches of {batch}, flipped, float32")
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    print(f"into the cache       {first:8.1f} s, then {again:.2f} s")
    for name, rates in found.items():
        clock, processor = zip(*rates, strict=True)
        print(
            f"{name:<20} {statistics.median(clock):8.0f} pictures/s, best {max(clock):.0f}; "
            f"{statistics.median(processor):.0f} a second of processor time"
        )
    ratios = [a[0] / b[0] for a, b in zip(found["mapped"], found["decoded"], strict=True)]
    print(f"mapped / decoded     {statistics.median(ratios):8.1f}")


def measure_pack(data: Path, size: int, folder: Path) -> None:
    """Print the bytes of a pack, also of 10,000 pictures at that rate, and the time it takes."""
    for lossless in (False, True):
        clock, processor = time.perf_counter(), time.process_time()
        packed = pack_dataset(data, folder / "benchmark.pack", size=size, lossless=lossless)
        seconds, work = time.perf_counter() - clock, time.process_time() - processor
        facts = packed.facts
        each = packed.bytes / facts.count
        loss = "lossless" if facts.psnr is None else f"{facts.psnr[0]} dB, least {facts.psnr[1]}"
        print(
            f"pack, {facts.encoding:<14} {each:8.0f} bytes a picture ({loss}); of 10,000: "
            f"{each / 100:.1f} MB, {seconds * 1e4 / facts.count:.0f} s "
            f"({work * 1e4 / facts.count:.0f} s of processor time)"
        )
        if facts.psnr is None:
            break


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COMET_CACHE"] = str(Path(folder) / "cache")
        data = options.data or Path(folder) / "dsprites"
        if options.data is None:
            make_dataset(make_generator("dsprites"), data, count=500)
        measure(data, options.size, options.batch, options.rounds)
        measure_pack(data, options.size, Path(folder))


if __name__ == "__main__":
    main()
