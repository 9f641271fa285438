"""The files of ``benchmarks/fuzz.py``: pictures, animations, videos and folders."""

from __future__ import annotations

import functools
import io
import json
import os
import random
import shlex
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = (
    *("a.png", "b c.png", "-[x].png", "-:0.png", "ä☀.png", "x:1.png", "a*2.png", "it's.png"),
    *("l\nine.png", "\x1b[31m.png", b"\xff\xfe.png".decode("utf-8", "surrogateescape"), "a.z:0"),
    *("x" * 250 + ".png", "'\"$(x).png", "%0.5.png", "{seed}.png", "~.png", "-", "--", "-o.png"),
    *("@.png", "e.gif", "f.webp", "g.apng", "h.mp4", "i.mkv", "j.jpg", "k.tif"),
)
ODD = ("out.png", "out.z", "folder", "gone.png", "dance/", "gone/", "dance")
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F", "I", "LAB", "HSV")
FORMATS = ("PNG", "PNG", "PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP")
OTHERS = (b"", b"text\n", b"%PDF-1.7", b"\0" * 99, b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg>")
VIDEO_CODES = ((1, 1, 1), (9, 16, 9), (12, 13, 1), (2, 2, 2), (9, 18, 9))  # H.273
RECIPE = '[model]\nname = "m"\nencoder = "global"\n'


def picture(rng: random.Random) -> Image.Image:
    """Return a small picture of any mode."""
    side, mode = rng.choice((1, 7, 35, 64)), rng.choice(MODES)
    values = np.random.default_rng(rng.randrange(10**6)).integers(0, 256, (side, side, 4), np.uint8)
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * rng.choice((1, 16, 257)))
    if mode in ("F", "I"):
        return Image.fromarray(values[..., 0].astype({"F": np.float32, "I": np.int32}[mode]))
    if mode in ("LAB", "HSV", "CMYK"):
        plain = Image.fromarray(values[..., :3])
        return plain.convert(mode if mode != "LAB" else "L")
    return Image.fromarray(values).convert(mode)


def animation(rng: random.Random) -> bytes:
    """Return the bytes of an animated picture of a few frames."""
    buffer, seed, count = io.BytesIO(), rng.randrange(10**6), rng.randrange(1, 5)
    mode = rng.choice(("RGB", "RGBA", "L"))
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 35, 35, 4), np.uint8)
    frames = [Image.fromarray(each).convert(mode) for each in pixels]
    kind, durations = rng.choice(("PNG", "GIF", "WEBP")), rng.choice((0, 1, 40, 65_000))
    hidden = {"default_image": True} if kind == "PNG" and rng.random() < 0.3 and count > 1 else {}
    frames[0].save(
        buffer, kind, save_all=True, append_images=frames[1:], duration=durations, **hidden
    )
    return buffer.getvalue()


@functools.cache
def videos() -> tuple[bytes, ...]:
    """Return the bytes of some videos, in the colours of several standards; none without PyAV."""
    try:
        import av
    except ImportError:
        return ()
    made = []
    for codes, kind in zip(VIDEO_CODES, ("mp4", "matroska", "mov", "avi", "mp4"), strict=True):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=kind) as video:
            stream = video.add_stream("mpeg4" if kind == "avi" else "libx264", rate=12)
            stream.width, stream.height, stream.pix_fmt = 36, 34, "yuv420p"
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = codes
            for n in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((34, 36, 3), 40 * n, np.uint8))
                video.mux(stream.encode(frame))
            video.mux(stream.encode())
        made.append(buffer.getvalue())
    return tuple(made)


def coloured(rng: random.Random, png: bytes) -> bytes:
    """Put chunks that say what colours are, sound and unsound, into a PNG."""

    def numbers(form: str, *each: int) -> bytes:
        return struct.pack(form, *each)

    code = rng.choice((0, 1, 2, 9, 12, 255)), rng.choice((0, 1, 8, 13, 16, 18, 255))
    kinds = (
        (b"cICP", bytes((*code, rng.choice((0, 0, 9)), rng.choice((1, 1, 0))))),
        (b"gAMA", numbers(">I", rng.choice((0, 45455, 100000, 2**32 - 1)))),
        (b"cHRM", numbers(">8I", *(rng.choice((0, 31270, 64000, 2**31)) for _ in range(8)))),
        (b"sRGB", b"\0"),
        (b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
        (b"eXIf", b"MM\0*\0\0\0\x08\0\0"),
        (b"acTL", numbers(">II", rng.choice((0, 1, 2**31)), 0)),
        (b"tEXt", b"comet\0{}"),
    )
    said = b""
    for kind, data in rng.sample(kinds, rng.randrange(1, 4)):
        data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data
        said += numbers(">I", len(data)) + kind + data + numbers(">I", zlib.crc32(kind + data))
    return png[:33] + said + png[33:]


def content(rng: random.Random) -> bytes:
    """Return the bytes of a picture, an animation or a video, whole or broken; or others."""
    what = rng.random()
    if what < 0.2:
        found = animation(rng)
    elif what < 0.3 and videos():
        found = rng.choice(videos())
    else:
        buffer, kind = io.BytesIO(), rng.choice(FORMATS)
        options = {"icc_profile": b"broken"} if rng.random() < 0.1 else {}
        try:
            picture(rng).save(buffer, kind, **options)
        except (OSError, ValueError):  # a mode that the format does not have
            return rng.choice(OTHERS)
        found = buffer.getvalue()
        if kind == "PNG" and rng.random() < 0.3:
            found = coloured(rng, found)
    data, fate = bytearray(found), rng.random()
    if fate < 0.1:
        del data[rng.randrange(len(data)) :]
    elif fate < 0.2:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def furnish(rng: random.Random, made: Path) -> list[str]:
    """Fill the working folder; return the names that calls speak of.

    Args:
        rng: what is drawn.
        made: holds ``own.png`` and ``own.z``, which comet made, and ``plain.png``.
    """
    names = [*("own.png", "own.z", "mine.png") * 3, "dance/", "dance/", *rng.sample(ODD, 1)]
    for name in ("own.png", "own.z"):
        shutil.copyfile(made / name, name)
    Path("mine.png").write_bytes((made / "plain.png").read_bytes())
    os.makedirs("folder")
    os.makedirs("dance")
    for n in range(1, rng.randrange(1, 5)):
        shutil.copyfile(made / "own.z", f"dance/dance-{n:05}.z")
    if rng.random() < 0.2:
        Path("dance/stranger.z").write_bytes(content(rng))
    for name in rng.sample(NAMES, 4):
        try:
            Path("./" + name).write_bytes(content(rng))
        except OSError:
            continue
        names.append(name)
    for n in range(rng.choice((0, 0, 3))):
        Path(f"folder/{n}.png").write_bytes(content(rng))
    if rng.random() < 0.3:
        os.symlink("nowhere", "link.png")
        names.append("link.png")
    if rng.random() < 0.2:
        os.mkfifo("pipe.png") if rng.random() < 0.1 else os.mkdir("dir.png")
        names.append("dir.png")
    lines = "\n".join(line(rng, names, n) for n in range(3))
    encoding = rng.choice(("utf-8", "utf-16", "utf-8-sig"))
    Path("list.txt").write_bytes(lines.encode(encoding, "replace"))
    Path("recipe.toml").write_text(RECIPE[: rng.randrange(len(RECIPE) + 1)])
    return names


def line(rng: random.Random, names: list[str], number: int) -> str:
    """Return a line of a batch."""
    name = rng.choice(names)
    output = f"{number}.png" if rng.random() < 0.8 else rng.choice(names)
    if rng.random() < 0.2:
        return json.dumps({"selections": [name], "output": output, "steps": 1})
    quoted = shlex.quote(name) if rng.random() < 0.9 else name
    more = rng.choice(("", "", "", "--one-model", "--seeds 0-1", "--trace t.gif", "--size 9"))
    return f"{quoted} -o {shlex.quote(output)} --steps 1 {more}"


def temporary_folder() -> Path:
    """Return a new folder, without links on the way to it."""
    return Path(os.path.realpath(tempfile.mkdtemp()))
