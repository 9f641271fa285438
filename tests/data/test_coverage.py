"""What `comet data check` says of factors."""

import json

import pytest
from typer.testing import CliRunner

from comet_cli.cli.data import app
from comet_cli.data.check import check_folder
from comet_cli.data.coverage import MOST_VALUES, factor_coverage
from comet_cli.data.dataset_folder import read_metadata
from comet_cli.data.make import make_dataset
from comet_cli.worlds.dsprites import DSprites
from comet_cli.worlds.tetris import Tetris


def by_name(entries, generator=None):
    return {factor.name: factor for factor in factor_coverage(entries, generator)}


def test_texts_truths_and_whole_numbers_are_counted():
    entries = [{"shape": shape, "lit": True, "turns": turns} for shape, turns in
               (("cube", 10), ("ball", 2), ("cube", 2))]  # fmt: skip
    found = by_name(entries)
    assert found["shape"].counts == {"ball": 1, "cube": 2}
    assert found["turns"].counts == {"2": 2, "10": 1} and list(found["turns"].counts) == ["2", "10"]
    assert found["lit"].counts == {"True": 3} and found["lit"].least is None


def test_other_numbers_are_a_range():
    found = by_name([{"x": value} for value in (0.5, -1, 2.25)])["x"]
    assert (found.least, found.greatest, found.different, found.counts) == (-1, 2.25, 3, {})
    many = by_name([{"n": number} for number in range(MOST_VALUES + 1)])["n"]
    assert (many.least, many.greatest) == (0, MOST_VALUES)
    few = by_name([{"n": number} for number in range(MOST_VALUES)])["n"]
    assert len(few.counts) == MOST_VALUES


def test_texts_that_name_pictures_are_only_numbered():
    found = by_name([{"caption": f"picture {n}"} for n in range(MOST_VALUES + 1)])["caption"]
    assert found.counts == {} and found.describe() == f"{MOST_VALUES + 1} different texts"


def test_objects_count_together_and_coordinates_apart():
    entries = [
        {"objects": [{"colour": "red", "at": [0.5, 1.5]}, {"colour": "red", "at": [2.5, 3.5]}]},
        {"objects": [{"colour": "blue", "at": [4.5, 0.5]}], "tags": ["a", "b"], "none": None},
    ]
    found = by_name(entries)
    assert found["objects.colour"].counts == {"blue": 1, "red": 2}
    assert (found["objects.at.0"].least, found["objects.at.0"].greatest) == (0.5, 4.5)
    assert (found["objects.at.1"].least, found["objects.at.1"].greatest) == (0.5, 3.5)
    assert found["tags"].counts == {"a": 1, "b": 1} and "none" not in found


def test_values_of_a_grid_that_were_not_seen_are_named(tmp_path):
    make_dataset(DSprites(), tmp_path / "set", count=4)
    entries = read_metadata(tmp_path / "set", "train")
    found = {factor.name: factor for factor in check_folder(tmp_path / "set").coverage}
    assert set(found) == {f"values.{name}" for name in DSprites.factors}
    for name, values in DSprites.factors.items():
        factor = found[f"values.{name}"]
        seen = {entry["factors"][name] for entry in entries}
        assert sum(factor.counts.values()) == 4
        assert len(factor.counts) == len(seen) and len(factor.never) == len(values) - len(seen)
    assert "; never " in found["values.shape"].describe() or len(found["values.shape"].counts) == 3


def test_values_that_a_part_of_a_grid_leaves_out_are_not_missing(tmp_path):
    make_dataset(DSprites().restrict({"shape": [0], "scale": [1, 2]}), tmp_path / "set", count=1)
    found = {factor.name: factor for factor in check_folder(tmp_path / "set").coverage}
    assert found["values.shape"].counts == {"square": 1} and not found["values.shape"].never
    assert {*found["values.scale"].counts, *found["values.scale"].never} == {"0.6", "0.7"}


def test_a_value_off_the_grid_is_shown_too():
    found = by_name([{"values": {"shape": "star"}}], "dsprites")["values.shape"]
    assert found.counts == {"star": 1} and found.never == ["square", "ellipse", "heart"]


@pytest.mark.parametrize("generator", [None, "no such generator", "tetris"])
def test_where_no_grid_is_known_nothing_is_said_to_be_missing(generator):
    assert by_name([{"values": {"shape": "I"}}], generator)["values.shape"].never == []


def test_the_command_prints_a_table_and_json(tmp_path):
    make_dataset(Tetris(), tmp_path / "set", count=5, test_count=3)
    entries = [e for split in ("train", "test") for e in read_metadata(tmp_path / "set", split)]
    shapes = [item["shape"] for entry in entries for item in entry["objects"]]
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "set")])
    rows = dict(line.split("  ", 1) for line in checked.stdout.splitlines()[:-1])
    shown = {name: value.strip() for name, value in rows.items()}
    assert shown["train pictures"] == "5" and shown["test masks"] == "3"
    assert shown["pixels a side"] == "35"
    expected = ", ".join(f"{shape} {shapes.count(shape)}" for shape in sorted(set(shapes)))
    assert shown["objects.shape"] == expected
    document = json.loads(
        CliRunner().invoke(app, ["check", str(tmp_path / "set"), "--json"]).stdout
    )
    (factor,) = (each for each in document["coverage"] if each["name"] == "objects.shape")
    assert factor["counts"] == {shape: shapes.count(shape) for shape in set(shapes)}
    assert "source" not in {each["name"] for each in document["coverage"]}
