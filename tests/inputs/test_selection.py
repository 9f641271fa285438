"""The selection grammar: what each form picks, and one sentence for each mistake."""

import pytest

from comet_cli.errors import SelectionError
from comet_cli.inputs.selection import parse_selection

LABELS = ("object", "lighting", "hair-colour", "floor")


def pick(text: str, count: int = 4, labels=LABELS) -> tuple[str, list[tuple[int, float]]]:
    selection = parse_selection(text, exists=lambda path: False)
    return selection.path, selection.pick(count, labels)


@pytest.mark.parametrize(
    ("text", "path", "picked"),
    [
        ("a.z", "a.z", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ("a.z:0,2", "a.z", [(0, 1), (2, 1)]),
        ("a.z:2,0", "a.z", [(2, 1), (0, 1)]),
        ("a.z:0-2", "a.z", [(0, 1), (1, 1), (2, 1)]),
        ("a.z:1-1", "a.z", [(1, 1)]),
        ("a.z:1*0.5", "a.z", [(1, 0.5)]),
        ("a.z:1*-0.5", "a.z", [(1, -0.5)]),
        ("a.z:1*+2", "a.z", [(1, 2)]),
        ("a.z:1*.5", "a.z", [(1, 0.5)]),
        ("a.z:1*2.", "a.z", [(1, 2)]),
        ("a.z:1*1e-3", "a.z", [(1, 0.001)]),
        ("a.z:1*0", "a.z", [(1, 0)]),
        ("a.z:0,2*0.5", "a.z", [(0, 1), (2, 0.5)]),
        ("a.z:0*2,2*0.5", "a.z", [(0, 2), (2, 0.5)]),
        ("a.z:0,2-3*0.5,lighting", "a.z", [(0, 1), (2, 0.5), (3, 0.5), (1, 1)]),
        ("a.z:lighting", "a.z", [(1, 1)]),
        ("a.z:lighting*0.3", "a.z", [(1, 0.3)]),
        ("a.z:hair-colour,floor*2", "a.z", [(2, 1), (3, 2)]),
        ("a.z:0, 2", "a.z", [(0, 1), (2, 1)]),
        ("a.z:0,0", "a.z", [(0, 1), (0, 1)]),
        ("a.z[0,2]", "a.z", [(0, 1), (2, 1)]),
        ("a.z[0,2*0.5]", "a.z", [(0, 1), (2, 0.5)]),
        ("a.z[0,2]*0.5", "a.z", [(0, 0.5), (2, 0.5)]),
        ("a.z[0*3,2]*0.5", "a.z", [(0, 1.5), (2, 0.5)]),
        ("a.z*0.5", "a.z", [(0, 0.5), (1, 0.5), (2, 0.5), (3, 0.5)]),
        ("a.z*-1", "a.z", [(0, -1), (1, -1), (2, -1), (3, -1)]),
        ("-", "-", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ("-:0", "-", [(0, 1)]),
        ("-[0-1]*2", "-", [(0, 2), (1, 2)]),
        ("C:\\x.z", "C:\\x.z", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ("C:\\x.z:0", "C:\\x.z", [(0, 1)]),
        ("c:/y/x.z:1*0.5", "c:/y/x.z", [(1, 0.5)]),
        ("dir:0/a.z", "dir:0/a.z", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ("dir[1]/a.z", "dir[1]/a.z", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ("dir*2/a.z:3", "dir*2/a.z", [(3, 1)]),
        ("photo[1].png", "photo[1].png", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ("photo (1).png:0", "photo (1).png", [(0, 1)]),
        ("./-", "./-", [(0, 1), (1, 1), (2, 1), (3, 1)]),
    ],
)
def test_form_picks(text, path, picked):
    assert pick(text) == (path, picked)


@pytest.mark.parametrize("inside", ["0,2", "1-3", "lighting", "0*0.5", "0,2-3*0.5,lighting"])
def test_brackets_mean_exactly_what_the_colon_means(inside):
    assert pick(f"a.z[{inside}]") == pick(f"a.z:{inside}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a.z:4", "component 4, but there are 4, numbered from 0 to 3"),
        ("a.z:2-9", "component 9, but there are 4"),
        ("a.z:999999999", "component 999999999, but there are 4"),
        ("a.z:shadow", "'shadow', but its labels are object, lighting, hair-colour, floor"),
        ("a.z:", "selects nothing"),
        ("a.z[]", "selects nothing"),
        ("a.z:,", "empty item"),
        ("a.z:0,,1", "empty item"),
        ("a.z:*0.5", "empty item"),
        ("a.z:-1", "numbered from 0, there is no component -1"),
        ("a.z:-1*0.5", "there is no component -1"),
        ("a.z:3-1", "the range 3-1 is empty; write 1-3"),
        ("a.z:1*x", "the weight 'x' is not a number"),
        ("a.z:1*nan", "the weight 'nan' is not a number"),
        ("a.z:1*inf", "the weight 'inf' is not a number"),
        ("a.z:1*1e999", "too large"),
        ("a.z:1*", "the weight '' is not a number"),
        ("a.z*x", "the weight 'x' is not a number"),
        (":0", "names no file"),
        ("[0]", "names no file"),
        ("*2", "names no file"),
        ("", "selects nothing"),
    ],
)
def test_mistake_gets_its_own_sentence(text, sentence):
    with pytest.raises(SelectionError, match=sentence) as caught:
        pick(text)
    assert caught.value.exit_code == 2


def test_unknown_label_of_unlabelled_components_says_so():
    with pytest.raises(SelectionError, match="4 components have no labels, only numbers from 0 to"):
        pick("a.z:lighting", labels=())


def test_control_characters_are_shown_not_sent_to_the_terminal():
    with pytest.raises(SelectionError) as caught:
        pick("a.z:\x1b[31m,\n")
    assert str(caught.value).isprintable()


def test_file_of_literally_that_name_needs_literal():
    files = {"a.z:0", "a*b"}
    for text in files:
        with pytest.raises(SelectionError, match="--literal"):
            parse_selection(text, exists=files.__contains__)
        assert parse_selection(text, literal=True, exists=files.__contains__).path == text


def test_selection_wins_over_a_literal_file_and_says_so():
    selection = parse_selection("a.z:0", exists={"a.z:0", "a.z"}.__contains__)
    assert selection.path == "a.z" and selection.pick(2) == [(0, 1.0)]
    assert "--literal" in selection.note


def test_plain_name_needs_no_note():
    assert parse_selection("a.z", exists=lambda path: True).note == ""
