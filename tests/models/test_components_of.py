"""K is a limit where an encoder colours: a picture has the components that are there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.errors import FileFormatError
from comet_cli.formats.components import read_components
from comet_cli.formats.images import load_image
from comet_cli.inputs.selection import Selection
from comet_cli.inputs.session import Session
from comet_cli.models import comet_model
from comet_cli.verbs.gradients import write_gradients

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def clevr():
    return comet_model.load("clevr", device="cpu")


def picture(name: str) -> torch.Tensor:
    return torch.from_numpy(load_image((EXAMPLES / name).read_bytes(), 64))[None]


@pytest.mark.parametrize("name", ["clevr-a.png", "clevr-b.png"])
def test_background_first_then_objects_from_left_to_right(clevr, name):
    z = clevr.components_of(picture(name))
    assert z.shape == (5, 32) and clevr.card.components == 11
    across = z[1:, 1].tolist()
    assert across == sorted(across)


def test_components_do_not_depend_on_other_pictures(clevr):
    both = torch.cat([picture("clevr-a.png"), picture("clevr-b.png")])
    found, alone = clevr.find(both), clevr.find(both[1:])
    assert torch.equal(found.z[1:], alone.z) and torch.equal(found.present[1:], alone.present)


def test_a_file_holds_and_names_what_is_there_and_is_read_again(tmp_path, clevr):
    path = tmp_path / "a.png"
    Image.open(EXAMPLES / "clevr-a.png").save(path)
    session = Session(model="clevr", device="cpu")
    opened = session.encode(path.read_bytes(), str(path))
    names = ("background", "object1", "object2", "object3", "object4")
    assert opened.components.labels == names and not opened.reused
    from comet_cli.formats.components import write_components

    write_components(tmp_path / "a.z", opened.components)
    assert len(read_components(tmp_path / "a.z")) == 5
    assert session.encode(path.read_bytes(), str(path)).reused


def test_gradient_numbers_of_a_picture_with_fewer_components_are_filled_up(tmp_path):
    grey = tmp_path / "grey.png"
    Image.new("RGB", (64, 64), (128, 128, 128)).save(grey)
    files = [Selection(str(path), str(path)) for path in (EXAMPLES / "clevr-a.png", grey)]
    numbers, sheet = tmp_path / "numbers.npz", tmp_path / "sheet.png"
    session = Session(model="clevr", device="cpu")
    assert write_gradients(files, str(sheet), session, npz=str(numbers))
    with np.load(numbers) as found:
        assert found["components"].tolist() == [[0, 1, 2, 3, 4], [0, -1, -1, -1, -1]]
        assert found["z"].shape == (2, 5, 32) and found["gradients"].shape == (2, 5, 3, 64, 64)
        for name in ("z", "gradients", "strength"):
            assert found[name][1, 0].any() and not found[name][1, 1:].any()


def test_a_part_is_what_lacks_the_background():
    card = comet_model.load("clevr", device="cpu").card
    assert card.is_whole({0, 2}) and not card.is_whole({1, 2})
    assert card.names_of(2) == ("background", "object1")
    faces = comet_model.load("faces", device="cpu").card
    assert faces.is_whole({0, 1, 2, 3}) and not faces.is_whole({0, 1, 2})


def test_two_labels_name_the_first_component_and_the_others():
    card = comet_model.load("clevr", device="cpu").card.replace(labels=["light", "toy"])
    assert card.names_of(3) == ("light", "toy1", "toy2")
    with pytest.raises(FileFormatError, match="labels must be empty or two"):
        card.replace(labels=["light"])
