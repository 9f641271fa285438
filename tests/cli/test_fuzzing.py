"""A thousand damaged ``.z``, PNG and recipe files: a sentence each, and never much memory."""

import contextlib
import copy
import json
import random
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comet_cli.energy.render import render
from comet_cli.errors import CometError
from comet_cli.formats.components import parse_components
from comet_cli.formats.images import load_image
from comet_cli.formats.picture_recipe import recipe_text
from comet_cli.formats.png_entries import SIGNATURE
from comet_cli.inputs.session import Session, term_of
from comet_cli.verbs.gallery import thumbnail
from comet_cli.verbs.inspect import describe, inspect_file
from comet_cli.verbs.replay import replay_picture

COUNT = 334  # of each kind
VERBS_EVERY = 25  # a command line takes longer to read than a file
NASTY = (
    *(None, True, -1, 0, 1, 0.5, 1e308, 2**31, 2**63, 2**64, 10**400, "", "x", "\0", "\ud800"),
    *("a" * 2000, "../../etc/passwd", [], {}, [[]], [None] * 5000, {"a": {"b": []}}, "NaN", "-1"),
)


class Hang(BaseException):
    """Not an Exception, because the command line turns those into sentences."""


@pytest.fixture(autouse=True)
def watchdog():
    """End the test instead of waiting for ever."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def give_up(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(400)  # alone it takes a few seconds
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def memory(name: str) -> int:
    """Return VmRSS (now) or VmHWM (the most) of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


@contextlib.contextmanager
def below_a_gigabyte():
    """Check that no more than 1 GB is taken meanwhile (where Linux tells)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        before = memory("VmRSS")
    except (OSError, KeyError):
        yield
        return
    yield
    assert memory("VmHWM") - before < 10**9


def damage(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a file cut off, with bytes changed, put in, doubled or taken, or made of two."""
    at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    kind = rng.randrange(7)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return rng.randbytes(rng.randrange(600))
    if kind == 2:
        return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
    if kind == 3:
        return data[:to] + data[at:]
    if kind == 4:
        return data[:at] + data[to:]
    if kind == 5:
        return data[:at] + other[at:]
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 40)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def places(value, found=None) -> list:
    """Return (container, key) of everything in a JSON document."""
    found = [] if found is None else found
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found.append((value, key))
        if isinstance(item, dict | list):
            places(item, found)
    return found


def swap(rng: random.Random, text: bytes, other: bytes) -> bytes:
    """Return a JSON document with values of another, or values that no one expects."""
    document = json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        spots = places(document)
        if not spots:
            break
        container, key = rng.choice(spots)
        kind = rng.randrange(4)
        if kind == 0:
            source, name = rng.choice(places(json.loads(other)))
            container[key] = copy.deepcopy(source[name])
        elif kind == 1:
            del container[key]
        elif kind == 2 and isinstance(container, dict):
            container[rng.choice(["new", "", "z", "\0"])] = container.pop(key)
        else:
            container[key] = copy.deepcopy(rng.choice(NASTY))
    return json.dumps(document).encode()


def with_metadata(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Return a ``.z`` file whose header, or what is written in it, has changed."""

    def split(z: bytes) -> tuple[bytes, bytes]:
        length = struct.unpack("<Q", z[:8])[0]
        return z[8 : 8 + length], z[8 + length :]

    (header, body), (foreign, its_body) = split(data), split(other)
    if rng.random() < 0.3:
        header = swap(rng, header, foreign)
    else:
        document, its = json.loads(header), json.loads(foreign)
        metadata = document["__metadata__"]
        facts = swap(rng, metadata["comet"].encode(), its["__metadata__"]["comet"].encode())
        metadata["comet"] = facts.decode()
        header = json.dumps(document).encode()
    body = its_body if rng.random() < 0.1 else body
    return struct.pack("<Q", len(header)) + header + body


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG whose checksums are right, so that what is in it is looked at."""
    found = SIGNATURE
    for kind, body in parts:
        found += struct.pack(">I", len(body)) + kind + body
        found += struct.pack(">I", zlib.crc32(kind + body))
    return found


def with_chunks(png: bytes, rng: random.Random, other: bytes) -> bytes:
    """Return a PNG with a chunk damaged, doubled, moved, or of another file."""
    parts = chunks(png)
    at = rng.randrange(len(parts))
    kind, body = parts[at]
    choice = rng.randrange(5)
    if choice == 0:
        numbers = [rng.choice((0, 1, 16, 12_000, 2**16, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
        depth, colour = rng.choice((1, 8, 16, 3)), rng.choice((0, 2, 3, 4, 6, 9))
        parts[0] = (b"IHDR", struct.pack(">IIBBBBB", *numbers, depth, colour, 0, 0, 0))
    elif choice == 1:
        parts[at] = (kind, damage(rng, body, body))
    elif choice == 2:
        parts.insert(rng.randrange(len(parts)), parts[at])
    elif choice == 3:
        parts[at] = rng.choice(chunks(other))
    else:
        name = rng.choice((b"eXIf", b"iCCP", b"tRNS", b"gAMA", b"acTL", b"zTXt", b"PLTE", b"tEXt"))
        parts.insert(1, (name, rng.randbytes(rng.randrange(60))))
    return joined(parts)


def with_recipe(png: bytes, rng: random.Random, other: bytes) -> bytes:
    """Return a PNG whose recipe has changed, under a checksum that is right."""
    text, foreign = recipe_text(png), recipe_text(other)
    text = swap(rng, text, foreign) if rng.random() < 0.7 else damage(rng, text, foreign)
    if rng.random() < 0.1:
        body = b"comet\0\1\0\0\0" + zlib.compress(text)
    else:
        body = b"comet\0\0\0\0\0" + text
    return joined([(k, body if k == b"iTXt" else data) for k, data in chunks(png)])


def files(kind: str) -> list[bytes]:
    """Return the damaged files of a kind, the same each time."""
    names, change = {
        "z": (("a.z", "p.z"), with_metadata),
        "picture": (("a.png", "grey.png"), with_chunks),
        "recipe": (("one.png", "two.png"), with_recipe),
    }[kind]
    originals = [Path(name).read_bytes() for name in names]
    rng = random.Random(f"{kind} 5")
    found = []
    for n in range(COUNT):
        data, other = originals if n % 2 else originals[::-1]
        found.append(damage(rng, data, other) if n % 3 == 0 else change(data, rng, other))
    return found


COMMANDS = {
    "z": ("inspect bad", "compose bad a.z:0 -o out.png --steps 1 -q", "nearest a.z:0 bad"),
    "picture": ("inspect bad", "encode bad -m quad -o out.z -q"),
    "recipe": ("inspect bad", "replay bad -o out.png -q"),
}


def read(kind: str, data: bytes) -> None:
    """Do all that the verbs do with the file ``bad``."""
    session = Session(model="quad")
    if kind == "z":
        components = parse_components(data)
        assert np.isfinite(components.z).all()
        opened = session.open("bad")
        render([term_of(opened, 0)], num_steps=1)
    elif kind == "picture":
        assert load_image(data, 24).shape == (3, 24, 24)
        thumbnail(data, "the picture", 32)
    else:
        replay_picture("bad")


def look(kind: str, data: bytes) -> None:
    """Do what ``comet inspect`` does."""
    assert describe(inspect_file("bad"))


@pytest.mark.parametrize("kind", COMMANDS)
def test_damaged_files_end_in_a_sentence(pictures, kind):
    Image.open("a.png").resize((24, 24)).save("a.png")
    Image.open("a.png").convert("L").save("grey.png")
    pictures("encode", "a.png", "-m", "quad")
    pictures("encode", "b.png", "-m", "pool", "-o", "p.z")
    pictures("compose", "a.z:0,1", "-o", "one.png", "--steps", "1")
    pictures("recombine", "a.png", "b.png", "-m", "quad", "-o", "two.png", "--steps", "1")
    sound = 0
    reasons = set()
    with below_a_gigabyte():
        for number, data in enumerate(files(kind)):
            Path("bad").write_bytes(data)
            refused = False
            for use in (look, read):
                try:
                    use(kind, data)
                except CometError as error:
                    assert str(error).strip(), (kind, number)
                    refused = True
                    reasons.add(str(error)[:60])
            sound += not refused
            if number % VERBS_EVERY == 0:
                for command in COMMANDS[kind]:
                    check_verb(pictures, command, refused)
            assert Path("bad").read_bytes() == data
    # Neither is everything refused, nor for one reason, nor is damage waved through.
    assert COUNT / 50 < sound < COUNT * 0.8 and len(reasons) > 10, (sound, reasons)


def check_verb(run, command: str, refused: bool) -> None:
    for name in ("out.png", "out.z"):
        Path(name).unlink(missing_ok=True)
    done = run(*command.split())
    assert done.code in (0, 1, 2), done.err
    assert refused or done.code == 0 or command.startswith("nearest"), done.err
    assert "a bug in comet" not in done.err and "Traceback" not in done.err, done.err
    assert done.code == 0 or (done.sentence and not Path("out.png").exists())
    assert not list(Path().glob(".comet-*"))


def test_the_damage_is_the_same_each_time_and_reaches_the_values(pictures):
    Image.open("a.png").convert("L").save("grey.png")
    pictures("encode", "a.png", "-m", "quad")
    pictures("encode", "b.png", "-m", "pool", "-o", "p.z")
    found = files("z")
    assert found == files("z") and len(set(found)) > 0.9 * COUNT
    reasons = set()
    for data in found:
        try:
            parse_components(data, "bad")
        except CometError as error:
            reasons.add(str(error)[:30])
    assert len(reasons) > 20, reasons
