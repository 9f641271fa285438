"""Long work without a terminal: a line a minute."""

import time

import pytest

from comet_cli.cli import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set; return a function that does."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def test_a_line_a_minute_says_how_far_and_how_long(clock):
    told = []
    tell = progress.status_lines("encoding", told.append)
    for seconds in range(0, 200):
        clock(float(seconds))
        tell(seconds, 1000)
    assert told == [
        "encoding: 60 of 1000, about 16 min left",
        "encoding: 120 of 1000, about 15 min left",
        "encoding: 180 of 1000, about 14 min left",
    ]
    clock(300.0)
    tell(1000, 1000)
    assert len(told) == 3


def test_pictures_that_take_long_are_told_on_stderr(pictures, monkeypatch):
    monkeypatch.setattr(progress, "STATUS_SECONDS", 0)
    done = pictures("encode", "a.png", "b.png", "-m", "quad")
    assert "encoding: 1 of 2, about " in done.err and done.out == "a.z\nb.z\n"
    for quiet in ("-q", "--json"):
        done = pictures("encode", "a.png", "b.png", "-m", "quad", quiet)
        assert "encoding" not in done.err


def test_work_of_unknown_length_is_told_too(clock):
    told = []
    tell = progress.status_lines("packing", told.append)
    clock(61.0)
    tell(70, None)
    assert told == ["packing: 70 so far"]


def test_data_sets_tell_how_far_they_have_come(pictures, monkeypatch):
    monkeypatch.setattr(progress, "STATUS_SECONDS", 0)
    words = ("--count", "3", "--test-count", "0", "--jobs", "1")
    done = pictures("data", "make", "tetris", "-o", "made", *words)
    assert "making: 2 of 3, about " in done.err and done.out.startswith("made: 3 train")
    done = pictures("data", "import", "images", ".", "-o", "../imported", "--size", "16")
    assert "importing: 2 of " in done.err, done.err
    assert "packing: 1 so far" in pictures("data", "pack", "made", "-o", "x.pack").err
    done = pictures("data", "make", "tetris", "-o", "quiet", *words, "--json")
    assert done.err == "" and done.json["made"] == 3
