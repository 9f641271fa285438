"""What may import what."""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import comet_cli

PACKAGE = Path(comet_cli.__file__).parent
SPEC = importlib.util.spec_from_file_location("layout", PACKAGE.parent / "benchmarks" / "layout.py")
layout = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(layout)
FILES = layout.modules()
LINKS = layout.imports(FILES)
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


def test_imports_run_down_the_list_of_rooms():
    assert [str(link) for link in layout.upward(LINKS)] == []


def test_there_is_no_circle_between_modules_or_folders():
    assert layout.circles((a, b) for a, b, _ in LINKS) == []
    assert layout.circles(layout.folder_links(LINKS, FILES)) == []


def test_every_folder_is_a_room_and_no_module_lies_flat():
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    assert folders == set(layout.ROOMS)
    assert {p.stem for p in PACKAGE.glob("*.py")} == layout.FLAT


def test_an_import_that_runs_up_and_a_circle_are_named(tmp_path):
    for name, text in {
        "energy/descent.py": "from comet_cli.cli import console\n",
        "cli/console.py": "def late():\n    import comet_cli.energy.descent\n",
        "networks/layers.py": "from comet_cli.errors import CometError\n",
        "errors.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    links = layout.imports(layout.modules(tmp_path))
    assert [str(link) for link in layout.upward(links)] == [
        "energy.descent (line 1) imports cli.console"
    ]
    assert layout.circles((a, b) for a, b, _ in links) == [["cli.console", "energy.descent"]]


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


def test_what_docstrings_refer_to_is_there():
    missing = []
    for path in MODULES:
        for name in re.findall(r"`~?(comet_cli(?:\.\w+)+)`", path.read_text(encoding="utf-8")):
            parts = name.split(".")
            known = [n for n in range(1, len(parts) + 1) if ".".join(parts[1:n]) in {"", *FILES}]
            found = importlib.import_module(".".join(parts[: known[-1]]))
            for part in parts[known[-1] :]:
                fields = getattr(found, "__dataclass_fields__", {})
                found = getattr(found, part, None) or fields.get(part)
            if found is None:
                missing.append(f"{path.relative_to(PACKAGE)}: {name}")
    assert missing == []
