"""Random calls of comet on odd names, files, streams and folders, interrupted now and then.

python benchmarks/fuzz.py --minutes 60 --seed 0

Verbs and their options are read off the command line itself, so that a new one is called too. Each
call is a fork of one process that has imported everything; some go to a warm helper. It must end
with a known exit code, say at most sentences, print one JSON document where that was asked for,
leave no temporary file, and leave the files of others as they are. Where it does not, its number is
printed; ``--only NUMBER`` repeats one call.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_files import furnish, temporary_folder, videos
from PIL import Image

SECONDS = 120.0  # of waiting for a call, before it counts as one that hangs
ENDS: Counter[int] = Counter()
CODES = (0, 1, 2, 3, 130)
BAD = ("Traceback", "bug in comet", "Exception ignored", "Fatal", "\\x00", "Warning:")
STREAMS = (
    *("usual", "usual", "usual", "usual", "closed out", "closed err", "closed in"),
    *("full out", "full err"),
)
# Verbs that need the network, or minutes: everything else is called.
LEFT_OUT = {"figure", "warm start", "models pull", "models push", "data make"}
# Most of the calls are of what most people use.
USUAL = (
    *("encode", "compose", "decompose", "recombine", "gradients", "replay", "inspect", "score"),
    *("nearest", "batch", "gallery"),
)
# What options are given; those that are not named here are given PATHS and ANYTHING.
PATHS = ("new.png", "-", "folder", "folder/x.png", "gone/x.png", "mine.png", "/dev/full", "own.z")
ANYTHING = ("0", "1", "-1", "nan", "1e9", "", "x", "a.png", "0-2", "2,0", "🙂")
OUTPUTS = (*PATHS, "/dev/stdout", "out.z", "out.gif", "out.webp", "out.apng", "out.mp4", "o.html")
VALUES = {
    "--output": ("out.png", *OUTPUTS),
    "--out": ("made", "folder", "mine.png"),
    "--top": ("2", "0", "-1", "x"),
    "--shard": ("0/2", "1/2", "2/2", "x"),
    "--batch-size": ("2", "1", "0"),
    "--threshold": ("0.3", "-1", "nan", "2"),
    "--map": ("heat", "signed", "overlay", "x"),
    "--tolerance": ("0.1", "nan", "-1", "0"),
    "--html": ("page.html", "page.png", "gone/x.html", "-", "mine.html"),
    "--trace": ("t.gif", "t.png", "t.webp", "t.mp4", "mine.png", "t.txt"),
    "--model": ("tetris", "nothing", "folder", "own.z", ""),
    "--device": ("cpu", "cuda:9", "auto", "x"),
    "--precision": ("float32", "bfloat16", "x"),
    "--align": ("face", "x"),
    "--solver": ("gd", "momentum", "langevin", "x"),
    "--init": ("noise", "grey", "black", "auto", "mine.png", "own.z", "gone"),
    "--steps": ("1", "0", "2", "-1"),
    "--step-size": ("1", "nan", "1e9", "0", "-1"),
    "--size": ("40", "9", "0", "35"),
    "--scale": ("1", "2", "3:pixels", "99", "1.5", "x", ":pixels"),
    "--fps": ("1", "0", "nan", "1e9", "12.5"),
    "--seeds": ("0-2", "1,1", "x", "5-1", "-1"),
    "--interpolate": ("3", "1", "3", "-1"),
    "--components": ("0", "0,2", "9", "x", "", "2-0"),
    "--at": ("1,1,5,5", "3,3", "x", "99,99"),
    "--data": ("folder", "dance", ".", "gone", "mine.png"),
    "--measured": ("folder", ".", "gone"),
    "--preset": ("global", "objects", "x"),
    "--from": ("tetris", "nothing"),
    "--iterations": ("0", "1", "-1"),
    "--probe-iterations": ("1",),
    "--max-time": ("0.01", "0", "nan"),
    "--count": ("1", "3", "0"),
    "--limit": ("1", "0"),
    "--each": ("folder", "gone", "mine.png", "new"),
    "--masks": ("folder", "gone", "new"),
    "--npz": ("n.npz", "mine.png", "gone/n.npz", "-"),
    "--examples": ("folder",),
    "--title": ("x", "-: y", "<b>", "\udcff"),
}
# What is most often the output of verbs that do not write a PNG.
USUAL_OUTPUT = {"gallery": "page.html", "encode": "folder", "train": "new", "models export": "m.pt"}
# And arguments, where they are not names of files.
ARGUMENTS = {
    "name": ("tetris", "clevr", "nothing", "folder", "own.z", "..", ""),
    "source": ("list.txt", "folder", "mine.png"),
    "folder": (".", "dance", "folder", "tetris", "mine.png"),
    "folders": ("folder", ".", "tetris"),
    "recipe": ("recipe.toml", "gone.toml", "mine.png"),
}
SUFFIXES = (
    *(*[""] * 8, ":0", ":0", ":1", "*0.5", ":0,9", ":0@1,1,5,5", ":-", ":0%0.5%own.z:1"),
    *(":0*-1", "[0]", ":1@own.png"),
)


def walk(command: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the commands of the command line by what is typed for them."""
    if not hasattr(command, "commands"):
        return {" ".join(path): command}
    found: dict[str, Any] = {}
    for name, inner in command.commands.items():
        found.update(walk(inner, (*path, name)))
    return found


@functools.cache
def verbs() -> dict[str, Any]:
    """Return what is called."""
    import typer

    from comet_cli.cli.app import app

    every = walk(typer.main.get_command(app))
    return {name: command for name, command in every.items() if name not in LEFT_OUT}


def draw(rng: random.Random, values: tuple[str, ...]) -> str:
    """Return a value, most often the first, which is a good one."""
    return values[0] if rng.random() < 0.6 else rng.choice(values)


def argument(rng: random.Random, parameter: Any, verb: str, names: list[str]) -> list[str]:
    """Return what stands for an argument, one word or several."""
    if parameter.name in ARGUMENTS:
        count = 1 if parameter.nargs == 1 else 2
        return [draw(rng, ARGUMENTS[parameter.name]) for _ in range(count)]
    suffixes = SUFFIXES if verb not in ("encode", "inspect", "replay") else ("",)
    count = 1 if parameter.nargs == 1 else rng.randrange(1, 4)
    return [rng.choice(names) + rng.choice(suffixes) for _ in range(count)]


def words(rng: random.Random, names: list[str]) -> list[str]:
    """Return the arguments of a call."""
    verb = rng.choice(USUAL if rng.random() < 0.75 else sorted(verbs()))
    options, arguments = [], []
    for parameter in verbs()[verb].params:
        if parameter.param_type_name == "argument":
            arguments.append(parameter)
        else:
            options.append(parameter)
    given = rng.sample(options, rng.randrange(min(len(options), 4) + 1))
    needed = [o for o in options if o.required or (verb == "recombine" and "--output" in o.opts)]
    found = verb.split()
    for option in dict.fromkeys([*given, *needed]):
        name = max(option.opts, key=len)
        if getattr(option, "is_flag", False):
            found.append(name)
            continue
        values = VALUES.get(name, PATHS + ANYTHING)
        if name == "--output":
            values = (USUAL_OUTPUT.get(verb, values[0]), *values)
        value = draw(rng, values)
        found += [f"{name}={value}"] if rng.random() < 0.3 else [name, value]
    if rng.random() < 0.3:
        found.append("--")
    return found + [word for each in arguments for word in argument(rng, each, verb, names)]


def child(args: list[str], streams: str, told: Path, said: Path, interrupted: bool) -> None:
    """Run a call in this process, which is a fork; never return."""
    from comet_cli.__main__ import main

    null = os.open(os.devnull, os.O_RDWR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    out, err = os.open(told, flags), os.open(said, flags)
    for number, target in ((0, null), (1, out), (2, err)):
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
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        code = 98
        code = main()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except BaseException as error:  # nothing may leave main
        if code == 99 and interrupted:  # before there was anything to interrupt
            os._exit(130)
        os.write(err, f"Traceback: {error!r}".encode("utf-8", "backslashreplace"))
    os._exit(code if isinstance(code, int) else 98)


def call(number: int, made: Path, *, show: bool = False, patience: float = SECONDS) -> list[str]:
    """Make one call; return what is wrong with how it went."""
    rng = random.Random(number)
    folder, aside = temporary_folder(), temporary_folder()
    before = os.getcwd()
    os.chdir(folder)
    try:
        names = furnish(rng, made)
        args, streams = words(rng, names), rng.choice(STREAMS)
        others = {p: p.read_bytes() for p in folder.rglob("*") if is_others(p)}
        warm, interrupted = rng.random() < 0.3, rng.random() < 0.15
        warm = warm and args[0] != "warm"  # which would stop the helper of all others
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pid = os.fork()
        if not pid:
            os.environ["XDG_RUNTIME_DIR"] = str(made if warm else aside)
            if rng.random() < 0.9:  # to judge every model takes long
                os.environ["COMET_MODEL"] = "tetris"
            child(args, streams, aside / "out", aside / "err", interrupted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if interrupted:
            time.sleep(4 * rng.random() ** 3)
            os.kill(pid, signal.SIGINT)
        wrongs = judge(pid, args, streams, aside, others, patience)
        how = f"{streams}{', warm' * warm}{', interrupted' * interrupted}"
        if show:
            print(number, how, args, (aside / "err").read_bytes()[-200:], flush=True)
        return [f"{args} with {how}: {wrong}" for wrong in wrongs]
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def is_others(path: Path) -> bool:
    """Say whether a file is one that comet did not make."""
    made = path.name.startswith(("own.", "dance-"))
    return path.is_file() and not path.is_symlink() and not made


def judge(
    pid: int,
    args: list[str],
    streams: str,
    aside: Path,
    others: dict[Path, bytes],
    patience: float = SECONDS,
) -> list[str]:
    """Wait for a call; return what is wrong with its end, its words, and what it left."""
    until, status = time.monotonic() + patience, None
    while status is None and time.monotonic() < until:
        time.sleep(0.005)
        done, found = os.waitpid(pid, os.WNOHANG)
        status = found if done else None
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return [f"still at work after {patience:g} s"]
    wrong = []
    code = os.waitstatus_to_exitcode(status)
    ENDS[code] += 1
    if code not in CODES:
        wrong.append(f"exit code {code}")
    text = (aside / "err").read_bytes().decode("utf-8", "backslashreplace")
    wrong += [f"said {text[-600:]!r}" for word in BAD if word in text]
    wrong += [f"left {path}" for path in Path().rglob(".comet-*")]
    options = args[: args.index("--")] if "--" in args else args
    if not {"--force", "-f"} & set(options):
        wrong += [f"changed {p.name!r}" for p, data in others.items() if same(p) != data]
    if "--json" in options and streams == "usual" and code in (0, 1, 2, 3):
        told = (aside / "out").read_bytes()
        try:
            document = json.loads(told)
            if code and document["exit_code"] != code:
                wrong.append(f"exit code {code}, printed {document['exit_code']}")
        except (ValueError, KeyError, TypeError) as error:
            wrong.append(f"exit code {code}, printed {told[-300:]!r}: {error!r}; {text[-300:]!r}")
    return wrong


def same(path: Path) -> bytes | None:
    """Return what a file holds now; None where it is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def warm(what: str) -> None:
    """Start or stop the helper that some of the calls find."""
    command = [sys.executable, "-m", "comet_cli", "warm", what]
    subprocess.run(command, check=False, capture_output=True)


def main() -> int:
    """Call until the time is over; print what went wrong, and return 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--patience", type=float, default=SECONDS, help="seconds for a call")
    parser.add_argument("--show", action="store_true", help="print every call")
    options = parser.parse_args()
    made = temporary_folder()
    os.environ.update(
        OMP_NUM_THREADS="1",
        COMET_HOME=str(made / "home"),
        XDG_CACHE_HOME=str(made / "cache"),
        XDG_RUNTIME_DIR=str(made),
        HF_HUB_OFFLINE="1",
        TMPDIR=tempfile.gettempdir(),
    )
    from comet_cli.cli.app import main as comet

    x = np.random.default_rng(0).integers(0, 256, (35, 35, 3), dtype=np.uint8)
    Image.fromarray(x).save(made / "plain.png")
    if comet(["encode", f"{made}/plain.png", "-m", "tetris", "-o", f"{made}/own.z"]):
        return 1
    comet(["compose", f"{made}/own.z", "--steps", "1", "-o", f"{made}/own.png"])
    videos()
    verbs()
    warm("start")
    until, number, found = time.monotonic() + 60 * options.minutes, options.seed * 10**6, 0
    numbers = itertools.count(number) if options.only is None else iter([options.only])
    try:
        for number in numbers:
            if time.monotonic() > until:
                break
            for wrong in call(number, made, show=options.show, patience=options.patience):
                found += 1
                print(f"{number}: {wrong}", flush=True)
    finally:
        warm("stop")
        shutil.rmtree(made)
    print(f"{ENDS.total()} calls, {found} faults; exit codes {dict(sorted(ENDS.items()))}")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
