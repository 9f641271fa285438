"""PNG files, chunk by chunk (PNG, third edition, section 5): texts, colour profile, the rest.

What comet does not use never decides whether a picture opens: programs that decode pixels refuse
files for the size of a text, or for a wrong checksum of one.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator

from comet_cli.errors import FileFormatError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = 64 << 20
MAX_PROFILE_BYTES = 16 << 20
PART_BYTES = 4 << 20  # libpng takes chunks of at most 8,000,000 bytes
_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
_TEXTS = (b"iTXt", b"tEXt", b"zTXt")


def chunks(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each chunk's data; stop where the file ends or is broken."""
    at = len(SIGNATURE)
    while png.startswith(SIGNATURE) and at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, start = png[at + 4 : at + 8], at + 8
        if start + length + 4 > len(png):
            return
        yield kind, start, start + length
        if kind == b"IEND":
            return
        at = start + length + 4


def only_pixels(png: bytes) -> bytes:
    """Return a PNG without what pixels, their rotation and an animation do not need."""
    parts, at = [], 0
    for kind, start, end in chunks(png):
        ancillary = bool(kind[0] & 32)
        rotation = kind == b"eXIf" and _is_sound(png, start, end)
        if ancillary and kind not in _PIXELS and not rotation:
            parts.append(png[at : start - 8])
            at = end + 4
    return b"".join([*parts, png[at:]]) if parts else png


def profile_in(png: bytes) -> bytes | None:
    """Return the colour profile of a PNG, None where there is none that can be unpacked."""
    for kind, start, end in chunks(png):
        if kind == b"iCCP":
            _, _, packed = png[start:end].partition(b"\0")
            try:
                return _unpack(packed[1:], MAX_PROFILE_BYTES)
            except zlib.error:
                return None
        if kind == b"IDAT":
            break
    return None


def stored_hash(png: bytes) -> bytes:
    """Return the hash of a PNG's pixels as they are stored, packed, as text."""
    found = hashlib.sha256()
    for kind, start, end in chunks(png):
        if kind in (b"IHDR", b"PLTE", b"IDAT", *_PIXELS):
            found.update(png[start - 4 : end])
    return found.hexdigest().encode()


def is_animated(png: bytes) -> bool:
    """Say whether a PNG has several frames."""
    return any(kind == b"acTL" for kind, _, _ in chunks(png))


def add_text(png: bytes, keyword: bytes, text: bytes) -> bytes:
    """Return a PNG with an uncompressed iTXt entry right after its header.

    A text of more than 4 MiB goes into several entries, the further ones called ``keyword 2`` and
    so on, because common programs refuse chunks of more than 8 MB.

    Raises:
        FileFormatError: no PNG.
    """
    found = next(chunks(png), None)
    if found is None or found[0] != b"IHDR":
        raise FileFormatError("a recipe can be written into a PNG only")
    entries = []
    for n in range(max(1, -(-len(text) // PART_BYTES))):
        part = text[n * PART_BYTES : (n + 1) * PART_BYTES]
        body = b"iTXt" + _numbered(keyword, n) + b"\0\0\0\0\0" + part
        entries.append(struct.pack(">I", len(body) - 4) + body + _checksum(body))
    end = found[2] + 4
    return b"".join([png[:end], *entries, png[end:]])


def has_text(png: bytes, keyword: bytes) -> bool:
    """Say whether a PNG carries a text entry of this name, whatever is in it."""
    return any(
        kind in _TEXTS and png.startswith(keyword + b"\0", start) for kind, start, _ in chunks(png)
    )


def read_text(png: bytes, keyword: bytes, where: str) -> bytes | None:
    """Return a text entry, its parts joined; None where there is none.

    Programs that save a PNG again keep its texts, but may pack them, or make tEXt of iTXt.

    Raises:
        FileFormatError: the entry is broken, or unpacks to more than 64 MiB.
    """
    found: dict[bytes, tuple[bytes, int, int]] = {}
    for kind, start, end in chunks(png):
        if kind in _TEXTS and png.startswith(keyword, start):
            name = png[start : start + len(keyword) + 8].partition(b"\0")[0]
            found.setdefault(name, (kind, start, end))
    parts: list[bytes] = []
    size = 0
    while (entry := found.get(_numbered(keyword, len(parts)))) is not None:
        parts.append(_read_part(png, *entry, where))
        size += len(parts[-1])
        if size > MAX_TEXT_BYTES:
            raise _too_long(where)
    return b"".join(parts) if parts else None


def _numbered(keyword: bytes, n: int) -> bytes:
    return keyword + (b" %d" % (n + 1) if n else b"")


def _read_part(png: bytes, kind: bytes, start: int, end: int, where: str) -> bytes:
    if not _is_sound(png, start, end):
        raise FileFormatError(f"the recipe in {where} is damaged: its checksum is wrong")
    _, _, rest = png[start:end].partition(b"\0")
    packed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        packed, parts = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
        if len(parts) < 3:
            raise FileFormatError(f"the recipe in {where} is damaged")
        rest = parts[2]
    if not packed:
        return rest
    try:
        text = _unpack(rest, MAX_TEXT_BYTES)
    except zlib.error:
        raise FileFormatError(f"the recipe in {where} is damaged") from None
    if text is None:
        raise _too_long(where)
    return text


def _too_long(where: str) -> FileFormatError:
    return FileFormatError(f"the recipe in {where} unpacks to more than 64 MiB")


def _unpack(data: bytes, limit: int) -> bytes | None:
    """Return what was packed, None where it is longer than the limit."""
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(data, limit)
    return None if unpacker.unconsumed_tail else found


def _checksum(body: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(body))


def _is_sound(png: bytes, start: int, end: int) -> bool:
    return _checksum(png[start - 4 : end]) == png[end : end + 4]
