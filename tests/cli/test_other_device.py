"""Everything that computes does so on a device that is not the CPU.

The device is pretended (pretended_gpu.py): it finds a tensor that was not moved, and nothing else
of what a real GPU may do otherwise.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.formats.components import read_components

SCRIPT = Path(__file__).with_name("pretended_gpu.py")
PICTURES = {
    "one": "compose q.z:0,2",
    "both": "compose q.z:0,2 p.z:1",
    "weights": "compose q.z:0*0.5 p.z:1@2,2,9,9 q.z:1%0.5%r.z:1",
    "fast": "compose p.z --fast",
    "momentum": "compose p.z --solver momentum",
    "adam": "compose p.z --solver adam",
    "langevin": "compose p.z --solver langevin",
    "tolerant": "compose p.z --tolerance 0.01",
    "from": "compose p.z --init ../a.png",
    "seeds": "compose p.z --seeds 0-2",
    "swaps": "recombine q.z r.z",
    "parts": "decompose p.z",
    "maps": "gradients ../a.png -m quad",
    "pooled-maps": "gradients ../a.png -m pool",
}
TRAINED = {
    "tiny": "",
    "pooled": 'energy = "pooled-64"',
    "global": 'encoder = "global"\nattention = "lstm"',
}
MIXED = """
import torch
import pretended_gpu

pretended_gpu.start()
there = torch.ones(2, 3, device="gpu")
assert (there @ there.T).cpu().tolist() == [[3, 3], [3, 3]] and there[torch.tensor([1])].is_leaf
for wrong in (
    lambda: there + torch.ones(2, 3),
    lambda: torch.nn.Linear(3, 1)(there),
    lambda: torch.ones(2, 3)[there.long()],
    lambda: there.numpy(),
):
    try:
        wrong()
    except (RuntimeError, TypeError):
        continue
    raise SystemExit("nothing was found")
"""


def run(lines: list[str], device: str) -> None:
    """Run lines of comet in a folder of the device's name."""
    words = [[*line.split(), "--device", device] for line in lines]
    Path(device).mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        cwd=device,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
    )
    assert done.returncode == 0, done.stderr
    results = zip(lines, json.loads(done.stdout), strict=True)
    assert not [(line, told) for line, (code, told) in results if code]


def test_the_pretended_device_finds_what_was_not_moved():
    done = subprocess.run(
        [sys.executable, "-c", MIXED], cwd=SCRIPT.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def recipes(train):
    """Write a recipe for each way to train, and a data set with masks and factors."""
    assert train("data", "make", "tetris", "--count", 6, "--test-count", 6, "-o", "set").code == 0
    text = Path("recipe.toml").read_text().replace('"pictures"', '"../set"')
    for name, change in TRAINED.items():
        Path(f"{name}.toml").write_text(changed(text, change))
    return train


def changed(recipe: str, settings: str) -> str:
    new = {line.split(" = ")[0]: line for line in settings.splitlines()}
    return "\n".join(new.get(old.split(" = ")[0], old) for old in recipe.splitlines())


def test_every_verb_computes_there_what_it_computes_here(recipes, pictures):
    lines = [
        "encode ../a.png -m pool -o p.z",
        "encode ../a.png -m quad -o q.z",
        "encode ../b.png -m quad -o r.z",
        "encode ../pictures/00.png ../pictures/01.png ../pictures/02.png -m quad -o .",
        *(f"{words} -o {name}.png" for name, words in PICTURES.items()),
        "score ../a.png p.z",
        "batch ../list.txt",
        *(f"train ../{name}.toml -o {name}" for name in TRAINED),
        *(f"evaluate {kind} -m tiny --data ../set" for kind in ("reconstruction", "segmentation")),
    ]
    Path("list.txt").write_text("q.z:0 r.z:1 -o l0.png\np.z -o l1.png\nq.z r.z:1 -o l2.png\n")
    run(lines, "cuda")
    run(lines, "cpu")
    for here in sorted(Path("cpu").glob("*.png")):
        one, other = (
            np.asarray(Image.open(Path(d, here.name))).astype(int) for d in ("cpu", "cuda")
        )
        assert one.shape == other.shape and abs(one - other).max() <= 1, here.name
    for here in sorted(Path("cpu").glob("*.z")):
        one, other = (read_components(str(Path(d, here.name))).z for d in ("cpu", "cuda"))
        assert np.allclose(one, other, atol=1e-5), here.name
    for name in TRAINED:
        cards = [json.loads(Path(d, name, "card.json").read_text()) for d in ("cpu", "cuda")]
        one, other = (card["figures"]["reconstruction"]["psnr"] for card in cards)
        assert one == pytest.approx(other, abs=0.05), name
