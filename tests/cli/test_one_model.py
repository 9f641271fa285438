"""``-m auto`` for several pictures: what was taken is told, and ``--one-model`` takes one."""

import hashlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import picture

from comet_cli.formats.components import read_components
from comet_cli.formats.picture_recipe import read_recipe
from comet_cli.inputs.session import Session
from comet_cli.verbs import encode

# Mean square errors by picture and model. Each model is best for one picture; pool for both.
ERRORS = {"a.png": {"quad": 0.010, "pool": 0.020}, "b.png": {"quad": 0.090, "pool": 0.030}}


@pytest.fixture
def judged(pictures, monkeypatch):
    """Let a.png be one of quad's pictures and b.png one of pool's; return the runner."""
    names = {hashlib.sha256(Path(n).read_bytes()).hexdigest(): n for n in ERRORS}

    def judge(self, model, data, target):
        return ERRORS[names[hashlib.sha256(data).hexdigest()]][model.card.name]

    monkeypatch.setattr(Session, "_judge", judge)
    return pictures


def models() -> list[str]:
    return [read_components(f"{name}.z").model for name in "ab"]


def test_different_models_for_pictures_of_one_call_are_told(judged):
    done = judged("encode", "a.png", "b.png")
    assert models() == ["quad", "pool"]
    assert "2 models were chosen for 2 pictures; for a series, --one-model" in done.err
    assert "models were chosen" not in judged("encode", "a.png", "--fresh").err
    assert "models were chosen" not in judged("encode", "a.png", "b.png", "-m", "quad").err


@pytest.mark.parametrize("verb", ["compose", "decompose", "recombine", "gradients"])
def test_every_verb_that_chooses_tells_and_takes_one(judged, verb):
    done = judged(verb, "a.png", "b.png", "-o", "out.png")
    assert done.code == 0 and "2 models were chosen for 2 pictures" in done.err
    done = judged(verb, "a.png", "b.png", "-o", "out.png", "--one-model")
    assert done.code == 0 and "models were chosen" not in done.err
    assert "model 'pool' reconstructs the 2 pictures best (pool 16.0 dB, quad 13.0 dB)" in done.err
    assert "quad" not in judged("inspect", "out.png").out


def test_one_model_is_the_one_that_reconstructs_all_pictures_best(judged):
    done = judged("encode", "a.png", "b.png", "--one-model")
    assert (done.code, models()) == (0, ["pool", "pool"])
    assert "the 2 pictures" in done.sentence
    again = judged("encode", "a.png", "b.png", "--one-model")  # what was judged is remembered
    assert "2 of 2 already encoded" in again.err and "pool 16.0 dB" in again.err


def test_a_broken_picture_of_a_series_chooses_nothing(judged):
    Path("c.png").write_bytes(b"broken")
    done = judged("encode", "c.png", "a.png", "b.png", "--one-model")
    assert (done.code, models()) == (3, ["pool", "pool"])
    Path("d.png").write_bytes(b"broken")
    done = judged("encode", "c.png", "d.png", "--one-model")
    assert done.code == 1 and done.err.count("'c.png'") == 1


def chosen(name: str) -> list[str]:
    return [model.name for model in read_recipe(Path(name).read_bytes(), name).models]


def test_one_model_for_the_pictures_of_a_whole_list(judged):
    Path("list.txt").write_text("a.png:0 -o 1.png\nb.png:0 -o 2.png\na.png:0 -m quad -o 3.png\n")
    done = judged("batch", "list.txt", "-q")
    assert (chosen("1.png"), chosen("2.png")) == (["quad"], ["pool"])
    done = judged("batch", "list.txt", "--one-model")
    assert [chosen(f"{n}.png") for n in (1, 2, 3)] == [["pool"], ["pool"], ["quad"]]
    assert done.err.count("model 'pool' reconstructs the 2 pictures best") == 1
    Path("1.png").unlink()  # a part of the list chooses as the whole does
    assert judged("batch", "list.txt", "--one-model", "--shard", "0/3").code == 0
    assert chosen("1.png") == ["pool"]


def test_one_model_in_a_line_is_for_the_pictures_of_that_line(judged):
    lines = ["a.png:0 b.png:0 --one-model -o 1.png", "a.png:0 -o 2.png", "a.png b.png -o 3.png"]
    lines += ['{"selections": ["a.png", "a.z"], "one_model": true, "output": "4.png"}']
    judged("encode", "b.png", "-m", "pool", "-o", "a.z")
    Path("list.txt").write_text("\n".join(lines))
    done = judged("batch", "list.txt")
    assert done.code == 0, done.err
    assert [chosen(f"{n}.png") for n in (1, 2)] == [["pool"], ["quad"]]
    assert [chosen(f"{n}.png") for n in (3, 4)] == [["quad", "pool"], ["quad", "pool"]]


def test_one_model_for_the_neighbours_of_a_picture(judged):
    done = judged("nearest", "a.png:0", "b.png", "--json")
    assert done.json["model"] == "quad"
    done = judged("nearest", "a.png:0", "b.png", "--json", "--one-model")
    assert done.json["model"] == "pool" and "the 2 pictures" in done.sentence
    judged("encode", "a.png", "-m", "quad")  # components are of a model already
    done = judged("nearest", "a.z:0", "b.png", "a.png", "--json", "--one-model")
    assert done.json["model"] == "quad"


def test_components_choose_nothing(judged):
    judged("encode", "a.png", "-m", "quad")
    done = judged("recombine", "a.z", "b.png", "-o", "out.png", "--one-model")
    assert done.code == 0 and "model 'pool' reconstructs 'b.png' best" in done.err


def test_standard_input_is_looked_at_and_then_read(judged, monkeypatch):
    stdin = SimpleNamespace(buffer=io.BytesIO(Path("b.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    done = judged("encode", "-", "a.png", "-o", ".", "--one-model")
    assert done.code == 0 and "the 2 pictures" in done.sentence
    assert [read_components(path).model for path in ("stdin.z", "a.z")] == ["pool", "pool"]


def test_frames_of_several_animations_take_one_model(comet):
    for name, first in (("x", 0), ("y", 3)):
        images = [picture(first + n) for n in range(3)]
        images[0].save(f"{name}.png", save_all=True, append_images=images[1:], duration=40)
    done = comet("encode", "x.png", "y.png", "--one-model", "--json")
    assert len({entry["model"] for entry in done.json["outputs"]}) == 1
    assert "the 2 pictures" in done.sentence and len(done.json["outputs"]) == 6


def test_one_model_is_chosen_by_what_is_encoded(judged, monkeypatch):
    """Faces are cut out first."""
    other = {"a.png": Path("b.png").read_bytes(), "b.png": Path("a.png").read_bytes()}
    seen = []

    def cut_out(data, where, find, note):
        seen.append(where)
        return other[where.strip("'")]

    monkeypatch.setattr(encode, "load_finder", lambda: None)
    monkeypatch.setattr(encode, "align_faces", cut_out)
    ERRORS_OF_CUTS = {"pool": 0.5, "quad": 0.1}
    crops = {hashlib.sha256(data).hexdigest() for data in other.values()}

    def judge(self, model, data, target):
        assert hashlib.sha256(data).hexdigest() in crops
        return ERRORS_OF_CUTS[model.card.name]

    monkeypatch.setattr(Session, "_judge", judge)
    done = judged("encode", "a.png", "b.png", "--one-model", "--align", "face", "--fresh")
    assert (done.code, models()) == (0, ["quad", "quad"]) and len(seen) == 4
