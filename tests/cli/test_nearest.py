"""`comet nearest`: distances by hand, one model only, and no torch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.components import ComponentSet, write_components
from comet_cli.inputs.selection import parse_selection, parse_selections
from comet_cli.verbs.nearest import find_nearest, scaled_distances

HASH, OTHER = "1" * 64, "2" * 64


def save(path, z, model="m", sha256=HASH, labels=()):
    z = np.asarray(z, np.float32)
    source = os.path.basename(path).replace(".z", ".png")
    write_components(path, ComponentSet(z, model, sha256, 8, labels, source))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three files of one model, whose first latents lie on a line, and one of another model."""
    monkeypatch.chdir(tmp_path)
    save("a.z", [[0, 0], [0, 9]])
    save("b.z", [[3, 0], [0, 8]], labels=("near", "far"))
    save("c.z", [[1, 0], [0, 7]])
    save("x.z", [[0, 0]], model="other", sha256=OTHER)
    return tmp_path


def test_distances_are_in_units_of_the_spread():
    z, others = np.array([0.0, 0.0]), np.array([[3.0, 4.0], [0.0, 1.0]])
    pairs = [25.0, 1.0, 9.0 + 9.0]  # squared distances between the three points
    spread = np.sqrt(np.mean(pairs))
    distances, found = scaled_distances(z, others)
    assert np.isclose(found, spread) and np.allclose(distances, [5 / spread, 1 / spread])
    again, _ = scaled_distances(z * 7, others * 7)
    assert np.allclose(again, distances)


def closest(query, others, **settings):
    return find_nearest(parse_selection(query), parse_selections(others), **settings)


def test_equal_components_are_at_distance_0():
    distances, spread = scaled_distances(np.ones(3), np.ones((4, 3)))
    assert spread == 0 and distances.tolist() == [0, 0, 0, 0]


def test_the_closest_come_first_and_the_component_itself_is_left_out(folder):
    found = closest("a.z:0", ["a.z", "b.z", "c.z", "x.z"])
    assert [(n.path, n.component) for n in found.nearest] == [
        *[("c.z", 0), ("b.z", 0)],
        *[("c.z", 1), ("b.z", 1), ("a.z", 1)],
    ]
    points = np.array([[0, 0], [0, 9], [3, 0], [0, 8], [1, 0], [0, 7]], float)
    squares = np.square(points[:, None] - points).sum(-1)[np.triu_indices(6, 1)]
    expected = np.array([1, 3, 7, 8, 9]) / np.sqrt(squares.mean())
    assert np.allclose([n.distance for n in found.nearest], expected)
    assert found.compared == 6 and found.other_models == ("x.z",)
    assert [n.label for n in found.nearest] == ["", "near", "", "far", ""]
    assert found.nearest[0].source == "c.png"


def test_one_file_under_several_names_counts_once(folder):
    os.symlink("c.z", "link.z")
    once = closest("a.z:0", ["b.z", "c.z"])
    again = closest("a.z:0", ["b.z", "./c.z", "link.z", "b.z:0", "./a.z:0", "c.z"])
    assert again.spread == once.spread and again.compared == once.compared == 5


def test_a_list_restricts_what_is_compared(folder):
    found = closest("a.z:0", ["b.z:far", "c.z:1"], top=1)
    assert [(n.path, n.component) for n in found.nearest] == [("c.z", 1)] and found.compared == 3


@pytest.mark.parametrize(
    ("query", "others", "error", "sentence"),
    [
        ("a.z", ["b.z"], UsageError, "'a.z' selects 2 components; name the one"),
        ("a.z:0", ["x.z"], UsageError, "none of the files holds other components of model 'm'"),
        ("a.z:0", ["a.z:0"], UsageError, "no other component"),
        ("a.z:0", [], UsageError, "no other component"),
        ("a.z:0", ["gone.z"], UsageError, "there is no file 'gone.z'"),
        ("a.z:5", ["b.z"], UsageError, "asks for component 5"),
        ("a.z:0*2", ["b.z"], UsageError, r"'a.z:0\*2' has a weight"),
        ("a.z:0", ["b.z:0,1*0.5"], UsageError, r"'b.z:0,1\*0.5' has a weight"),
        ("a.z:0", ["b.z*-1"], UsageError, r"'b.z\*-1' has a weight"),
        ("p.png:0", ["b.z"], FileFormatError, "comet encode makes them"),
        ("a.z:0", ["p.png"], FileFormatError, "none of the files could be read"),
    ],
)
def test_what_cannot_be_compared_is_an_error(folder, query, others, error, sentence):
    (folder / "p.png").write_bytes(b"\x89PNG")
    with pytest.raises(error, match=sentence):
        closest(query, others)


def test_the_verb_prints_a_table_and_reports_what_it_left_out(comet):
    save("a.z", [[0, 0], [0, 2]])
    save("b.z", [[1, 0]], labels=("hat",))
    save("x.z", [[1, 0]], model="other", sha256=OTHER)
    done = comet("nearest", "a.z:0", "a.z", "b.z", "x.z", "--top", "1")
    spread = np.sqrt((1 + 4 + 5) / 3)
    assert done.out == f"{1 / spread:.4f}\tb.z:0\that\tb.png\n" and done.code == 0
    assert "1 of the files left out: not made by model 'm' ('x.z' is one)" in done.sentence
    with open("broken.z", "wb") as file:
        file.write(b"no")
    done = comet("nearest", "a.z:0", "b.z", "broken.z", "x.z", "--json")
    assert done.code == 3 and done.json["exit_code"] == 3
    assert done.json["failed"][0]["path"] == "broken.z" and done.json["other_models"] == ["x.z"]
    assert done.json["nearest"][0] == {
        **{"path": "b.z", "component": 0, "label": "hat"},
        **{"source": "b.png", "distance": 1.0},
    }
    assert comet("nearest", "a.z:0", "b.z", "--top", "0").code == 2


def test_it_needs_no_torch(folder):
    code = (
        "import sys; from comet_cli.cli.app import main; "
        "code = main(['nearest', 'a.z:0', 'b.z', '--json']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["nearest"][0]["path"] == "b.z"
