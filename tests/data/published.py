"""Writers of published formats, independent of the readers."""

import struct

import numpy as np


def crc32c(data):
    """Bit by bit, as the definition has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(features):
    """A tf.train.Example: bytes as one-byte values, lists of floats packed."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            kind = field(1, b"".join(field(1, bytes([byte])) for byte in value))
        elif isinstance(value[0], int):
            kind = field(3, field(1, b"".join(varint(v % 2**64) for v in value)))
        else:
            kind = field(2, field(1, struct.pack(f"<{len(value)}f", *value)))
        entries += field(1, field(1, name.encode()) + field(2, kind))
    return field(1, entries)


def tf_record(data, checksum=masked):
    length = struct.pack("<Q", len(data))
    return length + checksum(length) + data + checksum(data)


def tetrominoes_example(seed=0):
    """A picture of 35x35 with two pieces and one entity that is not visible, and its labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((35, 35), np.uint8)
    labels[5:10, 0:20] = 1
    labels[20:30, 10:20] = 3
    colours = np.concatenate([[[0, 0, 0]], rng.integers(1, 256, (3, 3))]).astype(np.uint8)
    masks = np.stack([(labels == n) * 255 for n in range(4)]).astype(np.uint8)
    features = {
        "image": colours[labels].tobytes(),
        "mask": masks.tobytes(),
        "x": [0.0, 0.25, 0.0, 0.5],
        "shape": [0.0, 3.0, 0.0, 7.0],
        "color": [float(v) for v in (colours / 255).ravel()],
        "visibility": [1.0, 1.0, 0.0, 1.0],
    }
    return features, colours[labels], labels
