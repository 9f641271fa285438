"""Standard streams that are closed, full, or called by another name."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import comet_cli

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's /dev/full")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(comet_cli.__file__).parents[1])}


@pytest.fixture
def shell(pictures, models):
    """Return a function that runs a shell line with `comet` in it."""
    assert pictures("encode", "a.png", "-m", "quad").code == 0
    Path("list.txt").write_text("a.z --steps 1 -o listed.png\n")
    environment = {**ENVIRONMENT, "COMET_HOME": str(models), "COMET_CACHE": str(Path.cwd())}

    def run(line: str) -> subprocess.CompletedProcess:
        program = f'comet() {{ {sys.executable} -m comet_cli "$@"; }}\n'
        return subprocess.run(
            ["bash", "-c", program + line], env=environment, capture_output=True, text=False
        )

    return run


def test_closed_streams_are_silence(shell):
    done = shell(
        "comet compose a.z --steps 1 -o x.png 2>&- && comet compose a.z --steps 1 -o y.png >&- &&"
        "comet inspect a.z >&- 2>&- && comet encode a.png -m quad --fresh -o z.z <&- >&- 2>&-"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x.png\n", b"")
    for path in ("x.png", "y.png"):
        with Image.open(path) as image:
            image.load()
    assert Path("z.z").read_bytes() == Path("a.z").read_bytes()
    done = shell("comet encode - <&-")
    assert done.returncode == 1 and done.stderr == b"comet: '-' is empty, expected an image\n"


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "inspect a.z",
        "inspect a.z --json",
        "compose a.z --steps 1 -o x.png",
        "compose a.z --steps 1 -o x.png --json",
        "batch list.txt",
        "compose a.z --steps 1 -o -",
        "models list",
        "doctor",
    ],
)
def test_a_full_standard_output_is_one_sentence(shell, command):
    done = shell(f"comet {command} > /dev/full")
    assert done.returncode == 1
    sentences = [line for line in done.stderr.decode().splitlines() if "space left" in line]
    told = "comet: standard output cannot be written: "
    assert len(sentences) == 1 and sentences[0].startswith(told), done.stderr
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


def test_a_full_standard_error_stops_nothing(shell):
    done = shell(
        "comet compose a.z --steps 1 -o x.png 2> /dev/full; comet inspect no.z 2>/dev/full"
    )
    assert done.stdout == b"x.png\n" and done.returncode == 2


@pytest.mark.parametrize("name", ["/dev/stdout", "here.png"])
def test_what_is_file_1_is_standard_output(shell, name):
    direct = shell("comet compose a.z --steps 1 -o -").stdout
    assert shell(f"comet compose a.z --steps 1 -o {name} > here.png").stderr == b""
    assert Path("here.png").read_bytes() == direct
    if name != "here.png":
        assert shell(f"comet compose a.z --steps 1 -o {name} | cat").stdout == direct
        assert shell(f"comet gallery . -o {name} | head -c 15").stdout == b"<!DOCTYPE html>"
        done = shell(f"comet compose a.z --steps 1 -o {name} --json")
        assert done.returncode == 2 and b"both write to standard output" in done.stdout
    Image.open(io.BytesIO(direct)).load()
