"""No test reads or writes the user's own cache; models that many tests need."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from comet_cli.models import library
from comet_cli.models.card import ModelCard


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache folder, and its path."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("COMET_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def benchmark():
    """Load a script of benchmarks/ by its name."""
    folder = Path(__file__).resolve().parents[1] / "benchmarks"

    def load(name: str):
        if str(folder) not in sys.path:  # they import each other
            sys.path.append(str(folder))
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def official() -> Path:
    return Path(__file__).resolve().parent / "fixtures" / "official"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty COMET_HOME, and an empty folder of shipped models."""
    monkeypatch.setenv("COMET_HOME", os.fspath(tmp_path / "home"))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(library, "shipped_root", lambda: shipped)
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
