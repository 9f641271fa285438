"""The house in figures: rooms with their modules and lines, imports that run up, circles.

    python benchmarks/layout.py

The rooms stand in the order of imports, from the top down: a module imports from rooms below its
own, or from its own room. tests/test_layers.py holds this.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1] / "comet_cli"
ROOMS = (
    "cli",
    "baselines",
    "training",
    "figures",
    "evaluation",
    "batch",
    "verbs",
    "data",
    "drawing",
    "inputs",
    "energy",
    "official",
    "models",
    "worlds",
    "formats",
    "networks",
)
# Below every room. Beside them only the package's own two modules lie flat.
GROUND = ("errors", "version")
FLAT = {"__init__", "__main__", *GROUND}


class Import(NamedTuple):
    """One module imports another, at a line of its file."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        """Return the import as a test or a table names it."""
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return every module of the package by its name without the package's."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts not in (("__init__",), ("__main__",)):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(files: Mapping[str, Path], package: str = PACKAGE.name) -> list[Import]:
    """Return the imports between modules, wherever in a file they stand."""
    found = []
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                asked = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                asked = [alias.name for alias in node.names]
            else:
                continue
            for module in asked:
                root, _, inner = module.partition(".")
                if root == package:
                    target = inner if inner in files else inner.rpartition(".")[0]
                    found.append(Import(name, target, node.lineno))
    return found


def room(module: str) -> str:
    """Return the folder of the first level that a module lies in, or its own name if none."""
    return module.partition(".")[0]


def upward(links: Iterable[Import]) -> list[Import]:
    """Return the imports that do not run down the list of rooms; the package itself is its top."""
    rank = {name: n for n, name in enumerate(("", *ROOMS))} | {n: len(ROOMS) + 1 for n in GROUND}
    return [
        link
        for link in links
        if room(link.importer) != room(link.imported)
        and rank[room(link.imported)] <= rank[room(link.importer)]
    ]


def circles(links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the groups that reach each other along links (strongly connected, Tarjan 1972)."""
    after: dict[str, list[str]] = {}
    for start, end in links:
        after.setdefault(start, []).append(end)
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        open_.append(name)
        for end in after.get(name, ()):
            if end not in number:
                visit(end)
            if end in open_:
                lowest[name] = min(lowest[name], lowest[end])
        if lowest[name] == number[name]:
            at = open_.index(name)
            group, open_[at:] = sorted(open_[at:]), []
            if len(group) > 1:
                found.append(group)

    for name in after:
        if name not in number:
            visit(name)
    return found


def folder_links(links: Iterable[Import], files: Mapping[str, Path]) -> set[tuple[str, str]]:
    """Return the imports between folders; a folder and what lies in it count as one another."""

    def folder(name: str) -> str:
        return name if files[name].name == "__init__.py" else name.rpartition(".")[0]

    known = [link for link in links if link.importer in files and link.imported in files]
    pairs = {(folder(link.importer), folder(link.imported)) for link in known}
    return {
        (a, b)
        for a, b in pairs
        if not f"{a}.".startswith(f"{b}.") and not f"{b}.".startswith(f"{a}.")
    }


def main() -> None:
    """Print the table."""
    files = modules()
    links = imports(files)
    print(f"{'room':<14}{'modules':>8}{'lines':>8}{'longest':>9}")
    total = 0
    for name in ROOMS:
        lengths = [
            len(path.read_text(encoding="utf-8").splitlines())
            for module, path in files.items()
            if room(module) == name
        ]
        total += sum(lengths)
        print(f"{name:<14}{len(lengths):>8}{sum(lengths):>8}{max(lengths, default=0):>9}")
    print(f"\n{len(ROOMS)} rooms, {len(files)} modules, {total} lines")
    up, round_ = upward(links), circles((a, b) for a, b, _ in links)
    between = circles(folder_links(links, files))
    for heading, found in (
        ("imports that run up", up),
        ("circles between modules", round_),
        ("circles between folders", between),
    ):
        print(f"{heading}: {len(found)}")
        for item in found:
            print(f"  {item}")


if __name__ == "__main__":
    main()
