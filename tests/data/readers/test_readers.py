import gzip
import json

import numpy as np
import pytest
from PIL import Image
from published import example, tetrominoes_example, tf_record

from comet_cli.data.check import check_folder
from comet_cli.data.dataset_folder import load_folder
from comet_cli.data.importing import import_dataset
from comet_cli.data.readers.catalogue import READERS
from comet_cli.data.readers.drives import RUN
from comet_cli.data.readers.tf_records import masked_crc
from comet_cli.errors import CometError, FileFormatError


def imported(name, source, out, **words):
    """Import as train pictures; returns metadata by name in the source."""
    import_dataset(name, str(source), out, **{"size": 16, "test_fraction": 0, **words})
    return {entry["source"]: entry for entry in load_folder(out).metadata}


@pytest.mark.parametrize("name", sorted(set(READERS) - {"hf"}))
def test_an_absent_or_misshaped_source_is_one_sentence_and_makes_nothing(name, tmp_path, picture):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    for place in ("missing", "empty", "file"):
        with pytest.raises(CometError, match="expected|TFRecord") as caught:
            import_dataset(name, str(tmp_path / place), tmp_path / "out")
        assert "\n" not in str(caught.value) and place in str(caught.value)
    if name not in ("images", "danbooru", "celeba-hq"):
        picture(tmp_path / "flat" / "a.png")
        with pytest.raises(CometError, match="expected"):
            import_dataset(name, str(tmp_path / "flat"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_celeba_mask_hq_gives_faces_with_attributes_and_no_masks_of_parts(tmp_path, picture):
    root = tmp_path / "CelebAMask-HQ"
    for number in range(3):
        picture(root / "CelebA-HQ-img" / f"{number}.jpg", number)
    picture(root / "CelebAMask-HQ-mask-anno" / "0" / "00000_hair.png", 9)
    table = "3\nBald Smiling Young\n0.jpg  -1  1  1\n1.jpg  1 -1 -1\n2.jpg -1 -1 -1\n"
    (root / "CelebAMask-HQ-attribute-anno.txt").write_text(table)
    for number, source in enumerate((root, tmp_path)):
        found = imported("celeba-hq", source, tmp_path.parent / f"{tmp_path.name}-{number}")
        assert list(found) == [f"CelebA-HQ-img/{n}.jpg" for n in range(3)]
        assert found["CelebA-HQ-img/0.jpg"]["attributes"] == ["Smiling", "Young"]
        assert found["CelebA-HQ-img/2.jpg"]["attributes"] == []
    (root / "CelebAMask-HQ-attribute-anno.txt").write_text("1\nBald\n0.jpg  1 1\n")
    with pytest.raises(FileFormatError, match="line 3 of"):
        imported("celeba-hq", root, tmp_path / "other")


def scene(name):
    thing = {
        "color": "red",
        "size": "large",
        "rotation": 12.5,
        "shape": "cube",
        "3d_coords": [1.0, -2.0, 0.7],
        "material": "metal",
        "pixel_coords": [160, 60, 9.5],
    }
    return {"image_filename": name, "objects": [thing], "relationships": {}, "directions": {}}


def test_clevr_gives_objects_where_scenes_are_there(tmp_path, picture):
    root = tmp_path / "CLEVR_v1.0"
    for number, part in enumerate(("train", "val", "test")):
        picture(root / "images" / part / f"CLEVR_{part}_000000.png", number, (320, 240))
    (root / "scenes").mkdir()
    for part in ("train", "val"):
        content = {"info": {}, "scenes": [scene(f"CLEVR_{part}_000000.png")]}
        (root / "scenes" / f"CLEVR_{part}_scenes.json").write_text(json.dumps(content))
    found = imported("clevr", root, tmp_path / "out", size=24)
    assert len(found) == 3 and "objects" not in found["images/test/CLEVR_test_000000.png"]
    (thing,) = found["images/train/CLEVR_train_000000.png"]["objects"]
    # The middle square leaves out 40 of 320 pixels at the left, and 240 pixels become 24.
    assert thing == {
        "shape": "cube",
        "colour": "red",
        "material": "metal",
        "size": "large",
        "position": [1.0, -2.0, 0.7],
        "rotation": 12.5,
        "pixel": [12.0, 6.0],
        "depth": 9.5,
    }
    cropped = imported("clevr", root, tmp_path / "crop", size=24, crop=120)
    assert cropped["images/val/CLEVR_val_000000.png"]["objects"][0]["pixel"] == [12.0, 0.0]


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"scenes": [{}]}', '{"scenes": [{"image_filename": 1, "objects": [1]}]}'],
)
def test_scenes_of_another_form_are_said(tmp_path, picture, content):
    root = tmp_path / "CLEVR_v1.0"
    picture(root / "images" / "train" / "a.png")
    (root / "scenes").mkdir()
    (root / "scenes" / "CLEVR_train_scenes.json").write_text(content)
    with pytest.raises(FileFormatError, match="does not hold the scenes of CLEVR"):
        imported("clevr", root, tmp_path / "out")


def test_kitti_is_read_in_both_layouts(tmp_path, picture):
    picture(tmp_path / "o" / "training" / "image_2" / "000007.png", 1, (60, 20))
    picture(tmp_path / "o" / "testing" / "image_2" / "000000.png", 2, (60, 20))
    picture(tmp_path / "o" / "training" / "image_3" / "000007.png", 3, (60, 20))
    found = imported("kitti", tmp_path / "o", tmp_path / "out-o")
    assert {name: entry["part"] for name, entry in found.items()} == {
        "training/image_2/000007.png": "training",
        "testing/image_2/000000.png": "testing",
    }
    picture(tmp_path / "t" / "data" / "training" / "image_02" / "0003" / "000012.png", 1, (60, 20))
    ((name, entry),) = imported("kitti", tmp_path / "t", tmp_path / "out-t").items()
    assert name == "data/training/image_02/0003/000012.png"
    assert (entry["sequence"], entry["frame"], entry["part"]) == ("0003", 12, "training")


def test_neighbouring_frames_and_variations_of_a_view_stay_together(tmp_path, picture):
    number = 0
    for variation in ("clone", "fog"):
        for frame in range(0, 12 * RUN, RUN // 2):
            camera = tmp_path / "v" / "Scene01" / variation / "frames" / "rgb" / "Camera_0"
            picture(camera / f"rgb_{frame:05d}.jpg", number)
            number += 1
    picture(tmp_path / "v" / "Scene01" / "fog" / "frames" / "rgb" / "Camera_1" / "rgb_00000.jpg")
    found = imported("vkitti2", tmp_path / "v", tmp_path / "out", test_fraction=0.5)
    assert len(found) == number and {entry["scene"] for entry in found.values()} == {"Scene01"}
    runs = {}
    for entry in found.values():
        assert entry["variation"] in entry["source"] and f"{entry['frame']:05d}" in entry["source"]
        runs.setdefault(entry["frame"] // RUN, set()).add(entry["split"])
    assert len(runs) == 12 and all(len(each) == 1 for each in runs.values())
    assert set.union(*runs.values()) == {"train", "test"}


@pytest.mark.parametrize("form", ["train-rec.labels", "labels.npy", "labels.txt"])
def test_falcor3d_rows_become_factors(tmp_path, picture, form):
    root = tmp_path / "Falcor3D_down128"
    rows = np.zeros((12, 7), np.float32)
    rows[:, 0] = np.repeat([0.1, 0.3], 6)
    rows[:, 6] = np.tile(np.linspace(-1, 1, 6), 2)
    if form.endswith("txt"):
        np.savetxt(root.with_suffix(".txt"), rows)
    for number in (0, 7, 11):
        picture(root / "images" / f"{number:06d}.png", number)
    with open(root / form, "wb") as file:
        np.savetxt(file, rows) if form.endswith("txt") else np.save(file, rows)
    found = imported("falcor3d", tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
    entry = found["images/000007.png"]
    assert entry["factors"] == {
        **dict.fromkeys(("light_x", "light_y", "light_z", "camera_x", "camera_y"), 0),
        "light_intensity": 1,
        "camera_z": 1,
    }
    assert entry["values"]["light_intensity"] == 0.3 and entry["values"]["camera_z"] == -0.6
    assert [e["cell"] for e in found.values()] == [0, 7, 11]


def test_labels_that_do_not_fit_are_said_and_never_unpickled(tmp_path, picture):
    picture(tmp_path / "s" / "images" / "000002.png")
    table = tmp_path / "s" / "train-rec.labels"
    for content in (np.zeros(3), np.array([[1.0, np.nan]]), np.array([{}], dtype=object)):
        with open(table, "wb") as file:
            np.save(file, content, allow_pickle=True)
        with pytest.raises(FileFormatError, match="not a table of labels"):
            imported("falcor3d", tmp_path / "s", tmp_path / "out")
    with open(table, "wb") as file:
        np.save(file, np.zeros((2, 7)))
    with pytest.raises(FileFormatError, match="has no row in 'train-rec.labels'"):
        imported("falcor3d", tmp_path / "s", tmp_path / "out")


def test_tetrominoes_come_with_masks_and_the_objects_that_are_visible(tmp_path, tetrominoes):
    found = imported("multi-object", tetrominoes, tmp_path / "out", size=35)
    assert list(found) == [f"tetrominoes_train.tfrecords#{n}" for n in range(3)]
    loaded = load_folder(tmp_path / "out")
    for number in range(3):
        features, pixels, labels = tetrominoes_example(number)
        assert (loaded.images[number] == pixels).all()
        # Entity 2 is not visible, so that 3 is the second object.
        assert (loaded.masks[number] == np.array([0, 1, 9, 2], np.uint8)[labels]).all()
        first, second = loaded.metadata[number]["objects"]
        assert (first["shape"], first["x"], second["shape"], second["x"]) == (3, 0.25, 7, 0.5)
        assert np.allclose(second["colour"], features["color"][9:], atol=1e-5)
    assert check_folder(tmp_path / "out").ok


def test_an_object_outside_the_crop_is_left_out(tmp_path, tetrominoes):
    found = imported("multi-object", tetrominoes.parent, tmp_path / "out", size=9, crop=9)
    assert {len(entry["objects"]) for entry in found.values()} == {1}
    assert check_folder(tmp_path / "out").ok
    assert set(np.unique(load_folder(tmp_path / "out").masks)) == {0, 1}


def test_clevr_with_masks_is_cut_out_of_its_wide_picture(tmp_path):
    labels = np.zeros((240, 320), np.uint8)
    labels[100:140, 150:170] = 1
    labels[0:40, 0:30] = 2  # beside the middle square
    masks = np.stack([(labels == n) * 255 for n in range(3)]).astype(np.uint8)
    features = {
        "image": np.repeat(labels[..., None] * 100, 3, axis=2).astype(np.uint8).tobytes(),
        "mask": masks.tobytes(),
        "shape": bytes([0, 2, 3]),
        "pixel_coords": [0.0, 0.0, 0.0, 160.0, 120.0, 8.5, 15.0, 20.0, 9.0],
        "rotation": [0.0, float("nan"), 1.0],
        "visibility": [1.0, 1.0, 1.0],
    }
    # The checksum by its definition would take seconds for a megabyte.
    record = tf_record(example(features), lambda data: masked_crc(data).to_bytes(4, "little"))
    source = tmp_path / "clevr_with_masks_train.tfrecords"
    source.write_bytes(gzip.compress(record, 1))
    (entry,) = imported("multi-object", source, tmp_path / "out", size=24).values()
    assert entry["objects"] == [{"shape": 2, "pixel": [12.0, 12.0], "rotation": None, "depth": 8.5}]
    mask = np.array(Image.open(tmp_path / "out" / entry["mask"]))
    assert mask.sum() == 8 and (mask[10:14, 11:13] == 1).all()


@pytest.mark.parametrize("factors", [False, True], ids=["Objects Room", "Multi-dSprites"])
def test_sky_floor_and_walls_of_objects_room_are_background(tmp_path, factors):
    labels = np.repeat(np.arange(6, dtype=np.uint8), 11)[:64, None].repeat(64, 1)
    masks = np.stack([(labels == n) * 255 for n in range(6)]).astype(np.uint8)
    features = {
        "image": np.repeat(labels[..., None] * 40, 3, axis=2).astype(np.uint8).tobytes(),
        "mask": masks.tobytes(),
    }
    if factors:
        features["scale"] = [float(n) for n in range(6)]
    record = tf_record(example(features), lambda data: masked_crc(data).to_bytes(4, "little"))
    source = tmp_path / "objects_room_train.tfrecords"
    source.write_bytes(gzip.compress(record, 1))
    (entry,) = imported("multi-object", source, tmp_path / "out", size=64).values()
    mask = np.array(Image.open(tmp_path / "out" / entry["mask"]))
    if factors:
        assert (mask == labels).all() and len(entry["objects"]) == 5
    else:
        assert (mask == np.where(labels < 4, 0, labels - 3)).all() and len(entry["objects"]) == 2


def test_damage_in_the_middle_keeps_what_came_before(tmp_path, tetrominoes):
    data = bytearray(gzip.decompress(tetrominoes.read_bytes()))
    data[-100] ^= 1
    tetrominoes.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(FileFormatError, match="record 2 of .* is damaged.*download"):
        imported("multi-object", tetrominoes, tmp_path / "out")
    assert len(load_folder(tmp_path / "out")) == 2
    assert not check_folder(tmp_path / "out").ok


@pytest.mark.parametrize(
    "features",
    [
        {"label": [1]},
        {"image": bytes(100), "mask": bytes(100)},
        {"image": bytes(3675), "mask": bytes(1226)},
        {"image": bytes(3675), "mask": [1.0] * 1225},
    ],
)
def test_records_of_other_data_sets_are_said(tmp_path, features):
    file = tmp_path / "a.tfrecords"
    file.write_bytes(tf_record(example(features)))
    with pytest.raises(FileFormatError, match="record 0 of '.*a.tfrecords': its? "):
        imported("multi-object", file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
