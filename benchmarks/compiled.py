"""What compiling, and bfloat16, would bring to descents on the paper's energy, as a Markdown table.

    python benchmarks/compiled.py [--write docs/performance.md]

Renders one picture as comet does (the gradient written out, float32), with that gradient compiled
(torch.compile, which needs a C++ compiler), with its maps and weights in bfloat16, and so but for
the last steps, one after the other, several times. Seconds are the least; *first* is the first
time, with compiling; *difference* is the largest of the pictures' pixels. One model has random
weights and 64 filters, one is `faces-paper`. With --write the text between the `compiled` comments
of the file is replaced.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from marked import rewrite_marked
from speed import paper_model, seconds_of, terms_of
from torch import Tensor

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.models import comet_model
from comet_cli.networks import pooled_energy, pooled_gradient
from comet_cli.networks.pooled_gradient import PooledGradient

STEPS, LAST = 30, 10
FINISHED = f"bfloat16, the last {LAST} of {STEPS} steps float32"
WAYS = ("as it is", "compiled", "bfloat16", FINISHED)


class LowGradient(PooledGradient):
    """The same in bfloat16; the picture and the sum of its steps stay float32."""

    def __init__(self, *args: Any) -> None:
        """Prepare what no x changes."""
        super().__init__(*args)
        if self._stem_bias is not None:
            self._stem_bias = self._stem_bias.bfloat16()

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super()._features(x.bfloat16())


def low(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function whose tensors are made bfloat16."""
    return lambda *args: make(*args).bfloat16()


@contextmanager
def way(name: str, compiled: Callable[..., tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Let descents go a way while the block runs; ``compiled`` is a walk through the network."""
    walk = compiled if name == "compiled" else PooledGradient._walk
    with ExitStack() as changed:
        changed.enter_context(patch.object(PooledGradient, "_walk", walk))
        if name == "bfloat16":
            maps = pooled_gradient._maps
            of_maps = patch.object(
                pooled_gradient, "_maps", lambda *args: tuple(t.bfloat16() for t in maps(*args))
            )
            changed.enter_context(of_maps)
            for each in ("_ordered", "_bias"):
                made = low(getattr(pooled_gradient, each))
                changed.enter_context(patch.object(pooled_gradient, each, made))
            changed.enter_context(patch.object(pooled_energy, "PooledGradient", LowGradient))
        yield


def measured(case: str, terms: list[Term], x: Tensor, runs: int) -> Iterator[str]:
    """Yield a line for each way to descend from x (1,3,R,R)."""
    compiled = torch.compile(PooledGradient._walk, dynamic=False)

    def rendered(name: str) -> Tensor:
        if name == FINISHED:
            with way("bfloat16", compiled):
                begun = render(terms, init=x, num_steps=STEPS - LAST)
            return render(terms, init=begun, num_steps=LAST)
        with way(name, compiled):
            return render(terms, init=x, num_steps=STEPS)

    first: dict[str, float] = {}
    best = dict.fromkeys(WAYS, float("inf"))
    pictures: dict[str, Tensor] = {}
    for run in range(runs + 1):
        for name in WAYS:
            seconds, pictures[name] = seconds_of(partial(rendered, name))
            if run:
                best[name] = min(best[name], seconds)
            else:
                first[name] = seconds
    for name in WAYS:
        difference = (pictures[name] - pictures["as it is"]).abs().max().item()
        yield (
            f"| {case} | {name} | {best[name]:.3f} | {best['as it is'] / best[name]:.2f} | "
            f"{first[name]:.1f} | {difference:.1e} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the table in it")
    options = parser.parse_args()
    cases = {
        "random weights, 64 filters": paper_model().eval().requires_grad_(False),
        "faces-paper, 32 filters": comet_model.load("faces-paper", "cpu"),
    }
    lines = ["| model | way | seconds | times as fast | first | difference |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    torch.manual_seed(0)
    for case, model in cases.items():
        terms = terms_of(model, torch.randn(1, 4, 64))
        lines += measured(case, terms, torch.rand(1, 3, 64, 64), options.runs)
    print("\n".join(lines))
    if options.write:
        rewrite_marked(options.write, "compiled", "\n".join(lines))


if __name__ == "__main__":
    main()
