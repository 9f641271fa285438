"""``comet batch`` end to end: lists, bad lines, collisions, and what is told."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from batch_lists import listed, results, statuses

import comet_cli
from comet_cli.batch.lists import read_lines
from comet_cli.cli.batch_lines import LineParser
from comet_cli.formats.images import decode_png
from comet_cli.formats.picture_recipe import read_recipe

ROOT = Path(comet_cli.__file__).parents[1]


def test_a_batch_makes_what_compose_makes(parts):
    lines = [
        "a.z:0,1 b.z:2 -o 1.png --seed 1",
        "q.z:lighting -o 2.png --steps 2",
        "b.z:0,1 a.z:2 -o '3 3.png' --seed 2",
        json.dumps({"selections": ["a.z:0"], "output": "4.png", "step-size": 0.5, "init": "grey"}),
        "a.z:0,1 b.z:2 --init a.png -o 5.png",
        "comet compose a.png:1 -m quad -o 6.png",
        "a.z:0,1 -o 7.png --trace 7.gif",
        "b.z:1 -o 8.png --no-metadata",
    ]
    done = parts("batch", listed(*lines))
    assert done.code == 0 and statuses(done) == ["written"] * 8, done.err
    assert [r["line"] for r in results(done)] == list(range(1, 9))
    assert results(done)[2]["path"] == "3 3.png" and results(done)[2]["seed"] == 2
    alone = [
        ("a.z:0,1", "b.z:2", "--seed", "1"),
        ("q.z:lighting", "--steps", "2"),
        ("b.z:0,1", "a.z:2", "--seed", "2"),
        ("a.z:0", "--step-size", "0.5", "--init", "grey"),
        ("a.z:0,1", "b.z:2", "--init", "a.png"),
        ("a.png:1", "-m", "quad"),
        ("a.z:0,1", "--trace", "alone.gif"),
    ]
    for result, arguments in zip(results(done), alone, strict=False):
        assert parts("compose", *arguments, "-o", "alone.png").code == 0
        batched, single = Path(result["path"]).read_bytes(), Path("alone.png").read_bytes()
        difference = decode_png(batched).astype(int) - decode_png(single)
        assert np.abs(difference).max() <= 1
        assert read_recipe(batched).to_json() == read_recipe(single).to_json()
    assert Path("7.gif").read_bytes() == Path("alone.gif").read_bytes()
    assert b"comet" not in Path("8.png").read_bytes()


def test_other_options_of_compose_work_in_a_line(parts):
    Path("mask.png").write_bytes(Path("a.png").read_bytes())
    lines = [
        "a.z:0 b.z:1 -o 1.png --solver adam --seed 1",
        "a.z:1 b.z:0 -o 2.png --solver adam --seed 1",
        "a.z:0 b.z:1@mask.png -o 3.png",
        "a.z:0 -o 4.png --tolerance 0.5",
        "a.z:0 -o 5.png --seeds 0-2",
        "a.z:0 -o 6.png --solver langevin --seed 3",
    ]
    done = parts("batch", listed(*lines))
    assert done.code == 0, done.err
    for n, line in enumerate(lines, 1):
        assert parts("compose", *line.replace(f"{n}.png", "alone.png").split()).code == 0
        batched, single = Path(f"{n}.png").read_bytes(), Path("alone.png").read_bytes()
        difference = decode_png(batched).astype(int) - decode_png(single)
        assert np.abs(difference).max() <= 1, line
        assert read_recipe(batched).to_json() == read_recipe(single).to_json()
    assert statuses(parts("batch", "list.txt", "--resume")) == ["kept"] * 6


def test_bad_lines_are_named_and_stop_nobody(parts):
    Path("mine.png").write_bytes(b"not by comet")
    done = parts(
        "batch",
        listed(
            "a.z:0 -o 1.png",
            "gone.z -o 2.png",
            "a.z:9 -o 3.png",
            "a.z:0 --sed 3 -o 4.png",
            '{"selections": "a.z", "output": "5.png", "sed": 1}',
            '{"selections": "a.z", "output": ',
            "a.z:0 -o mine.png",
            "a.z:0 -o nowhere/8.png",
            "a.z 'open -o 9.png",
            "- -o 10.png",
            "a.z:0 --help",
            "a.z:1 -o 12.png",
        ),
    )
    assert done.code == 3
    assert statuses(done) == ["written", *["failed"] * 10, "written"]
    told = done.err.splitlines()
    assert [line.split(":")[1] for line in told[:-1]] == [f" line {n}" for n in range(2, 12)]
    expected = ("no file 'gone.z'", "component 9", "--sed", "'sed' is no option", "not valid JSON")
    for sentence, line in zip(expected, told, strict=False):
        assert sentence in line
    assert "not made by comet" in told[5] and "mkdir -p" in told[6] and "split" in told[7]
    assert told[-1] == "comet: 2 written, 0 kept, 10 failed"
    assert results(done)[1]["path"] == "2.png" and results(done)[1]["error"] in told[0]
    assert Path("mine.png").read_bytes() == b"not by comet"
    assert Path("1.png").exists() and Path("12.png").exists()


def test_a_json_list_of_seeds_is_a_list_of_seeds(parts):
    facts = {"selections": ["a.z"], "solver": "langevin"}
    line = json.dumps({**facts, "seeds": [0, 1, "3-4"], "output": "1.png"})
    (result,) = results(parts("batch", listed(line)))
    assert result["status"] == "written" and result["seeds"] == "0,1,3,4"
    arguments = ("a.z", "--solver", "langevin", "--seeds", "0,1,3,4", "-o", "alone.png")
    assert parts("compose", *arguments).code == 0
    assert Path("1.png").read_bytes() == Path("alone.png").read_bytes()


def test_a_value_given_twice_fails_its_line(parts):
    lines = (
        '{"selections": ["a.z:0"], "output": ["1.png", "2.png"]}',
        '{"selections": ["a.z:0"], "output": "3.png", "seed": [3, 4]}',
        '{"selections": ["a.z:0"], "output": "4.png", "seed": []}',
        '{"selections": ["a.z:0"], "output": "5.png", "seeds": []}',
        '{"selections": ["a.z:0"], "output": "6.png", "o": "7.png"}',
        "a.z:0 -o 8.png -o 9.png",
        "a.z:0 -o good.png",
    )
    done = parts("batch", listed(*lines))
    assert done.code == 3 and statuses(done) == ["failed"] * 6 + ["written"]
    errors = [result.get("error", "") for result in results(done)]
    assert errors[0] == "'output' is a list, expected one value"
    assert errors[1] == errors[2] == "'seed' is a list, expected one value"
    assert errors[3].startswith("--seeds is empty")
    assert errors[4].startswith("-o is given twice") and errors[5] == errors[4]
    assert [path.name for path in Path().glob("*.png")].count("good.png") == 1
    assert not [path for path in Path().glob("[0-9].png")]


def test_a_line_that_writes_one_file_twice_fails_alone(parts):
    lines = "a.z:0 -o 1.png --trace ./1.png", "a.z:1 -o 2.png", "2.png:0 -m pool -o 2.png -f"
    done = parts("batch", listed(*lines[:2]))
    assert done.code == 3 and statuses(done) == ["failed", "written"]
    assert "'-o' and '--trace' would both be written to '1.png'" in done.err
    assert not Path("1.png").exists()
    done = parts("batch", listed(lines[1].replace("2", "3"), lines[2]))
    assert statuses(done) == ["written", "failed"] and "never overwritten" in done.err


@pytest.mark.parametrize(
    ("words", "facts", "option"),
    [
        ("--preview", {"preview": True}, "--preview"),
        ("--json", {"as_json": True}, "--json"),
        ("--quiet", {"quiet": True}, "-q"),
    ],
)
def test_an_option_that_would_do_nothing_in_a_line_fails_it(parts, words, facts, option):
    lines = (
        f"a.z:0 -o 1.png {words}",
        json.dumps({"selections": "a.z:0", "output": "2.png", **facts}),
        json.dumps({"selections": "a.z:0", "output": "3.png", **dict.fromkeys(facts, False)}),
    )
    done = parts("batch", listed(*lines))
    assert done.code == 3 and statuses(done) == ["failed", "failed", "written"]
    expected = f"{option} has no meaning in a line of a batch; leave it away"
    assert [result.get("error") for result in results(done)] == [expected, expected, None]


def test_a_line_may_carry_every_option_of_its_picture_and_its_models(parts):
    Path("1.png").write_bytes(b"not by comet")
    options = "--force --literal --no-metadata --one-model --fresh --device cpu -m pool"
    done = parts("batch", listed(f"a.z -o 1.png --precision float32 --scale 2 {options}"))
    assert done.code == 0 and statuses(done) == ["written"], done.err


def test_wildcards_of_a_shell_are_no_weights(parts):
    wild = ["z/*.z", "*.png", "z/*", "img*2.z:0"]
    weights = ["a.z:0*x", "a.z:1*", "a.z:0*x%0.5%b.z:1", "a.z:0*x@b.png"]
    lines = [f"b.z:0 '{text}' -o {n}.png" for n, text in enumerate([*wild, *weights])]
    errors = [result["error"] for result in results(parts("batch", listed(*lines)))]
    for text, error in zip(wild, errors, strict=False):
        assert error == f"a list knows no wildcards such as '{text}'; name each file"
    assert all("is not a number" in error for error in errors[len(wild) :])
    os.rename("a.z", "a*.z")
    assert statuses(parts("batch", listed("'a*.z' --literal -o 1.png"))) == ["written"]


@pytest.mark.parametrize(
    "facts", [{"fast": "no"}, {"quiett": True}, {"seed": True}, {"steps": 10.5}, {"size": []}]
)
def test_a_json_line_that_cannot_be_read_still_says_which_output_failed(parts, facts):
    line = json.dumps({"selections": "a.z", "output": "out.png", **facts})
    Path("list.txt").write_text(f"{line}\n{{]\n")
    done = parts("batch", "list.txt")
    assert done.code == 1
    assert [json.loads(r)["path"] for r in done.out.splitlines()] == ["out.png", None]


def test_the_keys_that_a_line_is_told_of_are_those_it_may_have(parts):
    Path("list.txt").write_text('{"selections": "a.z", "output": "o.png", "quiett": true}\n')
    done = parts("batch", "list.txt")
    names = done.err.split("'quiett' is no option of compose; it has ")[1].split("\n")[0]
    names = set(names.strip().split(", "))
    assert {"selections", "output", "step-size", "no-metadata"} <= names
    assert not {"quiet", "json", "as_json", "preview"} & names


def test_when_every_line_is_bad_the_command_fails(parts):
    done = parts("batch", listed("gone.z -o 1.png", "gone.z -o 2.png"))
    assert done.code == 1 and "none of the 2" in done.err
    assert parts("batch", listed("# nothing")).code == 0
    assert parts("batch", "gone.txt").code == 2


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ("a.z:1 -o ./1.png", "lines 1 and 3 would both be written to './1.png'"),
        ("1.png:1 -m pool -o 2.png", "line 1 writes '1.png', which line 3 reads"),
        ("a.z:1 -o 2.png --trace 1.png", "lines 1 and 3"),
    ],
)
def test_collisions_are_found_before_any_work(parts, second, sentence):
    done = parts("batch", listed("a.z:0 -o 1.png", "a.z:0 -o other.png", second))
    assert (done.code, done.out) == (2, "") and sentence in done.sentence
    assert not Path("1.png").exists() and not Path("other.png").exists()


def test_a_batch_tells_the_steps_that_a_tolerance_left(parts):
    common = ("--tolerance", "0.2", "--steps", "50")
    pictures = "a.z:0 -o 1.png", "a.z --seeds 0-2 -o 2.png", "a.z --seeds 3-5 -o s{seed}.png"
    lines = [" ".join((picture, *common)) for picture in pictures]
    written = results(parts("batch", listed(*lines)))
    alone = parts("compose", "a.z:0", "-o", "alone.png", "--json", *common).json["outputs"]
    assert written[0]["steps_taken"] == alone[0]["steps_taken"] < 50
    steps = [read_recipe(Path(f"s{n}.png").read_bytes()).settings["steps_taken"] for n in (3, 4, 5)]
    assert written[2]["steps_taken"] == ",".join(map(str, steps))
    os.remove("s4.png")
    resumed = results(parts("batch", "list.txt", "--resume"))
    assert [result["status"] for result in resumed] == ["kept", "kept", "written"]
    told = [result["steps_taken"] for result in written]
    assert [result["steps_taken"] for result in resumed] == told


def test_a_list_from_standard_input_and_only_paths(parts, monkeypatch):
    import io
    from types import SimpleNamespace

    data = b"a.z:0 -o 1.png\ngone.z -o 2.png\na.z:1 -o 3.png\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    done = parts("batch", "-", "-q")
    assert done.code == 3 and done.out == "1.png\n3.png\n"
    assert done.sentence == "comet: line 2: there is no file 'gone.z'"


def test_parts_together_make_the_list(parts, monkeypatch):
    source = listed(*[f"a.z:{n % 3} -o {n}.png --seed {n}" for n in range(5)])
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = parts("batch", source)
    assert [r["line"] for r in results(done)] == [2, 4] and "part 1 of 2, by RANK" in done.err
    done = parts("batch", source, "--shard", "0/2")
    assert [r["line"] for r in results(done)] == [1, 3, 5]
    assert parts("batch", source, "--shard", "2/2").code == 2
    assert statuses(parts("batch", source, "--shard", "0/1", "--resume")) == ["kept"] * 5


def test_options_of_the_batch_hold_for_lines_that_do_not_say_otherwise(parts, monkeypatch):
    monkeypatch.setenv("COMET_MODEL", "quad")
    source = listed("a.png:0 -o 1.png", "a.png:0 -m quad -o 2.png")
    assert parts("batch", source, "-m", "pool").code == 0
    models = [read_recipe(Path(f"{n}.png").read_bytes()).models[0].name for n in (1, 2)]
    assert models == ["pool", "quad"]


def test_every_option_of_compose_can_be_written_in_a_line():
    parser = LineParser()
    names = {name for parameter in parser._command.params for name in parameter.opts}
    assert {"--seed", "--steps", "--step-size", "--size", "--init", "--output", "-o"} <= names


def test_a_name_that_cannot_be_fails_alone(pictures):
    pictures("encode", "a.png", "-m", "quad")
    lines = [
        r'{"selections": ["a.z"], "output": "\ud800.png"}',
        r'{"selections": ["a.z"], "output": "a\u0000.png"}',
        r'{"selections": ["\udfff.z"], "output": "b.png"}',
        '{"selections": ["a.z"], "output": "c.png", "steps": 1}',
        "a.z\0 -o d.png",
        "a.z -o e\0.png",
    ]
    Path("list.txt").write_text("\n".join(lines))
    done = pictures("batch", "list.txt")
    told = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 3 and [n for n in told if n["status"] == "written"] == [told[3]]
    assert "half of a character" in told[0]["error"] and "NUL" in told[1]["error"]


def test_every_file_of_a_line_is_named(parts):
    lines = ("a.z --seeds 0-1 -o s{seed}.png", "a.z:0 -o 1.png --trace 1.apng", "a.z:1 -o 2.png")
    done = parts("batch", listed(*lines), "-q")
    assert done.out.split() == ["s0.png", "s1.png", "1.png", "1.apng", "2.png"]
    found = results(parts("batch", "list.txt", "--resume"))
    assert [line.get("paths") for line in found] == [
        ["s0.png", "s1.png"],
        ["1.png", "1.apng"],
        None,
    ]


def test_enlarged_pictures_count_as_large_as_they_are(parts):
    from comet_cli.batch.jobs import Sessions
    from comet_cli.batch.rendering import Renderer
    from comet_cli.batch.running import _Window

    waiting = []
    for scale in ("", "--scale 16"):
        line = listed(f"a.z:0 --size 64 {scale} -o 1.png")
        parser = LineParser(
            model="auto", device="cpu", precision="auto", fresh=False, one_model=False
        )
        window = _Window(Sessions(), Renderer(), False, None, None)
        with open(line, "rb") as file:
            (read,) = read_lines(file)
        window.take(parser.job(read, parser.read(read)))
        assert window._results == [None], window._results[0].result().error
        waiting.append(window.most_unwritten)
    assert waiting[1] < waiting[0] and waiting[1] == (64 << 20) // (3 * 1024 * 1024)
