"""The warm helper: a process that has imported torch, computes nothing itself, and forks.

It takes commands from its own user alone, and from processes of comet alone that are like itself
(:func:`.warm_link.likeness`). A forked process does the work, with the streams, the folder, the
environment and the umask of the one that asked, and tells it the exit code.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from comet_cli.cli import warm_link
from comet_cli.cli.console import INTERRUPTED, print_error
from comet_cli.errors import CometError

Main = Callable[[list[str]], int]
PRELOADED = (
    *("verbs.compose", "verbs.encode", "verbs.recombine", "verbs.gradients"),
    *("networks.paper_encoders", "networks.spatial_encoder", "networks.colouring_encoder"),
    *("networks.pooled_energy", "networks.quadratic_energy", "networks.spatial_energy"),
)


class RunsAlreadyError(CometError):
    """Another helper of this user is there, or about to be."""


def serve(main: Main, idle: float) -> None:
    """Wait for commands, and end after ``idle`` seconds without one.

    Args:
        main: carries out arguments and returns the exit code.
        idle: seconds.

    Raises:
        RunsAlreadyError: there is a helper already.
        CometError: the folder of the socket is not the user's alone.
    """
    place = warm_link.folder()
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    if not warm_link.is_private(place):
        raise CometError(f"'{place}' is open to others, so there is no warm helper; chmod 700 it")
    path = place / "warm.sock"
    # Held as long as this process lives: a socket without it is a dead helper's.
    lock = os.open(place / "warm.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunsAlreadyError("a warm helper runs already") from None
    like = warm_link.likeness()  # of what is imported now
    _preload()
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        mask = os.umask(0o177)
        try:
            door.bind(str(path))
        except OSError as error:
            raise CometError(f"'{path}' cannot be a socket: {error}") from None
        finally:
            os.umask(mask)
        door.listen(64)
        try:
            _Helper(main, door, lock, like).wait(idle)
        finally:
            path.unlink(missing_ok=True)


def _preload() -> None:
    """Import what commands import; nothing is computed, so that there is one thread to fork."""
    for name in PRELOADED:
        import_module(f"comet_cli.{name}")
    gc.collect()
    gc.freeze()  # or a forked process would write, and so copy, all of it


class _Helper:
    def __init__(self, main: Main, door: socket.socket, lock: int, like: str) -> None:
        self._main, self._door, self._lock = main, door, lock
        self._like = like
        self._workers: set[int] = set()
        self._served, self._since = 0, time.time()
        self._stopped = False

    def wait(self, idle: float) -> None:
        """Answer until told to stop, or until nothing was asked, and nothing done, for long."""
        quiet = time.monotonic()
        while not self._stopped:
            ready = select.select([self._door], [], [], min(idle, 1.0))[0]
            self._reap()
            if ready:
                link, _ = self._door.accept()
                with link:
                    link.settimeout(warm_link.PATIENCE)
                    with contextlib.suppress(OSError):
                        self._answer(link)
            if ready or self._workers:
                quiet = time.monotonic()
            elif time.monotonic() - quiet >= idle:
                return

    def _reap(self) -> None:
        for process in list(self._workers):
            if os.waitpid(process, os.WNOHANG)[0]:
                self._workers.discard(process)

    def _answer(self, link: socket.socket) -> None:
        if warm_link.peer(link) != os.getuid():
            return
        message, files = warm_link.receive(link, files=4)
        try:
            question = message.get("ask")
            if question == "run":
                self._run(link, message, files)
            elif question in ("status", "stop"):
                self._stopped = question == "stop"
                facts = {"process": os.getpid(), "since": self._since, "commands": self._served}
                warm_link.send(link, {**facts, "like": self._like})
        finally:
            for file in files:
                os.close(file)

    def _run(self, link: socket.socket, message: dict[str, Any], files: list[int]) -> None:
        if message.get("like") != self._like or self._like != warm_link.likeness():
            warm_link.send(link, {})  # other settings, or another comet than this one was
            return
        if len(files) != 4:
            return
        self._served += 1
        process = os.fork()
        if process:
            self._workers.add(process)
            return
        code = 1
        try:
            self._door.close()
            os.close(self._lock)
            code = _work(self._main, link, message, files)
        finally:
            os._exit(code)


def _work(main: Main, link: socket.socket, message: dict[str, Any], files: list[int]) -> int:
    """Carry out a command in this process, which was forked for it."""
    # One that comes before the work has begun waits for it, and is then what ends it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for usual in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(usual, signal.SIG_DFL)
    warm_link.send(link, {"process": os.getpid()})
    if not warm_link.receive(link)[0].get("go"):
        return 1
    link.settimeout(None)
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    os.fchdir(files[3])
    os.umask(int(message["umask"]))
    os.environ.clear()
    os.environ.update(message["environment"])
    time.tzset()
    args = [str(word) for word in message["args"]]
    sys.argv = ["comet", *args]
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        before = getattr(sys, name)
        lines = name == "stderr" or (name == "stdout" and os.isatty(number))
        buffering = 1 if lines else -1
        how = {"encoding": before.encoding, "errors": before.errors}
        setattr(sys, name, open(number, mode, buffering, closefd=False, **how))
    threading.Thread(target=_end_with, args=(link,), daemon=True).start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        code = main(args)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    except KeyboardInterrupt:
        print_error("interrupted")
        code = INTERRUPTED
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    warm_link.send(link, {"code": code})
    return code


def _end_with(link: socket.socket) -> None:
    """End this process when the one that asked is gone."""
    with contextlib.suppress(OSError):
        if not link.recv(1):
            os.kill(os.getpid(), signal.SIGTERM)
