"""``comet recombine``: each cell is what its own selection composes."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from comet_cli.formats.images import decode_png
from comet_cli.formats.picture_recipe import read_recipe
from comet_cli.verbs.recombine_grid import lay_out_cells


@pytest.fixture
def encoded(pictures):
    """Write a.z and b.z (quad, labelled) and p.z (pool)."""
    pictures("encode", "a.png", "b.png", "-m", "quad")
    pictures("encode", "b.png", "-m", "pool", "-o", "p.z")
    return pictures


def pixels(path) -> np.ndarray:
    return decode_png(Path(path).read_bytes())


def grid_of(path):
    return lay_out_cells(read_recipe(Path(path).read_bytes()))


def selections(path) -> list[list[str]]:
    return [[cell.selection for cell in row] for row in grid_of(path).cells]


def contains(sheet: np.ndarray, cell: np.ndarray) -> bool:
    side = cell.shape[0]
    starts = np.argwhere((sheet[: -side + 1, : -side + 1] == cell[0, 0]).all(-1))
    return any(np.array_equal(sheet[y : y + side, x : x + side], cell) for y, x in starts)


def test_components_restrict_what_is_swapped(encoded):
    assert encoded("recombine", "a.z", "b.z", "--components", "1,3", "-o", "o.png").code == 0
    assert selections("o.png") == [
        ["a.z:0-3", "a.z:0,2,3 b.z:1", "a.z:0-2 b.z:3"],
        ["b.z:0-3", "a.z:1 b.z:0,2,3", "a.z:3 b.z:0-2"],
    ]
    by_number = Path("o.png").read_bytes()
    encoded("recombine", "a.z", "b.z", "--components", "lighting,face", "-o", "l.png")
    assert np.array_equal(pixels("l.png"), decode_png(by_number))
    assert grid_of("o.png").columns == ["unchanged", "swap lighting", "swap face"]


@pytest.mark.parametrize("layout", ["", "--add", "--all", "--interpolate 2"])
def test_no_heading_stands_over_nothing_where_inputs_are_unequal(encoded, layout):
    command = ["recombine", "a.z:1*0.5", "b.z", "--scale", "1", *layout.split(), "-o", "o.png"]
    assert encoded(*command).code == 0
    grid = grid_of("o.png")
    assert len(grid.columns) == max(map(len, grid.cells)) and len(grid.rows) == len(grid.cells)
    if not layout:
        assert grid.columns == ["unchanged", "swap 0"]


def test_each_cell_is_byte_for_byte_what_its_selection_composes(encoded):
    Path("each").mkdir()
    done = encoded("recombine", "a.z", "p.z", "b.z", "-o", "o.png", "--each", "each", "--seed", 3)
    assert done.code == 0
    sheet = pixels("o.png")
    written = sorted(Path("each").iterdir())
    different = {cell.key: cell for row in grid_of("o.png").cells for cell in row}
    assert len(written) == len(different) == len(done.out.splitlines()) - 1
    chosen = [c for c in different.values() if "p.z" in c.selection][:2] + [
        next(c for c in different.values() if c.selection == "a.z:0,2,3 b.z:1")
    ]
    contents = [path.read_bytes() for path in written]
    for cell in chosen:
        encoded("compose", *shlex.split(cell.selection), "-o", "one.png", "--seed", 3)
        assert Path("one.png").read_bytes() in contents
        size = pixels("one.png").shape[0]
        factor = round(144 / 24) * 24 // size if size == 24 else None
        if factor:
            assert contains(sheet, pixels("one.png").repeat(factor, 0).repeat(factor, 1))
    assert Path("each/a-0,2,3+b-1.png") in written


def test_singles_are_replayed(encoded):
    Path("each").mkdir()
    command = ["recombine", "a.z", "b.z", "--components", "2", "--interpolate", 3, "-o", "o.png"]
    assert encoded(*command, "--each", "each").code == 0
    middle = next(p for p in Path("each").iterdir() if "%0.5%" in p.name)
    done = encoded("replay", middle, "-o", "again.png")
    assert done.sentence == "comet: the replay has the same pixels"
    assert Path("again.png").read_bytes() == middle.read_bytes()
    assert encoded(*command, "--each", "each").code == 0  # its own files
    assert encoded("replay", "o.png", "-q").code == 0
    assert Path("o-replay.png").read_bytes() == Path("o.png").read_bytes()


def test_all_holds_every_mixture_once_and_both_originals(encoded):
    assert encoded("recombine", "a.z", "b.z", "--all", "-o", "o.png").code == 0
    found = [cell for row in selections("o.png") for cell in row]
    assert len(set(found)) == len(found) == 2**4
    assert found[0] == "a.z:0-3" and found[-1] == "b.z:0-3"
    sheet = pixels("o.png")
    for name in ("a.z", "b.z"):
        encoded("compose", name, "-o", "one.png")
        assert contains(sheet, pixels("one.png").repeat(6, 0).repeat(6, 1))
    grid = grid_of("o.png")
    row, column = grid.rows.index("lighting of b"), grid.columns.index("skin, face of b")
    assert grid.cells[row][column].selection == "a.z:0 b.z:1-3"
    encoded("recombine", "a.z", "b.z", "--all", "--components", "0-2", "-o", "o.png")
    assert len(sum(selections("o.png"), [])) == 2**3


def test_interpolation_goes_from_one_picture_to_the_swap(encoded):
    command = ["recombine", "a.z", "b.z", "--interpolate", 5, "--components", "1,2"]
    assert encoded(*command, "-o", "o.png").code == 0
    grid = grid_of("o.png")
    swaps = ["a.z:0,2,3 b.z:1", "a.z:0,1,3 b.z:2"]
    for row, swap in zip(grid.cells, swaps, strict=True):
        assert (row[0].selection, row[-1].selection) == ("a.z:0-3", swap)
    assert grid.cells[0][1].selection == "a.z:0,2,3 a.z:1%0.25%b.z:1"
    assert grid.columns == ["0", "0.25", "0.5", "0.75", "1"]
    a, between, b = (grid.cells[0][n].terms[1].z.astype(float) for n in (0, 1, 4))
    assert np.allclose(between, 0.75 * a + 0.25 * b, atol=1e-6)
    recipe = read_recipe(Path("o.png").read_bytes())
    sheet = pixels("o.png")
    for cell in (grid.cells[0][-1], grid.cells[1][2]):
        encoded("compose", *shlex.split(cell.selection), "-o", "one.png")
        assert contains(sheet, pixels("one.png").repeat(6, 0).repeat(6, 1))
    assert recipe.settings["interpolate"] == 5


def compose(run, *words) -> bytes:
    run("compose", *words, "-o", "one.png")
    return Path("one.png").read_bytes()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("a.z b.z --all --add", "--add and --all are two layouts; give one of them"),
        ("a.z b.z p.z --all", "--all takes two pictures, not 3"),
        ("a.z --interpolate 3", "swaps need two pictures or more"),
        ("a.z b.z --interpolate 1", "--interpolate is 1, expected 2 to 64 steps"),
        ("a.z p.z --interpolate 3", "components of different models have no values in between"),
        ("a.z b.z --components nose", "asks for 'nose', but its labels are hair, lighting"),
        ("a.z b.z --components 7", "component 7, but there are 4"),
        ("a.z:0,2,3 b.z --components 1", "component 1, which is not among those taken of 'a.z'"),
        ("a.z b.z --components 1*2", "takes components without weights"),
        (
            "a.z b.z --each gone",
            "output folder 'gone' does not exist; make it: mkdir -p 'gone'",
        ),
    ],
)
def test_bad_arguments_get_one_sentence_and_write_nothing(encoded, command, sentence):
    before = sorted(Path().iterdir())
    done = encoded("recombine", *command.split(), "-o", "o.png")
    assert done.code == 2 and sentence in done.sentence
    assert sorted(Path().iterdir()) == before
