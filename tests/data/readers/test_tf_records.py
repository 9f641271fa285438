import gzip
import struct

import numpy as np
import published as writer
import pytest

from comet_cli.data.readers.tf_records import crc32c, parse_example, read_records
from comet_cli.errors import CometError, FileFormatError


def test_crc_has_the_values_of_its_standard():
    # RFC 3720, appendix B.4, and the usual check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


@pytest.mark.parametrize("length", [1, 2, 3, 8, 31, 1000])
def test_crc_agrees_with_its_definition(length):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == writer.crc32c(data)


@pytest.mark.parametrize("packed", [True, False])
def test_records_come_back_compressed_or_not(tmp_path, packed):
    records = [b"one", b"", bytes(range(256)) * 5]
    data = b"".join(map(writer.tf_record, records))
    (tmp_path / "a").write_bytes(gzip.compress(data) if packed else data)
    assert list(read_records(tmp_path / "a")) == records


def test_features_come_back_in_each_kind():
    record = writer.example({"a": b"\x00\x07\xff", "b": [1.5, -2.0], "c": [3, -1, 2**40]})
    found = parse_example(record)
    assert found["a"].tolist() == [0, 7, 255] and found["a"].dtype == np.uint8
    assert found["b"].tolist() == [1.5, -2.0]
    assert found["c"].tolist() == [3, -1, 2**40]


def test_values_that_are_not_packed_or_not_single_bytes_come_back():
    long = writer.field(1, writer.field(1, b"abc") + writer.field(1, b"de"))
    floats = writer.field(2, b"\x0d" + struct.pack("<f", 2.5) + b"\x0d" + struct.pack("<f", 1.0))
    integers = writer.field(3, b"\x08\x05\x08\x81\x01")
    for kind, expected in ((long, list(b"abcde")), (floats, [2.5, 1]), (integers, [5, 129])):
        entry = writer.field(1, b"x") + writer.field(2, kind)
        record = writer.field(1, writer.field(1, entry))
        assert parse_example(record)["x"].tolist() == expected


@pytest.mark.parametrize("place", [0, 9, 14, 30])
def test_one_wrong_bit_is_found(tmp_path, place):
    data = bytearray(writer.tf_record(b"first of the records"))
    data[place] ^= 16
    (tmp_path / "a").write_bytes(writer.tf_record(b"good") + data)
    with pytest.raises(FileFormatError, match="record 1 of '.*a' is damaged: the checksum of its"):
        list(read_records(tmp_path / "a"))


def test_a_file_cut_off_is_found_wherever_it_ends(tmp_path):
    data = writer.tf_record(b"first") + writer.tf_record(b"second")
    for end in range(1, len(data)):
        if end == len(writer.tf_record(b"first")):
            continue
        (tmp_path / "a").write_bytes(data[:end])
        with pytest.raises(FileFormatError, match="cut off|TFRecord"):
            list(read_records(tmp_path / "a"))
        (tmp_path / "b").write_bytes(gzip.compress(data)[: -end - 1])
        with pytest.raises(FileFormatError, match="cut off|TFRecord"):
            list(read_records(tmp_path / "b"))


def test_a_length_without_end_takes_no_memory(tmp_path):
    length = struct.pack("<Q", 2**60)
    (tmp_path / "a").write_bytes(length + writer.masked(length))
    with pytest.raises(FileFormatError, match="not a TFRecord file"):
        list(read_records(tmp_path / "a"))


@pytest.mark.parametrize("content", [b"%PDF-1.5 and so on", b"\x1f\x8b not gzip"])
def test_another_file_is_said(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CometError):
        list(read_records(tmp_path / "a"))
    with pytest.raises(CometError, match="cannot be read"):
        list(read_records(tmp_path / "missing"))


def test_a_message_cut_off_anywhere_raises_no_other_error():
    record = writer.example({"a": b"\x00\x07", "b": [1.5], "c": [300]})
    for end in range(1, len(record)):
        with pytest.raises(FileFormatError):
            parse_example(record[:end])
    rng = np.random.default_rng(0)
    for _ in range(300):
        try:
            parse_example(rng.bytes(20))
        except FileFormatError:
            pass
