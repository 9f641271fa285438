import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from comet_cli.data.dataset_folder import load_folder, read_description
from comet_cli.data.importing import import_dataset
from comet_cli.errors import CometError, MissingExtraError


class Feature:
    def __init__(self, decode=True):
        self.decode = decode


class ClassLabel:
    def int2str(self, value):
        return ["cat", "dog"][value]


class Rows(list):
    """As much of datasets.Dataset as is used."""

    def __init__(self, rows, features):
        super().__init__(rows)
        self.features = features

    def __iter__(self):
        assert not self.features["img"].decode
        return (dict(row) for row in super().__iter__())

    def cast_column(self, name, feature):
        return Rows(list.copy(self), {**self.features, name: feature})


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A stand-in for the library, with what load_dataset was called with."""
    (tmp_path / "c.png").write_bytes(png(30))
    rows = [
        {"img": {"bytes": png(10), "path": None}, "label": 1, "size": 2.5, "box": [1, 2]},
        {
            "img": {"bytes": None, "path": str(tmp_path / "c.png")},
            "label": -1,
            "size": float("nan"),
        },
        {"img": None, "label": 0, "size": 1.0},
    ]
    features = {"img": Feature(), "label": ClassLabel(), "size": object(), "box": object()}
    module = types.ModuleType("datasets")
    module.Image = Feature
    module.calls = []
    module.found = {"train": Rows(rows, features), "test": Rows(rows[:1], features)}

    def load_dataset(*words):
        module.calls.append(words)
        if isinstance(module.found, Exception):
            raise module.found
        return module.found

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


def test_pictures_of_all_splits_come_with_their_columns(library, tmp_path):
    with pytest.warns(UserWarning, match="1 of the pictures in 'me/pets:small' .*: train/2"):
        import_dataset("hf", "me/pets:small", tmp_path / "out", size=16, test_fraction=0)
    assert library.calls == [("me/pets", "small")]
    assert read_description(tmp_path / "out")["source"] == "me/pets:small"
    loaded = load_folder(tmp_path / "out")
    assert [entry["source"] for entry in loaded.metadata] == ["train/0", "train/1", "test/0"]
    assert loaded.metadata[0]["columns"] == {"label": "dog", "size": 2.5}
    assert "columns" not in loaded.metadata[1]
    assert [image[0, 0, 0] for image in loaded.images] == [10, 30, 10]


def test_a_version_that_can_execute_programs_is_told_not_to(library, tmp_path):
    library.config = types.SimpleNamespace(HF_DATASETS_TRUST_REMOTE_CODE=True)
    told = []

    def load_dataset(name, configuration):
        told.append(library.config.HF_DATASETS_TRUST_REMOTE_CODE)
        return library.found

    library.load_dataset = load_dataset
    import_dataset("hf", "me/pets", tmp_path / "out", limit=2)
    assert told == [False]


def test_without_the_library_the_sentence_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install datasets"):
        import_dataset("hf", "me/pets", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_library_raises_is_one_sentence(library, tmp_path):
    library.found = ConnectionError("Couldn't reach\nthe Hub (offline mode)")
    with pytest.raises(CometError, match=r"cannot load 'me/pets': .*reach the Hub \(offline"):
        import_dataset("hf", "me/pets", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_pictures_is_said(library, tmp_path):
    library.found = {"train": Rows([], {"text": object()})}
    with pytest.raises(CometError, match="no column of pictures, only text"):
        import_dataset("hf", "me/words", tmp_path / "out")
