"""The way to the warm helper: its socket, who may use it, and what a command hands over.

The helper (:mod:`.warm_helper`) is a process that has imported torch. A command that finds one like
itself hands it its arguments and streams and waits; in every other case it works by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from comet_cli.errors import CometError
from comet_cli.version import __version__

VERBS = ("compose", "encode", "recombine", "gradients")
# Names of what this process alone has open, beside its standard streams.
OPEN_HERE = re.compile(r"/dev/fd/|/proc/(self|thread-self|\d+)/")
MAX_MESSAGE = 8 << 20
PATIENCE = 5.0  # seconds until the other side has said what it has to say
# What libraries read once, when they are loaded.
READ_ONCE = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "ATEN_", "CUDA", "NVIDIA_"),
    *("TORCH", "PYTORCH_", "PYTHON", "HF_", "HUGGING", "LC_", "LANG", "LD_", "MALLOC_"),
)


def available() -> bool:
    """Say whether there can be a helper here: it forks, and asks the kernel who is calling."""
    return sys.platform == "linux"


def folder() -> Path:
    """Return the folder of the socket: the user's own runtime folder, else one in /tmp."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return Path(runtime) / "comet"
    return Path("/tmp") / f"comet-{os.getuid()}"


def is_private(path: Path) -> bool:
    """Say whether a folder is a real one that nobody but the user can enter."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return mine and not stat.S_IMODE(found.st_mode) & 0o077


def likeness() -> str:
    """Return a hash of all that makes two processes of comet work alike, but their arguments."""
    import resource
    import sysconfig

    package = Path(__file__).resolve().parents[1]
    found = ((str(path), path.stat()) for path in package.rglob("*.py"))
    files = sorted((path, facts.st_mtime_ns, facts.st_size) for path, facts in found)
    # Where torch and the others are: installing another version changes the folder.
    installed = [
        os.stat(place).st_mtime_ns
        for place in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        if os.path.isdir(place)
    ]
    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)
    facts = [
        *(__version__, files, installed, sys.executable, sys.version, list(sys.flags)),
        *(os.getuid(), os.getgid(), os.getgroups(), os.getpriority(os.PRIO_PROCESS, 0)),
        sorted(os.sched_getaffinity(0)),
        [resource.getrlimit(limit) for limit in limits],
        sorted(item for item in os.environ.items() if item[0].startswith(READ_ONCE)),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def peer(link: socket.socket) -> int:
    """Return the user id of the other side, by the kernel."""
    packed = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", packed)[1])


def send(link: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, and open files with it."""
    data = json.dumps(message).encode()
    if files:
        socket.send_fds(link, [struct.pack(">I", len(data))], files)
    else:
        link.sendall(struct.pack(">I", len(data)))
    link.sendall(data)


def receive(link: socket.socket, files: int = 0) -> tuple[dict[str, Any], list[int]]:
    """Receive a message and up to ``files`` open files.

    Raises:
        OSError: the other side is gone, too slow, or says something else.
    """
    head, got, _, _ = socket.recv_fds(link, 4, files) if files else (link.recv(4), [], 0, None)
    try:
        head += _exactly(link, 4 - len(head))
        (length,) = struct.unpack(">I", head)
        if length > MAX_MESSAGE:
            raise OSError("the message is too long")
        message = json.loads(_exactly(link, length))
        if not isinstance(message, dict):
            raise OSError("the message is no object")
    except (OSError, ValueError) as error:
        for file in got:
            os.close(file)
        raise OSError(str(error)) from None
    return message, got


def _exactly(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = link.recv(count - len(data))
        if not part:
            raise OSError("the other side is gone")
        data += part
    return data


@contextlib.contextmanager
def connected() -> Iterator[socket.socket | None]:
    """Yield a connection to the user's own helper; None where there is none."""
    place = folder()
    if not available() or not (place / "warm.sock").exists() or not is_private(place):
        yield None
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(PATIENCE)
        try:
            link.connect(str(place / "warm.sock"))
            mine = peer(link) == os.getuid()
        except OSError:
            mine = False
        yield link if mine else None


def ask(question: str) -> dict[str, Any] | None:
    """Return the helper's answer to ``status`` or ``stop``; None where there is no helper."""
    with connected() as link:
        if link is None:
            return None
        try:
            send(link, {"ask": question})
            return receive(link)[0]
        except OSError:
            return None


def hand_over(args: Sequence[str]) -> int | None:
    """Let the helper carry out a command, and return its exit code.

    Returns None where the command is to be carried out here: another verb, no helper, or one that
    is not like this process.

    Raises:
        CometError: the helper took the command and did not finish it.
    """
    if not args or args[0] not in VERBS or None in (sys.stdin, sys.stdout, sys.stderr):
        return None
    if any(OPEN_HERE.search(word) for word in args):
        return None
    with connected() as link:
        if link is None:
            return None
        mask = os.umask(0o077)
        os.umask(mask)
        request = {
            **{"ask": "run", "like": likeness(), "args": list(args), "umask": mask},
            "environment": dict(os.environ),
        }
        with _forwarding() as worker:
            try:
                place = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
                try:
                    send(link, request, [0, 1, 2, place])
                finally:
                    os.close(place)
                answer = receive(link)[0]
            except OSError:
                return None  # nothing is begun before it has answered
            if "process" not in answer:
                return None
            worker.follow(int(answer["process"]))
            link.settimeout(None)
            try:
                send(link, {"go": True})
                return int(receive(link)[0]["code"])
            except (OSError, KeyError, ValueError):
                raise CometError(
                    "the process of the warm helper ended before its work was done; run the "
                    "command again, or without the helper: comet warm stop"
                ) from None


class _Worker:
    """The process that works for this one; it gets the signals that this one gets."""

    def __init__(self) -> None:
        self._process: int | None = None
        self.unheard: list[int] = []

    def follow(self, process: int) -> None:
        """Forward to this process, also what came before it was known."""
        self._process = process
        while self.unheard:
            self._forward(self.unheard.pop(0))

    def handle(self, number: int, _frame: object) -> None:
        """Forward a signal; what ends a process ends this one too."""
        if self._process is None:
            self.unheard.append(number)
        else:
            self._forward(number)

    def _forward(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process or 0, number)
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


@contextlib.contextmanager
def _forwarding() -> Iterator[_Worker]:
    worker = _Worker()
    before: dict[int, Any] = {}
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        number = int(name)
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, worker.handle)
    try:
        yield worker
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
        for number in worker.unheard:
            os.kill(os.getpid(), number)
