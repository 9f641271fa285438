"""Bad input: each with its own sentence and exit code, and nothing written."""

import errno
import os
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

import comet_cli
from comet_cli.formats.components import (
    ComponentSet,
    components_bytes,
    read_components,
    write_components,
)


@pytest.fixture
def encoded(pictures):
    """Write a.z (quad, labelled) and p.z (pool) as well."""
    pictures("encode", "a.png", "-m", "quad", "-o", "a.z")
    pictures("encode", "a.png", "-m", "pool", "-o", "p.z")
    return pictures


def write_broken(components: ComponentSet) -> None:
    """Write one file of every broken kind."""
    data = components_bytes(components)
    Path("truncated.z").write_bytes(data[:-5])
    Path("nan.z").write_bytes(data[:-4] + np.float32(np.nan).tobytes())
    Path("shape.z").write_bytes(data.replace(b'"shape":[4,8]', b'"shape":[2,8]'))
    Path("dtype.z").write_bytes(data.replace(b'"F32"', b'"I32"'))
    Path("foreign.z").write_bytes(save({"z": np.zeros((2, 3), np.float32)}))
    Path("text.z").write_text("hello")
    Path("empty.z").write_bytes(b"")
    changed = {**vars(components), "model_sha256": "0" * 64}
    write_components("version.z", ComponentSet(**changed))
    write_components("gone.z", ComponentSet(**{**changed, "model": "nowhere"}))
    short = {**vars(components), "z": components.z[:, :4]}
    write_components("narrow.z", ComponentSet(**short))
    Path("text.png").write_text("hello")
    Path("half.png").write_bytes(Path("a.png").read_bytes()[:-200])
    Path("empty.png").write_bytes(b"")
    os.mkdir("folder")


BAD = {
    "not an image": ("text.png", 1, "'text.png' is not an image that comet can read"),
    "truncated image": ("half.png", 1, "'half.png' is a truncated image"),
    "empty image": ("empty.png", 1, "'empty.png' is empty, expected an image"),
    "truncated .z": ("truncated.z", 1, "'truncated.z' is truncated: tensor 'z' needs 128 bytes"),
    "NaN": ("nan.z", 1, "'nan.z': component 3 holds a number that is not finite"),
    "wrong shape": ("shape.z", 1, "'shape.z': the data offsets of tensor 'z' do not match its sh"),
    "wrong dtype": ("dtype.z", 1, "'dtype.z': tensor 'z' is I32, expected F32 .float32."),
    "foreign safetensors": ("foreign.z", 1, "'foreign.z' is .* no comet components"),
    "no .z at all": ("text.z", 1, "'text.z' is not a .z file"),
    "empty .z": ("empty.z", 1, "'empty.z' is not a .z file"),
    "other weights": ("version.z", 1, "made with another version of model 'quad' .sha256 0000000"),
    "model not installed": (
        "gone.z",
        2,
        "model 'nowhere', which is not installed .known: pool, qu",
    ),
    "latents that do not fit": ("narrow.z", 1, r"'narrow.z' holds components \(K, 4\)"),
    "index out of range": ("a.z:4", 2, "component 4, but there are 4, numbered from 0 to 3"),
    "unknown label": ("a.z:nose", 2, "'nose', but its labels are hair, lighting, skin, face"),
    "label of none": ("p.z:nose", 2, "its 3 components have no labels"),
    "nothing selected": ("a.z:", 2, "selects nothing"),
    "weight zero alone": ("a.z*0", 2, "nothing is selected: every weight is 0"),
    "bad weight": ("a.z:0*x", 2, "the weight 'x' is not a number"),
    "no such file": ("gone.png", 2, "there is no file 'gone.png'"),
    "a folder": ("folder", 2, "the folder 'folder' holds no .z"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_writes_nothing(encoded, case):
    write_broken(read_components("a.z"))
    selection, code, sentence = BAD[case]
    before = sorted(os.listdir())
    done = encoded("compose", selection, "-m", "quad", "-o", "out.png")
    assert (done.code, done.out) == (code, "")
    assert re.search(sentence, done.sentence)
    assert sorted(os.listdir()) == before
    failed = encoded("compose", selection, "-m", "quad", "-o", "out.png", "--json")
    assert failed.json == {"error": done.sentence.removeprefix("comet: "), "exit_code": code}
    assert failed.err == ""


def test_odd_images_are_converted_not_refused(pictures):
    image = Image.open("a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save("deep.png")
    image.convert("CMYK").save("cmyk.jpg")
    image.quantize(8).save("palette.png")
    image.convert("RGBA").save("alpha.png")
    image.save("turned.jpg", exif=exif)
    names = ["deep.png", "cmyk.jpg", "palette.png", "alpha.png", "turned.jpg"]
    done = pictures("encode", *names, "-m", "quad")
    assert done.code == 0 and len(done.out.splitlines()) == len(names)
    assert np.abs(read_components("alpha.z").z - reference(pictures)).max() == 0


def reference(run) -> np.ndarray:
    run("encode", "a.png", "-m", "quad", "-o", "reference.z")
    return read_components("reference.z").z


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("encode a.png -m nothing", "unknown model 'nothing' .*known: pool, quad"),
        ("encode a.png -m quaf", "did you mean 'quad'"),
        ("encode gone.png", "there is no file 'gone.png'"),
        ("encode a.png b.png -o both.z", "several pictures cannot be written to one file"),
        ("encode a.png -o gone/", "output folder 'gone/' does not exist; make it: mkdir -p"),
        ("encode a.png -o gone/a.z", "output folder 'gone' does not exist; make it: mkdir -p"),
        ("encode a.png a.png", "'a.png' and 'a.png' would both be written to 'a.z'"),
        ("encode a.png -o a.png -f", "is no name for them"),
        ("encode - -", "once only"),
        ("encode - a.png", "among other pictures needs an output"),
        ("encode - --json", "both write to standard output"),
        ("encode a.png -o - --json", "both write to standard output"),
        ("encode a.png --device toaster", "unknown device 'toaster'"),
        ("encode a.png --precision int8", "unknown precision 'int8'"),
        ("compose a.z -o gone/out.png", "output folder 'gone' does not exist"),
        ("compose a.z -o out.jpg", "written as PNG, and 'out.jpg' is no name for one"),
        ("compose a.z -o out", "write -o 'out.png'"),
        ("compose a.png -o a.png -f", "inputs are never overwritten"),
        ("compose a.z --init b.png -o b.png -f", "inputs are never overwritten"),
        ("compose a.z -o b.png", "'b.png' exists and was not made by comet; give --force"),
        ("compose a.z", "missing option .*--output"),
        ("compose -o out.png", "missing argument 'SELECTION"),
        ("compose a.z -o out.png --seed -1", "--seed is -1, expected 0 to"),
        ("compose a.z -o out.png --seed x", "invalid value for .*--seed"),
        ("compose a.z -o out.png --steps 0", "--steps is 0, expected 1 to"),
        ("compose a.z -o out.png --step-size 0", "--step-size is 0, expected a positive"),
        ("compose a.z -o out.png --step-size nan", "--step-size is nan, expected a positive"),
        ("compose a.z -o out.png --size 100000", "--size is 100000, expected 8 to 4096"),
        ("compose a.z -o out.png --init gone.png", "there is no file 'gone.png'"),
        (
            "compose a.z -o out.png --init white",
            "there is no file 'white'; --init takes a picture, or noise, grey or black",
        ),
        ("compose a.z -o out.png --trace t.avi", "trace 't.avi' must end in one of"),
        ("compose a.z -o out.png --trace ./out.png", "'-o' and '--trace' would both be written to"),
        (
            "replay a.png ./a.png",
            "'a.png' and './a.png' would both be written to 'a-replay.png'",
        ),
        ("compose a.z -o out.png --wat", "no such option: --wat"),
        ("compose a.z -o out.png -o other.png", "-o is given twice"),
        ("compose a.z -o out.png --output=other.png", "-o is given twice"),
        ("compose a.z -o out.png --trace a.gif --trace b.gif", "--trace is given twice"),
        ("compose ./-:0 -o out.png", "there is no file './-'"),
        ("decompose a.z -o out.png --init pink", "--init is 'pink', expected one of"),
        (
            "encode a.png:0",
            "there is no file 'a.png:0'; 'a.png' is there, but ':0' after it has no",
        ),
        ("decompose a.z:0%0.5%a.z:1 -o out.png", "'a.z' is there, but ':0%0.5%a.z' after it has"),
        (
            "decompose a.z:0%0.5%a.z:1 -o out.png",
            "after it has no meaning here; only comet compose takes blends$",
        ),
        (
            "recombine no.z:1%.5%a.z:1 a.z -o out.png",
            "there is no file 'no.z:1%.5%a.z'; only comet compose takes blends$",
        ),
        ("recombine a.z@left.png a.z -o out.png", "; only comet compose takes regions$"),
        ("recombine no%20name.z a.z -o out.png", "there is no file 'no%20name.z'$"),
        ("encode absent.png:0", "there is no file 'absent.png:0'$"),
        ("decompose a.z b.z", "several inputs make one sheet, which needs a name"),
        ("gradients a.png b.png", "several inputs make one sheet, which needs a name"),
        ("gradients /dev/null", "is a pipe or a device, which has no folder for a sheet"),
        ("gradients a.z -o out.png", "holds components without their picture"),
        ("gradients a.png:0 -o out.png", "maps all components"),
        ("gradients a.png -o out.png --at noon", "--at is 'noon', expected one of"),
        ("gradients a.png -o out.png --npz g.txt", "must end in .npz"),
        ("gradients a.png -o out.png --each gone", "folder 'gone' does not exist; make it"),
        ("recombine a.png -o out.png", "swaps need two pictures or more"),
        ("inspect gone.z", "there is no file 'gone.z'"),
        ("replay gone.png", "there is no file 'gone.png'"),
        ("replay -", "needs an output"),
        ("data pack . -o a.z", "'a.z' is of another kind; give --force"),
        ("score gone.png a.z", "there is no file 'gone.png'"),
        ("nonsense", "no such command 'nonsense'"),
    ],
)
def test_wrong_usage_is_found_before_any_work(encoded, command, sentence):
    before = sorted(os.listdir())
    done = encoded(*command.split())
    assert done.code == 2 and sorted(os.listdir()) == before
    if "--json" in command:
        assert sentence in done.json["error"] and done.err == ""
    else:
        assert re.search(sentence, done.sentence) and done.out == ""


def test_colliding_outputs_are_found_before_any_work(pictures):
    Image.open("a.png").save("a.bmp")
    done = pictures("encode", "a.png", "a.bmp", "-m", "quad")
    assert done.code == 2 and "'a.png' and 'a.bmp' would both be written to 'a.z'" in done.sentence
    assert not Path("a.z").exists()


def test_no_space_left_leaves_nothing_behind(encoded, monkeypatch):
    before = sorted(os.listdir())
    with monkeypatch.context() as patch:

        def full(*args):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "replace", full)
        done = encoded("compose", "a.z", "-o", "out.png")
    assert done.code == 1 and "no space left for 'out.png'" in done.sentence
    assert sorted(os.listdir()) == before


def test_own_pictures_are_replaced_and_others_only_with_force(encoded):
    assert encoded("compose", "a.z:0", "-o", "out.png").code == 0
    first = Path("out.png").read_bytes()
    assert encoded("compose", "a.z:1", "-o", "out.png").code == 0
    assert Path("out.png").read_bytes() != first
    assert encoded("compose", "a.z:1", "-o", "b.png", "-f").code == 0


def test_divergence_names_a_remedy_and_writes_nothing(encoded):
    done = encoded("compose", "p.z*-1e30", "p.z*1e38", "-o", "out.png", "--step-size", "1e6")
    assert done.code == 1 and "step size" in done.sentence
    assert not Path("out.png").exists()


def test_a_file_with_a_selections_name_needs_literal(encoded):
    os.rename("a.z", "a.z:0")
    done = encoded("compose", "a.z:0", "-o", "out.png")
    assert done.code == 2 and "a file has literally that name; give --literal" in done.sentence
    assert encoded("compose", "a.z:0", "-o", "out.png", "--literal").code == 0
    os.link("a.z:0", "a.z")
    done = encoded("compose", "a.z:0", "-o", "out.png")
    assert done.code == 0 and "read as a selection of 'a.z'" in done.sentence


def test_picture_without_any_model_says_where_it_looked(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "none"))
    done = pictures("encode", "a.png")
    assert done.code == 2 and "no model is installed (looked in" in done.sentence


def test_model_in_a_folder_serves_its_components(encoded, models, monkeypatch, tmp_path):
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "none"))
    assert encoded("compose", "a.z", "-o", "out.png").code == 2
    folder = str(models / "models" / "quad")
    assert encoded("compose", "a.z", "-o", "out.png", "-m", folder).code == 0
    assert encoded("replay", "out.png").code == 0  # the folder of these weights is known by now
    monkeypatch.setenv("COMET_CACHE", str(tmp_path / "forgotten"))
    assert encoded("replay", "out.png").code == 2
    assert encoded("replay", "out.png", "-m", folder).code == 0


def test_a_remembered_folder_that_holds_other_weights_is_not_taken(
    encoded, models, monkeypatch, tmp_path
):
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "none"))
    mine = tmp_path / "mine"
    shutil.copytree(models / "models" / "quad", mine)
    assert encoded("compose", "a.z", "-o", "out.png", "-m", str(mine)).code == 0
    assert str(tmp_path).encode() not in Path("out.png").read_bytes()
    assert encoded("compose", "a.z", "-o", "out.png").code == 0
    shutil.rmtree(mine)
    shutil.copytree(models / "models" / "pool", mine)
    assert encoded("compose", "a.z", "-o", "out.png").code == 2


def test_a_broken_local_model_is_left_out_of_the_choice(pictures, models, monkeypatch, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(models, home)
    (home / "models" / "pool" / "model.safetensors").write_bytes(b"damaged")
    monkeypatch.setenv("COMET_HOME", str(home))
    done = pictures("encode", "a.png")
    assert done.code == 0 and "model 'pool' is left out" in done.err
    assert read_components("a.z").model == "quad"


@pytest.mark.parametrize(
    "settings",
    [{"seed": -1}, {"steps": 10**9}, {"size": 10**6}, {"init": "x"}, {"init": "picture"}, {}],
)
def test_hostile_recipes_are_refused_when_replayed(encoded, settings):
    import dataclasses

    from comet_cli.formats.images import decode_png, write_png
    from comet_cli.formats.picture_recipe import read_recipe

    encoded("compose", "a.z", "-o", "out.png")
    data = Path("out.png").read_bytes()
    recipe = read_recipe(data)
    kept = recipe.settings if settings else {}
    changed = dataclasses.replace(recipe, settings={**kept, **settings})
    write_png(decode_png(data), "out.png", changed)
    done = encoded("replay", "out.png")
    assert done.code == 1 and done.sentence and not Path("out-replay.png").exists()


def test_hints_name_the_libraries_themselves():
    # On PyPI the name comet-cli belongs to another project.
    root = Path(comet_cli.__file__).parent
    facts = tomllib.loads((root.parent / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*facts["dependencies"], *sum(facts["optional-dependencies"].values(), [])]
    libraries = {re.split(r"[<>=~]", name)[0] for name in wanted}
    for path in sorted(root.rglob("*.py")):
        text = path.read_text("utf-8")
        assert "comet-cli[" not in text, path
        for hint in re.findall(r"pip install (?:--\S+ )?([\w-]+(?: \w+_\w+)?)", text):
            assert set(hint.split()) <= libraries, (path, hint)
    assert facts["name"] == "comet-components"
    assert set(facts["scripts"]) == {"comet", "comet-cli"}
