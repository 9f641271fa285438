"""What a picture costs: how far from the machine's limits, how it grows, and how much memory.

    pip install matplotlib
    python benchmarks/costs.py [--write docs/performance.md] [--picture docs/images/costs.png]

Measures the machine first (the rate of products of matrices and of convolutions, and of copying),
then a step of each case: its operations and the bytes of what they read and write (each operator by
itself, as if nothing stayed in a cache), and the seconds. The limit is what is larger: operations
at the first rate, or bytes at the second. Then how time grows over K, R, N and B and memory over N,
the memory of large compositions, and what a sweep of 20,000 compositions costs. Nothing else should
run meanwhile.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from marked import rewrite_marked
from speed import COMET, MODEL, machine, paper_model, seconds_of, shell, terms_of, toys
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from comet_cli.energy.render import render
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel
from comet_cli.training.objective import training_loss
from comet_cli.training.settings import TrainSettings

SWEEP, PICTURES = 20_000, 1_000
# One H100 SXM on paper, by its data sheet: dense bfloat16 operations a second. The share
# of the operations that the matrix units would reach is the goal of this project.
GPU_FLOPS, GPU_SHARE = 989e12, 0.4
DAY = 24 * 3600


class Cost(NamedTuple):
    """Of one step: floating-point operations, bytes read and written, seconds."""

    flops: float
    moved: float
    seconds: float


class Counter(TorchDispatchMode):
    """Counts operations, and the bytes that operators read and write; a view moves nothing."""

    def __init__(self) -> None:
        """Begin at none."""
        super().__init__()
        self.flops = self.moved = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Call the operator, and count."""
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [t for t in tree_leaves((args, kwargs, result)) if torch.is_tensor(t)]
            self.moved += sum(t.numel() * t.element_size() for t in tensors)
        if func._overloadpacket in flop_registry:
            formula = flop_registry[func._overloadpacket]
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def machine_limits() -> tuple[float, float]:
    """Return operations a second, of a product or a convolution, and bytes a second of a copy.

    The best of five each. A convolution counts as if it were a product of matrices.
    """
    a, b = torch.randn(2, 2048, 2048)
    x, weight = torch.randn(16, 128, 64, 64), torch.randn(128, 128, 3, 3)
    source, target = torch.randn(2, 1 << 26)
    product = min(seconds_of(lambda: a @ b)[0] for _ in range(5))
    convolution = min(seconds_of(lambda: F.conv2d(x, weight, padding=1))[0] for _ in range(5))
    copy = min(seconds_of(lambda: target.copy_(source))[0] for _ in range(5))
    folded = 2 * 16 * 64**2 * weight.numel()
    rate = max(2 * 2048**3 / product, folded / convolution)
    return rate, 2 * source.numel() * source.element_size() / copy


def counted(work: Callable[[], Any]) -> tuple[int, int]:
    """Return the operations and bytes of a call."""
    with Counter() as counter:
        work()
    return counter.flops, counter.moved


def cost_of(work: Callable[[int], Any], steps: int) -> Cost:
    """Return the cost of one step of a call that takes a number of steps.

    What is done once is taken off: a call of twice the steps is compared with one of these.
    """
    work(steps)  # what is kept from call to call is not of a step
    first, second = counted(partial(work, steps)), counted(partial(work, 2 * steps))
    times = [[seconds_of(partial(work, n))[0] for n in (steps, 2 * steps)] for _ in range(4)][1:]
    short, long = (min(each) for each in zip(*times, strict=True))
    flops, moved = ((b - a) / steps for a, b in zip(first, second, strict=True))
    return Cost(flops, moved, max(long - short, 1e-9) / steps)


def rendering(model: CometModel, batch: int, count: int | None = None) -> Callable[[int], Any]:
    """Return a call that renders with N steps."""
    card = model.card
    z = torch.randn(batch, count or card.components, card.latent_dim)
    x = torch.rand(batch, 3, card.image_size, card.image_size)
    return lambda steps: render(terms_of(model, z), init=x, num_steps=steps)


def cases() -> Iterator[tuple[str, Cost]]:
    """Yield what is compared with the limits."""
    for size, batch in ((64, 1), (64, 16), (128, 1)):
        model = paper_model(size=size).eval().requires_grad_(False)
        yield f"paper's energy, {batch} picture(s), R {size}", cost_of(rendering(model, batch), 5)
    model = paper_model().train()
    settings = TrainSettings(iterations=1, batch=16, precision="float32")
    x = torch.rand(16, 3, 64, 64)

    def train(iterations: int) -> None:
        for _ in range(iterations):
            model.zero_grad(set_to_none=True)
            training_loss(model, x, settings, 0)[0].backward()

    yield "paper's training, an iteration of N 5, B 16", cost_of(train, 1)
    shipped = comet_model.load(MODEL, "cpu")
    for batch in (1, 64):
        yield f"`{MODEL}`, {batch} picture(s)", cost_of(rendering(shipped, batch), 100)
    z = torch.randn(16, shipped.card.components, shipped.card.latent_dim)

    def decode(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                shipped.bind(z)

    yield f"`{MODEL}`, decoding 16 pictures' components", cost_of(decode, 2)


def roofline() -> Iterator[str]:
    """Yield the lines of the first table, and what a GPU would do, on paper."""
    flops, moved = machine_limits()
    yield (
        f"{flops / 1e9:.0f} G operations a second in the faster of a product of matrices and a "
        "convolution (float32), "
    )
    yield f"{moved / 1e9:.1f} GB a second in a copy."
    yield ""
    yield "| a step of | operations | bytes | limit | measured | share of the limit | bound by |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    paper = None
    for name, cost in cases():
        by_flops, by_bytes = cost.flops / flops, cost.moved / moved
        limit, bound = max((by_flops, "operations"), (by_bytes, "bytes"))
        paper = paper or cost
        yield (
            f"| {name} | {cost.flops / 1e9:.3f} G | {cost.moved / 1e6:.1f} MB | "
            f"{limit * 1e3:.2f} ms | {cost.seconds * 1e3:.2f} ms | {limit / cost.seconds:.0%} | "
            f"{bound} |"
        )
    assert paper is not None
    second = GPU_SHARE * GPU_FLOPS / (30 * paper.flops)
    yield ""
    yield (
        f"On paper: at {GPU_SHARE:.0%} of the {GPU_FLOPS / 1e12:.0f} T operations a second "
        "(bfloat16) that the data sheet of an H100 names, 30 steps of the first row are "
        f"{second:,.0f} pictures a second, {second * DAY / 1e6:,.0f} million a day, and "
        f"{64 * second * DAY / 1e9:,.1f} thousand million on 64 of them, each with its part of the "
        "list. Such a GPU was not tried."
    )


def curves(path: Path) -> Iterator[str]:
    """Draw how time grows over K, R, N and B, and memory over N; yield how well a line fits."""
    from matplotlib import pyplot

    def time_of(*, k: int = 4, r: int = 64, n: int = 10, b: int = 1) -> float:
        model = paper_model(size=r).eval().requires_grad_(False)
        z, x = torch.randn(b, k, 64), torch.rand(b, 3, r, r)
        terms = [term for j in range(k) for term in terms_of(model, z[:, j : j + 1])]
        work = partial(render, terms, init=x, num_steps=n)
        return min(seconds_of(work)[0] for _ in range(3))

    wanted = {"k": [1, 2, 4, 8], "r": [32, 64, 96, 128], "n": [5, 10, 20, 40], "b": [1, 4, 8, 16]}
    figure, axes = pyplot.subplots(1, 5, figsize=(15, 3), layout="constrained")
    for axis, (name, values) in zip(axes, wanted.items(), strict=False):
        at = [v * v if name == "r" else v for v in values]
        times = [time_of(**{name: v}) for v in values]
        axis.plot(at, times, "o-", color="black")
        pixels = name == "r"
        axis.set(xlabel="R² (pixels)" if pixels else name.upper(), ylabel="seconds", ylim=(0, None))
        ratio = times[-1] / times[0] / (at[-1] / at[0])
        yield f"{name.upper() if not pixels else 'R²'} {at[0]} to {at[-1]}: {ratio:.2f}"
    memory = [peak_memory("paper", steps) for steps in wanted["n"]]
    axes[4].plot(wanted["n"], memory, "o-", color="black")
    axes[4].set(xlabel="N", ylabel="memory (MB)", ylim=(0, 1.2 * max(memory)))
    figure.savefig(path, dpi=80)
    yield f"memory over N: {memory[0]:.0f} to {memory[-1]:.0f} MB"


COMPOSITIONS = {
    "paper": lambda steps: rendering(paper_model().eval().requires_grad_(False), 1)(steps),
    "100 terms at 128 pixels": lambda steps: many(paper_model(size=128), 100, steps),
    "1,000 terms at 64 pixels": lambda steps: many(paper_model(), 1000, steps),
    "100 terms at 128 pixels, quadratic": lambda s: many(
        paper_model("quadratic", size=128), 100, s
    ),
    "1,000 terms at 64 pixels, quadratic": lambda s: many(paper_model("quadratic"), 1000, s),
}


def many(model: CometModel, count: int, steps: int) -> Any:
    """Render a composition of very many terms."""
    z = torch.randn(1, count, model.card.latent_dim)
    model.eval().requires_grad_(False)
    terms = [term for j in range(count) for term in terms_of(model, z[:, j : j + 1])]
    return render(terms, num_steps=steps)


def peak_memory(name: str, steps: int) -> float:
    """Return the MB that a process needs at most which renders one of the compositions."""
    args = [sys.executable, __file__, "--alone", name, "--steps", str(steps)]
    return float(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def sweep() -> Iterator[str]:
    """Yield what 20,000 compositions of the components of 1,000 pictures cost."""
    with tempfile.TemporaryDirectory() as name:
        folder, draw = Path(name), random.Random(0)
        paths = toys(folder, PICTURES)
        (folder / "z").mkdir()
        shell([*COMET, "encode", "-q", "-m", MODEL, *map(str, paths), "-o", "z/"], folder)()
        files = [f"z/{path.stem}.z" for path in paths]
        count = comet_model.load(MODEL, "cpu").card.components
        lines = [
            " ".join(f"{file}:{k}" for k, file in enumerate(draw.sample(files, count)))
            for _ in range(SWEEP)
        ]
        (folder / "out").mkdir()
        text = "".join(f"{line} -o out/{n}.png\n" for n, line in enumerate(lines))
        (folder / "list.txt").write_text(text)
        taken, _ = seconds_of(shell([*COMET, "batch", "-q", "list.txt"], folder))
        size = sum(path.stat().st_size for path in (folder / "out").iterdir()) / SWEEP
    yield (
        f"`comet batch`, {SWEEP:,} compositions of the components of {PICTURES:,} pictures with "
        f"`{MODEL}`: {taken:.0f} s. At that rate a million takes {taken / SWEEP * 1e6 / 60:.0f} "
        f"minutes, and {size * 1e6 / 1e9:.0f} GB of PNGs."
    )


def report(picture: Path) -> Iterator[str]:
    """Yield all lines of the report."""
    yield machine()
    yield ""
    yield from roofline()
    yield ""
    yield f"![cost over K, R, N and B](images/{picture.name})"
    yield ""
    yield "How many times as much as a line through zero says: " + "; ".join(curves(picture)) + "."
    yield ""
    yield "| composition | memory at most |"
    yield "| --- | --- |"
    for name in list(COMPOSITIONS)[1:]:
        yield f"| {name} | {peak_memory(name, 2):,.0f} MB |"
    yield ""
    yield from sweep()


def main() -> None:
    """Measure, and print the report as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the report in it")
    parser.add_argument("--picture", type=Path, default=Path("costs.png"))
    parser.add_argument("--alone", choices=COMPOSITIONS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        COMPOSITIONS[options.alone](options.steps)
        # Not getrusage: its maximum begins at that of the process which started this one.
        status = Path("/proc/self/status").read_text("utf-8").splitlines()
        kilobytes = next(line for line in status if line.startswith("VmHWM:")).split()[1]
        print(int(kilobytes) / 1024)
        return
    lines = []
    for line in report(options.picture):
        lines.append(line)
        print(line, flush=True)
    if options.write:
        rewrite_marked(options.write, "costs", "\n".join(lines))


if __name__ == "__main__":
    main()
