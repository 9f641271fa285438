"""What a training left in its folder."""

import torch

from comet_cli.training.checkpoint import NAME


def checkpoint(folder) -> dict:
    return torch.load(folder / NAME, weights_only=True)


def flat(content: object, prefix: str = "") -> dict[str, object]:
    """Return nested dictionaries and lists as one dictionary."""
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return {k: v for name, value in items for k, v in flat(value, f"{prefix}/{name}").items()}
    return {prefix: content}


def assert_same_state(found: dict, expected: dict) -> None:
    """Compare two checkpoints bit for bit, except for the time they took."""
    found, expected = flat(found), flat(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value), name
        elif name not in ("/seconds", "/recipe"):
            assert found[name] == value, name


def new_folder(tmp_path, name: str):
    (tmp_path / name).mkdir()
    return tmp_path / name
