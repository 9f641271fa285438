"""``comet warm``: commands that a helper carries out are as they are without it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import comet_cli
from comet_cli.cli import warm_helper, warm_link
from comet_cli.errors import CometError

ROOT = Path(comet_cli.__file__).resolve().parents[1]
PROGRAM = [sys.executable, "-c", "from comet_cli.cli.app import main; raise SystemExit(main())"]

pytestmark = pytest.mark.skipif(not warm_link.available(), reason="the warm helper needs Linux")


@pytest.fixture(scope="module")
def helper(models, tmp_path_factory):
    """Start a helper, and return the environment of those who may use it."""
    runtime = tmp_path_factory.mktemp("run")
    environment = {
        **{n: v for n, v in os.environ.items() if not n.startswith("COMET_")},
        **{"XDG_RUNTIME_DIR": str(runtime), "COMET_HOME": str(models), "PYTHONPATH": str(ROOT)},
    }
    subprocess.run([*PROGRAM, "warm", "start"], check=True, env=environment, capture_output=True)
    yield environment
    subprocess.run([*PROGRAM, "warm", "stop"], check=True, env=environment, capture_output=True)
    assert not (runtime / "comet" / "warm.sock").exists()


@pytest.fixture
def asked(helper, monkeypatch):
    """Return how many commands the helper has taken."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", helper["XDG_RUNTIME_DIR"])
    return lambda: warm_link.ask("status")["commands"]


def test_streams_files_and_exit_codes_are_those_without_it(pictures, helper, asked):
    before = asked()
    commands = [
        ["encode", "a.png", "b.png", "-m", "quad", "--fresh"],
        ["compose", "a.z:0-1", "b.z:2", "-o", "ab.png"],
        ["recombine", "a.z", "b.z", "--swap", "1", "-o", "grid.png"],
        ["gradients", "a.z", "-o", "pulls.png"],
        ["compose", "gone.z", "-o", "x.png"],
        ["compose", "a.z:9", "-o", "x.png", "--json"],
        ["compose", "a.z", "--steps", "no", "-o", "x.png"],
    ]
    made = ("a.z", "b.z", "ab.png", "grid.png", "pulls.png")
    for command in commands:
        here = pictures(*command)
        files = [Path(name).read_bytes() for name in made if Path(name).exists()]
        for name in made[2:]:
            Path(name).unlink(missing_ok=True)
        done = subprocess.run([*PROGRAM, *command], env=helper, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (here.code, here.out, here.err)
        written = [Path(name).read_bytes() for name in made if Path(name).exists()]
        assert set(written) <= set(files) and len(written) >= 2
    assert asked() == before + len(commands)


def test_pipes_the_working_folder_and_the_umask_are_the_caller_s(pictures, helper, asked):
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    assert pictures("compose", "a.z:0-2", "-o", "whole.png").code == 0
    before = asked()
    piped = subprocess.run(
        [*PROGRAM, "compose", "-:0-2", "-o", "-"],
        env=helper,
        input=Path("a.z").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert piped.stdout == Path("whole.png").read_bytes()
    subprocess.run(
        [*PROGRAM, "compose", "a.z", "-o", "private.png"],
        env=helper,
        check=True,
        capture_output=True,
        umask=0o077,
    )
    assert Path("private.png").stat().st_mode & 0o777 == 0o600
    assert asked() == before + 2


def test_a_reader_that_is_gone_is_no_crash(pictures, helper, asked):
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    before, found = asked(), []
    for environment in (helper, {**helper, "XDG_RUNTIME_DIR": "/nowhere"}):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*PROGRAM, "compose", "a.z", "-o", "-"],
            env=environment,
            stdout=writing,
            stderr=subprocess.PIPE,
        )
        os.close(writing)
        found.append((done.returncode, done.stderr))
    assert found == [(1, b""), (1, b"")] and asked() == before + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work(pictures, helper, asked, number):
    assert pictures("encode", "a.png", "-m", "pool").code == 0
    command = ["compose", "a.z", "--steps", "100000", "-o", "late.png"]
    process = subprocess.Popen(
        [*PROGRAM, *command],
        env=helper,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background ignores it, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    children = Path(f"/proc/{warm_link.ask('status')['process']}/task")
    children = children / children.parent.name / "children"
    try:
        wait_until(lambda: children.read_text().split())
        time.sleep(0.3)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    if number == signal.SIGINT:
        assert process.returncode == 130 and said == "comet: interrupted\n"
    else:
        assert process.returncode == -signal.SIGTERM
    wait_until(lambda: not children.read_text().split())
    assert not Path("late.png").exists()


def test_an_interrupt_before_the_work_has_begun_ends_it_too(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(warm_helper, "_preload", lambda: None)
    # The last thing that is done before.
    monkeypatch.setattr(time, "tzset", lambda: os.kill(os.getpid(), signal.SIGINT))
    helper = multiprocessing.get_context("fork").Process(
        target=warm_helper.serve, args=(lambda args: 0, 60)
    )
    helper.start()
    try:
        wait_until(lambda: warm_link.ask("status") is not None)
        assert warm_link.hand_over(["compose", "a.z"]) == 130
        assert capfd.readouterr().err == "comet: interrupted\n"
    finally:
        warm_link.ask("stop")
        helper.join(60)


def wait_until(holds) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_command_with_other_settings_works_without_it(pictures, helper, asked):
    before = asked()
    other = {**helper, "OMP_NUM_THREADS": "7"}
    done = subprocess.run([*PROGRAM, "encode", "a.png", "-m", "quad"], env=other)
    assert done.returncode == 0 and Path("a.z").exists() and asked() == before


def test_only_the_user_s_own_helper_in_a_private_folder_is_asked(helper, asked, monkeypatch):
    place = warm_link.folder()
    place.chmod(0o755)
    assert warm_link.ask("status") is None
    with pytest.raises(CometError, match="open to others"):
        warm_helper.serve(lambda args: 0, 1)
    place.chmod(0o700)
    assert warm_link.ask("status") is not None
    assert (place / "warm.sock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CometError, match="runs already"):
        warm_helper.serve(lambda args: 0, 1)
    monkeypatch.setattr(warm_link, "peer", lambda link: os.getuid() + 1)
    assert warm_link.ask("status") is None


def test_without_work_it_ends_and_nothing_is_left_to_ask(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(warm_helper, "_preload", lambda: None)
    warm_helper.serve(lambda args: 0, 0.1)
    assert not (tmp_path / "comet" / "warm.sock").exists()
    assert warm_link.ask("status") is None and warm_link.hand_over(["compose", "a.z"]) is None
    # What a dead helper has left changes nothing.
    (tmp_path / "comet" / "warm.sock").touch()
    assert warm_link.ask("stop") is None and warm_link.hand_over(["compose", "a.z"]) is None


def test_what_this_process_alone_has_open_is_read_by_it(pictures, helper, asked):
    before = asked()
    with open("a.png", "rb") as file:
        command = [*PROGRAM, "encode", f"/dev/fd/{file.fileno()}", "-m", "quad", "-o", "x.z"]
        done = subprocess.run(
            command, env=helper, capture_output=True, text=True, pass_fds=[file.fileno()]
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "x.z\n", "")
    assert asked() == before


def test_a_start_waits_for_another_start(tmp_path):
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    begin = [*PROGRAM, "warm", "start"]
    first = subprocess.Popen(begin, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "comet" / "warm.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    second = subprocess.run(begin, env=environment, capture_output=True, text=True)
    stopped = subprocess.run([*PROGRAM, "warm", "stop"], env=environment, capture_output=True)
    assert (first.wait(60), second.returncode, stopped.returncode) == (0, 0, 0), second.stderr
