"""No test reads or writes the user's own cache."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache folder, and its path."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("COMET_CACHE", str(folder))
    return folder
