"""`comet score`: the energy as a verifier of many pictures."""

import math
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.errors import UsageError
from comet_cli.formats.components import read_components
from comet_cli.formats.images import load_image
from comet_cli.models import comet_model
from comet_cli.verbs.score import PictureScore, rank, split_arguments


@pytest.fixture
def scored(pictures):
    """Return the runner, with a.z beside a.png and b.png."""
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    return pictures


def energies(image: str, file: str = "a.z") -> np.ndarray:
    found = read_components(file)
    model = comet_model.load(found.model, "cpu")
    x = torch.from_numpy(load_image(image, model.card.image_size))[None]
    return model.energy(x, torch.from_numpy(found.z.copy())[None])[0].numpy()


def test_a_table_holds_every_picture_and_component(scored):
    done = scored("score", "a.png", "b.png", "a.z:1,3")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[1:] for row in rows] == [
        [picture, f"a.z:{k}", "quad", label]
        for picture in ("a.png", "b.png")
        for k, label in ((1, "lighting"), (3, "face"))
    ]
    expected = np.concatenate([energies("a.png")[[1, 3]], energies("b.png")[[1, 3]]])
    assert np.allclose([float(row[0]) for row in rows], expected, rtol=1e-5)


def test_energies_are_the_same_alone_and_among_others(scored):
    together = scored("score", "b.png", "a.png", "a.z", "--json").json["scores"]
    alone = scored("score", "b.png", "a.z", "--json").json["scores"]
    assert together[: len(alone)] == alone and len(together) == 8


def test_the_order_of_pictures_and_selections_is_free(scored):
    assert scored("score", "a.z:2", "b.png").out == scored("score", "b.png", "a.z:2").out


def test_top_ranks_pictures_by_the_energy_of_the_selection(scored):
    names = []
    for n, grey in enumerate((250, 10, 90, 170)):
        names.append(f"p{n}.png")
        Image.new("RGB", (24, 24), (grey, grey, grey)).save(names[-1])
    totals = {name: energies(name)[0] - 0.5 * energies(name)[2] for name in names}
    done = scored("score", *names, "a.z:0,2*-0.5", "--top", "3", "--json")
    best = sorted(names, key=lambda name: totals[name])[:3]
    ranking = done.json["ranking"]
    assert [entry["picture"] for entry in ranking] == best
    assert [entry["rank"] for entry in ranking] == [1, 2, 3]
    assert np.allclose([r["energy"] for r in ranking], [totals[b] for b in best], rtol=1e-4)
    text = scored("score", *names, "a.z:0,2*-0.5", "--top", "3").out
    assert [line.split("\t")[1] for line in text.splitlines()] == best


def test_several_models_are_weighed_by_their_own_step_sizes(scored):
    assert scored("encode", "b.png", "-m", "pool").code == 0
    done = scored("score", "a.png", "a.z:1", "b.z:0", "--top", "1", "--json")
    steps = {name: comet_model.load(name, "cpu").card.render_step_size for name in ("quad", "pool")}
    assert steps["quad"] != steps["pool"]
    expected = steps["quad"] * energies("a.png")[1] + steps["pool"] * energies("a.png", "b.z")[0]
    assert math.isclose(done.json["ranking"][0]["energy"], expected, rel_tol=1e-4)


def test_equal_energies_keep_the_order_given():
    found = [PictureScore("z", (), 1.0), PictureScore("a", (), 1.0), PictureScore("m", (), 0.0)]
    assert [p.picture for p in rank(found, 10)] == ["m", "z", "a"]


def test_one_broken_picture_does_not_stop_the_others(scored):
    with open("broken.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\nno")
    done = scored("score", "a.png", "broken.png", "a.z:0", "--top", "5", "--json")
    assert done.code == 3 and done.json["failed"][0]["path"] == "broken.png"
    assert [entry["picture"] for entry in done.json["ranking"]] == ["a.png"]
    done = scored("score", "a.png", "broken.png", "a.z:0")
    assert done.code == 3 and "'broken.png' is a truncated" in done.sentence
    assert len(done.out.splitlines()) == 1
    done = scored("score", "broken.png", "a.z:0")
    assert done.code == 1 and done.out == ""


def test_pictures_are_told_from_selections(scored):
    shutil.copy("a.z", "noending")
    shutil.copy("a.png", "12:30.png")
    for arguments, expected in (
        (["a.png", "b.png", "a.z"], (["a.png", "b.png"], ["a.z"])),
        (["a.png", "b.png:1"], (["a.png"], ["b.png:1"])),
        (["a.png*0.5", "b.png"], (["b.png"], ["a.png*0.5"])),
        (["a.png", "b.png"], (["a.png"], ["b.png"])),
        (["noending", "a.png"], (["a.png"], ["noending"])),
        (["-", "a.z:0"], (["-"], ["a.z:0"])),
        (["a.png", "-:0"], (["a.png"], ["-:0"])),
        (["12:30.png", "a.z:0"], (["12:30.png"], ["a.z:0"])),
    ):
        pictures, selections = split_arguments(arguments)
        assert (pictures, [s.text for s in selections]) == expected, arguments
    for arguments, missing in ((["a.png"], "no selection"), (["a.z", "a.z:1"], "no picture")):
        with pytest.raises(UsageError, match=missing):
            split_arguments(arguments)


def test_wrong_usage_is_found_before_any_work(scored):
    for arguments, sentence in (
        (["a.png", "gone.png", "a.z"], "there is no file 'gone.png'"),
        (["a.png", "gone.z:1"], "there is no file 'gone.z'"),
        (["-", "-:0"], "standard input"),
        (["a.png", "a.z:9"], "asks for component 9"),
        (["a.png", "a.z", "--top", "0"], "invalid value for '--top'"),
    ):
        done = scored("score", *arguments)
        assert done.code == 2 and sentence in done.sentence and done.out == ""
    os.mkdir("folder")
    assert "is a folder" in scored("score", "folder", "a.z").sentence
