"""Print how near few steps of each solver come to 30 plain steps, as a Markdown table.

    python benchmarks/fewer_steps.py [--write docs/performance.md]

The energy is the paper's, of two shipped models, and the start is noise. Pictures are those of
examples/: four faces that `faces` composes from their components, and two of Tetris. Energies, in
units of the step, and mean absolute differences are averages over the pictures. With --write the
text between the `fewer steps` comments of the file is replaced.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from marked import rewrite_marked
from torch import Tensor

from comet_cli.energy.composition import Term, compose
from comet_cli.energy.render import render
from comet_cli.formats.components import read_components
from comet_cli.formats.images import load_image
from comet_cli.models import comet_model

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PLAIN, STEPS, SOLVERS = 30, (5, 8, 12, 20), ("gd", "momentum", "anderson")


def faces() -> Iterator[Tensor]:
    """Yield pictures (1,3,64,64) that the model `faces` composes."""
    model = comet_model.load("faces", "cpu")
    for path in sorted(EXAMPLES.glob("face-[a-d].z")):
        z = torch.from_numpy(read_components(path).z.copy())
        yield render([Term(model, latent, component=k) for k, latent in enumerate(z)])


def tetris() -> Iterator[Tensor]:
    """Yield pictures (1,3,35,35)."""
    size = comet_model.load("tetris-paper", "cpu").card.image_size
    for path in sorted(EXAMPLES.glob("tetris-?.png")):
        yield torch.from_numpy(load_image(path.read_bytes(), size))[None]


def rows(name: str, pictures: Iterator[Tensor]) -> Iterator[str]:
    """Yield a line of the table for 30 plain steps, and for each solver and number of steps."""
    model = comet_model.load(name, "cpu")
    with torch.no_grad():
        z = model.encode(torch.cat(list(pictures)))
    terms = [Term(model, z[:, k], component=k) for k in range(z.shape[1])]
    energy = compose(terms)

    def found(solver: str, steps: int) -> tuple[Tensor, float]:
        x = render(terms, num_steps=steps, solver=solver, energy=energy)
        with torch.no_grad():
            return x, energy(x).mean().item()

    plain, value = found("gd", PLAIN)
    yield f"| `{name}` | gd | {PLAIN} | {value:.3f} | |"
    for steps in STEPS:
        for solver in SOLVERS:
            x, value = found(solver, steps)
            difference = (x - plain).abs().mean().item()
            yield f"| `{name}` | {solver} | {steps} | {value:.3f} | {difference:.1e} |"


def main() -> None:
    """Measure, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the table in it")
    options = parser.parse_args()
    head = f"| model | solver | steps | energy | mean difference to {PLAIN} plain steps |"
    lines = [head, "| --- | --- | --- | --- | --- |"]
    lines += [*rows("faces-paper", faces()), *rows("tetris-paper", tetris())]
    print("\n".join(lines))
    if options.write:
        rewrite_marked(options.write, "fewer steps", "\n".join(lines))


if __name__ == "__main__":
    main()
