"""What may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import comet_cli

PACKAGE = Path(comet_cli.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the top-level names of every import in a file, wherever it stands in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def in_fresh_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_command_line_knows_the_terminal(path):
    roots = {name.split(".")[0] for name in imported(path)}
    assert "click" not in roots, "Typer carries its own Click"
    if PACKAGE / "cli" not in path.parents:
        assert not roots & {"typer", "rich"}
        if path.name != "__main__.py":
            assert not any(name.startswith("comet_cli.cli") for name in imported(path))


@pytest.mark.parametrize(
    "name",
    ["energy/composition", "energy/descent", "models/comet_model", "drawing/sheets"],
)
def test_mathematics_opens_no_file(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    called = {
        n.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert "open" not in called


LIGHT = [
    "comet_cli",
    "comet_cli.formats.components",
    "comet_cli.inputs.selection",
    "comet_cli.formats.picture_recipe",
    "comet_cli.formats.files",
    "comet_cli.formats.images",
    "comet_cli.verbs.inspect",
    "comet_cli.models.card",
    "comet_cli.models.library",
    "comet_cli.cli.app",
]


def test_light_modules_import_neither_torch_nor_the_hub():
    code = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module(name)
    heavy = {{"torch", "huggingface_hub", "mitsuba", "sklearn"}} & set(sys.modules)
    assert not heavy, (name, heavy)
"""
    in_fresh_python(code)


def test_every_public_name_can_be_imported():
    code = """
import comet_cli
for name in comet_cli.__all__:
    getattr(comet_cli, name)
assert set(comet_cli.__all__) == set(dir(comet_cli))
try:
    comet_cli.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise SystemExit("no error")
"""
    in_fresh_python(code)
