import os
from pathlib import Path

import pytest

from comet_cli.models import store
from comet_cli.models.card import ModelCard


@pytest.fixture
def official() -> Path:
    return Path(__file__).resolve().parents[1] / "fixtures" / "official"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty COMET_HOME, and an empty folder of shipped models."""
    monkeypatch.setenv("COMET_HOME", os.fspath(tmp_path / "home"))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(store, "shipped_root", lambda: shipped)
    return tmp_path / "home"


@pytest.fixture
def card() -> ModelCard:
    """A tiny model with every optional part of the pooled network."""
    return ModelCard(
        name="tiny",
        encoder="recurrent",
        energy="pooled-64",
        filter_dim=4,
        components=3,
        latent_dim=2,
        image_size=20,
        positional=[False, True, True],
        step_size=10.0,
        num_steps=2,
        render_step_size=10.0,
        render_steps=3,
    )
