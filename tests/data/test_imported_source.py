"""Published data sets used where they are."""

import os
import sys
import time
import types

import pytest

from comet_cli.data import dataset_folder
from comet_cli.data import imported_source as module
from comet_cli.data.dataset_folder import load_folder, read_metadata
from comet_cli.data.imported_source import imported_source
from comet_cli.errors import CometError, Interrupted, UsageError
from comet_cli.formats import cache as cache_module


@pytest.fixture
def clevr(tmp_path, picture):
    root = tmp_path / "CLEVR_v1.0"
    for number in range(4):
        picture(root / "images" / "train" / f"CLEVR_train_{number:06d}.png", number, (32, 24))
    return root


@pytest.fixture
def imports(monkeypatch):
    """The sources that were imported, in turn."""
    calls = []
    real = module.import_dataset
    monkeypatch.setattr(
        module, "import_dataset", lambda *a, **k: (calls.append(a[1]), real(*a, **k))
    )
    return calls


def imported_names(folder):
    return {
        entry["source"]
        for split in ("train", "test")
        for entry in read_metadata(folder, split) or []
    }


def test_a_source_is_imported_once_into_the_cache(clevr, cache, imports):
    first = imported_source("clevr", str(clevr), 16)
    assert first == imported_source("clevr", str(clevr), 16)
    assert imports == [str(clevr)] and cache in first.parents
    assert load_folder(first).images.shape == (4, 16, 16, 3)
    assert "images/train/CLEVR_train_000000.png" in imported_names(first)


def test_an_interrupted_import_says_that_nothing_is_kept(clevr, cache, monkeypatch):
    written, real = [], dataset_folder.write_sample

    def write(*words):
        written.append(words)
        if len(written) == 3:
            raise KeyboardInterrupt
        return real(*words)

    monkeypatch.setattr(dataset_folder, "write_sample", write)
    with pytest.raises(Interrupted, match="where nothing of it is kept: the same command imports"):
        imported_source("clevr", str(clevr), 16)
    assert list((cache / "imports").iterdir()) == []
    assert load_folder(imported_source("clevr", str(clevr), 16)).images.shape == (4, 16, 16, 3)


def test_other_settings_are_another_import(clevr, imports):
    folders = {
        imported_source("clevr", str(clevr), size, crop=crop, limit=limit)
        for size, crop, limit in ((16, None, None), (8, None, None), (16, 8, None), (16, None, 2))
    }
    assert len(folders) == len(imports) == 4
    assert sorted(len(load_folder(folder)) for folder in folders) == [2, 4, 4, 4]


def test_changed_content_is_imported_again_and_touched_content_is_not(
    clevr, imports, picture, cache, monkeypatch
):
    monkeypatch.setattr(cache_module, "_SETTLED_NS", 0)
    imported_source("clevr", str(clevr), 16)
    file = clevr / "images" / "train" / "CLEVR_train_000000.png"
    os.utime(file, (time.time() - 99,) * 2)
    imported_source("clevr", str(clevr), 16)
    assert len(imports) == 1
    picture(file, 77, (32, 24))
    changed = imported_source("clevr", str(clevr), 16)
    assert len(imports) == 2
    assert [path.name for path in (cache / "imports").iterdir()] == [changed.name]


def test_archives_for_the_datasets_library_count_too(tmp_path, monkeypatch):
    imported = []

    def stub(reader, source, folder, **settings):
        imported.append(source)
        (folder / "dataset.json").write_text('{"format": "comet-dataset", "complete": true}')

    monkeypatch.setattr(module, "import_dataset", stub)
    monkeypatch.setattr(cache_module, "_SETTLED_NS", 0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shard.tar").write_text(name)
    folders = [imported_source("hf", str(tmp_path / name), 16) for name in ("one", "two", "one")]
    assert folders[0] == folders[2] != folders[1]
    (tmp_path / "one" / "shard.tar").write_text("other")
    assert imported_source("hf", str(tmp_path / "one"), 16) not in folders


def test_what_an_older_reader_left_is_imported_again(clevr, imports, monkeypatch):
    imported_source("clevr", str(clevr), 16)
    monkeypatch.setattr(module, "FORMAT_VERSION", module.FORMAT_VERSION + 1)
    imported_source("clevr", str(clevr), 16)
    assert len(imports) == 2


def test_a_new_table_beside_the_pictures_counts_as_a_change(clevr, imports):
    imported_source("clevr", str(clevr), 16)
    (clevr / "scenes").mkdir()
    (clevr / "scenes" / "CLEVR_train_scenes.json").write_text('{"scenes": []}')
    imported_source("clevr", str(clevr), 16)
    assert len(imports) == 2


def test_an_import_that_failed_leaves_nothing(clevr, cache, monkeypatch):
    def fail(*args, **words):
        (args[2] / "half").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "import_dataset", fail)
    with pytest.raises(KeyboardInterrupt):
        imported_source("clevr", str(clevr), 16)
    assert list((cache / "imports").iterdir()) == []


def test_what_readers_refuse_is_refused(clevr, tmp_path):
    with pytest.raises(UsageError, match="no data set 'celeb' to import; choose one of: images"):
        imported_source("celeb", str(clevr), 16)
    with pytest.raises(CometError, match="does not exist; expected a folder with"):
        imported_source("kitti", str(tmp_path / "absent"), 16)


def test_a_cache_that_cannot_be_written_is_one_sentence(clevr, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COMET_CACHE", str(tmp_path / "file"))
    with pytest.raises(CometError, match="CLEVR_v1.0' cannot be imported .*set COMET_CACHE"):
        imported_source("clevr", str(clevr), 16)


def test_records_are_a_source_too(tetrominoes):
    folder = imported_source("multi-object", str(tetrominoes), 35)
    assert len(load_folder(folder)) == 3


def test_a_name_of_the_hub_is_asked_for_once(monkeypatch):
    """With a stand-in for the library: nothing is downloaded."""
    asked = []

    def load_dataset(name, configuration):
        asked.append(name)
        raise OSError("offline")

    library = types.ModuleType("datasets")
    library.Image, library.load_dataset = object, load_dataset
    monkeypatch.setitem(sys.modules, "datasets", library)
    with pytest.raises(CometError, match="cannot load 'owner/pets'"):
        imported_source("hf", "owner/pets", 16)
    assert asked == ["owner/pets"]
