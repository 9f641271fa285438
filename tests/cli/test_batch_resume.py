"""A batch that ends early: resuming, interruption, kills, and the nightly example."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch_lists import first_lines, listed, results, statuses

import comet_cli
from comet_cli.formats.picture_recipe import read_recipe
from comet_cli.models.library import list_models

ROOT = Path(comet_cli.__file__).parents[1]


def test_resume_keeps_what_matches(parts):
    first = listed("a.z:0 -o 1.png", "a.z:1 -o 2.png", "q.z -o 3.png --trace 3.apng")
    parts("batch", first)
    old = os.stat("1.png").st_ino
    os.remove("3.apng")
    done = parts("batch", listed("a.z:0 -o 1.png", "a.z:2 -o 2.png", *first_lines(3)), "--resume")
    assert statuses(done) == ["kept", "written", "written"] and done.code == 0
    assert os.stat("1.png").st_ino == old and Path("3.apng").exists()
    assert read_recipe(Path("2.png").read_bytes()).rows[0].terms[0].component == 2
    assert statuses(parts("batch", "list.txt", "--resume")) == ["kept"] * 3
    assert statuses(parts("batch", "list.txt")) == ["written"] * 3


@pytest.mark.parametrize("ending", ["apng", "gif"])
def test_resume_makes_the_trace_of_another_picture_again(parts, ending):
    lines = "a.z:0 -o 1.png --trace {}." + ending, "a.z:1 -o 2.png --trace {}." + ending
    parts("batch", listed(lines[0].format(1), lines[1].format(2)))
    traces = [Path(f"{n}.{ending}").read_bytes() for n in (1, 2)]
    exchanged = listed(lines[0].format(2), lines[1].format(1))
    assert statuses(parts("batch", exchanged, "--resume")) == ["written"] * 2
    assert [Path(f"{n}.{ending}").read_bytes() for n in (2, 1)] == traces
    # Only an APNG says what it shows.
    again = statuses(parts("batch", exchanged, "--resume"))
    assert again == (["kept"] * 2 if ending == "apng" else ["written"] * 2)


def test_resume_takes_no_trace_for_its_picture_nor_a_picture_for_its_trace(parts):
    parts("batch", listed("a.z:0 -o 1.png --trace 2.png"))
    assert statuses(parts("batch", listed("a.z:0 -o 2.png"), "--resume")) == ["written"]
    assert statuses(parts("batch", listed("a.z:0 -o 2.png"), "--resume")) == ["kept"]
    assert Path("2.png").read_bytes() == Path("1.png").read_bytes()
    again = listed("a.z:0 -o 1.png --trace 2.png")
    assert statuses(parts("batch", again, "--resume")) == ["written"]
    assert statuses(parts("batch", again, "--resume")) == ["kept"]


def test_an_interrupt_keeps_what_is_there_and_says_how_to_go_on(parts, monkeypatch):
    from comet_cli.batch import rendering

    draw = rendering.draw_composition

    def interrupt(recipe, session):
        if recipe.settings["seed"] == 2:
            raise KeyboardInterrupt
        return draw(recipe, session)

    monkeypatch.setattr(rendering, "draw_composition", interrupt)
    source = listed(*[f"a.z -o {n}.png --seed {n}" for n in range(4)])
    done = parts("batch", source, "--batch-size", "1")
    assert done.code == 130 and statuses(done) == ["written"] * 2
    assert "after 2 compositions" in done.sentence and "--resume goes on" in done.sentence


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_kills_leave_no_broken_file_and_a_rerun_completes(parts, models, monkeypatch):
    source = Path("a.z").read_bytes()
    lines = [f"a.z:0,{n % 2 + 1} -o {n}.png --seed {n} --steps 40" for n in range(20)]
    whole, killed = (Path(name).absolute() for name in ("whole", "killed"))
    for folder in (whole, killed):
        folder.mkdir()
        (folder / "a.z").write_bytes(source)
        (folder / "list.txt").write_text("\n".join(lines))
    command = ["batch", "list.txt", "--batch-size", "4", "--resume"]
    monkeypatch.chdir(whole)
    assert statuses(parts(*command)) == ["written"] * 20
    rng = random.Random(0)
    for kill in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "comet_cli", *command],
            cwd=killed,
            env={**os.environ, "COMET_HOME": str(models), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Not while Python starts: after one more picture is there.
        before = len(list(killed.glob("*.png")))
        while process.poll() is None and len(list(killed.glob("*.png"))) <= before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in killed.glob("*.png"):
            assert path.read_bytes() == (whole / path.name).read_bytes(), kill
    leftover = killed / ".comet-0123456789abcdef.tmp"
    leftover.write_bytes(b"half a picture")
    monkeypatch.chdir(killed)
    done = parts(*command)
    assert done.code == 0 and "kept" in statuses(done)
    assert sorted(os.listdir(killed)) == sorted(os.listdir(whole))
    for path in whole.iterdir():
        assert path.read_bytes() == (killed / path.name).read_bytes()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_nightly_example_makes_each_picture_once(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    if "clevr" not in {entry.name for entry in list_models() if entry.origin == "shipped"}:
        pytest.skip("no shipped weights in this checkout")
    out = tmp_path / "a folder"

    def night() -> subprocess.CompletedProcess:
        binaries = Path(sys.executable).parent
        return subprocess.run(
            [shell, str(ROOT / "examples" / "nightly-batch.sh"), str(out)],
            env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
        )

    done = night()
    assert (done.returncode, done.stdout) == (0, "16\n"), done.stderr
    first = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert len(first) == 16
    removed = "clevr-a-with-clevr-b-3.png"
    (out / removed).unlink()
    done = night()
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert {path.name for path in out.glob("*.png")} == set(first)
    assert all((out / name).read_bytes() == data for name, data in first.items() if name != removed)


def test_ctrl_c_in_a_line_of_several_seeds_ends_the_batch(parts, monkeypatch):
    from comet_cli.verbs import compose

    write = compose.write_png

    def interrupted(pixels, path, recipe):
        if path == "s1.png":
            raise KeyboardInterrupt
        write(pixels, path, recipe)

    monkeypatch.setattr(compose, "write_png", interrupted)
    done = parts("batch", listed("a.z --seeds 0-3 -o s{seed}.png", "a.z:0 -o after.png"))
    assert done.code == 130 and "--resume goes on" in done.sentence
    assert Path("s0.png").exists() and not Path("after.png").exists()


def test_resume_makes_only_the_seeds_that_lack(parts):
    source = listed("a.z --seeds 0-3 --init noise -o s{seed}.png")
    assert parts("batch", source).code == 0
    before = {n: (Path(f"s{n}.png").read_bytes(), os.stat(f"s{n}.png").st_ino) for n in range(4)}
    os.remove("s2.png")
    (done,) = results(parts("batch", source, "--resume"))
    assert done["status"] == "written" and done["paths"] == [f"s{n}.png" for n in range(4)]
    for n, (data, place) in before.items():
        assert Path(f"s{n}.png").read_bytes() == data
        assert n == 2 or os.stat(f"s{n}.png").st_ino == place
    assert statuses(parts("batch", source, "--resume")) == ["kept"]
