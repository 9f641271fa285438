"""The README says what the cards say, and names files that exist."""

import importlib.util
import re
from pathlib import Path

import pytest

from comet_cli.models.library import list_models

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = [entry.name for entry in list_models() if entry.origin == "shipped"]


def load_script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_in_the_readme_are_those_of_the_cards() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "<!-- figures -->" in readme
    assert load_script("figures_table").rewrite(readme) == readme


@pytest.mark.parametrize(
    "document", ["README.md", "docs/data.md", "docs/mathematics.md", "docs/models.md"]
)
def test_links_and_pictures_of_documents_exist(document: str) -> None:
    path = ROOT / document
    for found in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", path.read_text("utf-8")):
        target = "".join(found)
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_brings_its_recipe_and_readme(name: str) -> None:
    folder = ROOT / "weights" / name
    assert (folder / "recipe.toml").read_text("utf-8").strip()
    assert (folder / "README.md").read_text("utf-8").startswith("---\nlicense:")
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000


@pytest.mark.skipif("clevr" not in SHIPPED, reason="no shipped weights in this checkout")
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code.group(1), names)
    assert float(names["energy"](names["image"])) < float(names["energy"](names["b"]))
    assert (tmp_path / "both.png").exists()
