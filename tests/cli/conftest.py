"""A home with two tiny random models, and a way to run the command line in this process."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.cli.app import main
from comet_cli.models import comet_model, library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel

POOLED = {
    "name": "pool",
    "encoder": "global",
    "energy": "pooled-64",
    "filter_dim": 8,
    "components": 3,
    "latent_dim": 8,
    "image_size": 32,
    "positional": [False] * 3,
    "step_size": 100.0,
    "num_steps": 2,
    "render_step_size": 100.0,
    "render_steps": 3,
}
QUADRATIC = {
    **POOLED,
    "name": "quad",
    "energy": "quadratic",
    "components": 4,
    "image_size": 24,
    "positional": [True] * 4,
    "step_size": 1.0,
    "render_step_size": 1.0,
    "labels": ["hair", "lighting", "skin", "face"],
}


def build(facts: dict, seed: int = 0) -> CometModel:
    torch.manual_seed(seed)
    return CometModel(ModelCard(**facts)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return a COMET_HOME with the models `pool` and `quad`."""
    home = tmp_path_factory.mktemp("home")
    for facts in (POOLED, QUADRATIC):
        comet_model.save(build(facts), home / "models" / facts["name"])
    return home


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one line on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def comet(models, tmp_path, monkeypatch, capsys):
    """Return a function that runs `comet …` in an empty folder."""
    monkeypatch.setenv("COMET_HOME", str(models))
    monkeypatch.setattr(library, "shipped_root", lambda: tmp_path / "nothing-shipped")
    for name in ("COMET_MODEL", "COMET_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*args: str) -> Done:
        capsys.readouterr()
        code = main([str(a) for a in args])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def picture(seed: int = 0, width: int = 48, height: int = 40) -> Image.Image:
    """Return a smooth picture with a disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / height
    values = np.stack([x, y, x * y], -1).clip(0, 1) * 0.8
    values[(x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2 < 0.05] = rng.random(
        3
    )
    return Image.fromarray((values * 255).astype(np.uint8))


@pytest.fixture
def pictures(comet):
    """Write a.png and b.png into the folder; return the runner."""
    picture(0).save("a.png")
    picture(1).save("b.png")
    return comet


TRAINING = """
[model]
name = "tiny"
encoder = "recurrent"
attention = "colouring"
ground = true
energy = "quadratic"
filter_dim = 4
components = 2
latent_dim = 4
image_size = 16
step_size = 1.0
num_steps = 1
init = "grey"

[data]
train = "pictures"

[train]
iterations = {iterations}
batch = 2
learning_rate = 1e-3
threads = 1
ema = 0.9
log_every = 1
"""


@pytest.fixture
def train(comet):
    """Write twelve pictures and recipe.toml into the folder; return the runner."""
    os.mkdir("pictures")
    rng = np.random.default_rng(0)
    for n in range(12):
        pixels = np.full((16, 16, 3), 60, np.uint8)
        r, c = rng.integers(11, size=2)
        pixels[r : r + 5, c : c + 5] = rng.integers(256, size=3)
        Image.fromarray(pixels).save(f"pictures/{n:02d}.png")
    Path("recipe.toml").write_text(TRAINING.format(iterations=3))
    before = torch.get_num_threads()
    yield comet
    torch.set_num_threads(before)


@pytest.fixture
def parts(pictures):
    """Components of two pictures and of both models; return the runner."""
    assert pictures("encode", "a.png", "b.png", "-m", "pool").code == 0
    assert pictures("encode", "a.png", "-m", "quad", "-o", "q.z").code == 0
    return pictures
