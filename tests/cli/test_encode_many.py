"""Many pictures are encoded several at a time, and nothing but time tells."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.inputs.session import Session

NAMES = [f"{n}.png" for n in range(7)]


def draw_pictures() -> None:
    for n, name in enumerate(NAMES):
        pixels = np.random.default_rng(n).integers(0, 256, (48, 40, 3), np.uint8)
        Image.fromarray(pixels).save(name)


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("model", ["quad", "pool"])
def test_bytes_do_not_depend_on_the_pictures_beside_nor_on_threads(comet, three_threads, model):
    draw_pictures()
    Path("together").mkdir()
    Path("alone").mkdir()
    assert comet("encode", *NAMES, "-m", model, "-o", "together").code == 0
    torch.set_num_threads(1)
    for name in NAMES:
        assert comet("encode", name, "-m", model, "-o", "alone").code == 0
    for name in NAMES:
        z = Path(name).with_suffix(".z")
        assert (Path("together") / z).read_bytes() == (Path("alone") / z).read_bytes()


def test_results_and_failures_are_told_in_order(comet, three_threads, monkeypatch):
    draw_pictures()
    Path("3.png").write_bytes(b"no picture")
    threads = set()
    infer = Session.infer

    def noted(self, model, image, **more):
        threads.add(torch.get_num_threads())
        return infer(self, model, image, **more)

    monkeypatch.setattr(Session, "infer", noted)
    done = comet("encode", *NAMES, "-m", "quad", "--json")
    assert done.code == 3 and threads == {1}
    outputs = [entry["path"] for entry in done.json["outputs"]]
    assert outputs == [f"{n}.z" for n in range(7) if n != 3]
    assert [entry["path"] for entry in done.json["failed"]] == ["3.png"]


@pytest.mark.parametrize("name", ["zz", "new.png"])
def test_a_name_that_is_none_for_components_is_refused(comet, name):
    draw_pictures()
    done = comet("encode", NAMES[0], "-m", "quad", "-o", name)
    assert done.code == 2 and f"'{name}' is no name for them" in done.sentence
    assert not Path(name).exists()


def test_the_same_folder_can_be_encoded_twice(comet):
    draw_pictures()
    first = comet("encode", *NAMES, "-m", "quad")
    again = comet("encode", *sorted(NAMES + [n.replace(".png", ".z") for n in NAMES]), "-m", "quad")
    assert (first.code, again.code) == (0, 0) and again.out == first.out
    assert f"{len(NAMES)} of the inputs are .z files, and are left out" in again.err
