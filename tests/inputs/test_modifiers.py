import shlex

import pytest

from comet_cli.errors import SelectionError, UsageError
from comet_cli.inputs.modifiers import (
    Region,
    parse_argument,
    split_blend,
    split_region,
    write_blend,
)
from comet_cli.inputs.seed_lists import parse_seeds, seed_paths
from comet_cli.inputs.selection import parse_listing, parse_selection, write_selection


def absent(path: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("text", "rest", "mask", "rectangle"),
    [
        ("b.z:1@left.png", "b.z:1", "left.png", None),
        ("b.z:1@8,8,32,32", "b.z:1", None, (8, 8, 32, 32)),
        ("b.z:0,2*0.5@0,0,1,1", "b.z:0,2*0.5", None, (0, 0, 1, 1)),
        ("b.z[0,2]@masks/left.JPG", "b.z[0,2]", "masks/left.JPG", None),
        ("b.z@left.png", "b.z", "left.png", None),
        ("b.png*2@left.png", "b.png*2", "left.png", None),
        ("b.z:1@me@home.png", "b.z:1", "me@home.png", None),
        ("photo@2x.png:1@left.png", "photo@2x.png:1", "left.png", None),
        ("-:1@left.png", "-:1", "left.png", None),
        ("photo@2x.png", "photo@2x.png", None, None),
        ("me@home.z:1", "me@home.z:1", None, None),
        ("a:b@c/x.z", "a:b@c/x.z", None, None),
        (r"C:\x@y\a.z:1", r"C:\x@y\a.z:1", None, None),
    ],
)
def test_regions_end_an_argument_and_names_keep_their_at_signs(text, rest, mask, rectangle):
    found, region = split_region(text, exists=absent)
    assert found == rest
    assert (region and region.path, region and region.rectangle) == (mask, rectangle)


def test_a_file_of_that_very_name_is_no_region():
    assert split_region("a.z:1@l.png", exists=lambda path: True) == ("a.z:1@l.png", None)
    assert split_region("a.z:1@l.png", literal=True, exists=absent) == ("a.z:1@l.png", None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("b.z:1@left", "'left' is no region; expected a mask's file or x,y,w,h"),
        ("b.z:1@1,2,3", "'1,2,3' is no region"),
        ("b.z:1@1,2,0,3", "the region 1,2,0,3 holds no pixel"),
    ],
)
def test_mistaken_region_gets_its_own_sentence(text, sentence):
    with pytest.raises(SelectionError, match=sentence):
        split_region(text, exists=absent)


def test_other_verbs_say_who_takes_regions():
    selection = parse_selection("b.z:1@left.png", exists=absent)
    with pytest.raises(SelectionError, match="only comet compose takes regions"):
        selection.pick(3, ("x", "y", "z"))


def test_blends_are_two_selections_and_a_part():
    assert split_blend("a.z:1%0.25%b.z:2*0.5") == ("a.z:1", "b.z:2*0.5", 0.25)
    assert split_blend("a%20b%20c.z:1") == ("a%20b%20c.z:1", None, 0.0)
    assert split_blend("a.z%0.5%b.z") == ("a.z", "b.z", 0.5)  # whole files
    both = parse_argument("a.z:1%0.25%b.z:2@m.png")
    assert [s.text for s in both.selections] == ["a.z:1", "b.z:2"]
    assert (both.part, both.mask) == (0.25, "m.png")
    assert parse_argument("c.z").selections == (parse_selection("c.z"),)
    with pytest.raises(SelectionError, match="part is 1.5, expected 0 to 1"):
        split_blend("a.z:1%1.5%b.z:2")


@pytest.mark.parametrize(
    ("path", "picked", "text"),
    [
        ("a.z", [(0, 1.0), (2, 1.0)], "a.z:0,2"),
        ("a.z", [(3, 1.0), (0, 1.0), (1, 1.0), (2, 1.0)], "a.z:0-3"),
        ("a.z", [(0, 1.0), (1, 1.0), (2, 0.5), (3, 1.0)], "'a.z:0,1,2*0.5,3'"),
        ("my file.z", [(1, -0.1)], "'my file.z:1*-0.1'"),
        ("it's.z", [(0, 1.0)], "'it'\"'\"'s.z:0'"),
        ("a.z", [(1, 1.0), (1, 1.0)], "a.z:1,1"),
    ],
)
def test_a_written_selection_is_read_back_the_same(path, picked, text):
    assert write_selection(path, picked) == text
    (typed,) = shlex.split(text)
    selection = parse_selection(typed, exists=absent)
    assert (selection.path, selection.pick(4)) == (path, sorted(picked))


def test_a_written_blend_is_read_back_the_same():
    text = write_blend("'a b.z:1*0.5'", "c.z:2", 0.3333)
    assert text == "'a b.z:1*0.5%0.3333%c.z:2'"
    assert split_blend(*shlex.split(text)) == ("a b.z:1*0.5", "c.z:2", 0.3333)


def test_lists_of_components_take_no_weights():
    assert parse_listing("0,sky", "--components").pick(3, ("x", "y", "sky")) == [(0, 1.0), (2, 1.0)]
    with pytest.raises(SelectionError, match="takes components without weights"):
        parse_listing("0*2", "--components")


def test_seeds_are_lists_and_ranges_in_the_order_typed():
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("9,1, 20-22") == [9, 1, 20, 21, 22]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a list"),
        ("a-b", "expected a list"),
        ("-3", "expected a list"),
        ("5-2", "the range 5-2 is empty; write 2-5"),
        ("1,0-2", "names a seed twice"),
        ("0-9999999999", "more than 100000 seeds"),
    ],
)
def test_mistaken_seeds_get_a_sentence(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_seeds(text)


def test_a_folder_or_a_placeholder_asks_for_files_and_a_name_for_a_sheet(tmp_path):
    assert seed_paths("out.png", [0, 1]) == []
    assert seed_paths("out-{seed}.png", [3, 10]) == ["out-3.png", "out-10.png"]
    assert seed_paths("runs/", [3, 10]) == ["runs/seed-03.png", "runs/seed-10.png"]
    assert seed_paths(str(tmp_path), [7]) == [str(tmp_path / "seed-7.png")]
    with pytest.raises(UsageError, match="a sheet holds at most 1024 seeds, not 1025"):
        seed_paths("out.png", list(range(1025)))


def test_regions_know_what_they_are():
    assert Region("left.png").path == "left.png"
    assert Region("1,2,3,4", (1, 2, 3, 4)).path is None
