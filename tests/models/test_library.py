import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from comet_cli.errors import (
    CometError,
    CometWarning,
    FileFormatError,
    UnknownModelError,
    UsageError,
)
from comet_cli.models import comet_model, library
from comet_cli.models import folder as model_folder
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.device import pick_device


@pytest.fixture
def model(card: ModelCard) -> CometModel:
    torch.manual_seed(0)
    return CometModel(card)


@pytest.fixture
def folder(home: Path, model: CometModel) -> Path:
    path = home / "models" / "tiny"
    comet_model.save(model, path, extra={"README.md": "# tiny\n"})
    return path


def test_a_saved_model_loads_with_the_same_weights_and_frozen(model, folder) -> None:
    loaded = comet_model.load("tiny", "cpu")
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert (folder / "README.md").read_text() == "# tiny\n"
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]  # nothing temporary is left


def test_saving_twice_gives_the_same_bytes(model, folder, tmp_path: Path) -> None:
    comet_model.save(model, tmp_path / "again")
    for name in (model_folder.WEIGHTS, model_folder.CARD):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_path_works_where_a_name_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library.find("tiny") == folder
    assert library.find(folder) == library.find(os.fspath(folder)) == folder
    assert library.find(folder / "card.json") == folder
    monkeypatch.chdir(folder.parent)
    assert library.find("./tiny").resolve() == folder.resolve()


def test_a_name_is_looked_up_before_a_folder_of_the_working_directory(
    folder: Path, model: CometModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comet_model.save(model, tmp_path / "here" / "tiny")
    comet_model.save(model, tmp_path / "here" / "other")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.warns(CometWarning, match=r"'tiny' means .*; for that give \./tiny"):
        assert library.find("tiny") == folder
    assert library.find("./tiny") == Path("tiny")
    assert library.find("other") == Path("other")
    monkeypatch.chdir(folder.parent)
    assert library.find("tiny") == folder  # the same one: nothing to tell


def test_an_unknown_name_lists_the_known_and_suggests(folder: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"'tinny'; did you mean 'tiny'\? \(known: tiny;"):
        library.find("tinny")
    with pytest.raises(UnknownModelError, match=r"unknown model 'zzz' \(known: tiny"):
        library.find("zzz")


def test_no_model_at_all_says_where_one_is_expected(home: Path) -> None:
    with pytest.raises(UnknownModelError, match="no model is installed"):
        library.find("clevr")


def test_a_folder_without_a_card_is_no_model(home: Path, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"holds no card\.json"):
        library.find(tmp_path)


def test_listing_is_shipped_first_and_reports_broken_cards(
    folder: Path, model: CometModel, tmp_path: Path
) -> None:
    comet_model.save(model, tmp_path / "shipped" / "zeta")
    comet_model.save(model, tmp_path / "shipped" / "tiny")  # hides the local one
    broken = folder.parent / "broken"
    broken.mkdir()
    (broken / "card.json").write_text("{}")
    problems: list[str] = []
    entries = library.list_models(problems)
    assert [(e.name, e.origin) for e in entries] == [("tiny", "shipped"), ("zeta", "shipped")]
    assert library.find("tiny") == tmp_path / "shipped" / "tiny"
    assert len(problems) == 1 and "broken" in problems[0]


def test_changed_weights_are_refused(folder: Path) -> None:
    weights = folder / model_folder.WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    for use in (model_folder.verify, comet_model.load):
        with pytest.raises(FileFormatError, match="has sha256 .* but card.json says"):
            use(folder)


def rewrite(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Replace the weights and make the card agree with them."""
    save_file(state, folder / model_folder.WEIGHTS)
    card = ModelCard.read(folder).replace(weights_sha256=model_folder.weights_hash(folder))
    (folder / model_folder.CARD).write_text(card.to_json(), encoding="utf-8")


def test_entries_that_do_not_fit_the_card_are_listed(folder: Path) -> None:
    state = load_file(folder / model_folder.WEIGHTS)
    state["surplus"] = torch.zeros(1)
    del state["encoder.stem.bias"]
    state["energy_network.to_energy.bias"] = torch.zeros(3)
    rewrite(folder, state)
    with pytest.raises(FileFormatError) as caught:
        comet_model.load(folder)
    for part in (
        "missing encoder.stem.bias",
        "unexpected surplus",
        "energy_network.to_energy.bias is (3,), expected (1,)",
    ):
        assert part in str(caught.value)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    state = load_file(folder / model_folder.WEIGHTS)
    state["encoder.stem.bias"][0] = float("inf")
    rewrite(folder, state)
    with pytest.raises(FileFormatError, match=r"encoder\.stem\.bias is not finite"):
        comet_model.load(folder)


def test_truncated_weights_with_a_matching_hash_are_one_sentence(folder: Path) -> None:
    weights = folder / model_folder.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-10])
    card = ModelCard.read(folder).replace(weights_sha256=model_folder.weights_hash(folder))
    (folder / model_folder.CARD).write_text(card.to_json(), encoding="utf-8")
    with pytest.raises(FileFormatError, match="no readable safetensors file"):
        comet_model.load(folder)
    weights.unlink()
    with pytest.raises(FileFormatError, match="holds no model.safetensors"):
        comet_model.load(folder)


def test_half_precision_weights_are_computed_with_in_float32(model, tmp_path: Path) -> None:
    comet_model.save(model, tmp_path / "half", dtype=torch.float16)
    comet_model.save(model, tmp_path / "full")
    sizes = [model_folder.weights_size(tmp_path / name) for name in ("half", "full")]
    assert sizes[0] < sizes[1]
    loaded = comet_model.load(tmp_path / "half", "cpu")
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].half().float())


def test_loading_leaves_the_random_state_alone(folder: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    comet_model.load(folder)
    assert torch.equal(torch.rand(4), wanted)


def test_a_model_is_replaced_only_when_asked(model, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CometError, match="holds a model already"):
        comet_model.save(model, folder)
    model.encoder.stem.bias.data += 1
    card = comet_model.save(model, folder, overwrite=True)
    assert model_folder.verify(folder) == card
    (tmp_path / "file").write_text("")
    with pytest.raises(CometError, match="is a file"):
        comet_model.save(model, tmp_path / "file")


def test_a_failed_save_leaves_no_folder(model, tmp_path: Path) -> None:
    with pytest.raises(CometError, match="cannot be written"):
        comet_model.save(model, tmp_path / "new", extra={"missing/README.md": ""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        pick_device(name)


def test_float32_is_float32_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name in ("auto", "cuda", "cuda:0"):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
        assert pick_device(name).type == "cuda" and not torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert pick_device("cpu").type == "cpu" and torch.backends.cudnn.allow_tf32


def test_a_missing_device_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="'cuda:1' does not exist: no CUDA device is available"):
        pick_device("cuda:1")
    with pytest.raises(UsageError, match="'mps' needs a Mac"):
        pick_device("mps")
    assert pick_device("auto") == torch.device("cpu")


def test_removing_takes_local_models_only(model, folder: Path, tmp_path: Path) -> None:
    comet_model.save(model, tmp_path / "shipped" / "clevr")
    with pytest.raises(UsageError, match="comes with comet"):
        library.remove("clevr")
    with pytest.raises(UsageError, match="no model name"):
        library.remove("../models/tiny")
    assert library.remove("tiny") == folder
    assert not folder.exists()
    with pytest.raises(UnknownModelError):
        library.remove("tiny")


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/comet"),
        ("linux", {}, "~/.local/share/comet"),
        ("darwin", {}, "~/Library/Application Support/comet"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/comet"),
        ("linux", {"COMET_HOME": "~/mine", "XDG_DATA_HOME": "/data"}, "~/mine"),
    ],
)
def test_home_is_the_platforms_data_folder_unless_said(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], wanted: str
) -> None:
    for name in ("COMET_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert library.comet_home() == Path(wanted).expanduser()


def test_finding_and_listing_import_no_torch() -> None:
    code = (
        "import sys\n"
        "from comet_cli.models import library\n"
        "library.list_models()\n"
        "try: library.find('nothing-of-this-name')\n"
        "except library.UnknownModelError: pass\n"
        "bad = {'torch', 'safetensors', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    root = Path(library.__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_the_wheel_lists_every_package_and_the_weights() -> None:
    tomllib = pytest.importorskip("tomllib")
    root = Path(library.__file__).resolve().parents[2]
    settings = root / "pyproject.toml"
    if not settings.is_file():
        pytest.skip("not a source checkout")
    setuptools = tomllib.loads(settings.read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {
        ".".join(path.parent.relative_to(root).parts)
        for path in (root / "comet_cli").rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == found | {"comet_cli.weights"}
    assert setuptools["package-dir"]["comet_cli.weights"] == "weights"


def test_older_cards_are_read_and_a_hand_made_encoder_is_told(card: ModelCard) -> None:
    facts = {**json.loads(card.to_json()), "parts": 0, "restarts": 0, "restart_above": 1e-4}
    assert ModelCard.from_json(json.dumps(facts)) == card
    facts["attention"] = "competitive"
    with pytest.raises(FileFormatError, match="competitive attention, which comet no longer has"):
        ModelCard.from_json(json.dumps(facts))
