"""Time of one rendering: quadratic against pooled energy, side by side in one run.

Usage: python benchmarks/rendering.py [--size 64] [--components 5] [--batch 1] [--steps 30]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel


def build(energy: str, size: int, components: int, filters: int) -> CometModel:
    """Return a model with random weights: the time does not depend on them."""
    card = ModelCard(
        name=energy,
        encoder="recurrent",
        attention="colouring" if energy == "quadratic" else "lstm",
        ground=energy == "quadratic",
        energy=energy,
        filter_dim=filters,
        components=components,
        latent_dim=16,
        image_size=size,
        positional=[True] * components,
        step_size=1.0,
        num_steps=1,
        render_step_size=1.0,
        render_steps=1,
    )
    return CometModel(card).eval().requires_grad_(False)


def main() -> None:
    """Print seconds (median of paired runs) and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--components", type=int, default=5)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    x = torch.rand(options.batch, 3, options.size, options.size)
    models = [
        build(energy, options.size, options.components, options.filters)
        for energy in ("quadratic", "pooled-64")
    ]
    seconds: list[list[float]] = [[], []]
    for run in range(options.runs + 1):
        for i, model in enumerate(models):
            start = time.perf_counter()
            with torch.no_grad():
                z = model.encode(x)
            terms = [Term(model, z[:, k], component=k) for k in range(z.shape[1])]
            render(terms, num_steps=options.steps)
            if run:  # the first run warms up
                seconds[i].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(*seconds, strict=True)]
    print(f"encode + render, {options.batch} picture(s), {options.steps} steps, R {options.size}")
    print(f"quadratic  {statistics.median(seconds[0]):.3f} s")
    print(f"pooled     {statistics.median(seconds[1]):.3f} s")
    print(f"pooled / quadratic  {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
