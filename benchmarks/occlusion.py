"""What recombinations show where one object is put before another (section 5.2 of the paper).

    python benchmarks/occlusion.py clevr --pairs 200

Draws pairs of pictures of one object each, composes both objects into one picture, and compares
with the generator's picture of both. Prints, for each way to compose, the PSNR of the overlap and
how often the nearer object is what is seen there. Needs mitsuba.
"""

from __future__ import annotations

import argparse

from comet_cli.evaluation.occlusion import compare, draw_pair
from comet_cli.models import comet_model
from comet_cli.worlds.catalogue import make_generator
from comet_cli.worlds.clevr.clevr import Clevr


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--world", default="clevr")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    model = comet_model.load(asked.model)
    generator = make_generator(asked.world, model.card.image_size, (2, 2))
    if not isinstance(generator, Clevr):
        parser.error(f"{asked.world} has no objects that stand before each other")
    generator.prepare()
    pairs = [draw_pair(generator, asked.seed, index) for index in range(asked.pairs)]
    print(f"{'composed by':12} {'pairs':>5} {'PSNR of the overlap':>20} {'nearer is seen':>15}")
    for name, seen in compare(model, pairs).items():
        print(f"{name:12} {seen.pairs:>5} {seen.psnr:>17.1f} dB {seen.nearer:>15.3f}")


if __name__ == "__main__":
    main()
