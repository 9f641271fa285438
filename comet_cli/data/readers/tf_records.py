"""TFRecord files and the tf.train.Example messages in them, read without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of the length, the data, and a checksum
of the data. The checksum is a masked CRC-32C. A file may be compressed with gzip as a whole.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from comet_cli.errors import CometError, FileFormatError
from comet_cli.formats.files import show

MAX_RECORD = 1 << 28
_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file, each verified.

    Raises:
        CometError: the file cannot be opened.
        FileFormatError: it is no TFRecord file, or is damaged or cut off.
    """
    try:
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=plain) if packed else plain  # type: ignore
            number = 0
            while (record := _next(stream, path, number)) is not None:
                yield record
                number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise FileFormatError(
            f"'{show(path)}' is damaged or cut off (its gzip stream does not end as it should); "
            "download it again"
        ) from None
    except OSError as error:
        raise CometError(f"'{show(path)}' cannot be read: {error.strerror}") from None


def _next(stream: IO[bytes], path: Path, number: int) -> bytes | None:
    head = stream.read(12)
    if not head:
        return None
    length = int.from_bytes(head[:8], "little")
    right = len(head) == 12 and masked_crc(head[:8]) == int.from_bytes(head[8:], "little")
    if not right or length > MAX_RECORD:
        if number == 0:
            raise FileFormatError(f"'{show(path)}' is not a TFRecord file, or is damaged")
        why = "the file is cut off" if len(head) < 12 else "the checksum of its length is wrong"
        raise _damaged(path, number, why)
    body = stream.read(length + 4)
    if len(body) < length + 4:
        raise _damaged(path, number, "the file is cut off")
    if masked_crc(body[:length]) != int.from_bytes(body[length:], "little"):
        raise _damaged(path, number, "the checksum of its data is wrong")
    return body[:length]


def _damaged(path: Path, number: int, why: str) -> FileFormatError:
    return FileFormatError(
        f"record {number} of '{show(path)}' is damaged: {why}; download the file again"
    )


def masked_crc(data: bytes) -> int:
    """The checksum of a TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes.

    A CRC is linear, so those of neighbouring pieces are combined in pairs, all pairs at once:
    megabytes take milliseconds, where a loop over bytes would take seconds.
    """
    # Zeros in front change nothing where the register starts at zero.
    levels = (len(data) - 1).bit_length() if data else 0
    padded = np.zeros(1 << levels, np.uint8)
    padded[padded.size - len(data) :] = np.frombuffer(data, np.uint8)
    pieces = _BYTE[padded]
    for level in range(levels):
        pieces = _advance(pieces[0::2], level) ^ pieces[1::2]
    # The register really starts at all ones, which len(data) bytes have moved on.
    start = np.array([0xFFFFFFFF], np.uint32)
    for level in range(len(data).bit_length()):
        if len(data) >> level & 1:
            start = _advance(start, level)
    return int(pieces[0] ^ start[0]) ^ 0xFFFFFFFF if data else 0


def _byte_table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ np.uint32(_POLYNOMIAL), values >> 1)
    return values.astype(np.uint32)


_BYTE = _byte_table()
_ZEROS: list[np.ndarray] = []  # by level: (4, 256), a register's bytes after 2^level zero bytes


def _advance(registers: np.ndarray, level: int) -> np.ndarray:
    """Registers after 2^level zero bytes."""
    while len(_ZEROS) <= level:
        if not _ZEROS:
            places = np.arange(256, dtype=np.uint32) << np.array([[0], [8], [16], [24]], np.uint32)
            _ZEROS.append(places >> 8 ^ _BYTE[places & 255])
        else:
            _ZEROS.append(_advance(_ZEROS[-1], len(_ZEROS) - 1))
    tables = _ZEROS[level]
    moved = tables[0][registers & 255]
    for byte in (1, 2, 3):
        moved = moved ^ tables[byte][registers >> np.uint32(8 * byte) & 255]
    return moved


def parse_example(record: bytes) -> dict[str, np.ndarray]:
    """Parse a tf.train.Example.

    Returns:
        By name of the feature: uint8 for bytes (all values one after the other), float32 or int64.

    Raises:
        FileFormatError: it is no such message.
    """
    try:
        found = {}
        for features in _lengths(record, 1):
            for entry in _lengths(features, 1):
                name = next(iter(_lengths(entry, 1)), b"").decode("utf-8")
                for feature in _lengths(entry, 2):
                    found[name] = _values(feature)
        return found
    except (ValueError, IndexError):
        raise FileFormatError("the record is not a tf.train.Example") from None


def _values(feature: bytes) -> np.ndarray:
    for values in _lengths(feature, 1):
        return _bytes_list(values)
    for values in _lengths(feature, 2):
        parts = [value for number, value in _fields(values) if number == 1]
        return np.frombuffer(b"".join(p for p in parts if isinstance(p, bytes)), "<f4")
    for values in _lengths(feature, 3):
        integers: list[int] = []
        for number, value in _fields(values):
            if number == 1 and isinstance(value, int):
                integers.append(value)
            elif number == 1 and isinstance(value, bytes):
                place = 0
                while place < len(value):
                    integer, place = _varint(value, place)
                    integers.append(integer)
        return np.array(integers, np.uint64).astype(np.int64)
    return np.empty(0, np.uint8)


def _bytes_list(values: bytes) -> np.ndarray:
    raw = np.frombuffer(values, np.uint8)
    # DeepMind's files hold each byte of a picture as a value of its own: 0a 01 xx, 0a 01 xx, …
    if raw.size % 3 == 0 and (raw[0::3] == 0x0A).all() and (raw[1::3] == 1).all():
        return raw[2::3]
    return np.frombuffer(b"".join(_lengths(values, 1)), np.uint8)


def _lengths(message: bytes, wanted: int) -> list[bytes]:
    """The length-delimited fields of one number."""
    return [v for number, v in _fields(message) if number == wanted and isinstance(v, bytes)]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message; fixed-width ones as bytes.

    Raises:
        ValueError: it is cut off, or holds a field of an unknown kind.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            integer, place = _varint(message, place)
            yield tag >> 3, integer
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if length > len(message) - place:
            raise ValueError("cut off")
        yield tag >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, place
    raise ValueError("an integer of more than ten bytes")
