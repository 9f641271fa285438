import argparse
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from comet_cli.errors import CometError, FileFormatError, MissingInputError, UsageError
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel
from comet_cli.official.importing import default_name, import_official, read_checkpoint

pytestmark = pytest.mark.usefixtures("home")


def content_of(path: Path) -> dict:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, weights_only=True)


def edited(official: Path, tmp_path: Path, change, which: str = "official_64_local") -> Path:
    """Write a fixture again with its one state dict and its FLAGS changed."""
    content = content_of(official / f"{which}.pth")
    copies = sum(key.startswith("model_state_dict") for key in content)
    state, flags = content["model_state_dict_0"], content["FLAGS"]
    change(state, flags)
    made = {"FLAGS": flags, **{f"model_state_dict_{k}": state for k in range(copies)}}
    torch.save(made, tmp_path / "edited.pth")
    return tmp_path / "edited.pth"


@pytest.mark.parametrize(
    ("which", "facts"),
    [
        (
            "official_64_global",
            dict(encoder="global", energy="pooled-64", components=4, latent_dim=8, image_size=64),
        ),
        (
            "official_64_local",
            dict(encoder="recurrent", energy="pooled-64", components=5, latent_dim=4),
        ),
        (
            "official_128_global",
            dict(encoder="global", energy="pooled-128", components=4, image_size=128),
        ),
    ],
)
def test_card_is_deduced_from_shapes_and_flags(official: Path, which: str, facts: dict) -> None:
    card = read_checkpoint(official / f"{which}.pth").card
    assert {key: getattr(card, key) for key in facts} == facts
    assert (card.filter_dim, card.step_size, card.num_steps) == (16, 500.0, 10)
    assert (card.render_step_size, card.render_steps) == (200.0, 30)
    assert card.positional == [which == "official_64_local"] * card.components
    assert card.defaults_from == ["render_step_size", "render_steps"]


def test_live_and_dead_entries_account_for_all(official: Path) -> None:
    path = official / "official_64_local.pth"
    checkpoint = read_checkpoint(path)
    entries = content_of(path)["model_state_dict_0"]
    assert len(checkpoint.state) + len(checkpoint.dropped) == len(entries)
    assert {name.split(".")[0] for name in checkpoint.dropped if ".bn" not in name} == {
        "bias", "decode_layer1", "decode_layer2", "decode_layer3", "downsample", "gain",
        "latent_decode", "latent_map", "mask_decode", "pos_embedding",
    }  # fmt: skip
    assert set(checkpoint.state) == set(CometModel(checkpoint.card).state_dict())


def test_tetris_is_known_by_its_nine_positions(official: Path, tmp_path: Path) -> None:
    def change(state, flags) -> None:
        state["pos_embedding"] = torch.zeros(9, 16)

    assert read_checkpoint(edited(official, tmp_path, change)).card.image_size == 35


def test_tetris_with_a_global_encoder_is_known_by_its_data_set(
    official: Path, tmp_path: Path
) -> None:
    def change(state, flags) -> None:
        flags.dataset = "tetris"

    path = edited(official, tmp_path, change, "official_64_global")
    assert read_checkpoint(path).card.image_size == 35


def test_without_flags_the_defaults_are_used_and_listed(official: Path, tmp_path: Path) -> None:
    def change(state, flags) -> None:
        vars(flags).clear()
        del state["pos_embedding"]

    card = read_checkpoint(edited(official, tmp_path, change)).card
    assert (card.components, card.image_size, card.step_size, card.num_steps) == (5, 64, 500.0, 10)
    assert card.defaults_from == [
        "components", "image_size", "num_steps", "render_step_size", "render_steps", "step_size",
    ]  # fmt: skip


def test_flags_that_are_no_facts_are_replaced_by_defaults(official: Path, tmp_path: Path) -> None:
    def change(state, flags) -> None:
        flags.step_lr, flags.num_steps, flags.components = float("nan"), float("inf"), 10**12
        flags.dataset, flags.decoder = "/home/someone/clevr", torch.zeros(2)

    card = read_checkpoint(edited(official, tmp_path, change)).card
    assert (card.step_size, card.num_steps, card.components) == (500.0, 10, 5)
    assert card.dataset == "clevr"  # no folder of the author's machine is recorded


def test_an_easydict_of_flags_is_read_without_easydict(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(official / "official_64_global.pth")
    stand_in = type("EasyDict", (dict,), {"__module__": "easydict"})
    flags = stand_in(vars(content["FLAGS"]))
    vars(flags).update(flags)  # easydict keeps every item as an attribute too
    content["FLAGS"] = flags
    path = tmp_path / "easy.pth"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "easydict", SimpleNamespace(EasyDict=stand_in))
        torch.save(content, path)
    assert read_checkpoint(path).card.num_steps == 10


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s, f: s.update({"extra.weight": torch.zeros(2)}), "unknown entry extra.weight"),
        (lambda s, f: s.pop("layer1.latent_fc2.bias"), "missing entry layer1.latent_fc2.bias"),
        (lambda s, f: s.pop("lstm.bias_hh_l0"), "missing entry lstm.bias_hh_l0"),
        (lambda s, f: s.update({"at_fc2.bias": torch.zeros(7)}), r"at_fc2.bias is \(7,\), exp"),
        (lambda s, f: s["conv1.bias"].fill_(float("nan")), "conv1.bias is not finite"),
        (lambda s, f: s.update({"conv1.bias": torch.zeros(8).int()}), "conv1.bias is torch.int"),
        (lambda s, f: s.update({"conv1.bias": torch.eye(8).to_sparse()}), "not a dict of tensors"),
        (lambda s, f: s.update({"embed_conv1.weight": torch.zeros(0, 3)}), "not empty"),
        (lambda s, f: s.update({"embed_conv1.weight": torch.zeros(7, 3)}), "multiple of 2"),
        (lambda s, f: s.pop("embed_conv1.weight"), "lacks the entries embed_conv1.weight"),
        (lambda s, f: setattr(f, "decoder", True), "--decoder"),
        (lambda s, f: setattr(f, "dataset", "toy"), "was trained on 'toy', with networks of its"),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_why(
    official: Path, tmp_path: Path, change, sentence: str
) -> None:
    with pytest.raises(FileFormatError, match=sentence):
        read_checkpoint(edited(official, tmp_path, change))


def test_flags_that_contradict_the_encoder_are_an_error(official: Path, tmp_path: Path) -> None:
    path = edited(
        official, tmp_path, lambda s, f: setattr(f, "components", 3), "official_64_global"
    )
    with pytest.raises(FileFormatError, match="FLAGS say 3 components"):
        read_checkpoint(path)


def test_components_with_weights_of_their_own_are_an_error(official: Path, tmp_path: Path) -> None:
    content = content_of(official / "official_64_global.pth")
    other = {k: v.clone() for k, v in content["model_state_dict_0"].items()}
    other["energy_map.bias"] += 1
    content["model_state_dict_2"] = other
    torch.save(content, tmp_path / "untied.pth")
    with pytest.raises(FileFormatError, match="model_state_dict_2 differs"):
        read_checkpoint(tmp_path / "untied.pth")


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (os.fspath(self.marker),)


class HostileEval(Hostile):
    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({os.fspath(self.marker)!r})",)


@pytest.mark.parametrize("hostile", [Hostile, HostileEval])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_checkpoint_that_asks_for_code_is_refused_and_runs_nothing(
    official: Path, tmp_path: Path, hostile: type, form: str
) -> None:
    content = content_of(official / "official_64_global.pth")
    marker, path = tmp_path / "executed", tmp_path / "hostile.pth"
    content["FLAGS"].exp = hostile(marker)
    if form == "pickle":
        path.write_bytes(pickle.dumps({"FLAGS": content["FLAGS"]}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(FileFormatError) as caught:
        read_checkpoint(path)
    assert "hostile.pth is refused" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_after_an_import_the_flags_class_is_no_longer_allowed(official: Path) -> None:
    read_checkpoint(official / "official_64_global.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no readable checkpoint; expected one of PyTorch"),
        (b"not a checkpoint at all", "no readable checkpoint; expected one of PyTorch"),
        (b"\x89PNG\r\n", "no readable checkpoint; expected one of PyTorch"),
        (b"PK\x03\x04 truncated", "no readable checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_one_sentence(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=sentence) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_foreign_checkpoint_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="is no file"):
        read_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(MissingInputError, match="is a folder, expected a checkpoint"):
        read_checkpoint(tmp_path)
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(FileFormatError, match="lacks model_state_dict_0; it holds weights"):
        read_checkpoint(tmp_path / "other.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(FileFormatError, match="holds a list"):
        read_checkpoint(tmp_path / "list.pth")


def test_import_makes_a_model_folder_that_loads_by_name(official: Path, home: Path) -> None:
    path = official / "official_64_local.pth"
    card, folder = import_official(path, "clevr-theirs")
    assert folder == home / "models" / "clevr-theirs"
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "card.json", "model.safetensors",
    ]  # fmt: skip
    model = comet_model.load("clevr-theirs", "cpu")
    assert model.card == card and card.weights_sha256
    for name, tensor in read_checkpoint(path).state.items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_dry_run_writes_nothing(official: Path, home: Path) -> None:
    card, _ = import_official(official / "official_64_local.pth", dry_run=True)
    assert card.name == "official_64_local"
    assert not home.exists()


def test_an_existing_model_is_replaced_only_when_asked(official: Path) -> None:
    path = official / "official_64_local.pth"
    import_official(path, "twice")
    with pytest.raises(CometError, match="holds a model already"):
        import_official(path, "twice")
    import_official(path, "twice", overwrite=True)


def test_the_name_of_a_shipped_model_is_refused(official: Path, tmp_path: Path) -> None:
    path = official / "official_64_local.pth"
    import_official(path, "clevr", tmp_path / "shipped")
    with pytest.raises(UsageError, match="comes with comet"):
        import_official(path, "clevr")


def test_names_made_from_file_names_are_valid() -> None:
    assert default_name(Path("CelebA HQ (128).pth")) == "celeba-hq-128"
    assert default_name(Path("___.pth")) == "imported"
    with pytest.raises(UsageError, match="no model name"):
        read_checkpoint("x.pth", "../up")
