"""Random calls of comet on odd names, files, streams and folders, interrupted now and then.

python benchmarks/fuzz.py --minutes 60 --seed 0

Each call is a fork of one process that has imported everything. It must end with a known exit code,
say at most sentences, leave no temporary file, and leave the files of others as they are. Where it
does not, its number is printed; ``--only NUMBER`` repeats one call.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

SECONDS = 120
ENDS: Counter[int] = Counter()
CODES = (0, 1, 2, 3, 130)
BAD = ("Traceback", "bug in comet", "Exception ignored", "Fatal", "\\x00")
NAMES = (
    *(
        "a.png",
        "b c.png",
        "-[x].png",
        "-:0.png",
        "ä☀.png",
        "x:1.png",
        "a*2.png",
        "it's.png",
        "@.png",
    ),
    *("l\nine.png", "\x1b[31m.png", b"\xff\xfe.png".decode("utf-8", "surrogateescape"), "a.z:0"),
    *("x" * 250 + ".png", "'\"$(x).png", "%0.5.png", "{seed}.png", "~.png", "-", "--", "-o.png"),
)
STREAMS = (
    "usual",
    "usual",
    "usual",
    "closed out",
    "closed err",
    "closed in",
    "full out",
    "full err",
)
OPTIONS = (
    *("--json", "-q", "--force", "--no-metadata", "--literal", "--fresh", "--seed -1", "--seed 7"),
    *(
        "--steps 1",
        "--steps 0",
        "--step-size nan",
        "--step-size 1e9",
        "--scale 2",
        "--scale 3:pixels",
    ),
    *(
        "--scale 99",
        "--precision bfloat16",
        "--device cuda:9",
        "--seeds 0-2",
        "--size 40",
        "--size 9",
    ),
    *(
        "--init noise",
        "--init a.png",
        "--tolerance 0.1",
        "--trace t.gif",
        "--each folder",
        "-m tetris",
    ),
    *("-m nothing", "-m folder", "--top 1", "--resume", "-o -", "-o folder", "-o folder/x.png"),
    *("-o gone/x.png", "-o mine.png", "-o /dev/full", "-o /dev/stdout", "-o out.png", "-o out.z"),
)
ODD = ("out.png", "out.z", "folder", "gone.png")
VERBS = (
    *("encode", "compose", "decompose", "recombine", "gradients", "replay", "inspect", "score"),
    *("nearest", "batch", "gallery", "doctor", "models list", "models show", "data check"),
)


def picture(rng: random.Random) -> Image.Image:
    """Return a small picture of any mode."""
    side = rng.choice((1, 7, 35, 64))
    values = np.random.default_rng(rng.randrange(10**6)).integers(0, 256, (side, side, 4), np.uint8)
    mode = rng.choice(("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F", "I", "LAB", "HSV"))
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * rng.choice((1, 16, 257)))
    if mode in ("F", "I"):
        return Image.fromarray(values[..., 0].astype({"F": np.float32, "I": np.int32}[mode]))
    if mode in ("LAB", "HSV", "CMYK"):
        return (
            Image.fromarray(values[..., :3]).convert("RGB").convert(mode if mode != "LAB" else "L")
        )
    return Image.fromarray(values).convert(mode)


def content(rng: random.Random) -> bytes:
    """Return the bytes of a picture, whole or broken, or of something else."""
    buffer = io.BytesIO()
    kind = rng.choice(("PNG", "PNG", "PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"))
    options = {"icc_profile": b"broken"} if rng.random() < 0.1 else {}
    try:
        picture(rng).save(buffer, kind, **options)
    except (OSError, ValueError):  # a mode that the format does not have
        return rng.choice((b"", b"text\n", b"%PDF-1.7", b"\0" * 99, b"\x89PNG\r\n\x1a\n"))
    data = bytearray(buffer.getvalue())
    fate = rng.random()
    if fate < 0.1:
        del data[rng.randrange(len(data)) :]
    elif fate < 0.2:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def furnish(rng: random.Random, made: Path) -> list[str]:
    """Fill the working folder; return the names that calls speak of."""
    names = ["own.png", "own.z", "own.z", "mine.png", "mine.png", *rng.sample(ODD, 1)]
    for name in ("own.png", "own.z"):
        shutil.copyfile(made / name, name)
    Path("mine.png").write_bytes((made / "plain.png").read_bytes())
    os.makedirs("folder")
    for name in rng.sample(NAMES, 4):
        try:
            Path("./" + name).write_bytes(content(rng))
        except OSError:
            continue
        names.append(name)
    if rng.random() < 0.3:
        os.symlink("nowhere", "link.png")
        names.append("link.png")
    if rng.random() < 0.2:
        os.mkfifo("pipe.png") if rng.random() < 0.1 else os.mkdir("dir.png")
        names.append("dir.png")
    lines = "\n".join(f"{rng.choice(names)} -o {rng.choice(names)} --steps 1" for _ in range(3))
    encoding = rng.choice(("utf-8", "utf-16", "utf-8-sig"))
    Path("list.txt").write_bytes(lines.encode(encoding, "replace"))
    return names


@functools.cache
def known(verb: str) -> set[str]:
    """Return the options of a verb."""
    import typer

    from comet_cli.cli.app import app

    command = typer.main.get_command(app)
    for word in verb.split():
        command = command.commands[word]
    return {name for parameter in command.params for name in parameter.opts}


def words(rng: random.Random, names: list[str]) -> list[str]:
    """Return the arguments of a call."""
    verb = rng.choice(VERBS)
    found = verb.split()
    fitting = [option for option in OPTIONS if option.split()[0] in known(verb)]
    for option in rng.sample(fitting, min(len(fitting), rng.randrange(3))):
        found += option.split()
    if verb in ("compose", "decompose", "recombine", "gradients") and "-o" not in found:
        found += ["-o", rng.choice(("out.png", "out.png", rng.choice(names)))]
    if verb in ("gallery", "data check", "models show"):
        found.append(rng.choice((".", "folder", "tetris", rng.choice(names))))
    elif verb not in ("doctor", "models list"):
        if rng.random() < 0.3:
            found.append("--")
        count = rng.randrange(1, 4)
        suffixes = ("", "", "", ":0", "*0.5", ":0,9", "@1,1,5,5", ":-", "%0.5%own.z")
        picked = [rng.choice(names) + rng.choice(suffixes) for _ in range(count)]
        found += ["list.txt"] if verb == "batch" else picked
    return found


def child(args: list[str], streams: str, said: str) -> None:
    """Run a call in this process, which is a fork; never return."""
    from comet_cli.__main__ import main

    null = os.open(os.devnull, os.O_RDWR)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, target in ((0, null), (1, null), (2, out)):
        os.dup2(target, number)
    name, _, which = streams.partition(" ")
    if name == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1 if which == "out" else 2)
    sys.stdin, sys.stdout, sys.stderr = (
        open(n, mode, encoding="utf-8", errors=errors, closefd=False)
        for n, mode, errors in (
            (0, "r", "strict"),
            (1, "w", "strict"),
            (2, "w", "backslashreplace"),
        )
    )
    if name == "closed":
        os.close({"in": 0, "out": 1, "err": 2}[which])
        setattr(sys, f"std{which}", None)
    sys.argv = ["comet", *args]
    code = 99
    try:
        code = main()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except BaseException as error:  # nothing may leave main
        os.write(out, f"Traceback: {error!r}".encode("utf-8", "backslashreplace"))
    os._exit(code if isinstance(code, int) else 98)


def call(number: int, made: Path) -> list[str]:
    """Make one call; return what is wrong with how it went."""
    rng = random.Random(number)
    folder, said = Path(tempfile.mkdtemp()), tempfile.mktemp()
    before = os.getcwd()
    os.chdir(folder)
    try:
        names = furnish(rng, made)
        args, streams = words(rng, names), rng.choice(STREAMS)
        there = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
        others = {path: path.read_bytes() for path in there if not path.name.startswith("own.")}
        pid = os.fork()
        if not pid:
            child(args, streams, said)
        if rng.random() < 0.15:
            time.sleep(rng.random())
            os.kill(pid, signal.SIGINT)
        return [f"{args} with {streams}: {wrong}" for wrong in judge(pid, args, said, others)]
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)
        Path(said).unlink(missing_ok=True)


def judge(pid: int, args: list[str], said: str, others: dict[Path, bytes]) -> list[str]:
    """Wait for a call; return what is wrong with its end, its words, and what it left."""
    until, status = time.monotonic() + SECONDS, None
    while status is None and time.monotonic() < until:
        time.sleep(0.005)
        done, found = os.waitpid(pid, os.WNOHANG)
        status = found if done else None
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return [f"still at work after {SECONDS} s"]
    wrong = []
    code = os.waitstatus_to_exitcode(status)
    ENDS[code] += 1
    if code not in CODES:
        wrong.append(f"exit code {code}")
    text = Path(said).read_bytes().decode("utf-8", "backslashreplace")
    wrong += [f"said {text[-600:]!r}" for word in BAD if word in text]
    wrong += [f"left {path}" for path in Path().rglob(".comet-*")]
    if not {"--force", "-f"} & set(args):
        wrong += [f"changed {p.name!r}" for p, data in others.items() if p.read_bytes() != data]
    return wrong


def main() -> int:
    """Call until the time is over; print what went wrong, and return 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    made = Path(tempfile.mkdtemp())
    os.environ.update(OMP_NUM_THREADS="1", COMET_HOME=str(made / "home"))
    from comet_cli.cli.app import main as comet

    x = np.random.default_rng(0).integers(0, 256, (35, 35, 3), dtype=np.uint8)
    Image.fromarray(x).save(made / "plain.png")
    if comet(["encode", f"{made}/plain.png", "-m", "tetris", "-o", f"{made}/own.z"]):
        return 1
    comet(["compose", f"{made}/own.z", "--steps", "1", "-o", f"{made}/own.png"])
    until, number, found = time.monotonic() + 60 * options.minutes, options.seed * 10**6, 0
    numbers = itertools.count(number) if options.only is None else iter([options.only])
    for number in numbers:
        if time.monotonic() > until:
            break
        for wrong in call(number, made):
            found += 1
            print(f"{number}: {wrong}", flush=True)
    print(f"{ENDS.total()} calls, {found} faults; exit codes {dict(sorted(ENDS.items()))}")
    shutil.rmtree(made)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
