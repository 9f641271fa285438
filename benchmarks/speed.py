"""One table of speed: each case beside what it is measured against, in turn, in one run.

    make bench
    python benchmarks/speed.py [CASE...] [--runs 3] [--threads N] [--processor]

A row says the seconds of ours and of what it is compared with (medians), the ratio (median over
pairs that ran one after the other) and, where both give a picture or a gradient, the largest
absolute difference of the two. The reference of the paper's cases is benchmarks/reference_loop.py.
Other programs make times longer and ratios uncertain: the load average is printed first, and
--processor counts processor time instead, of all threads.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import reference_loop
import torch
from marked import has_mark, rewrite_marked
from torch import Tensor

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.formats.images import save_png
from comet_cli.models import comet_model
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.training.objective import training_loss
from comet_cli.training.settings import TrainSettings
from comet_cli.version import __version__
from comet_cli.worlds.catalogue import make_generator

MODEL = "clevr-toy"
COMET = [sys.executable, "-m", "comet_cli"]
BATCH, PICTURES, ENCODED = 2000, 40, 1000
clock: Callable[[], float] = time.perf_counter


class Row(NamedTuple):
    """One line of the table; the ratio is None where nothing is compared."""

    case: str
    seconds: float
    other: float | None = None
    ratio: float | None = None
    difference: float | None = None
    note: str = ""


def processor_time() -> float:
    """Return the processor time of this process and of those that it waited for, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a call takes, and its result."""
    start = clock()
    result = work()
    return clock() - start, result


def paired(
    case: str,
    ours: Callable[[], Any],
    other: Callable[[], Any],
    runs: int,
    *,
    latents: Tensor | None = None,
) -> Row:
    """Time two calls in turn; a first pair warms up where there are several.

    Args:
        case: what is timed.
        ours: one.
        other: what it is compared with.
        runs: how many pairs.
        latents: of both; drawn again, in place, for each pair, since ours keeps what it decoded.
    """
    pairs, difference = [], None
    for run in range(runs + (runs > 1)):
        if latents is not None:
            latents.normal_()
        (theirs, wanted), (mine, got) = seconds_of(other), seconds_of(ours)
        if run or runs == 1:
            pairs.append((mine, theirs))
        if isinstance(got, Tensor) and isinstance(wanted, Tensor):
            difference = (got - wanted).abs().max().item()
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(case, mine, theirs, statistics.median(b / a for a, b in pairs), difference)


def paper_model(energy: str = "pooled-64", *, size: int = 64, filters: int = 64) -> CometModel:
    """Return a model of the paper's shape with random weights: no time depends on them."""
    card = ModelCard(
        name="paper",
        encoder="global",
        energy=energy,
        filter_dim=filters,
        components=4,
        latent_dim=64,
        image_size=size,
        positional=[True] * 4,
        step_size=1000.0,
        num_steps=5,
        render_step_size=1000.0,
        render_steps=30,
    )
    torch.manual_seed(0)
    model = CometModel(card)
    with torch.no_grad():
        for block in getattr(model.energy_network, "blocks", []):
            block.conv2.weight.normal_(std=0.5)  # as after training; it starts near 0
    return model


def terms_of(model: CometModel, z: Tensor) -> list[Term]:
    """Return all components z (B,K,D) of pictures as terms."""
    return [Term(model, z[:, k], component=k) for k in range(z.shape[1])]


def paper(runs: int) -> Iterator[Row]:
    """Rendering with the paper's energy, K 4, F 64, 30 steps."""
    for size, batch in ((64, 1), (64, 16), (128, 1)):
        model = paper_model(size=size).eval().requires_grad_(False)
        z, x = torch.randn(batch, 4, 64), torch.rand(batch, 3, size, size)
        terms = terms_of(model, z)
        yield paired(
            f"paper's energy, {batch} picture(s), R {size}, 30 steps",
            lambda terms=terms, x=x: render(terms, init=x),
            lambda model=model, z=z, x=x: reference_loop.render(model, z, x, num_steps=30),
            runs if (size, batch) == (64, 1) else 1,
            latents=z,
        )
    pooled, quadratic = (
        paper_model(e).eval().requires_grad_(False) for e in ("pooled-64", "quadratic")
    )
    z, x = torch.randn(1, 4, 64), torch.rand(1, 3, 64, 64)
    row = paired(
        "the same, quadratic energy of that width, 5 steps, against the reference",
        lambda: render(terms_of(quadratic, z), init=x, num_steps=5),
        lambda: reference_loop.render(pooled, z, x, num_steps=30),
        runs,
        latents=z,
    )
    yield row._replace(difference=None)


def training(runs: int) -> Iterator[Row]:
    """One training iteration, K 4, N 5, B 16, F 64: loss and gradients."""
    model = paper_model().train()
    settings = TrainSettings(iterations=1, batch=16, precision="float32")
    x = torch.rand(16, 3, 64, 64)
    # The starts that ours draws.
    from comet_cli.training.batches import random_seed

    noise = torch.Generator().manual_seed(random_seed(settings.seed, 0, 1))
    x0 = torch.rand(x.shape, generator=noise)

    def step(loss_of: Callable[[], Tensor]) -> Tensor:
        model.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        return torch.cat([loss.detach()[None], *gradients])

    yield paired(
        "paper's training, one iteration, R 64, K 4, N 5, B 16",
        lambda: step(lambda: training_loss(model, x, settings, 0)[0]),
        lambda: step(lambda: reference_loop.training_loss(model, x, x0)),
        1,
    )


def shell(args: list[str], folder: Path, **more: Any) -> Callable[[], None]:
    """Return a call that runs a program to its end."""

    def work() -> None:
        subprocess.run(args, cwd=folder, check=True, stdout=subprocess.DEVNULL, **more)

    return work


def toys(folder: Path, count: int) -> list[Path]:
    """Draw small scenes, and make many pictures of each by noise."""
    (folder / "pictures").mkdir()
    generator, noise = make_generator("clevr-toy"), torch.Generator().manual_seed(0)
    import numpy as np

    scenes = [
        generator.sample(np.random.default_rng([0, n]), "train").image for n in range(PICTURES)
    ]
    paths = []
    for n in range(count):
        picture = torch.from_numpy(scenes[n % PICTURES].copy()).permute(2, 0, 1) / 255
        if n >= PICTURES:
            picture = picture + 0.02 * torch.randn(picture.shape, generator=noise)
        paths.append(folder / "pictures" / f"{n:04d}.png")
        save_png(picture.clamp(0, 1), paths[-1])
    return paths


def components(folder: Path) -> list[str]:
    """Encode the first pictures and return the names of their components."""
    paths = toys(folder, PICTURES)
    (folder / "z").mkdir()
    shell([*COMET, "encode", "-q", "-m", MODEL, *map(str, paths), "-o", "z/"], folder)()
    return sorted(f"z/{path.stem}.z" for path in paths)


def compose(runs: int) -> Iterator[Row]:
    """One composition in a running process, and from a cold shell."""
    model = comet_model.load(MODEL, "cpu")
    count = model.card.components
    first, warm = [], []
    for _ in range(5 * runs):
        z = torch.randn(1, count, model.card.latent_dim)
        first.append(seconds_of(lambda z=z: render(terms_of(model, z)))[0])
        warm.append(seconds_of(lambda z=z: render(terms_of(model, z), seed=1))[0])
    yield Row("shipped model, one composition in a running process", statistics.median(first))
    yield Row("the same, components decoded before", statistics.median(warm))


def waited(case: str, ours: Callable[[], Any], other: Callable[[], Any], runs: int) -> Row:
    """Return how many times as long ours takes."""
    row = paired(case, ours, other, runs)
    return row._replace(note=f"{1 / (row.ratio or 1):.2f} times as long")


def start(runs: int) -> Iterator[Row]:
    """What a shell waits for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        a, b, *_ = components(folder)
        bare = shell([sys.executable, "-c", "import torch"], folder)
        once = shell([*COMET, "compose", f"{a}:0-2", f"{b}:3", "-o", "x.png"], folder)
        yield waited("comet compose from a cold shell, against import torch", once, bare, runs)
        nothing = shell([sys.executable, "-c", "pass"], folder)
        completion = {**os.environ, "_COMET_COMPLETE": "bash", "_COMET_LINE": f"comet score {a}:"}
        for case, args, more in (
            ("comet --help", ["--help"], {}),
            ("comet inspect", ["inspect", a], {}),
            ("completion", [], {"env": completion}),
        ):
            work = shell([*COMET, *args], folder, **more)
            yield waited(f"{case}, against an empty Python", work, nothing, runs)


def loop(runs: int) -> Iterator[Row]:
    """A shell loop, with the warm helper."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = components(folder)
        kept = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = name
        try:
            shell([*COMET, "warm", "start"], folder)()
            try:
                work = [
                    shell([*COMET, "compose", f"{a}:0", f"{b}:1", "-o", f"{n}.png"], folder)
                    for n, (a, b) in enumerate(itertools.islice(itertools.pairwise(files), 30))
                ]
                taken, _ = seconds_of(lambda: [once() for once in work])
            finally:
                shell([*COMET, "warm", "stop"], folder)()
        finally:
            os.environ.pop("XDG_RUNTIME_DIR")
            if kept is not None:
                os.environ["XDG_RUNTIME_DIR"] = kept
        yield Row("comet compose in a shell loop, warm helper", taken / len(work), note="each")


def batch(runs: int) -> Iterator[Row]:
    """Many compositions of few pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, draw = components(folder), random.Random(0)
        count = comet_model.load(MODEL, "cpu").card.components
        lines = [
            [f"{file}:{k}" for k, file in enumerate(draw.sample(files, count))]
            for _ in range(BATCH)
        ]
        (folder / "out").mkdir()
        text = "".join(f"{' '.join(line)} -o out/{n}.png\n" for n, line in enumerate(lines))
        (folder / "list.txt").write_text(text)
        taken, _ = seconds_of(shell([*COMET, "batch", "-q", "list.txt"], folder))
        rate = f"{BATCH / taken:.0f} a second"
        yield Row(f"comet batch, {BATCH} compositions of {PICTURES} pictures", taken, note=rate)


def encode(runs: int) -> Iterator[Row]:
    """Many pictures taken apart."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [str(path) for path in toys(folder, ENCODED)]
        (folder / "z").mkdir()
        work = shell([*COMET, "encode", "-q", "-m", MODEL, *paths, "-o", "z/"], folder)
        taken, _ = seconds_of(work)
        yield Row(
            f"comet encode, {ENCODED} pictures", taken, note=f"{ENCODED / taken:.0f} a second"
        )


CASES = {f.__name__: f for f in (paper, training, compose, start, loop, batch, encode)}


def cores() -> int | None:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine() -> str:
    """Return what times depend on: processor, cores, load, versions, date."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        processor = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    return (
        f"{processor}, {cores()} cores, {torch.get_num_threads()} threads, load average "
        f"{os.getloadavg()[0]:.1f}; comet {__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}; {datetime.date.today()}"
    )


def main() -> None:
    """Measure, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--runs", type=int, default=3, help="pairs of each case that takes little")
    parser.add_argument("--threads", type=int, help="of torch; default one a core")
    parser.add_argument(
        "--write", type=Path, nargs="+", default=[], metavar="FILE", help="replace the table in it"
    )
    parser.add_argument("--processor", action="store_true", help="count processor time")
    options = parser.parse_args()
    if options.processor:
        global clock
        clock = processor_time
    if options.threads:
        torch.set_num_threads(options.threads)
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    root = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # who installs a program keeps its byte code
    lines = [f"{machine()}\n", "| case | seconds | compared with | ratio | difference |"]
    lines.append("| --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    found: dict[str, list[Row]] = {}
    for name, row in itertools.chain.from_iterable(
        zip(itertools.repeat(case), CASES[case](options.runs)) for case in options.cases or CASES
    ):
        found.setdefault(name, []).append(row)
        other = "" if row.other is None else f"{row.other:.3f} s"
        ratio = row.note or ("" if row.ratio is None else f"{row.ratio:.2f}")
        difference = "" if row.difference is None else f"{row.difference:.1e}"
        lines.append(f"| {row.case} | {row.seconds:.3f} | {other} | {ratio} | {difference} |")
        print(lines[-1], flush=True)
    for file in options.write:
        text = file.read_text("utf-8")
        if has_mark(text, "speed"):
            rewrite_marked(file, "speed", "\n".join(lines))
        if has_mark(text, "pace") and {"loop", "batch", "encode"} <= found.keys():
            rewrite_marked(file, "pace", pace(found))


def pace(found: dict[str, list[Row]]) -> str:
    """Return what the table says of many pictures, in one sentence for the README."""
    (loop_row,), (batch_row,), (encode_row,) = (found[n] for n in ("loop", "batch", "encode"))
    return (
        f"on {cores()} CPU cores `comet encode` does {encode_row.note}, `comet batch` "
        f"{batch_row.note}, and a shell loop with `comet warm` takes {loop_row.seconds:.1f} s each"
    )


if __name__ == "__main__":
    main()
