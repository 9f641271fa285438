"""Pictures and files as they are published."""

import gzip

import numpy as np
import pytest
from PIL import Image
from published import example, tetrominoes_example, tf_record


@pytest.fixture
def picture():
    """Write a picture whose pixels follow from a number; returns its path."""

    def write(file, number=0, size=(24, 20)):
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(file)
        return file

    return write


@pytest.fixture
def tetrominoes(tmp_path):
    """Three records as published: a TFRecord file in gzip."""
    records = b"".join(tf_record(example(tetrominoes_example(seed)[0])) for seed in range(3))
    file = tmp_path / "published" / "tetrominoes_train.tfrecords"
    file.parent.mkdir()
    file.write_bytes(gzip.compress(records))
    return file
