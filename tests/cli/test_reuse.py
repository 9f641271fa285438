"""A ``.z`` that stands beside its picture and matches is read; nothing else ever is."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from comet_cli.formats.cache import cache_home
from comet_cli.formats.components import (
    ComponentSet,
    as_encoded,
    read_components,
    sealed_components,
    write_components,
)
from comet_cli.inputs.session import Session


@pytest.fixture
def inferred(monkeypatch):
    """Return a list that grows by a model's name with every picture that is encoded."""
    names = []
    infer = Session.infer

    def counted(self, model, picture, **options):
        names.append(model.card.name)
        return infer(self, model, picture, **options)

    monkeypatch.setattr(Session, "infer", counted)
    return names


def changed(path: str, **facts) -> None:
    """Make a file what an encoder with other facts would have written."""
    found = read_components(path)
    write_components(path, sealed_components(ComponentSet(**{**vars(found), **facts})))


def edited(path: str, **facts) -> None:
    """Change a file as a user's script does."""
    found = read_components(path)
    write_components(path, dataclasses.replace(found, **{"z": found.z + 1, **facts}))


VERBS = {
    "compose": ["compose", "a.png:0,2", "b.png:1*0.5", "-o", "out.png"],
    "a blend and a region": ["compose", "a.png:0%0.5%b.png:0", "a.png:1@0,0,8,8", "-o", "out.png"],
    "recombine": ["recombine", "a.png", "b.png", "-o", "out.png"],
    "decompose": ["decompose", "a.png", "b.png", "-o", "out.png"],
    "gradients": ["gradients", "a.png", "b.png", "-o", "out.png"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_pictures_have_the_same_bytes_whether_reused_or_not(pictures, inferred, verb):
    command = [*VERBS[verb], "-m", "quad"]
    assert pictures(*command).code == 0 and len(inferred) == 2
    before = Path("out.png").read_bytes()
    pictures("encode", "a.png", "b.png", "-m", "quad")
    inferred.clear()
    done = pictures(*command)
    assert (done.code, done.err, inferred) == (0, "", [])
    assert Path("out.png").read_bytes() == before
    assert pictures(*command, "--fresh").code == 0 and len(inferred) == 2
    assert Path("out.png").read_bytes() == before


def test_score_nearest_and_batch_reuse_too(pictures, inferred):
    score = ["score", "b.png", "a.png:1", "-m", "quad"]
    nearest = ["nearest", "a.png:0", "b.png", "a.png", "-m", "quad"]
    Path("list").write_text("a.png:0 b.png:1 -o out.png -m quad\n")
    commands = (score, nearest, ["batch", "list", "-q"])
    before = [pictures(*command) for command in commands]
    picture = Path("out.png").read_bytes()
    assert [done.code for done in before] == [0, 0, 0] and len(inferred) == 1 + 2 + 2
    pictures("encode", "a.png", "b.png", "-m", "quad")
    inferred.clear()
    assert [pictures(*command).out for command in commands] == [done.out for done in before]
    assert inferred == [] and Path("out.png").read_bytes() == picture
    for command, count in zip(commands, (1, 2, 2), strict=True):
        inferred.clear()
        assert pictures(*command, "--fresh").code == 0 and len(inferred) == count
    inferred.clear()
    Path("list").write_text('{"selections": ["a.png"], "output": "o.png", "fresh": true}\n')
    assert pictures("batch", "list", "-m", "quad").code == 0 and len(inferred) == 1


def test_a_picture_that_has_changed_is_encoded_and_that_is_said(pictures, inferred):
    pictures("encode", "a.png", "-m", "quad")
    shutil.copy("b.png", "a.png")
    inferred.clear()
    done = pictures("compose", "a.png", "-m", "quad", "-o", "out.png")
    assert "'a.z' is not what encoding made of 'a.png' as it is" in done.sentence and inferred == [
        "quad"
    ]
    pictures("compose", "b.png", "-m", "quad", "-o", "other.png")
    assert Path("out.png").read_bytes() == Path("other.png").read_bytes()


def garble(path: str) -> None:
    Path(path).write_bytes(b"no components")


UNFIT = {
    "other weights": lambda: changed("a.z", model_sha256="0" * 64),
    "no hash of the picture": lambda: changed("a.z", source_sha256=""),
    "another version": lambda: changed("a.z", comet_version="0.0.1"),
    "other components": lambda: changed("a.z", z=read_components("a.z").z[:2], labels=()),
    "half the precision": lambda: changed("a.z", precision="bfloat16"),
    "other numbers": lambda: edited("a.z"),
    "garbage": lambda: garble("a.z"),
    "a folder": lambda: (os.remove("a.z"), os.mkdir("a.z")),
    "a pipe": lambda: (os.remove("a.z"), os.mkfifo("a.z")),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_match_is_never_used(pictures, inferred, case):
    pictures("compose", "a.png", "-m", "quad", "-o", "before.png")
    pictures("encode", "a.png", "-m", "quad")
    UNFIT[case]()
    inferred.clear()
    assert pictures("compose", "a.png", "-m", "quad", "-o", "out.png").code == 0
    assert inferred == ["quad"]
    assert Path("out.png").read_bytes() == Path("before.png").read_bytes()


def test_another_model_or_arithmetic_encodes_again(pictures, inferred):
    pictures("encode", "a.png", "-m", "quad")
    for options in (["-m", "pool"], ["-m", "quad", "--precision", "bfloat16"]):
        inferred.clear()
        done = pictures("compose", "a.png", *options, "-o", "out.png")
        assert (done.code, done.err, len(inferred)) == (0, "", 1)
    pictures("encode", "a.png", "-m", "quad", "--precision", "bfloat16")
    inferred.clear()
    assert pictures("compose", "a.png", *options, "-o", "out.png").code == 0 and inferred == []
    assert pictures("compose", "a.png", "-m", "quad", "-o", "out.png").code == 0
    assert inferred == ["quad"]


def test_labels_and_names_come_from_the_card_and_the_picture(pictures):
    pictures("compose", "a.png", "-m", "quad", "-o", "before.png")
    pictures("encode", "a.png", "-m", "quad")
    changed("a.z", labels=("v", "w", "x", "y"), source="elsewhere.png")
    assert pictures("compose", "a.png", "-m", "quad", "-o", "out.png").code == 0
    assert Path("out.png").read_bytes() == Path("before.png").read_bytes()


def test_encode_keeps_what_matches_and_fresh_does_it_again(pictures, inferred):
    pictures("encode", "a.png", "-m", "quad")
    written = os.stat("a.z").st_ino
    inferred.clear()
    done = pictures("encode", "a.png", "b.png", "-m", "quad", "--json")
    assert [o["reused"] for o in done.json["outputs"]] == [True, False] and inferred == ["quad"]
    assert os.stat("a.z").st_ino == written and "1 of 2 already encoded" in done.sentence
    data = Path("a.z").read_bytes()
    done = pictures("encode", "a.png", "-m", "quad", "--fresh")
    assert (done.out, done.err, len(inferred)) == ("a.z\n", "", 2)
    assert Path("a.z").read_bytes() == data


def test_encode_into_a_folder_looks_there_and_beside_the_picture(pictures, inferred):
    os.mkdir("z")
    pictures("encode", "a.png", "-m", "quad")
    assert pictures("encode", "a.png", "-m", "quad", "-o", "z").code == 0
    os.remove("a.z")
    assert pictures("encode", "a.png", "-m", "quad", "-o", "z").code == 0
    assert inferred == ["quad"] and os.listdir("z") == ["a.z"]


def test_encode_replaces_what_does_not_match_as_before(pictures):
    pictures("encode", "a.png", "-m", "pool")
    done = pictures("encode", "a.png", "-m", "quad")
    assert (done.code, done.err) == (0, "") and read_components("a.z").model == "quad"
    shutil.copy("b.png", "a.png")
    assert pictures("encode", "a.png", "-m", "quad").err == ""
    garble("b.z")
    assert "give --force" in pictures("encode", "b.png", "-m", "quad").sentence
    assert pictures("encode", "b.png", "-m", "quad", "--force").code == 0
    assert np.array_equal(read_components("a.z").z, read_components("b.z").z)


def test_the_choice_of_a_model_is_remembered_a_picture(pictures, inferred):
    first = pictures("encode", "a.png")
    assert sorted(inferred) == sorted(["pool", "quad", read_components("a.z").model])
    inferred.clear()
    again = pictures("compose", "a.png", "-o", "out.png")
    assert again.err == first.err and inferred == []
    pictures("compose", "b.png", "-o", "out.png")
    assert len(inferred) == 3
    inferred.clear()
    pictures("compose", "a.png", "-o", "out.png", "--fresh")
    assert len(inferred) == 3


def test_the_choice_does_not_follow_the_file_beside(pictures, inferred):
    pictures("encode", "a.png", "-o", "auto.z")
    best = read_components("auto.z").model
    other = {"pool": "quad", "quad": "pool"}[best]
    pictures("encode", "a.png", "-m", other)
    inferred.clear()
    done = pictures("compose", "a.png", "-o", "out.png", "--json")
    assert inferred == [best] and f"model '{best}' reconstructs" in done.sentence


def test_a_damaged_memory_of_choices_is_made_again(pictures, inferred):
    first = pictures("encode", "a.png", "--fresh")
    (memory,) = (cache_home() / "choices").iterdir()
    whole = memory.read_bytes()
    for damage in (b"", b"[1]", b'{"pool": 1.0}', b'{"pool": "x", "quad": 1.0}', b"\xff" * 9):
        memory.write_bytes(damage)
        inferred.clear()
        assert pictures("encode", "a.png", "-o", "x.z").err.startswith(first.err)
        assert len(inferred) == 2 and memory.read_bytes() == whole


def test_numbers_that_a_user_changed_are_neither_used_for_the_picture_nor_lost(pictures):
    pictures("encode", "a.png", "-m", "quad")
    edited("a.z")
    kept = Path("a.z").read_bytes()
    done = pictures("compose", "a.png", "-m", "quad", "-o", "out.png")
    assert done.code == 0 and "'a.z' is not what encoding made of 'a.png' as it is" in done.sentence
    done = pictures("encode", "a.png", "-m", "quad")
    assert done.code == 2
    assert "'a.z' was changed after comet made it; give --force" in done.sentence
    assert Path("a.z").read_bytes() == kept
    assert pictures("compose", "a.z", "-o", "own.png").code == 0  # by its own name it is read
    assert Path("own.png").read_bytes() != Path("out.png").read_bytes()
    assert pictures("encode", "a.png", "-m", "quad", "--force").code == 0
    assert pictures("encode", "a.png", "-m", "quad", "--json").json["outputs"][0]["reused"]


def test_files_without_a_seal_are_used_and_replaced_as_before(pictures, inferred):
    pictures("encode", "a.png", "-m", "quad")
    edited("a.z", z=read_components("a.z").z, seal="")
    assert b"seal" not in Path("a.z").read_bytes()
    inferred.clear()
    assert pictures("encode", "a.png", "-m", "quad").code == 0 and inferred == []
    assert pictures("encode", "a.png", "-m", "quad", "--fresh").code == 0
    assert read_components("a.z").seal


def test_what_is_changed_while_others_are_encoded_is_kept(pictures, monkeypatch):
    assert pictures("encode", "a.png", "b.png", "-m", "quad").code == 0
    infer = Session.infer

    def meanwhile(self, model, picture, **options):
        edited("b.z")
        return infer(self, model, picture, **options)

    monkeypatch.setattr(Session, "infer", meanwhile)
    done = pictures("encode", "a.png", "b.png", "-m", "quad", "--fresh")
    assert done.code == 3 and "'b.z' was changed after comet made it" in done.err
    assert not as_encoded(read_components("b.z")) and as_encoded(read_components("a.z"))
