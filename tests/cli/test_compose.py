"""``comet compose`` in full: seeds, solvers, tolerance, regions, blends, traces."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.energy.solvers import fast_steps
from comet_cli.formats.images import decode_png
from comet_cli.formats.picture_recipe import read_recipe


@pytest.fixture
def encoded(pictures):
    """Write a.z and b.z (quad) and p.z (pool), and a mask of the left half."""
    pictures("encode", "a.png", "b.png", "-m", "quad")
    pictures("encode", "b.png", "-m", "pool", "-o", "p.z")
    mask = np.zeros((24, 24), np.uint8)
    mask[:, :12] = 255
    Image.fromarray(mask).save("left.png")
    return pictures


def pixels(path) -> np.ndarray:
    return decode_png(Path(path).read_bytes())


def settings(path) -> dict:
    return dict(read_recipe(Path(path).read_bytes()).settings)


def compose(run, *words, to: str = "out.png") -> bytes:
    done = run("compose", *words, "-o", to)
    assert done.code == 0, done.err
    return Path(to).read_bytes()


def settings_of(run, *words) -> dict:
    compose(run, *words, to="usual.png")
    return settings("usual.png")


def replays(run, path: str) -> bool:
    done = run("replay", path, "-o", "again.png")
    assert done.code == 0, done.err
    return Path("again.png").read_bytes() == Path(path).read_bytes()


def test_a_cell_of_a_sheet_of_seeds_is_the_picture_of_its_seed(encoded):
    compose(encoded, "a.z", "p.z:1", "--seeds", "0-3,9", to="sheet.png")
    sheet = pixels("sheet.png")
    side = 4 * 32
    unit = side / 144
    margin, gap, line = round(20 * unit), round(8 * unit), round(1.25 * 11)
    for place, seed in enumerate([0, 1, 2, 3, 9]):
        compose(encoded, "a.z", "p.z:1", "--seed", seed, to="one.png")
        x = margin + place % 3 * (side + gap)
        y = margin + place // 3 * (side + line + 2 * gap)
        cell = sheet[y : y + side, x : x + side]
        assert np.array_equal(cell, pixels("one.png").repeat(4, 0).repeat(4, 1)), seed
    assert replays(encoded, "sheet.png")


def test_seeds_that_change_nothing_are_told(encoded):
    alike = "the pictures of all seeds are the same"
    grey = ("a.z", "--init", "grey", "--seeds", "0-1", "-o", "sheet.png")
    assert alike in encoded("compose", *grey).err
    assert alike not in encoded("compose", *grey, "--solver", "langevin").err
    assert alike not in encoded("compose", "a.z", "--init", "noise", *grey[3:]).err
    idle, one = "--seed changes nothing", ("--seed", 3, "-o", "one.png")
    assert idle in encoded("compose", "a.z", "--init", "grey", *one).err
    for used in (("--init", "noise"), ("--init", "grey", "--solver", "langevin")):
        assert idle not in encoded("compose", "a.z", *used, *one).err


def test_files_of_seeds_are_byte_for_byte_those_of_single_runs(encoded):
    done = encoded("compose", "a.z", "--seeds", "8,10", "-o", "s{seed}.png")
    assert done.out == "s8.png\ns10.png\n"
    Path("runs").mkdir()
    encoded("compose", "a.z", "--seeds", "8,10", "-o", "runs")
    for seed, name in ((8, "08"), (10, "10")):
        alone = compose(encoded, "a.z", "--seed", seed)
        assert (
            alone == Path(f"s{seed}.png").read_bytes() == Path(f"runs/seed-{name}.png").read_bytes()
        )


@pytest.mark.parametrize("solver", ["momentum", "adam", "langevin", "anderson"])
def test_solvers_are_recorded_replayed_and_blind_to_order(encoded, solver):
    plain = compose(encoded, "a.z", "p.z:1")
    one = compose(encoded, "a.z", "p.z:1", "--solver", solver, "--seed", 5)
    assert settings("out.png")["solver"] == solver and replays(encoded, "out.png")
    assert one == compose(encoded, "p.z:1", "a.z:3,2", "a.z:0,1", "--solver", solver, "--seed", 5)
    assert not np.array_equal(decode_png(one), decode_png(plain))


def test_gradient_descent_leaves_recipes_as_they_were(encoded):
    plain = compose(encoded, "a.z")
    assert plain == compose(encoded, "a.z", "--solver", "gd")
    known = {"seed", "steps", "step_size", "size", "init", "device", "precision"}
    assert set(settings("out.png")) == known


def test_fast_is_written_as_the_solver_and_the_steps_that_it_means(encoded):
    fast = compose(encoded, "a.z", "p.z:1", "--fast")
    found = settings("out.png")
    usual = settings_of(encoded, "a.z", "p.z:1")["steps"]
    # The model of a.z is quadratic: the steps are those of the other.
    own = settings_of(encoded, "p.z:1")["steps"]
    assert found["solver"] == "anderson" and found["steps"] == fast_steps(own) <= usual
    assert "fast" not in found and replays(encoded, "out.png")
    spelled = ["--solver", "anderson", "--steps", found["steps"]]
    assert compose(encoded, "p.z:1", "a.z", *spelled) == fast


def test_fast_changes_nothing_of_a_quadratic_composition_and_says_so(encoded):
    plain = compose(encoded, "a.z", "b.z:1")
    done = encoded("compose", "a.z", "b.z:1", "--fast", "-o", "fast.png")
    assert Path("fast.png").read_bytes() == plain
    assert done.err.count("--fast changes nothing here: the energies are quadratic") == 1
    # A term that is not there does not count.
    silent = ["a.z", "b.z:1", "p.z:0*0"]
    assert compose(encoded, *silent, "--fast") == compose(encoded, *silent)


@pytest.mark.parametrize("verb", ["compose", "recombine", "decompose"])
@pytest.mark.parametrize("given", [("--steps", "5"), ("--solver", "gd")])
def test_fast_beside_what_it_chooses_is_refused(encoded, verb, given):
    if given[0] == "--solver" and verb != "compose":
        pytest.skip("no such option")
    done = encoded(verb, "a.z", "b.z", "--fast", *given, "-o", "out.png")
    assert done.code == 2 and not Path("out.png").exists()
    assert f"--fast chooses the solver and the steps, and {given[0]} is given" in done.err


@pytest.mark.parametrize("words", [["decompose", "p.z"], ["recombine", "p.z", "q.z"]])
def test_sheets_are_fast_too_and_replayed(encoded, words):
    encoded("encode", "a.png", "-m", "pool", "-o", "q.z")
    for more in ([], ["--fast"]):
        done = encoded(*words, *more, "-o", f"sheet{len(more)}.png")
        assert done.code == 0, done.err
    usual, found = settings("sheet0.png"), settings("sheet1.png")
    assert "solver" not in usual and found["solver"] == "anderson" and found["steps"] >= 1
    assert not np.array_equal(pixels("sheet0.png"), pixels("sheet1.png"))
    assert replays(encoded, "sheet1.png")


def test_a_cell_of_a_fast_grid_is_what_the_fast_composition_gives(encoded):
    encoded("encode", "a.png", "-m", "pool", "-o", "q.z")
    Path("cells").mkdir()
    encoded("recombine", "p.z", "q.z", "--fast", "-o", "grid.png", "--each", "cells")
    for cell in Path("cells").iterdir():
        recipe = settings(cell)
        assert recipe["solver"] == "anderson" and replays(encoded, str(cell))
    compose(encoded, "p.z", "--fast")
    assert Path("out.png").read_bytes() in [cell.read_bytes() for cell in Path("cells").iterdir()]


def test_a_tolerance_stops_early_and_the_replay_repeats_it(encoded):
    compose(encoded, "a.z", "--steps", 60, "--tolerance", 0.01)
    found = settings("out.png")
    assert 2 <= found["steps_taken"] < 60 and found["steps"] == 60
    assert replays(encoded, "out.png")
    stopped = pixels("out.png")
    compose(encoded, "a.z", "--steps", found["steps_taken"])
    assert np.array_equal(pixels("out.png"), stopped)
    compose(encoded, "a.z", "--steps", 60, "--tolerance", 0.01, "--seeds", "0-2", to="sheet.png")
    taken = settings("sheet.png")["steps_taken"].split(",")
    assert int(taken[0]) == found["steps_taken"] and len(taken) == 3
    assert replays(encoded, "sheet.png")


def test_where_a_mask_is_transparent_a_term_does_not_act(encoded):
    expected = compose(encoded, "a.z", "b.z:1*3@left.png", to="grey.png")
    mask = np.full((24, 24, 4), 255, np.uint8)
    mask[:, 12:, 3] = 0
    Image.fromarray(mask).save("left.png")
    assert compose(encoded, "a.z", "b.z:1*3@left.png", to="clear.png") == expected


def test_outside_its_region_a_term_leaves_the_picture_as_it_is(encoded):
    compose(encoded, "a.z", to="without.png")
    compose(encoded, "a.z", "b.z:1*3", to="everywhere.png")
    masked = compose(encoded, "a.z", "b.z:1*3@left.png", to="masked.png")
    without, everywhere, found = (pixels(f"{n}.png") for n in ("without", "everywhere", "masked"))
    assert np.array_equal(found[:, 12:], without[:, 12:])
    assert np.array_equal(found[:, :12], everywhere[:, :12])
    assert not np.array_equal(found[:, :12], without[:, :12])
    assert compose(encoded, "b.z:1*3@0,0,12,24", "a.z") == masked
    Path("left.png").unlink()
    assert replays(encoded, "masked.png")


def test_permuting_terms_with_regions_gives_identical_bytes(encoded):
    words = ["a.z:0,2", "p.z:1@left.png", "b.z:1@8,4,10,10", "b.z:1@left.png"]
    assert compose(encoded, *words) == compose(encoded, *reversed(words))


def test_editing_starts_from_the_picture_and_stays_in_the_region(encoded):
    Image.open("a.png").crop((4, 0, 44, 40)).resize((24, 24)).save("start.png")
    compose(encoded, "b.z:0@4,4,8,8", "--init", "start.png")
    start, edited = pixels("start.png"), pixels("out.png")
    changed = (start != edited).any(-1)
    assert changed[4:12, 4:12].any()
    changed[4:12, 4:12] = False
    assert not changed.any()
    Path("start.png").unlink()
    assert replays(encoded, "out.png")


def test_a_blend_ends_at_its_two_components(encoded):
    words = ["a.z:0,2,3"]
    assert compose(encoded, *words, "a.z:1%0%b.z:1") == compose(encoded, "a.z")
    assert compose(encoded, *words, "a.z:1%1%b.z:1") == compose(encoded, *words, "b.z:1")


@pytest.mark.parametrize("ending", ["apng", "webp", "gif", "mp4"])
def test_the_last_frame_of_a_trace_is_the_picture(encoded, ending):
    if ending == "mp4":
        pytest.importorskip("av")
    trace = f"trace.{ending}"
    words = ["a.z", "--trace", trace, "--steps", 30, "--tolerance", 0.01]
    compose(encoded, *words)
    large = pixels("out.png").repeat(11, 0).repeat(11, 1)
    last = last_frame(trace)
    if ending == "gif":  # 256 colours a frame
        assert np.abs(last.astype(int) - large.astype(int)).mean() < 8
    else:
        assert np.array_equal(last, large)
    compose(encoded, *words)  # it replaces its own file


def last_frame(path: str) -> np.ndarray:
    if path.endswith(".mp4"):
        import av

        with av.open(io.BytesIO(Path(path).read_bytes())) as video:
            return [f.to_ndarray(format="rgb24") for f in video.decode(video=0)][-1]
    with Image.open(path) as animation:
        animation.seek(animation.n_frames - 1)
        return np.asarray(animation.convert("RGB"))


def test_an_mp4_without_its_extra_is_one_sentence(encoded, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    done = encoded("compose", "a.z", "-o", "out.png", "--trace", "trace.mp4")
    assert done.code == 1 and "pip install av" in done.sentence
    assert not Path("out.png").exists() and not Path("trace.mp4").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("a.z --solver newton", "--solver is 'newton', expected one of gd, momentum, adam"),
        ("a.z --tolerance 0", "--tolerance is 0, expected a part of 1"),
        ("a.z --seed 1 --seeds 0-3", "--seed and --seeds are both given"),
        ("a.z --seeds 3-1", "the range 3-1 is empty"),
        ("a.z --seeds 0-1 --trace t.gif", "--trace shows one descent, --seeds makes several"),
        ("a.z b.z:1@gone.png", "there is no file 'gone.png'"),
        ("a.z b.z:1@20,0,8,8", "the region 20,0,8,8 leaves the picture, which is 24 pixels"),
        ("a.z b.z:1@left", "'left' is no region"),
        ("a.z:0%0.5%b.z:0-2", "a blend is between as many components"),
        ("a.z:0%0.5%p.z:0", "components of different models have no values in between"),
    ],
)
def test_bad_arguments_get_one_sentence_and_write_nothing(encoded, words, sentence):
    before = sorted(Path().iterdir())
    done = encoded("compose", *words.split(), "-o", "out.png")
    assert done.code == 2 and sentence in done.sentence
    assert sorted(Path().iterdir()) == before
