"""The examples of docs/extend.md run as they stand there, and do what the text says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.cli.app import app, main
from comet_cli.data.readers.catalogue import READERS
from comet_cli.energy.composition import Composition
from comet_cli.energy.descent import descend
from comet_cli.energy.solvers import SOLVERS
from comet_cli.models.architectures import ENCODER_NETWORKS, ENERGY_NETWORKS
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.base import BoundEnergy
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy
from comet_cli.training.loss_table import LOSSES
from comet_cli.training.objective import training_loss
from comet_cli.training.recipe import parse_recipe
from comet_cli.worlds.catalogue import GENERATORS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "extend.md").read_text("utf-8")
MOST_LINES = 30
RECIPE = """
[model]
name = "tiny"
encoder = "global"
energy = "quadratic"
filter_dim = 16
components = 2
latent_dim = 3
image_size = 16
step_size = 1.0
num_steps = 1
[data]
train = "pictures"
[train]
iterations = 3
batch = 4
threads = 1
"""


def blocks(kind: str) -> dict[str, list[str]]:
    """Return the blocks of a kind under each heading."""
    parts = re.split(r"^## (.+)\n", TEXT, flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {head: re.findall(rf"^```{kind}\n(.*?)^```$", part, re.M | re.S) for head, part in found}


PYTHON, TOML, COMMANDS = blocks("python"), blocks("toml"), blocks("text")
EXAMPLES = [(head, n) for head, found in PYTHON.items() for n in range(len(found))]


def run(head: str, number: int = 0) -> dict[str, Any]:
    """Run an example and return its names."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(PYTHON[head][number], names)
    return names


@pytest.fixture(autouse=True)
def tables():
    """The tables are restored after each test."""
    dictionaries: list[dict] = [SOLVERS, LOSSES, GENERATORS, READERS]
    lists: list[list] = [ENCODER_NETWORKS, ENERGY_NETWORKS, app.registered_commands]
    kept = [table.copy() for table in (*dictionaries, *lists)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for table, rows in zip(dictionaries, kept[: len(dictionaries)], strict=True):
        table.clear()
        table.update(rows)
    for listed, rows in zip(lists, kept[len(dictionaries) :], strict=True):
        listed[:] = rows


def recipe_with(lines: str) -> str:
    """Return the recipe, lines of the document instead of its own or added at the end."""
    text = RECIPE
    for line in lines.splitlines():
        key = line.split(" = ")[0]
        known = re.search(rf"^{key} = .*$", text, re.MULTILINE)
        text = text.replace(known[0], line) if known else f"{text}{line}\n"
    return text


def pictures() -> torch.Tensor:
    """Return x (4,3,16,16), each picture of one colour with some noise."""
    noise = torch.Generator().manual_seed(0)
    colours = torch.rand(4, 3, 1, 1, generator=noise)
    return (colours + 0.05 * torch.randn(4, 3, 16, 16, generator=noise)).clamp(0, 1)


def test_there_is_an_example_of_each_thing_that_the_table_and_the_readme_name():
    heads = ["A solver", "An energy network", "An encoder", "A loss", "A data set", "A verb"]
    assert list(PYTHON) == heads
    assert [len(PYTHON[head]) for head in heads] == [1, 1, 1, 1, 2, 1]
    readme = (ROOT / "README.md").read_text("utf-8")
    part = readme.split("(docs/extend.md) has")[1].split("\n## ")[0]
    assert re.findall(r"^\* \*\*(.+?)\*\*", part, re.MULTILINE) == heads


@pytest.mark.parametrize("head, number", EXAMPLES)
def test_an_example_has_at_most_thirty_lines(head: str, number: int) -> None:
    lines = PYTHON[head][number].splitlines()
    assert len(lines) <= MOST_LINES
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("head, number", EXAMPLES)
def test_an_example_adds_one_row_to_one_table(head: str, number: int) -> None:
    tables = [
        *(SOLVERS, LOSSES, GENERATORS, READERS),
        *(ENCODER_NETWORKS, ENERGY_NETWORKS, app.registered_commands),
    ]
    before = [len(table) for table in tables]
    run(head, number)
    assert sorted(len(t) - n for t, n in zip(tables, before, strict=True)) == [0] * 6 + [1]


def test_the_solver_lowers_an_energy():
    run("A solver")
    noise = torch.Generator().manual_seed(0)
    precision = torch.rand(2, 1, 1, 8, 8, generator=noise) * 10 + 0.1
    mean, x0 = torch.rand(2, 2, 3, 8, 8, generator=noise).unbind(1)
    energy = Composition.of(BoundQuadraticEnergy(precision, mean[:, None]))
    x = descend(energy, x0, num_steps=30, solver="sign")
    assert (energy(x) < 0.01 * energy(x0)).all()
    first = descend(energy, x0, num_steps=1, solver="sign", bounds=None)
    assert torch.allclose((first - x0).abs(), torch.full_like(x0, 0.1), atol=1e-6)
    # A picture's result does not depend on the others.
    alone = Composition.of(BoundQuadraticEnergy(precision[:1], mean[:1, None]))
    assert torch.equal(descend(alone, x0[:1], num_steps=30, solver="sign"), x[:1])


def test_the_command_line_knows_the_solver(tmp_path, capsys):
    run("A solver")
    (command,) = re.findall(r"^    comet (.+--solver .+)$", TEXT, re.MULTILINE)
    words = command.split()
    picture, made = str(tmp_path / "a.png"), str(tmp_path / "made.png")
    Image.fromarray(np.full((16, 16, 3), 99, np.uint8)).save(picture)
    trained = train(tmp_path, recipe_with(""))
    words = [{"a.z": picture, "b.z:1": f"{picture}:1", "both.png": made}.get(w, w) for w in words]
    assert main([*words, "-m", trained]) == 0
    assert main(["inspect", made]) == 0
    assert "sign" in capsys.readouterr().out


def train(tmp_path: Path, text: str) -> str:
    """Train a recipe on six small pictures and return the model's folder."""
    (tmp_path / "pictures").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for n, pixels in enumerate(rng.integers(0, 256, (6, 1, 1, 3)).astype(np.uint8)):
        whole = np.broadcast_to(pixels, (16, 16, 3))
        Image.fromarray(whole).save(tmp_path / "pictures" / f"{n}.png")
    text = text.replace('train = "pictures"', f"train = {json.dumps(str(tmp_path / 'pictures'))}")
    (tmp_path / "recipe.toml").write_text(text)
    assert main(["train", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "tiny")]) == 0
    return str(tmp_path / "tiny")


@pytest.mark.parametrize("head", ["An energy network", "An encoder"])
def test_a_network_is_trained(head: str) -> None:
    run(head)
    recipe = parse_recipe(recipe_with(TOML[head][0]))
    torch.manual_seed(0)
    model, x = CometModel(recipe.card), pictures()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        loss, _ = training_loss(model, x, recipe.train, 0)
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[1] < losses[0]


@pytest.mark.parametrize("head", ["An energy network", "An encoder"])
def test_the_command_line_trains_and_uses_a_network(head: str, tmp_path: Path) -> None:
    run(head)
    made, picture = str(tmp_path / "made.png"), str(tmp_path / "pictures" / "0.png")
    folder = train(tmp_path, recipe_with(TOML[head][0]))
    assert main(["encode", picture, "-m", folder, "-o", str(tmp_path / "0.z")]) == 0
    assert main(["compose", str(tmp_path / "0.z"), "-m", folder, "-o", made]) == 0
    assert Image.open(made).size == (16, 16)


def test_the_energy_network_offers_what_the_protocol_asks_for():
    names = run("An energy network")
    network, x = names["ColourEnergy"](latent_dim=3), torch.rand(4, 3, 16, 16)
    bound: BoundEnergy = network.bind(torch.randn(4, 2, 3), [True, True])
    assert bound(x).shape == (4, 2)
    curvature = bound.curvature(x)
    assert curvature is not None and curvature.shape == (4, 2, 1, 16, 16)
    hessian = torch.autograd.functional.hessian(lambda p: bound(p)[0, 0], x[:1, :, :2, :2])
    assert torch.allclose(hessian.reshape(12, 12), torch.eye(12))
    rows, columns = torch.tensor([[1, 2], [3, 0]]), torch.tensor([0, 1])
    mixed = bound.recombine(rows, columns)(x[:2])
    assert torch.allclose(mixed[0, 1], bound(x[[0, 0, 0, 0]])[2, 1])


def test_the_encoder_gives_components():
    names = run("An encoder")
    assert names["LinearEncoder"](5, 7)(torch.rand(2, 3, 20, 20)).shape == (2, 5, 7)


def test_the_loss_is_added_with_its_weight():
    torch.manual_seed(0)
    recipe = parse_recipe(RECIPE)
    model, x = CometModel(recipe.card), pictures()
    plain, _ = training_loss(model, x, recipe.train, 0)
    run("A loss")
    weighed = parse_recipe(recipe_with(TOML["A loss"][0])).train
    loss, _ = training_loss(model, x, weighed, 0)
    expected = weighed.losses["brevity"] * model.encode(x).abs().mean()
    assert expected > 1e-5
    assert (loss - plain).item() == pytest.approx(expected.item(), rel=1e-3)


def own_file(tmp_path: Path, head: str, number: int, *words: str) -> str:
    """Call comet with an example in a file of one's own, as the document says."""
    (line,) = re.findall(r'^ *python -c "(.+)" data list$', TEXT, re.MULTILINE)
    (tmp_path / "stripes.py").write_text(PYTHON[head][number])
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", line, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_data_set_is_made(tmp_path):
    assert "stripes\tcoloured stripes" in own_file(tmp_path, "A data set", 0, "data", "list")
    words = COMMANDS["A data set"][0].split()[1:]
    words[words.index("1000")], words[words.index("100")] = "12", "3"
    own_file(tmp_path, "A data set", 0, *words, "--jobs", "2")
    assert len(list((tmp_path / "stripes" / "train").glob("*.png"))) == 12
    assert main(["data", "check", str(tmp_path / "stripes")]) == 0
    run("A data set")
    again = ["data", "make", "stripes", "--count", "12", "--test-count", "3", "--jobs", "1"]
    assert main([*again, "-o", str(tmp_path / "again")]) == 0
    for file in (tmp_path / "stripes").rglob("*.png"):
        other = tmp_path / "again" / file.relative_to(tmp_path / "stripes")
        assert file.read_bytes() == other.read_bytes()


def test_the_published_data_set_is_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    rng = np.random.default_rng(0)
    for n in range(5):
        np.save(tmp_path / "FOLDER" / f"{n}.npy", rng.integers(0, 256, (40, 30, 3), np.uint8))
    run("A data set", 1)
    assert main(["data", "list", "--readers"]) == 0
    assert "arrays" in capsys.readouterr().out
    assert main(COMMANDS["A data set"][1].split()[1:]) == 0
    assert len(list((tmp_path / "arrays").glob("t*/*.png"))) == 5


def test_the_verb_stands_in_the_help_and_runs(tmp_path):
    listed = own_file(tmp_path, "A verb", 0, "--help")
    part = listed.split("Look closer:")[1].split("\n\n")[0]
    assert re.search(r"^  colour +Print the mean colours of pictures\.$", part, re.MULTILINE)
    Image.fromarray(np.full((8, 8, 3), (255, 0, 51), np.uint8)).save(tmp_path / "photo.png")
    words = COMMANDS["A verb"][0].split()[1:]
    found = json.loads(own_file(tmp_path, "A verb", 0, *words))
    assert found["colours"]["photo.png"] == pytest.approx([1, 0, 0.2], abs=1e-3)
    assert own_file(tmp_path, "A verb", 0, *words[:2]) == "photo.png\t1.000\t0.000\t0.200\n"
