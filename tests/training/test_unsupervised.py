"""What is called unsupervised is: masks and labels beside the pictures change nothing."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from comet_cli.training.run import train_recipe


def spoil(folder):
    rng = np.random.default_rng(9)
    for path in (folder / "masks").rglob("*.png"):
        Image.fromarray(rng.integers(0, 5, (16, 16), dtype=np.uint8)).save(path)
    for path in folder.rglob("metadata.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        told = [{**line, "colour": int(rng.integers(4))} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in told))


def remove(folder):
    shutil.rmtree(folder / "masks")
    for path in folder.rglob("metadata.jsonl"):
        path.unlink()


@pytest.mark.parametrize("change", [spoil, remove])
def test_weights_are_the_same_with_other_masks_and_labels_and_with_none(
    tmp_path, data_folder, quadratic_toml, change
):
    shutil.copytree(data_folder, tmp_path / "changed")
    change(tmp_path / "changed")
    weights = []
    for name in ("squares", "changed"):
        recipe = tmp_path / f"{name}.toml"
        losses = {"mixture": 1.0, "consistency": 1.0, "attention_area": 1e-3, "silence": 1e-4}
        data = {"train": str(tmp_path / name)}
        recipe.write_text(quadratic_toml(train={"iterations": 5, **losses}, data=data))
        train_recipe(recipe, tmp_path / f"{name}-out", device="cpu")
        weights.append((tmp_path / f"{name}-out" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
