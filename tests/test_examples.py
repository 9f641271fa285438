"""The examples run, on the shipped weights, and show what the README says they show."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comet_cli.evaluation.metrics import adjusted_rand_index
from comet_cli.formats.components import read_components
from comet_cli.formats.images import load_image
from comet_cli.models.library import list_models

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {entry.name for entry in list_models() if entry.origin == "shipped"}
pytestmark = pytest.mark.skipif(
    not {"clevr", "tetris"} <= SHIPPED, reason="no shipped weights in this checkout"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(ROOT / "examples" / "demo.sh"), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return out


def difference_at(a: np.ndarray, b: np.ndarray, centre: np.ndarray) -> float:
    size = a.shape[-1]
    row, column = ((centre + 1) / 2 * size).astype(int).clip(1, size - 2)
    patch = np.s_[:, row - 1 : row + 2, column - 1 : column + 2]
    return float(np.abs(a[patch] - b[patch]).max())


def test_a_picture_of_eight_objects_shows_each_where_it_was(demo: Path) -> None:
    eight = load_image(str(demo / "clevr-eight.png"), 64)
    ground = np.median(eight.reshape(3, -1), 1)[:, None, None] * np.ones_like(eight)
    centres = [z[:2] for name in "ab" for z in read_components(str(demo / f"clevr-{name}.z")).z[1:]]
    shown = [difference_at(eight, ground, c) > 0.08 for c in centres]
    assert len(centres) == 8
    assert sum(shown) >= 7  # one may stand behind another


def test_all_components_together_are_the_input() -> None:
    import torch

    from comet_cli.evaluation.reconstruction import psnr, reconstruct
    from comet_cli.models import comet_model

    for name, least in (("clevr", 30.0), ("tetris", 25.0)):
        model = comet_model.load(name, device="cpu")
        for letter in "ab":
            picture = load_image(
                str(ROOT / "examples" / f"{name}-{letter}.png"), model.card.image_size
            )
            x = torch.from_numpy(picture)[None]
            assert float(psnr(reconstruct(model, x), x)) > least


def test_gradients_of_tetris_find_the_blocks() -> None:
    import torch

    from comet_cli.energy.gradients import gradient_strength, segment
    from comet_cli.models import comet_model

    model = comet_model.load("tetris", device="cpu")
    for letter in "ab":
        picture = load_image(str(ROOT / "examples" / f"tetris-{letter}.png"), 35)
        colours = (picture > 0.5).astype(int)
        truth = colours[0] * 4 + colours[1] * 2 + colours[2]  # the blocks differ in colour
        found = segment(gradient_strength(model, model.encode(torch.from_numpy(picture)[None])))
        assert adjusted_rand_index(truth, found[0].numpy(), foreground=True) > 0.9
