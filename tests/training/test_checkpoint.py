"""Checkpoints: whole or absent, and never code."""

import os
import pickle

import pytest
import torch
from torch import nn

from comet_cli.errors import FileFormatError
from comet_cli.training.checkpoint import NAME, TrainingState, load_checkpoint, save_checkpoint


def trained(seed: int = 0, width: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a network after three steps of Adam."""
    torch.manual_seed(seed)
    model = nn.Linear(width, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.rand(4, width)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def saved(folder):
    model, optimizer = trained()
    ema = {k: v * 0.5 for k, v in model.state_dict().items()}
    save_checkpoint(folder, model, optimizer, TrainingState(3, 1.5, ema), "the recipe")
    return model, optimizer, ema


def test_everything_comes_back(tmp_path):
    model, optimizer, ema = saved(tmp_path)
    other, other_optimizer = trained(seed=1)
    state, text = load_checkpoint(tmp_path, other, other_optimizer)
    assert (state.iteration, state.seconds, text) == (3, 1.5, "the recipe")
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
        assert torch.equal(state.ema[name], ema[name])
    for key, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            assert torch.equal(other_optimizer.state_dict()["state"][key][name], value)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_checkpoint_can_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o002)
    try:
        saved(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o664


def test_without_a_checkpoint_nothing_is_touched(tmp_path):
    model, optimizer = trained()
    before = model.weight.clone()
    assert load_checkpoint(tmp_path, model, optimizer) is None
    assert torch.equal(model.weight, before)


def test_a_save_that_fails_keeps_the_old_checkpoint_and_leaves_nothing(tmp_path, monkeypatch):
    saved(tmp_path)
    before = (tmp_path / NAME).read_bytes()

    def fail(content, file):
        file.write(b"half")
        raise OSError("no space")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space"):
        saved(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before
    assert os.listdir(tmp_path) == [NAME]


def truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"not a checkpoint at all"),
    "truncated": truncated,
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"model": {}})),
    "a tensor": lambda path: torch.save(torch.zeros(2), path),
    "a list": lambda path: torch.save([1, 2], path),
    "nothing": lambda path: torch.save(None, path),
    "no optimizer": lambda path: torch.save({"model": trained()[0].state_dict()}, path),
    "odd entries": lambda path: torch.save({"model": 3, "optimizer": 4}, path),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_is_one_sentence_that_names_it(tmp_path, damage):
    saved(tmp_path)
    damage(tmp_path / NAME)
    with pytest.raises(FileFormatError, match="checkpoint.pt does not fit .* or is damaged") as e:
        load_checkpoint(tmp_path, *trained())
    assert "\n" not in str(e.value)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    saved(tmp_path)
    with pytest.raises(FileFormatError, match="does not fit this recipe"):
        load_checkpoint(tmp_path, *trained(width=5))


class Trap:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_would_run_code_is_refused_unrun(tmp_path):
    torch.save({"model": Trap(tmp_path / "sprung")}, tmp_path / NAME)
    with pytest.raises(FileFormatError):
        load_checkpoint(tmp_path, *trained())
    assert not (tmp_path / "sprung").exists()
