"""Figures of the paper: every layout, what stands in its places, and what is left out, said."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.cli.app import main
from comet_cli.cli.figure import NUMBERS
from comet_cli.drawing.layout import beside, blank, framed, stack, text, upright
from comet_cli.energy.render import render
from comet_cli.errors import UsageError
from comet_cli.figures.catalogue import FIGURES
from comet_cli.figures.figure import example_files, examples_folder
from comet_cli.figures.panel_session import PanelInput, PanelSession
from comet_cli.figures.panels import RESULT, SIDE, common
from comet_cli.formats.components import ComponentSet, read_components, write_components
from comet_cli.formats.images import decode_png, encode_png, load_image, to_bytes
from comet_cli.formats.png_entries import add_text
from comet_cli.models import comet_model, library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.version import __version__

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32
OBJECTS = ["ground", *(f"object{k}" for k in range(1, 5))]
FACTORS = ["hair", "light", "expression", "skin"]
MODELS = {
    "clevr": OBJECTS,
    "tetris": ["", "", ""],
    "faces": FACTORS,
    "faces-toon": FACTORS,
    "room": ["camera", "direction", "floor", "intensity"],
    "drive": ["road", "background", "lighting"],
    "clevr-lighting": OBJECTS,
    "clevr-toy": OBJECTS,
    "clevr-global": ["", "", "", ""],
}
STEMS = (
    *("clevr", "tetris", "room", "clevr-lighting", "clevr-toy"),
    *("toon", "drive-real", "drive-virtual"),
)


def build(name: str, seed: int) -> CometModel:
    labels = MODELS[name]
    torch.manual_seed(seed)
    objects = labels == OBJECTS
    card = ModelCard(
        name=name,
        encoder="global",
        energy="quadratic",
        filter_dim=8,
        components=len(labels),
        latent_dim=8,
        image_size=SIZE,
        positional=[not objects, *[True] * (len(labels) - 1)],
        step_size=1.0,
        num_steps=1,
        render_step_size=1.0,
        render_steps=2,
        init="grey",
        labels=labels if all(labels) else [],
    )
    model = CometModel(card).eval().requires_grad_(False)
    for parameter in model.parameters():  # so that components differ visibly
        parameter.mul_(2)
    return model


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Return a COMET_HOME with a tiny random model of every name."""
    folder = tmp_path_factory.mktemp("home")
    for seed, name in enumerate(MODELS):
        comet_model.save(build(name, seed), folder / "models" / name)
    return folder


@pytest.fixture(scope="module")
def examples(home, tmp_path_factory) -> Path:
    """Return a folder with two inputs of every kind; of faces only components."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)

    def draw(path: Path) -> None:
        colours = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((48, 48), Image.Resampling.NEAREST).save(path)

    for stem in STEMS:
        for letter in "12":
            draw(folder / f"{stem}-{letter}.png")
    faces = comet_model.load(str(home / "models" / "faces"), "cpu")
    for letter in "ab":
        draw(folder.parent / "face.png")
        picture = torch.from_numpy(load_image(folder.parent / "face.png", SIZE))
        z = faces.encode(picture[None])[0].numpy()
        components = ComponentSet(z, "faces", faces.card.weights_sha256, SIZE, tuple(FACTORS))
        write_components(folder / f"face-{letter}.z", components)
    return folder


@pytest.fixture
def comet(home, examples, tmp_path, monkeypatch, capsys):
    """Return a function that runs `comet figure …` in an empty folder: (code, out, err)."""
    monkeypatch.setenv("COMET_HOME", str(home))
    monkeypatch.setattr(library, "shipped_root", lambda: tmp_path / "nothing-shipped")
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["figure", *args, "--examples", str(examples), "--device", "cpu"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def without(home: Path, folder: Path, *names: str) -> Path:
    """Return a copy of a home that lacks some models."""
    shutil.copytree(home, folder)
    for name in names:
        shutil.rmtree(folder / "models" / name)
    return folder


def places(figure: np.ndarray, pixels: np.ndarray, side: int = SIDE) -> list[tuple[int, int]]:
    """Return where a picture stands in a figure: (y, x) of its corner, hairline left out."""
    cell = np.asarray(framed(pixels, side))[1:-1, 1:-1]
    weights = np.array([1 << 16, 1 << 8, 1])
    whole, part = figure @ weights, cell @ weights
    size = side - 2
    inside = whole[: len(whole) - size + 1, : whole.shape[1] - size + 1]
    return [
        (int(y), int(x))
        for y, x in np.argwhere(inside == part[0, 0])
        if whole[y + size - 1, x + size - 1] == part[-1, -1]
        and np.array_equal(whole[y : y + size, x : x + size], part)
    ]


def draw(*terms) -> np.ndarray:
    return to_bytes(render(list(terms), init="grey")[0])


@pytest.fixture
def made(comet, examples):
    """Return a function from a figure's number, and inputs, to its pixels and their sources."""

    def make(number: int, *inputs: tuple[str, str]) -> tuple[np.ndarray, list[PanelInput]]:
        code, _, err = comet(str(number), "-o", "figure.png")
        assert (code, err) == (0, "")
        session = PanelSession(device="cpu")
        sources = [session.open(examples / name, model) for name, model in inputs]
        return decode_png(Path("figure.png").read_bytes()), sources

    return make


def test_the_command_line_knows_every_figure():
    assert [str(number) for number in FIGURES] == [*NUMBERS]


@pytest.mark.parametrize("number", FIGURES)
def test_every_figure_is_made_whole_and_says_of_which_models(comet, number):
    code, out, err = comet(str(number), "-o", "figure.png")
    assert (code, out, err) == (0, "figure.png\n", "")
    with Image.open("figure.png") as picture:
        facts = json.loads(picture.info["comet-figure"])
        pixels = np.asarray(picture)
    assert facts["figure"] == number
    needed = {need.model for panel in FIGURES[number].panels for need in panel.needs}
    assert needed <= set(facts["models"]) <= {*needed, "faces"}
    assert (pixels[:20] == 255).all() and (pixels[:, :20] == 255).all()
    assert (pixels[-20:] == 255).all() and (pixels[:, -20:] == 255).all()


def test_the_same_figure_has_the_same_bytes_and_is_replaced_without_force(comet):
    assert comet("7", "-o", "figure.png")[0] == 0
    first = Path("figure.png").read_bytes()
    assert comet("7", "-o", "figure.png")[0] == 0
    assert Path("figure.png").read_bytes() == first


def test_a_figure_takes_no_seed_because_nothing_in_it_is_drawn_at_random(comet):
    code, out, err = comet("6", "-o", "figure.png", "--seed", "1")
    assert (code, out) == (2, "") and "--seed" in err
    assert not Path("figure.png").exists()


def test_inspect_says_which_figure_it_is(comet, capsys):
    assert comet("6", "-o", "figure.png")[0] == 0
    assert main(["inspect", "figure.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"made by  comet figure 6, version {__version__}"
    assert [line.split()[:2] for line in lines[2:]] == [["model", "clevr"], ["model", "tetris"]]
    broken = add_text(encode_png(np.zeros((4, 4, 3), np.uint8)), b"comet-figure", b"[6]")
    Path("figure.png").write_bytes(broken)
    assert main(["inspect", "figure.png"]) == 0
    assert "the entry 'comet-figure' in 'figure.png' is malformed" in capsys.readouterr().out


def test_files_of_others_are_replaced_with_force_only_and_inputs_never(comet, examples):
    Image.new("RGB", (4, 4)).save("photo.png")
    before = Path("photo.png").read_bytes()
    code, _, err = comet("6", "-o", "photo.png")
    assert code == 2 and "not made by comet" in err and Path("photo.png").read_bytes() == before
    assert comet("6", "-o", "photo.png", "--force")[0] == 0
    source = examples / "clevr-1.png"
    before = source.read_bytes()
    code, _, err = comet("6", "-o", str(source), "--force")
    assert code == 2 and "also an input" in err and source.read_bytes() == before


def test_without_metadata_a_figure_says_nothing(comet):
    assert comet("6", "-o", "figure.png", "--no-metadata")[0] == 0
    with Image.open("figure.png") as picture:
        assert picture.info == {}
    assert comet("6", "-o", "figure.png")[0] == 2


def test_a_panel_without_its_model_is_left_out_and_named(comet, home, tmp_path, monkeypatch):
    comet("4", "-o", "both.png")
    monkeypatch.setenv("COMET_HOME", str(without(home, tmp_path / "fewer", "room", "tetris")))
    code, out, err = comet("4", "-o", "one.png")
    assert (code, out) == (0, "one.png\n")
    assert err.count("\n") == 1 and "'Recombined inputs: room'" in err
    assert "model 'room' is not installed" in err
    both, one = (decode_png(Path(f"{name}.png").read_bytes()) for name in ("both", "one"))
    assert one.shape[1] < both.shape[1] * 0.6
    code, out, _ = comet("6", "-o", "six.png", "--json")
    assert code == 0 and "'tetris'" in json.loads(out)["outputs"][0]["left_out"][0]


def test_a_figure_without_any_model_is_an_error_of_one_sentence(comet, home, tmp_path, monkeypatch):
    names = ("faces-toon", "drive")
    monkeypatch.setenv("COMET_HOME", str(without(home, tmp_path / "fewer", *names)))
    code, out, err = comet("9", "-o", "figure.png")
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert all(f"model '{name}' is not installed" in err for name in names)
    assert not Path("figure.png").exists()


def test_a_panel_without_its_inputs_is_left_out_and_named(
    comet, examples, tmp_path, monkeypatch, capsys
):
    fewer = tmp_path / "fewer"
    shutil.copytree(examples, fewer)
    (fewer / "room-2.png").unlink()
    code = main(["figure", "3", "-o", "figure.png", "--examples", str(fewer), "--device", "cpu"])
    err = capsys.readouterr().err
    assert code == 0 and "fewer than 2 examples room-1, room-2 …" in err


@pytest.mark.parametrize("number", ["2", "0", "11", "-1", "six"])
def test_an_unknown_figure_is_wrong_usage(comet, number):
    code, out, err = (
        comet("-o", "figure.png", "--", number)
        if number == "-1"
        else comet(number, "-o", "figure.png")
    )
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert not Path("figure.png").exists()


def test_decompositions_show_input_gradients_generations_and_the_final_one(made):
    figure, (a, b) = made(6, ("clevr-1.png", "clevr"), ("clevr-2.png", "clevr"))
    session = PanelSession(device="cpu")
    tops = []
    for source in (a, b):
        cells = [draw(term) for term in source.terms]
        found = [places(figure, cell) for cell in cells]
        assert all(len(place) == 1 for place in found)
        lefts = [place[0][1] for place in found]
        assert lefts == sorted(lefts) and len({place[0][0] for place in found}) == 1
        maps = [places(figure, cell)[0] for cell in session.maps(source)]
        assert [x for _, x in maps] == lefts and maps[0][0] < found[0][0][0]
        ((_, left),) = places(figure, source.picture)
        ((_, right),) = places(figure, draw(*source.terms))
        assert left < lefts[0] and lefts[-1] < right
        tops.append(maps[0][0])
    assert tops == sorted(tops)


def test_swaps_take_one_component_from_the_other_input(made):
    figure, (a, b) = made(4, ("room-1.png", "room"), ("room-2.png", "room"))
    rows = []
    for mine, other in ((a, b), (b, a)):
        found = []
        for k in range(len(mine.terms)):
            terms = list(mine.terms)
            terms[k] = other.terms[k]
            ((y, x),) = places(figure, draw(*terms))
            found.append(x)
        assert found == sorted(found)
        rows.append(y)
    assert rows == sorted(rows)


def test_swaps_between_looks_pair_one_of_each(made):
    figure, (real, virtual) = made(
        10, ("drive-real-2.png", "drive"), ("drive-virtual-2.png", "drive")
    )
    for mine, other in ((real, virtual), (virtual, real)):
        assert places(figure, draw(other.terms[0], *mine.terms[1:]))


def test_the_series_adds_one_component_after_the_other(made):
    figure, (a,) = made(5, ("clevr-1.png", "clevr-global"))
    lefts = [places(figure, draw(*a.terms[: k + 1]))[0][1] for k in range(len(a.terms))]
    assert lefts == sorted(lefts) and len(set(lefts)) == 4


def test_all_objects_stand_on_the_ground_of_the_first(made):
    figure, (a, b) = made(7, ("clevr-1.png", "clevr"), ("clevr-2.png", "clevr"))
    (first,) = places(figure, draw(*a.terms, *b.terms[1:]), RESULT)
    (second,) = places(figure, draw(*b.terms, *a.terms[1:]), RESULT)
    assert first[0] < second[0] and first[1] == second[1]


def test_lights_are_exchanged_and_objects_kept(made):
    inputs = [(f"clevr-lighting-{n}.png", "clevr-lighting") for n in "12"]
    figure, (a, b) = made(7, *inputs)
    assert places(figure, draw(b.terms[0], *a.terms[1:]), RESULT)
    assert places(figure, draw(a.terms[0], *b.terms[1:]), RESULT)


def test_two_models_share_a_picture_on_one_ground(made):
    figure, (a, b, toy, light) = made(
        8,
        ("clevr-1.png", "clevr"),
        ("clevr-2.png", "clevr"),
        ("clevr-toy-2.png", "clevr-toy"),
        ("clevr-lighting-1.png", "clevr-lighting"),
    )
    assert places(figure, draw(toy.terms[0], *b.terms[1:3], *toy.terms[3:]), RESULT)
    assert places(figure, draw(light.terms[0], *a.terms[1:3], *light.terms[3:]), RESULT)


def test_the_overview_recombines_halves(made):
    figure, (a, b) = made(1, ("clevr-1.png", "clevr"), ("clevr-2.png", "clevr"))
    assert places(figure, draw(*a.terms[:3], *b.terms[3:]))
    assert places(figure, draw(*b.terms[:3], *a.terms[3:]))
    assert all(places(figure, draw(term)) for term in (*a.terms, *b.terms))


def test_components_of_a_face_are_shown_as_they_are_rendered(made, home, examples):
    figure, (face,) = made(3, ("face-a.z", "faces"))
    z = read_components(examples / "face-a.z").z
    assert face.caption == "rendering of face-a.z"
    assert np.array_equal(torch.stack([t.z for t in face.terms]).numpy(), z)
    assert np.array_equal(face.picture, draw(*face.terms))
    assert len(places(figure, face.picture)) == 2  # as the input, and as the final one


def test_components_of_another_model_are_rendered_and_encoded(made):
    _, (face, again) = made(9, ("face-a.z", "faces"), ("face-a.z", "faces-toon"))
    assert again.model.card.name == "faces-toon"
    assert np.array_equal(again.picture, face.picture)
    x = torch.from_numpy(face.picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    z = again.model.encode(x[None])[0]
    assert torch.equal(torch.stack([t.z for t in again.terms]), z)


def test_labels_are_the_cards_own(home, examples, monkeypatch):
    monkeypatch.setenv("COMET_HOME", str(home))
    session = PanelSession(device="cpu")
    named = [session.open(examples / f"{n}-1.png", n).labels for n in ("clevr", "tetris")]
    assert named[0][:3] == ("background", "object 1", "object 2")
    assert named[1] == ("black", "block 1", "block 2", "block 3")


def test_ground_and_light_are_what_objects_have_in_common(home):
    cards = {name: ModelCard.read(home / "models" / name) for name in MODELS}
    assert [common(cards[n]) for n in ("clevr", "tetris", "faces")] == [1, 0, 0]
    assert (
        common(cards["tetris"].replace(encoder="recurrent", ground=True, attention="colouring"))
        == 1
    )


def test_examples_of_a_stem_are_not_those_of_a_longer_one(tmp_path):
    for name in ("clevr-b.png", "clevr-1.png", "clevr-toy-1.png", "clevr-a.z", "clevr-a.txt"):
        (tmp_path / name).touch()
    found = [path.name for path in example_files(tmp_path, "clevr")]
    assert found == ["clevr-1.png", "clevr-a.z", "clevr-b.png"]


def test_the_examples_folder_is_found_or_asked_for(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="does not exist"):
        examples_folder(str(tmp_path / "nowhere"))
    assert examples_folder(str(tmp_path)) == tmp_path
    from comet_cli.figures import figure

    monkeypatch.setattr(figure, "__file__", str(tmp_path / "comet_cli" / "figures" / "figure.py"))
    (tmp_path / "examples").mkdir()
    with pytest.raises(UsageError, match="--examples DIR"):
        examples_folder()
    (tmp_path / "pyproject.toml").touch()
    assert examples_folder() == tmp_path / "examples"


def test_boxes_lie_where_they_should():
    dark = np.zeros((4, 4, 3), np.uint8)
    row = np.asarray(beside([framed(dark, 8), blank(4, 20)], gap=2, align="end"))
    assert row.shape == (20, 14, 3) and (row[:12] == 255).all() and (row[13:19, 1:7] == 0).all()
    column = np.asarray(stack([framed(dark, 8), blank(20, 4)], gap=2))
    assert column.shape == (14, 20, 3) and (column[1:7, 7:13] == 0).all()
    assert (column[:, :6] == 255).all() and (column[:, 14:] == 255).all()


def test_text_keeps_to_its_width():
    assert text("word " * 40, width=90).width == 90
    long, short = (np.asarray(text(w, width=90)).min(-1) < 128 for w in ("word " * 40, "word"))
    assert long.sum() > short.sum() > 0
    lying = upright("gradient", 128, 20)
    ink = np.argwhere(np.asarray(lying).min(-1) < 200)
    assert lying.size == (20, 128) and np.ptp(ink[:, 0]) > 2 * np.ptp(ink[:, 1])


def test_the_page_of_figures_shows_all_that_were_made_each_with_its_command():
    page = (ROOT / "docs" / "figures.md").read_text("utf-8")
    shown = set(re.findall(r"\]\((images/figure-\d+\.png)\)", page))
    there = {f"images/{path.name}" for path in (ROOT / "docs" / "images").glob("figure-*.png")}
    assert shown == there
    for number in FIGURES:
        assert f"comet figure {number} -o figure-{number}.png" in page
