"""The components of one picture, and the ``.z`` file that holds them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.errors import FileFormatError
from comet_cli.formats.files import read_input, show, write_output
from comet_cli.formats.strict_json import parse_json
from comet_cli.version import __version__

FORMAT = "comet-components"
VERSION = 1
MAX_HEADER_BYTES = 1 << 20
MAX_COMPONENTS = 4096
SHORT = 8  # hexadecimal digits of a hash that tells latents apart
MAX_LATENT_DIM = 1 << 16
MAX_SECONDS = 1e6
_KEYS = {
    "format",
    "version",
    "model",
    "model_sha256",
    "image_size",
    "labels",
    "source",
    "source_sha256",
    "comet_version",
}
_FURTHER = {"seconds", "precision", "seal"}  # written where they say something
PRECISIONS = ("float32", "bfloat16")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class ComponentSet:
    """The K components of one picture, with what is needed to render them.

    Attributes:
        z: (K,D) float32, finite; copied and made read-only.
        model: name of the model that inferred them.
        model_sha256: hash of that model's weights (64 hexadecimal digits).
        image_size: R of that model.
        labels: K names, or none.
        source: base name of the picture, or "".
        source_sha256: hash of the picture's file, of what ``--align`` cut out of it, or "".
        comet_version: version that inferred them.
        seconds: how long the picture is shown, where it is a frame of an animation; else 0.
        precision: what the encoder computed in, ``float32`` or ``bfloat16``.
        seal: hash of all the rest as the encoder left it (:func:`sealed_components`), or "".
    """

    z: np.ndarray
    model: str
    model_sha256: str
    image_size: int
    labels: tuple[str, ...] = ()
    source: str = ""
    source_sha256: str = ""
    comet_version: str = field(default=__version__)
    seconds: float = 0.0
    precision: str = PRECISIONS[0]
    seal: str = ""

    def __post_init__(self) -> None:
        """Check every fact.

        Raises:
            FileFormatError: a fact that no component set can have.
        """
        z = np.asarray(self.z)
        if z.ndim != 2 or not (
            1 <= z.shape[0] <= MAX_COMPONENTS and 1 <= z.shape[1] <= MAX_LATENT_DIM
        ):
            raise FileFormatError(f"components must be an array (K, D), not of shape {z.shape}")
        if z.dtype != np.float32:
            raise FileFormatError(f"components must be float32, not {z.dtype}")
        bad = np.flatnonzero(~np.isfinite(z).all(1)).tolist()
        if bad:
            raise FileFormatError(f"component {bad[0]} holds a number that is not finite")
        z = np.array(z, dtype="<f4", order="C", copy=True)
        z.setflags(write=False)
        object.__setattr__(self, "z", z)
        object.__setattr__(self, "labels", tuple(self.labels))
        for complaint in self._complaints():
            raise FileFormatError(complaint)

    def _complaints(self) -> list[str]:
        texts = {
            "model": self.model,
            "source": self.source,
            "comet_version": self.comet_version,
            **{f"label {k}": label for k, label in enumerate(self.labels)},
        }
        checks = [
            *(
                (
                    isinstance(t, str) and t.isprintable(),
                    f"{n} must be text without control characters",
                )
                for n, t in texts.items()
            ),
            (self.model != "", "model must be named"),
            (_is_sha256(self.model_sha256), "model_sha256 must be 64 hexadecimal digits"),
            (
                self.source_sha256 == "" or _is_sha256(self.source_sha256),
                "source_sha256 must be empty or 64 hexadecimal digits",
            ),
            (
                type(self.image_size) is int and 1 <= self.image_size <= MAX_LATENT_DIM,
                "image_size must be a positive integer",
            ),
            (
                type(self.seconds) is float and 0 <= self.seconds <= MAX_SECONDS,
                f"seconds must be a number from 0 to {MAX_SECONDS}",
            ),
            (
                self.seal == "" or _is_sha256(self.seal),
                "seal must be empty or 64 hexadecimal digits",
            ),
            (self.precision in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}"),
            (len(self.labels) in (0, len(self.z)), f"labels must be none or {len(self.z)}"),
            (len(set(self.labels)) == len(self.labels), "labels must differ from each other"),
            (
                isinstance(self.source, str) and not set("/\\") & set(self.source),
                "source must be a base name, without folders",
            ),
        ]
        return [sentence for holds, sentence in checks if not holds]

    def __len__(self) -> int:
        """Return K."""
        return len(self.z)

    def __eq__(self, other: object) -> bool:
        """Say whether the other set would be written as the same bytes."""
        return isinstance(other, ComponentSet) and components_bytes(self) == components_bytes(other)

    def __hash__(self) -> int:
        """Hash the file's bytes."""
        return hash(components_bytes(self))

    def facts(self) -> dict[str, Any]:
        """Return the metadata as the file holds it."""
        further: dict[str, Any] = {"seconds": self.seconds} if self.seconds else {}
        if self.precision != PRECISIONS[0]:
            further["precision"] = self.precision
        if self.seal:
            further["seal"] = self.seal
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "image_size": self.image_size,
            "labels": list(self.labels),
            "source": self.source,
            "source_sha256": self.source_sha256,
            "comet_version": self.comet_version,
            **further,
        }


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def components_bytes(components: ComponentSet) -> bytes:
    """Return a ``.z`` file's bytes: safetensors, one tensor ``z``, one metadata key ``comet``."""
    from safetensors.numpy import save

    # One key: safetensors writes several in random order.
    metadata = {"comet": json.dumps(components.facts(), sort_keys=True, ensure_ascii=False)}
    return save({"z": np.ascontiguousarray(components.z)}, metadata=metadata)


def write_components(path: str | Path, components: ComponentSet) -> None:
    """Write a ``.z`` file, whole or not at all; the same components give the same bytes."""
    write_output(path, components_bytes(components))


def read_components(path: str | Path) -> ComponentSet:
    """Read a ``.z`` file (``-``: standard input).

    Raises:
        UsageError: no such file.
        FileFormatError: not a ``.z`` file of this version, or a broken one; says what is wrong.
    """
    return parse_components(read_input(path), where=f"'{show(path)}'")


def is_components(data: bytes) -> bool:
    """Say whether bytes (the first 64 KiB of a file will do) begin like a ``.z`` file."""
    length = _header_length(data)
    return (
        length is not None
        and b'"__metadata__"' in data[: 8 + length]
        and FORMAT.encode() in (data[: 8 + length])
    )


def latent_hash(z: np.ndarray) -> str:
    """Return a short hash of one latent (D,): the same in a ``.z`` and in a picture's recipe."""
    return hashlib.sha256(np.ascontiguousarray(z, "<f4").tobytes()).hexdigest()[:SHORT]


def sealed_components(components: ComponentSet) -> ComponentSet:
    """Return components as an encoder has just made them, with the seal that says so."""
    facts = dataclasses.replace(components, seal="").facts()
    whole = json.dumps(facts, sort_keys=True).encode() + components.z.tobytes()
    return dataclasses.replace(components, seal=hashlib.sha256(whole).hexdigest())


def as_encoded(components: ComponentSet) -> bool:
    """Say whether nobody has changed components since they were encoded, if they carry a seal."""
    return components.seal in ("", sealed_components(components).seal)


def is_encoding(data: bytes) -> bool:
    """Say whether bytes are a whole ``.z`` file as encoding wrote it."""
    try:
        return as_encoded(parse_components(data))
    except FileFormatError:
        return False


def _header_length(data: bytes) -> int | None:
    """Return the length of a safetensors header, None where the bytes cannot be safetensors."""
    if len(data) < 9 or data[8:9] != b"{":
        return None
    return int(struct.unpack("<Q", data[:8])[0])


def parse_components(data: bytes, where: str = "the input") -> ComponentSet:
    """Read a ``.z`` file's bytes.

    Args:
        data: the file.
        where: named in error messages.

    Raises:
        FileFormatError: says what is wrong.
    """
    header, body = _parse_header(data, where)
    facts = _parse_facts(header.pop("__metadata__", None), where)
    if set(header) != {"z"}:
        names = ", ".join(repr(n) for n in sorted(header)) or "none"
        raise FileFormatError(f"{where} must hold one tensor named 'z', found {names}")
    z = _parse_tensor(header["z"], body, where)
    try:
        return ComponentSet(
            z=z, **{k: v for k, v in facts.items() if k not in ("format", "version")}
        )
    except FileFormatError as error:
        raise FileFormatError(f"{where}: {error}") from None


def _parse_header(data: bytes, where: str) -> tuple[dict[str, Any], bytes]:
    length = _header_length(data)
    if length is None:
        raise FileFormatError(f"{where} is not a .z file (comet components)")
    if length > MAX_HEADER_BYTES:
        raise FileFormatError(
            f"{where} is not a .z file: its header claims {length} bytes, more than "
            f"{MAX_HEADER_BYTES}"
        )
    if 8 + length > len(data):
        raise FileFormatError(f"{where} is truncated: {len(data)} bytes end inside its header")
    header = parse_json(data[8 : 8 + length], f"{where}: the header")
    if not isinstance(header, dict):
        raise FileFormatError(f"{where}: the header is not a JSON object")
    return header, data[8 + length :]


def _parse_facts(metadata: Any, where: str) -> dict[str, Any]:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("comet"), str):
        raise FileFormatError(f"{where} is a safetensors file, but holds no comet components")
    if len(metadata) > 1:
        extra = ", ".join(show(k) for k in sorted(set(metadata) - {"comet"}))
        raise FileFormatError(f"{where} has unknown metadata: {extra}")
    facts = parse_json(metadata["comet"].encode("utf-8", "surrogatepass"), f"{where}: the metadata")
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise FileFormatError(f"{where} is not of the format '{FORMAT}'")
    if facts.get("version") != VERSION or type(facts["version"]) is not int:
        raise FileFormatError(
            f"{where} has components version {show(str(facts.get('version')))}, "
            f"this comet ({__version__}) reads version {VERSION}; update comet"
        )
    unknown, missing = sorted(set(facts) - _KEYS - _FURTHER), sorted(_KEYS - set(facts))
    if unknown:
        raise FileFormatError(f"{where} has unknown keys: {show(', '.join(unknown))}")
    if missing:
        raise FileFormatError(f"{where} lacks keys: {', '.join(missing)}")
    if not isinstance(facts["labels"], list):
        raise FileFormatError(f"{where}: labels must be a list of names")
    if not all(isinstance(label, str) for label in facts["labels"]):
        raise FileFormatError(f"{where}: labels must be a list of names")
    return facts


def _parse_tensor(entry: Any, body: bytes, where: str) -> np.ndarray:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FileFormatError(f"{where}: the entry of tensor 'z' is malformed")
    if entry["dtype"] != "F32":
        raise FileFormatError(
            f"{where}: tensor 'z' is {show(str(entry['dtype']))}, expected F32 (float32)"
        )
    shape = entry["shape"]
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(n) is int for n in shape)
        or not (1 <= shape[0] <= MAX_COMPONENTS and 1 <= shape[1] <= MAX_LATENT_DIM)
    ):
        raise FileFormatError(f"{where}: tensor 'z' has shape {show(str(shape))}, expected (K, D)")
    size = 4 * math.prod(shape)
    if entry["data_offsets"] != [0, size]:
        raise FileFormatError(f"{where}: the data offsets of tensor 'z' do not match its shape")
    if len(body) != size:
        problem = "truncated" if len(body) < size else "too long"
        raise FileFormatError(
            f"{where} is {problem}: tensor 'z' needs {size} bytes, {len(body)} are there"
        )
    return np.frombuffer(body, dtype="<f4").reshape(shape)
