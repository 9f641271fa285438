"""The `.z` file: golden bytes, round trips, and every way in which it can be broken."""

import dataclasses
import hashlib
import json
import struct

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.components import (
    ComponentSet,
    as_encoded,
    components_bytes,
    is_components,
    is_encoding,
    parse_components,
    read_components,
    sealed_components,
    write_components,
)

SHA = "ab" * 32


def example(**changes) -> ComponentSet:
    facts = {
        "z": np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
        "model": "tetris",
        "model_sha256": SHA,
        "image_size": 35,
        "labels": ("cube", "licht ☀"),
        "source": "scene.png",
        "source_sha256": "0" * 64,
        "comet_version": "0.1.0",
    }
    return ComponentSet(**{**facts, **changes})


def facts_of(components: ComponentSet, **changes) -> dict:
    facts = {**components.facts(), **changes}
    return {k: v for k, v in facts.items() if v is not ...}


def raw(facts=None, *, z=None, header=None, body=None) -> bytes:
    """Return a .z file with any header and body."""
    z = example().z if z is None else z
    if header is None:
        facts = example().facts() if facts is None else facts
        text = facts if isinstance(facts, str) else json.dumps(facts)
        header = {
            "__metadata__": {"comet": text},
            "z": {"dtype": "F32", "shape": list(z.shape), "data_offsets": [0, z.nbytes]},
        }
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + (z.tobytes() if body is None else body)


def test_same_components_give_the_golden_bytes(tmp_path):
    write_components(tmp_path / "a.z", example())
    data = (tmp_path / "a.z").read_bytes()
    assert data == components_bytes(example())
    assert hashlib.sha256(data).hexdigest() == (
        "a2f9731408e57a077a50331d629fcb87710795d433a52c4668d281722f38dd8c"
    )


def test_other_programs_read_the_file_as_safetensors(tmp_path):
    write_components(tmp_path / "a.z", example())
    with safe_open(tmp_path / "a.z", "numpy") as file:
        assert list(file.keys()) == ["z"]
        assert np.array_equal(file.get_tensor("z"), example().z)
        assert list(file.metadata()) == ["comet"]
        assert json.loads(file.metadata()["comet"]) == example().facts()


def test_reading_returns_what_was_written_exactly(tmp_path):
    z = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    z[0, :3] = [np.float32(1e-45), -0.0, np.finfo(np.float32).max]
    written = example(z=z, labels=())
    write_components(tmp_path / "a.z", written)
    found = read_components(tmp_path / "a.z")
    assert found == written
    assert found.z.tobytes() == z.tobytes()
    assert found.facts() == written.facts()


def test_components_cannot_be_changed_from_outside():
    z = np.zeros((2, 3), np.float32)
    components = example(z=z)
    z[0, 0] = 1
    assert components.z[0, 0] == 0
    with pytest.raises(ValueError):
        components.z[0, 0] = 1


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 50, 200, -24, -4, -1])
def test_truncation_anywhere_is_an_error(length):
    with pytest.raises(FileFormatError):
        parse_components(components_bytes(example())[:length])


def test_truncation_says_so():
    data = components_bytes(example())
    with pytest.raises(FileFormatError, match="truncated: tensor 'z' needs 24 bytes, 20 are there"):
        parse_components(data[:-4])
    with pytest.raises(FileFormatError, match="truncated: 100 bytes end inside its header"):
        parse_components(data[:100])


def with_entry(**changes) -> bytes:
    z = example().z
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}
    metadata = {"comet": json.dumps(example().facts())}
    return raw(header={"__metadata__": metadata, "z": entry}, z=z)


NAN = np.array([[0, 1], [np.nan, 0]], np.float32)
INFINITE = np.array([[np.inf, 1], [0, 0]], np.float32)
GOOD_METADATA = {"comet": json.dumps(example().facts())}

HOSTILE = {
    "nan": (raw(z=NAN), "component 1 holds a number that is not finite"),
    "infinity": (raw(z=INFINITE), "component 0 holds a number that is not finite"),
    "float64": (with_entry(dtype="F64"), "is F64, expected F32"),
    "one dimension": (with_entry(shape=[6]), r"shape \[6\], expected \(K, D\)"),
    "three dimensions": (with_entry(shape=[1, 2, 3]), r"expected \(K, D\)"),
    "no component": (raw(z=np.zeros((0, 3), np.float32)), r"shape \[0, 3\]"),
    "negative shape": (with_entry(shape=[-2, -3]), r"expected \(K, D\)"),
    "fractional shape": (with_entry(shape=[2.0, 3]), r"expected \(K, D\)"),
    "enormous shape": (with_entry(shape=[2**40, 2**40]), r"expected \(K, D\)"),
    "true as a shape": (with_entry(shape=[True, 3]), r"expected \(K, D\)"),
    "offsets beyond the file": (with_entry(data_offsets=[0, 2**60]), "offsets"),
    "offsets that start late": (with_entry(data_offsets=[4, 28]), "offsets"),
    "malformed entry": (with_entry(extra=1), "entry of tensor 'z' is malformed"),
    "too long": (raw(body=bytes(40)), "too long"),
    "another tensor": (
        raw(header={"__metadata__": GOOD_METADATA, "w": {}}),
        "one tensor named 'z', found 'w'",
    ),
    "two tensors": (
        raw(header={"__metadata__": GOOD_METADATA, "z": {}, "w": {}}),
        "one tensor named 'z', found 'w', 'z'",
    ),
    "no metadata": (save({"z": example().z}), "holds no comet components"),
    "other metadata": (
        raw(header={"__metadata__": {**GOOD_METADATA, "extra": "1"}, "z": {}}),
        "unknown metadata: extra",
    ),
    "metadata is no text": (
        raw(header={"__metadata__": {"comet": 1}, "z": {}}),
        "holds no comet components",
    ),
    "wrong format": (raw(facts_of(example(), format="x")), "not of the format 'comet-components'"),
    "later version": (raw(facts_of(example(), version=2)), "version 2, this comet .* update"),
    "version true": (raw(facts_of(example(), version=True)), "components version True"),
    "unknown key": (raw(facts_of(example(), colour=1)), "unknown keys: colour"),
    "missing key": (raw(facts_of(example(), model=...)), "lacks keys: model"),
    "metadata not JSON": (raw("{"), "metadata is not valid JSON"),
    "metadata a list": (raw("[]"), "not of the format"),
    "NaN in the metadata": (raw('{"format": NaN}'), "NaN is not a number"),
    "key twice in the metadata": (raw('{"format": 1, "format": 2}'), "a key is given twice"),
    "lone surrogate": (raw('{"format": "\\ud800"}'), "not of the format"),
    "deep nesting": (raw("[" * 100_000), "nested too deeply|not valid JSON"),
    "header not JSON": (raw(header=b"{nonsense"), "header is not valid JSON"),
    "header not UTF-8": (raw(header=b'{"\xff": 1}'), "header is not UTF-8"),
    "header key twice": (raw(header=b'{"z": 1, "z": 2}'), "a key is given twice"),
    "huge header": (struct.pack("<Q", 2**62) + b"{}" + bytes(100), "its header claims"),
    "labels too few": (raw(facts_of(example(), labels=["a"])), "labels must be none or 2"),
    "labels the same": (raw(facts_of(example(), labels=["a", "a"])), "must differ"),
    "labels no list": (raw(facts_of(example(), labels="ab")), "list of names"),
    "label no text": (raw(facts_of(example(), labels=[1, 2])), "list of names"),
    "label with an escape": (raw(facts_of(example(), labels=["\x1b[2J", "b"])), "control"),
    "bad hash": (raw(facts_of(example(), model_sha256="AB")), "64 hexadecimal"),
    "bad seal": (raw(facts_of(example(), seal="mine")), "seal must be empty or 64 hexadecimal"),
    "bad source hash": (raw(facts_of(example(), source_sha256=1)), "64 hexadecimal"),
    "image size text": (raw(facts_of(example(), image_size="35")), "positive integer"),
    "image size zero": (raw(facts_of(example(), image_size=0)), "positive integer"),
    "no model": (raw(facts_of(example(), model="")), "model must be named"),
    "model no text": (raw(facts_of(example(), model=None)), "model must be text"),
    "source with a folder": (raw(facts_of(example(), source="../x.png")), "base name"),
    "source with a Windows folder": (raw(facts_of(example(), source="C:\\x")), "base name"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a .z file"),
    "empty": (b"", "not a .z file"),
    "text": (b"hello world, this is no component file", "not a .z file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_gets_its_own_sentence(case):
    data, sentence = HOSTILE[case]
    with pytest.raises(FileFormatError, match=sentence) as caught:
        parse_components(data, "'a.z'")
    assert str(caught.value).startswith("'a.z'")
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()


def test_every_single_changed_byte_is_read_rightly_or_refused():
    data = components_bytes(example())
    rng = np.random.default_rng(1)
    for at in rng.choice(len(data), 300):
        changed = bytearray(data)
        changed[at] ^= int(rng.integers(1, 256))
        try:
            found = parse_components(bytes(changed))
        except FileFormatError:
            continue
        assert np.isfinite(found.z).all() and found.z.shape[1] >= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"z": np.zeros(3, np.float32)}, "array"),
        ({"z": np.zeros((2, 3))}, "float32, not float64"),
        ({"z": NAN}, "component 1"),
        ({"source": "a/b.png"}, "base name"),
        ({"labels": ("one",)}, "labels"),
    ],
)
def test_a_set_that_cannot_be_is_refused_before_it_is_written(changes, sentence):
    with pytest.raises(FileFormatError, match=sentence):
        example(**changes)


def test_a_file_that_does_not_exist_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="there is no file '.*gone.z'"):
        read_components(tmp_path / "gone.z")


def test_components_are_recognised_by_their_content():
    assert is_components(components_bytes(example()))
    assert not is_components(save({"z": example().z}))
    assert not is_components(b"")


@pytest.mark.parametrize(
    "change",
    [
        {"z": np.zeros((2, 3), np.float32)},
        {"labels": ("cube", "other")},
        {"source": "b.png"},
        {"seconds": 1.0},
        {"seal": "0" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_seal_tells_every_change(change):
    made = sealed_components(example())
    assert as_encoded(made) and is_encoding(components_bytes(made))
    assert sealed_components(made) == made
    other = dataclasses.replace(made, **change)
    assert not as_encoded(other) and not is_encoding(components_bytes(other))


def test_without_a_seal_nothing_is_told_and_nothing_is_written():
    assert as_encoded(example()) and is_encoding(components_bytes(example()))
    assert b"seal" not in components_bytes(example())
    assert not is_encoding(components_bytes(example())[:-1])
