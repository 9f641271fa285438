"""What is told when: checks before any work, paths and errors as they happen."""

import builtins
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import picture

from comet_cli.errors import UsageError
from comet_cli.formats.files import read_input
from comet_cli.formats.overwriting import check_outputs
from comet_cli.inputs.session import Session
from comet_cli.verbs import gallery
from comet_cli.verbs.encode_plan import plan_encoding


@pytest.fixture
def one_at_a_time():
    """With one thread no picture is begun before the one before it is done."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_paths_and_errors_appear_when_they_happen(pictures, one_at_a_time, monkeypatch, capsys):
    Path("bad.png").write_text("no picture")
    seen = []
    begin = Session.begin

    def watched(self, data, path, **options):
        seen.append((path, capsys.readouterr()))
        return begin(self, data, path, **options)

    monkeypatch.setattr(Session, "begin", watched)
    pictures("encode", "a.png", "bad.png", "b.png", "-m", "quad")
    by_path = {path: printed for path, printed in seen}
    assert by_path["bad.png"].out == "a.z\n" and by_path["bad.png"].err == ""
    assert "'bad.png' is not an image" in by_path["b.png"].err


def test_gallery_tells_what_it_cannot_read_when_it_meets_it(pictures, monkeypatch, capsys):
    Path("aa.png").write_text("no picture")
    told = {}
    exhibit = gallery.exhibit

    def watched(folder, path, *rest):
        told[path] = capsys.readouterr().err
        return exhibit(folder, path, *rest)

    monkeypatch.setattr(gallery, "exhibit", watched)
    done = pictures("gallery", ".")
    assert list(told) == ["a.png", "aa.png", "b.png"] and done.code == 3
    assert told["aa.png"] == "" and "'aa.png' is not an image" in told["b.png"]
    monkeypatch.setattr(
        gallery, "write_output", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    done = pictures("gallery", ".", "--json")  # also where the page is not written in the end
    assert done.code == 130 and [f["path"] for f in done.json["failed"]] == ["aa.png"]


def test_an_interrupt_names_what_was_encoded(pictures, one_at_a_time, monkeypatch):
    begin = Session.begin

    def interrupted(self, data, path, **options):
        if path == "b.png":
            raise KeyboardInterrupt
        return begin(self, data, path, **options)

    monkeypatch.setattr(Session, "begin", interrupted)
    done = pictures("encode", "a.png", "b.png", "-m", "quad")
    assert done.code == 130 and done.out == "a.z\n"
    assert "1 of 2 pictures were encoded" in done.err
    assert done.sentence.endswith("the same command goes on with the others")
    done = pictures("encode", "a.png", "b.png", "-m", "quad", "--fresh")
    assert done.sentence.endswith("the same command encodes all again, for it says --fresh")
    done = pictures("encode", "a.png", "b.png", "-m", "quad", "--json")
    assert done.code == 130 and [o["path"] for o in done.json["outputs"]] == ["a.z"]


SEVERAL = {
    "compose a.z --steps 1 --seeds 0-3 --init noise -o out/": "seed-2.png",
    "compose a.z --steps 1 -o out/p.png --trace out/tr.gif": "tr.gif",
    "recombine a.z b.z --steps 1 -o out/g.png --html out/page.html": "page.html",
    "recombine a.z b.z --steps 1 -o out/g.png --each out --components 0": "b-0-3.png",
    "gradients a.png -m quad -o out/g.png --npz out/g.npz": "g.npz",
    "gradients a.png -m quad -o out/g.png --each out --masks out": "a-2.png",
}


@pytest.mark.parametrize("command", SEVERAL)
@pytest.mark.parametrize("interrupted", [False, True])
def test_what_was_written_before_a_file_that_fails_is_told(
    pictures, monkeypatch, command, interrupted
):
    pictures("encode", "a.png", "b.png", "-m", "quad")
    Path("out").mkdir()
    replace = os.replace

    def full(source, target):
        if Path(target).name == SEVERAL[command]:
            raise KeyboardInterrupt if interrupted else OSError(errno.ENOSPC, "No space left")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    done = pictures(*command.split())
    there = sorted(f"out/{name}" for name in os.listdir("out"))
    assert there and sorted(done.out.splitlines()) == there
    if interrupted:
        assert done.code == 130 and "interrupted" in done.sentence
    else:
        assert done.code == 1 and f"no space left for 'out/{SEVERAL[command]}'" in done.sentence
        assert "which was not written" in done.sentence and "nothing" not in done.sentence
    done = pictures(*command.split(), "--json")
    assert done.json["error"] and sorted(o["path"] for o in done.json["outputs"]) == there


@pytest.mark.parametrize(
    "command",
    [
        "encode x.png y.png -m quad",
        "inspect x.png y.png",
        "replay x.png y.png",
        "score x.png y.png a.z:0",
        "nearest a.z:0 x.png y.png",
    ],
)
def test_failed_holds_every_reason_also_when_all_fail(pictures, command):
    pictures("encode", "a.png", "-m", "quad")
    Path("x.png").write_bytes(b"")
    Path("y.png").write_text("text")
    done = pictures(*command.split(), "--json")
    assert done.code == 1 and done.json["exit_code"] == 1 and "none of" in done.json["error"]
    reasons = [failure["error"] for failure in done.json["failed"]]
    assert len(reasons) == 2 and "'x.png' " in reasons[0] and "'y.png' " in reasons[1]


@pytest.mark.skipif(os.name != "posix", reason="POSIX links")
@pytest.mark.parametrize(
    "command",
    ["encode {} -m quad", "inspect {}", "score {} a.z:0", "nearest a.z:0 {} -m quad", "replay {}"],
)
def test_one_bad_name_fails_alone(pictures, command):
    pictures("encode", "a.png", "-m", "quad")
    pictures("compose", "a.z", "--steps", "1", "-o", "made.png")
    Path("link.png").symlink_to("gone.png")
    Path("folder.png").mkdir()
    good = "made.png" if "replay" in command else "b.png"
    done = pictures(*command.format(f"link.png folder.png {good}").split())
    assert done.code == 3 and done.out.strip(), done.err
    assert "'link.png' is a link to 'gone.png', which does not exist" in done.err
    assert "folder.png" in done.err
    # A name that is nothing at all was typed wrong: nothing is done, but inspect goes on.
    done = pictures(*command.format(f"typo.png {good}").split())
    assert "there is no file 'typo.png'" in done.err
    assert (done.code, bool(done.out)) == ((3, True) if "inspect" in command else (2, False))


@pytest.mark.parametrize(
    "command",
    [
        "encode a.png -m quad -o there/",
        "compose a.z -o there/x.png",
        "compose a.z -o x.png --trace there/x.gif",
        "decompose a.png -m quad -o there/x.png",
        "recombine a.png b.png -o x.png --each there",
        "gradients a.png -m quad -o x.png --each there",
        "gradients a.png -m quad -o x.png --masks there",
        "replay made.png -o there/x.png",
        "gallery . -o there/x.html",
    ],
)
def test_a_folder_that_cannot_be_written_is_found_before_any_work(pictures, monkeypatch, command):
    for name in "ab":
        pictures("encode", f"{name}.png", "-m", "quad")
    pictures("compose", "a.z", "--steps", "1", "-o", "made.png")
    Path("there").mkdir()
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "there" and access(path, mode)
    )
    monkeypatch.setattr("comet_cli.energy.render.descend", None)
    monkeypatch.setattr(Session, "begin", None)
    monkeypatch.setattr(gallery, "exhibit", None)
    done = pictures(*command.split())
    assert done.code == 2 and "the output folder 'there' cannot be written" in done.err, done.err
    assert not os.listdir("there")


def test_a_working_folder_that_is_gone_is_one_sentence(pictures, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for command in ("doctor", "models list", "inspect /x.z", "compose /x.z -o /y.png"):
        done = pictures(*command.split())
        assert done.code == 2 and "the working folder does not exist any more" in done.err


def test_a_kept_file_is_touched(pictures):
    pictures("encode", "a.png", "-m", "quad")
    Path("list.txt").write_text("a.z --steps 1 -o out.png")
    pictures("batch", "list.txt")
    for path in ("a.z", "out.png"):
        os.utime(path, (1000, 1000))
    pictures("encode", "a.png", "-m", "quad")
    assert json.loads(pictures("batch", "list.txt", "--resume").out)["status"] == "kept"
    for path in ("a.z", "out.png"):
        assert os.stat(path).st_mtime > time.time() - 3600
    assert read_input("a.z")


def test_checks_of_many_files_look_at_each_a_few_times(tmp_path, monkeypatch):
    count, calls = 300, []
    inputs = [str(tmp_path / f"{n}.png") for n in range(count)]
    outputs = [tmp_path / f"{n}.out" for n in range(count)]
    for path in inputs:
        Path(path).write_bytes(b"x")
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: (calls.append(a), stat(*a, **k))[1])
    check_outputs(outputs, inputs=inputs)
    assert len(calls) <= 6 * count


def test_what_may_not_be_written_is_found_before_torch_is_imported(pictures):
    """Which takes seconds, and is of no use here."""
    Path("mine.png").write_bytes(Path("a.png").read_bytes())
    Path("a.z").write_text("mine")
    Path("a-replay.png").write_text("mine")
    commands = [
        "encode b.png a.png",
        "compose a.png -o mine.png",
        "decompose a.png -o mine.png",
        "gradients a.png -o mine.png",
        "recombine a.png b.png -o mine.png",
        "replay a.png",
    ]
    code = (
        "import sys; from comet_cli.cli.app import main\n"
        f"for command in {commands!r}:\n"
        "    code = main(command.split())\n"
        "    if code != 2 or 'torch' in sys.modules: sys.exit(f'{command}: {code}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("was not made by comet") == len(commands), done.stderr


def test_checks_before_encoding_open_each_file_once(tmp_path, monkeypatch):
    count = 200
    picture(0).save(tmp_path / "0.png")
    inputs = [str(tmp_path / f"{n}.png") for n in range(count)]
    for path in inputs[1:]:
        os.link(tmp_path / "0.png", path)
        Path(path).with_suffix(".z").write_bytes(b"")
    opened = []
    usual = builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda path, *a, **k: (opened.append(path), usual(path, *a, **k))[1]
    )
    with pytest.raises(UsageError, match="was not made by comet"):
        plan_encoding(inputs)
    ours = [path for path in opened if str(path).startswith(str(tmp_path))]  # no other thread's
    assert opened.count(inputs[0]) == 1 and len(ours) <= count + 2
    opened.clear()
    plan_encoding(inputs, force=True)
    assert sum(str(path).startswith(str(tmp_path)) for path in opened) <= count


def test_scores_appear_when_they_are_known(pictures, monkeypatch):
    from comet_cli.verbs import score

    pictures("encode", "a.png", "-m", "quad")
    usual = score._score

    def interrupted(image, groups):
        if image == "b.png":
            raise KeyboardInterrupt
        return usual(image, groups)

    monkeypatch.setattr(score, "_score", interrupted)
    done = pictures("score", "a.png", "b.png", "a.z:0,1")
    assert done.code == 130 and [line.split("\t")[2] for line in done.out.splitlines()] == [
        "a.z:0",
        "a.z:1",
    ]
    done = pictures("score", "a.png", "b.png", "a.z:0,1", "--json")
    assert done.code == 130 and [s["component"] for s in done.json["scores"]] == [0, 1]


def test_a_line_of_a_batch_does_not_write_among_its_results(pictures):
    pictures("encode", "a.png", "-m", "quad")
    with open("results", "w+b") as results:
        Path("list.txt").write_text("a.z -o /dev/fd/1 --steps 1\n")
        command = [sys.executable, "-m", "comet_cli", "batch", "list.txt"]
        done = subprocess.run(command, stdout=results, stderr=subprocess.PIPE, text=True)
        results.seek(0)
        (line,) = results.read().splitlines()
    assert done.returncode == 1 and "'-' has no meaning" in json.loads(line)["error"]
