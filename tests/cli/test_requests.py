"""What is typed is parsed once, and handed down as one request."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import comet_cli
from comet_cli.errors import UsageError
from comet_cli.inputs import compose_request, modifiers, seed_lists, selection
from comet_cli.inputs.compose_request import parse_request
from comet_cli.verbs import compose_drawing

PACKAGE = Path(comet_cli.__file__).parent


@pytest.fixture
def parsed(pictures, monkeypatch):
    """Encode a picture; return a run of comet, and what it parses with how often."""
    pictures("encode", "a.png", "b.png", "-m", "quad")
    counts: Counter[str] = Counter()

    def counted(module, name):
        original = getattr(module, name)

        def parse(text, *args, **options):
            counts[text] += 1
            return original(text, *args, **options)

        monkeypatch.setattr(module, name, parse)

    for module in (modifiers, selection):
        counted(module, "parse_selection")
    for module in (seed_lists, compose_request, compose_drawing):
        counted(module, "parse_seeds")
    return pictures, counts


SELECTIONS = ("a.z:0", "b.z:1*0.5%0.5%a.z:2", "b.z:3@0,0,8,8")


def test_compose_parses_each_selection_and_list_of_seeds_once(parsed):
    run, counts = parsed
    assert run("compose", *SELECTIONS, "--seeds", "0-1", "-o", "sheet.png").code == 0
    assert run("compose", "a.z:0-3", "--seeds", "4,5", "-o", "{seed}.png").code == 0
    expected = {"a.z:0", "b.z:1*0.5", "a.z:2", "b.z:3", "0-1", "a.z:0-3", "4,5"}
    assert counts == dict.fromkeys(expected, 1)


@pytest.mark.parametrize("verb", ["decompose", "recombine"])
def test_other_verbs_parse_each_selection_once(parsed, verb):
    run, counts = parsed
    assert run(verb, "a.z:0-1", "b.z:1-2", "-o", "out.png").code == 0
    assert counts == {"a.z:0-1": 1, "b.z:1-2": 1}


def test_a_batch_parses_a_line_once(parsed):
    run, counts = parsed
    Path("list.txt").write_text("a.z:0 -o 1.png\n" + '{"selections": "a.z:1", "output": "2.png"}')
    assert run("batch", "list.txt").code == 0
    assert counts == {"a.z:0": 1, "a.z:1": 1}


def test_a_request_knows_its_files():
    request = parse_request(
        ["a.z:1%0.5%b.png:0@m.png", "a.z"], "{seed}.png", seeds="3,1", init="start.png"
    )
    assert request.reads == ("a.z", "b.png", "m.png", "start.png")
    assert request.paths == request.writes == ("3.png", "1.png")
    assert request.every_seed == (3, 1)
    plain = parse_request(["-"], "out.png", literal=True, init="grey", trace="t.gif")
    assert (plain.reads, plain.writes) == (("./-",), ("out.png", "t.gif"))
    for settings in ({"seed": 1}, {"trace": "t.gif"}):
        with pytest.raises(UsageError, match="--seeds"):
            parse_request(["a.z"], "o.png", seeds="0-3", **settings)


def test_nothing_but_the_registration_of_verbs_reads_signatures():
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("signature", "getfullargspec")
    }
    assert readers == {"cli/verb.py"}
