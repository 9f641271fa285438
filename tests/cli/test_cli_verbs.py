"""Every verb end to end: a picture is taken apart and put together again."""

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import comet_cli
from comet_cli import read_components
from comet_cli.formats.images import decode_png, from_bytes, load_image, to_bytes
from comet_cli.formats.picture_recipe import has_recipe, read_recipe
from comet_cli.models import comet_model


def pixels(path) -> np.ndarray:
    return decode_png(Path(path).read_bytes())


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_encode_writes_what_the_model_infers(pictures):
    done = pictures("encode", "a.png", "-m", "pool")
    assert (done.code, done.out) == (0, "a.z\n")
    found = read_components("a.z")
    model = comet_model.load("pool", "cpu")
    import torch

    x = torch.from_numpy(load_image("a.png", 32))[None]
    assert np.array_equal(found.z, model.encode(x)[0].numpy())
    assert found.model == "pool" and found.model_sha256 == model.card.weights_sha256
    assert found.source == "a.png" and len(found.source_sha256) == 64


def test_encoding_twice_gives_the_same_bytes(pictures):
    pictures("encode", "a.png", "-m", "quad")
    first = Path("a.z").read_bytes()
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    assert Path("a.z").read_bytes() == first


def test_encode_many_into_a_folder(pictures):
    os.mkdir("out")
    done = pictures("encode", "a.png", "b.png", "-m", "quad", "-o", "out/")
    assert done.code == 0 and sorted(os.listdir("out")) == ["a.z", "b.z"]
    assert done.out.splitlines() == [os.path.join("out", "a.z"), os.path.join("out", "b.z")]


def test_one_bad_picture_of_many_does_not_stop_the_others(pictures):
    Path("bad.png").write_bytes(b"nonsense")
    done = pictures("encode", "a.png", "bad.png", "b.png", "-m", "quad")
    assert done.code == 3 and done.out == "a.z\nb.z\n"
    assert "'bad.png' is not an image" in done.sentence and not Path("bad.z").exists()
    done = pictures("encode", "a.png", "bad.png", "-m", "quad", "--json")
    assert done.code == 3 and done.json["exit_code"] == 3
    assert [f["path"] for f in done.json["failed"]] == ["bad.png"]


def test_when_every_picture_is_bad_the_command_fails(pictures):
    for name in ("c.png", "d.png"):
        Path(name).write_bytes(b"nonsense")
    assert pictures("encode", "c.png", "d.png", "-m", "quad").code == 1
    done = pictures("encode", "c.png", "d.png", "-m", "quad", "--json")
    assert done.json["exit_code"] == 1 and "none of the 2" in done.json["error"]


def test_model_is_chosen_by_reconstruction_and_named(pictures):
    done = pictures("encode", "a.png")
    chosen = read_components("a.z").model
    assert f"model '{chosen}' reconstructs 'a.png' best" in done.sentence
    assert "pool " in done.sentence and "quad " in done.sentence


def test_environment_chooses_the_model_and_the_option_wins(pictures, monkeypatch):
    monkeypatch.setenv("COMET_MODEL", "pool")
    pictures("encode", "a.png")
    assert read_components("a.z").model == "pool"
    pictures("encode", "a.png", "-m", "quad")
    assert read_components("a.z").model == "quad"


def test_composition_is_what_the_python_api_renders(pictures):
    pictures("encode", "a.png", "-m", "quad", "-o", "a.z")
    pictures("encode", "b.png", "-m", "pool", "-o", "b.z")
    done = pictures("compose", "a.z:0,lighting*0.5", "b.z:2", "-o", "out.png", "--seed", "7")
    assert (done.code, done.out) == (0, "out.png\n")
    import torch

    a, b = read_components("a.z"), read_components("b.z")
    quad, pool = comet_model.load("quad", "cpu"), comet_model.load("pool", "cpu")
    terms = [
        comet_cli.Term(quad, torch.from_numpy(a.z[0].copy()), 1.0, 0),
        comet_cli.Term(quad, torch.from_numpy(a.z[1].copy()), 0.5, 1),
        comet_cli.Term(pool, torch.from_numpy(b.z[2].copy()), 1.0, 2),
    ]
    expected = to_bytes(comet_cli.render(terms, seed=7, init="noise")[0])
    assert np.array_equal(pixels("out.png"), expected)


def test_permuting_selections_gives_identical_bytes(pictures):
    pictures("encode", "a.png", "b.png", "-m", "pool")
    pictures("encode", "a.png", "-m", "quad", "-o", "q.z")
    arguments = ["a.z:0,2", "b.z:1*0.5", "q.z:3"]
    pictures("compose", *arguments, "-o", "one.png")
    pictures("compose", *reversed(arguments), "-o", "two.png")
    pictures("compose", "q.z:3", "a.z:2", "b.z:1*0.5", "a.z[0]", "-o", "three.png")
    one = Path("one.png").read_bytes()
    assert one == Path("two.png").read_bytes() == Path("three.png").read_bytes()


def test_weight_zero_is_absent(pictures):
    pictures("encode", "a.png", "b.png", "-m", "quad")
    pictures("compose", "a.z", "-o", "one.png")
    pictures("compose", "a.z", "b.z:1*0", "-o", "two.png")
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()


def test_an_image_stands_for_its_components(pictures):
    pictures("encode", "a.png", "-m", "quad")
    pictures("compose", "a.z:1", "-o", "one.png")
    pictures("compose", "a.png:1", "-m", "quad", "-o", "two.png")
    assert np.array_equal(pixels("one.png"), pixels("two.png"))


def test_one_component_and_more_than_the_model_was_trained_with(pictures):
    pictures("encode", "a.png", "b.png", "-m", "pool")
    for selection in (["a.z:0"], ["a.z", "b.z"], ["a.z", "b.z", "a.z", "b.z"]):
        assert pictures("compose", *selection, "-o", "out.png").code == 0
        assert pixels("out.png").shape == (32, 32, 3)


def test_settings_change_the_picture(pictures):
    pictures("encode", "a.png", "-m", "pool")
    found = set()
    for options in (
        [],
        ["--seed", 1],
        ["--steps", 5],
        ["--step-size", 0.5],
        ["--init", "grey"],
        ["--init", "b.png"],
        ["--size", 40],
    ):
        done = pictures("compose", "a.z", "-o", "out.png", *options)
        assert done.code == 0, done.err
        found.add(pixels("out.png").tobytes())
    assert len(found) == 7 and pixels("out.png").shape == (40, 40, 3)


def test_part_of_a_quadratic_model_starts_from_grey_and_the_whole_from_its_own(pictures):
    pictures("encode", "a.png", "-m", "quad")
    assert (
        pictures("compose", "a.z:0", "-o", "x.png", "--json").json["outputs"][0]["init"] == "grey"
    )
    assert pictures("compose", "a.z", "-o", "x.png", "--json").json["outputs"][0]["init"] == "noise"


@pytest.mark.parametrize("ending", ["gif", "apng", "webp"])
def test_trace_ends_with_the_picture(pictures, ending):
    pictures("encode", "a.png", "-m", "quad")
    trace = f"trace.{ending}"
    done = pictures("compose", "a.z", "-o", "out.png", "--trace", trace)
    assert done.out == f"out.png\n{trace}\n"
    with Image.open(trace) as animation:
        assert animation.n_frames == 4  # the start and three steps
        animation.seek(3)
        last = np.asarray(animation.convert("RGB")).astype(int)
    large = pixels("out.png").repeat(11, 0).repeat(11, 1).astype(int)
    assert np.abs(last - large).mean() < (8 if ending == "gif" else 0.01)
    assert pictures("compose", "a.z", "-o", "out.png", "--trace", trace).code == 0  # its own file


def test_replay_makes_the_same_file_without_the_components(pictures, monkeypatch):
    for command in (
        ["compose", "a.png:0", "b.png:1*0.5", "--init", "b.png"],
        ["decompose", "a.png", "b.png"],
        ["gradients", "a.png", "--overlay"],
        ["recombine", "a.png", "b.png"],
        ["recombine", "a.png", "--add"],
    ):
        done = pictures(*command, "-m", "quad", "-o", "out.png", "-q")
        assert (done.code, done.out, done.err) == (0, "out.png\n", "")
        before = Path("out.png").read_bytes()
        os.rename("out.png", "moved.png")
        os.makedirs("away", exist_ok=True)
        monkeypatch.chdir("away")
        done = pictures("replay", "../moved.png", "-o", "again.png")
        assert done.sentence == "comet: the replay has the same pixels"
        assert Path("again.png").read_bytes() == before
        monkeypatch.chdir("..")


def test_replay_reports_other_versions(pictures):
    pictures("compose", "a.png", "-m", "quad", "-o", "out.png")
    data = Path("out.png").read_bytes()
    recipe = read_recipe(data)
    changed = recipe.__class__(
        recipe.verb, recipe.models, recipe.rows, recipe.settings, {"comet": "9", "torch": "8"}
    )
    from comet_cli.formats.images import write_png

    write_png(decode_png(data), "out.png", changed)
    done = pictures("replay", "out.png", "--json")
    found = done.json["outputs"][0]
    assert found["identical"] is True and found["path"] == "out-replay.png"
    assert any(c.startswith("comet is ") and c.endswith("was 9") for c in found["changes"])


def test_no_metadata_writes_none(pictures):
    pictures("compose", "a.png", "-m", "quad", "-o", "out.png", "--no-metadata")
    assert not has_recipe(Path("out.png").read_bytes())
    done = pictures("replay", "out.png")
    assert done.code == 1 and "holds no recipe" in done.sentence


def test_recipes_hold_no_folder_user_or_host_name(pictures, tmp_path):
    import getpass
    import socket

    pictures("decompose", tmp_path / "work" / "a.png", "-m", "quad", "-o", tmp_path / "out.png")
    facts = json.loads(read_recipe((tmp_path / "out.png").read_bytes()).to_json())
    for row in facts["rows"]:
        del row["picture"]
        for term in row["terms"]:
            del term["z"]  # base64 may spell anything
    text = json.dumps(facts)
    for secret in (str(tmp_path), f'"{socket.gethostname()}', f'"{getpass.getuser()}', "/"):
        assert secret not in text


def test_decomposition_shows_input_all_and_each_alone(pictures):
    done = pictures("decompose", "a.png", "b.png", "-m", "quad", "-o", "sheet.png")
    assert done.code == 0
    pictures("compose", "a.png:2", "-m", "quad", "-o", "alone.png", "--init", "grey")
    pictures("compose", "a.png", "-m", "quad", "-o", "all.png")
    sheet = pixels("sheet.png")
    shown = to_bytes(load_image("a.png", 24))
    for cell in (shown, pixels("all.png"), pixels("alone.png")):
        assert contains(sheet, cell.repeat(6, 0).repeat(6, 1))


def contains(sheet: np.ndarray, cell: np.ndarray) -> bool:
    side = cell.shape[0]
    starts = np.argwhere((sheet[: -side + 1, : -side + 1] == cell[0, 0]).all(-1))
    return any(np.array_equal(sheet[y : y + side, x : x + side], cell) for y, x in starts)


def test_decomposition_takes_components_without_their_picture(pictures):
    pictures("encode", "a.png", "-m", "pool")
    assert pictures("decompose", "a.z", "-o", "one.png").code == 0
    assert pictures("decompose", "a.z:0,1", "b.png", "-m", "quad", "-o", "two.png").code == 0
    assert pixels("one.png").shape[0] < pixels("two.png").shape[0]


def test_gradient_numbers_are_the_models_gradients(pictures):
    done = pictures(
        "gradients",
        "a.png",
        "b.png",
        "-m",
        "quad",
        "-o",
        "maps.png",
        "--npz",
        "g.npz",
        "--at",
        "image",
    )
    assert done.out == "maps.png\ng.npz\n"
    import torch

    model = comet_model.load("quad", "cpu")
    with np.load("g.npz") as found:
        assert found["gradients"].shape == (2, 4, 3, 24, 24)
        x = torch.from_numpy(found["images"])
        expected = model.gradients(x, torch.from_numpy(found["z"])).numpy()
        assert np.allclose(found["gradients"], expected, atol=1e-5)
        strength = np.sqrt(np.square(found["gradients"]).mean(2))
        assert np.allclose(found["strength"], strength, rtol=1e-6)
        assert found["segments"].shape == (2, 24, 24) and found["segments"].max() < 4
        assert found["names"].tolist() == ["a", "b"]
    assert (
        pictures("gradients", "a.png", "-m", "quad", "-o", "maps.png", "--npz", "g.npz").code == 0
    )


def test_gradients_each_writes_a_map_a_component(pictures):
    os.mkdir("maps")
    done = pictures(
        "gradients", "a.png", "-m", "pool", "-o", "x.png", "--each", "maps", "--map", "heat"
    )
    assert done.code == 0 and sorted(os.listdir("maps")) == ["a-0.png", "a-1.png", "a-2.png"]
    assert pictures("gradients", "a.png", "-m", "pool", "-o", "x.png", "--each", "maps").code == 0


def test_score_is_the_energy(pictures):
    pictures("encode", "a.png", "-m", "quad")
    done = pictures("score", "b.png", "a.z:1,3", "--json")
    import torch

    model, found = comet_model.load("quad", "cpu"), read_components("a.z")
    x = torch.from_numpy(load_image("b.png", 24))[None]
    expected = model.energy(x, torch.from_numpy(found.z.copy())[None])[0]
    scores = done.json["scores"]
    assert [s["component"] for s in scores] == [1, 3] and scores[0]["label"] == "lighting"
    assert np.allclose([s["energy"] for s in scores], expected[[1, 3]], rtol=1e-6)
    assert len(pictures("score", "b.png", "a.z:1,3").out.splitlines()) == 2


def test_inspect_of_a_folder_that_is_no_model_says_what_it_holds(pictures):
    os.mkdir("frames")
    done = pictures("inspect", "frames")
    assert done.sentence == "comet: 'frames' holds no card.json, so it is no comet model"
    pictures("encode", "a.png", "b.png", "-m", "quad", "-o", "frames")
    sentence = "no comet model; it holds 2 .z files: name them, as 'frames/a.z'"
    assert pictures("inspect", "frames").sentence.endswith(sentence)
    assert "2 picture files" in pictures("inspect", ".").sentence


def test_inspect_says_what_a_file_holds(pictures, models):
    pictures("encode", "a.png", "-m", "quad")
    pictures("compose", "a.z:1*0.5", "-o", "out.png")
    found = pictures("inspect", "a.z", "--json").json
    assert found["kind"] == "components" and found["latent_dim"] == 8
    assert [row["label"] for row in found["components"]] == ["hair", "lighting", "skin", "face"]
    found = pictures("inspect", "out.png", "--json").json
    assert found["kind"] == "picture" and found["recipe"]["settings"]["seed"] == 0
    assert found["recipe"]["rows"][0]["terms"][0]["weight"] == 0.5
    assert pictures("inspect", "a.png", "--json").json["recipe"] is None
    found = pictures("inspect", models / "models" / "pool", "--json").json
    assert found["kind"] == "model" and found["name"] == "pool"
    assert "attention" not in pictures("inspect", models / "models" / "pool").out
    for name in ("a.z", "out.png", "a.png", str(models / "models" / "pool")):
        done = pictures("inspect", name)
        assert done.code == 0 and done.err == "" and len(done.out.splitlines()) >= 2


def test_inspect_tells_latents_and_regions_apart(pictures):
    assert pictures("encode", "a.png", "b.png", "-m", "quad").code == 0
    hashes = {
        name: [row["latent_hash"] for row in pictures("inspect", name, "--json").json["components"]]
        for name in ("a.z", "b.z")
    }
    assert len({*hashes["a.z"], *hashes["b.z"]}) == 8
    for line, told in zip(
        pictures("inspect", "a.z").out.splitlines()[-4:], hashes["a.z"], strict=True
    ):
        assert line.split()[-1] == told
    mask = np.zeros((24, 24), np.uint8)
    mask[4:8, 2:5] = 255
    mask[9, 10] = 90
    Image.fromarray(mask).save("mask.png")

    def term(selection):
        assert pictures("compose", selection, "-o", "out.png", "--steps", "1", "-f").code == 0
        (found,) = pictures("inspect", "out.png", "--json").json["recipe"]["rows"][0]["terms"]
        (line,) = [x for x in pictures("inspect", "out.png").out.splitlines() if "term" in x]
        return found["latent_hash"], found["region"], line.partition("× ")[2]

    own = hashes["a.z"][1]
    assert term("a.z:1") == (own, None, f"1, z {own}")
    box = {"box": [8, 9, 10, 11], "mask_hash": None}
    assert term("a.z:1@8,9,10,11") == (own, box, f"1, z {own}, only in 8,9,10,11")
    _, region, line = term("a.z:1@mask.png")
    assert region["box"] == [2, 4, 9, 6]
    assert line == f"1, z {own}, only in mask {region['mask_hash']} in 2,4,9,6"
    blended, _, line = term("a.z:1%0.25%b.z:1")
    assert blended not in (own, hashes["b.z"][1]) and line == f"1, z {blended}"


def test_doctor_finds_the_models(comet):
    found = comet("doctor", "--json").json
    assert [m["name"] for m in found["models"]] == ["pool", "quad"] and found["problems"] == []
    assert "problems" in comet("doctor").out


def test_standard_input_and_output(pictures, monkeypatch):
    feed(monkeypatch, Path("a.png").read_bytes())
    done = pictures("encode", "-", "-m", "quad", "-o", "x.z")
    assert done.out == "x.z\n" and read_components("x.z").source == "stdin"
    for selection in ("-", "-:0,1", "-[0-1]*0.5"):
        feed(monkeypatch, Path("x.z").read_bytes())
        assert pictures("compose", selection, "-o", "out.png").code == 0


def test_picture_goes_to_standard_output_and_nothing_else_does(pictures, monkeypatch):
    pictures("compose", "a.png", "-m", "quad", "-o", "out.png")
    stream = SimpleNamespace(buffer=io.BytesIO(), flush=lambda: None, write=lambda text: 1 / 0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        comet_cli.cli.app.main(["compose", "a.png", "-m", "quad", "-o", "-"])
    assert stream.buffer.getvalue() == Path("out.png").read_bytes()


def test_bfloat16_is_close_to_float32_and_replayed_as_such(pictures):
    pictures("compose", "a.png", "-m", "quad", "-o", "a32.png")
    done = pictures("compose", "a.png", "-m", "quad", "-o", "a16.png", "--precision", "bfloat16")
    assert done.code == 0, done.err
    assert np.abs(from_bytes(pixels("a32.png")) - from_bytes(pixels("a16.png"))).mean() < 0.02
    assert "same pixels" in pictures("replay", "a16.png").err


def test_json_is_one_document_of_the_paths(pictures):
    done = pictures("encode", "a.png", "b.png", "-m", "quad", "--json")
    assert [o["path"] for o in json.loads(done.out)["outputs"]] == ["a.z", "b.z"]
    assert done.err == ""
