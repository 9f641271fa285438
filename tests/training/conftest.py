"""Recipes of tiny models, and pictures of one coloured square on dark grey."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from comet_cli.data.dataset_folder import write_metadata, write_sample
from comet_cli.training.recipe import TrainingRecipe, parse_recipe
from comet_cli.worlds.generator import Sample

SIZE = 16
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)

QUADRATIC = {
    "name": "tiny",
    "encoder": "recurrent",
    "attention": "colouring",
    "ground": True,
    "energy": "quadratic",
    "filter_dim": 8,
    "components": 3,
    "latent_dim": 6,
    "image_size": SIZE,
    "step_size": 1.0,
    "num_steps": 1,
    "render_steps": 3,
    "init": "grey",
}
POOLED = {
    "name": "tiny-pooled",
    "encoder": "recurrent",
    "energy": "pooled-64",
    "filter_dim": 4,
    "components": 3,
    "latent_dim": 6,
    "image_size": SIZE,
    "step_size": 20.0,
    "num_steps": 2,
}
TRAIN = {"iterations": 20, "batch": 4, "learning_rate": 3e-3, "clip": 1.0, "threads": 1}

Write = Callable[..., str]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def toml(value: object) -> str:
    """Return a value as TOML; a table in one line."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"


def write(model: dict, train: dict | None = None, data: dict | None = None) -> str:
    """Return a recipe as TOML; a value None leaves its key out."""
    sections = {
        "model": model,
        "data": {"train": "pictures", **(data or {})},
        "train": {**TRAIN, **(train or {})},
    }
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{k} = {toml(v)}" for k, v in values.items() if v is not None]
    return "\n".join(lines) + "\n"


@pytest.fixture
def quadratic_toml() -> Write:
    """Return a function of further facts (model=, train=, data=) to a recipe's text."""
    return lambda model=None, **rest: write({**QUADRATIC, **(model or {})}, **rest)


@pytest.fixture
def quadratic(quadratic_toml: Write) -> Callable[..., TrainingRecipe]:
    return lambda **facts: parse_recipe(quadratic_toml(**facts))


@pytest.fixture
def spatial(quadratic: Callable[..., TrainingRecipe]) -> Callable[..., TrainingRecipe]:
    """As `quadratic`, with an encoder that draws nothing while it is trained."""
    facts = {"encoder": "global", "attention": "lstm", "spatial": True, "ground": False}
    return lambda **rest: quadratic(model=facts, **rest)


@pytest.fixture
def pooled() -> Callable[..., TrainingRecipe]:
    return lambda model=None, **rest: parse_recipe(write({**POOLED, **(model or {})}, **rest))


def draw(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (N,R,R,3) and masks (N,R,R)."""
    rng = np.random.default_rng(seed)
    images = np.full((count, SIZE, SIZE, 3), 60, np.uint8)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    for n in range(count):
        r, c = rng.integers(SIZE - 5, size=2)
        images[n, r : r + 5, c : c + 5] = COLOURS[rng.integers(4)]
        masks[n, r : r + 5, c : c + 5] = 1
    return images, masks


@pytest.fixture
def images() -> np.ndarray:
    return draw(48)[0]


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """A data set of 12 training and 5 held-out pictures with masks."""
    folder = tmp_path / "squares"
    for split, count, seed in (("train", 12, 0), ("test", 5, 1)):
        (folder / split).mkdir(parents=True)
        (folder / "masks" / f"{split}set").mkdir(parents=True)
        entries = []
        for n, (image, mask) in enumerate(zip(*draw(count, seed), strict=True)):
            write_sample(folder, split, n, seed, Sample(image, mask, {}))
            name = f"{n:06d}.png"
            entries.append({"file_name": name, "mask": f"masks/{split}set/{name}"})
        write_metadata(folder, split, entries)
    return folder
