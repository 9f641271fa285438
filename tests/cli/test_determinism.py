"""The same picture whatever the order, the company and the threads, and each time anew."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from comet_cli.formats.components import read_components
from comet_cli.formats.images import decode_png

TERMS = ["a.z:0,2", "b.z:1*0.5", "q.z:3@0,0,16,16", "q.z:lighting*-0.25"]
SETTINGS = ["--size", "96", "--seed", "5", "--init", "noise", "--steps", "6"]


@pytest.fixture
def threads():
    """Return a function that sets how many threads compute."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def made(done, path: str = "out.png") -> bytes:
    assert done.code == 0, done.err
    return Path(path).read_bytes()


def distance(a: bytes, b: bytes) -> int:
    return int(np.abs(decode_png(a).astype(int) - decode_png(b).astype(int)).max())


def test_repetition_and_every_order_give_identical_bytes(parts):
    first = made(parts("compose", *TERMS, *SETTINGS, "-o", "out.png"))
    for order in itertools.islice(itertools.permutations(TERMS), 0, None, 3):
        assert made(parts("compose", *order, *SETTINGS, "-o", "out.png")) == first
    other = made(parts("compose", *TERMS, *SETTINGS, "--seed", "6", "-o", "out.png"))
    assert distance(first, other) > 1  # so that the picture depends on what is drawn


def test_encoding_again_gives_identical_bytes(parts):
    first = Path("a.z").read_bytes()
    assert made(parts("encode", "a.png", "-m", "pool", "--fresh"), "a.z") == first


@pytest.mark.parametrize("solver", ["gd", "langevin"])
def test_one_thread_or_two_give_the_same_picture(parts, threads, solver):
    found = []
    for count in (1, 2):
        threads(count)
        parts("encode", "a.png", "-m", "pool", "--fresh", "-o", "t.z")
        arguments = ["t.z:0,2", *TERMS[1:], *SETTINGS, "--solver", solver]
        made(parts("compose", *arguments, "-o", f"{count}.png"), f"{count}.png")
        found.append(read_components("t.z").z)
    assert np.allclose(*found, rtol=1e-4, atol=1e-5)
    assert distance(Path("1.png").read_bytes(), Path("2.png").read_bytes()) <= 1


def test_quadratic_energies_give_the_same_bytes_with_any_number_of_threads(parts, threads):
    found = []
    for count in (1, 2):
        threads(count)
        arguments = ["compose", "q.z", "q.z:1@8,8,32,32", "--size", "128", "--steps", "6"]
        found.append(made(parts(*arguments, "--force", "-o", "out.png")))
    assert found[0] == found[1]


def test_alone_or_in_a_batch_gives_the_same_picture(parts):
    lines = [
        *(f"a.z:{k} b.z:1*0.5 --size 96 --seed {k} --init noise" for k in range(3)),
        *(f"q.z:{k} --size 48" for k in range(4)),
        *(f"{' '.join(TERMS)} --size 64 --seed {seed}" for seed in (1, 2)),
    ]
    for number, line in enumerate(lines):
        made(parts("compose", *line.split(), "-o", f"alone-{number}.png"), f"alone-{number}.png")
    for size in (1, 3, 16):
        # Backwards, and so in other company than in the order of the list.
        listed = [f"{line} -o batch-{n}.png" for n, line in enumerate(lines)]
        Path("list.txt").write_text("\n".join(listed[:: 1 if size == 3 else -1]))
        done = parts("batch", "list.txt", "--batch-size", str(size))
        assert [json.loads(r)["status"] for r in done.out.splitlines()] == ["written"] * 9, done.err
        for number in range(len(lines)):
            alone, batch = (
                Path(f"{kind}-{number}.png").read_bytes() for kind in ("alone", "batch")
            )
            assert distance(alone, batch) <= 1
            if size == 1:
                assert alone == batch
