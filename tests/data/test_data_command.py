import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from comet_cli.cli.app import main
from comet_cli.cli.data import app
from comet_cli.errors import UsageError

run = CliRunner().invoke


def test_list_names_every_data_set():
    names = "tetris clevr clevr-lighting clevr-real clevr-table clevr-toy "
    names += "dsprites toon room drive-real drive-virtual"
    sizes = {name: 35 if name == "tetris" else 64 for name in names.split()}
    lines = run(app, ["list"]).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(sizes)
    rows = json.loads(run(app, ["list", "--json"]).stdout)
    assert {row["name"]: row["size"] for row in rows} == sizes


def test_make_then_check(tmp_path):
    out = str(tmp_path / "set")
    words = ["make", "tetris", "--count", "4", "--test-count", "2", "--objects", "1-2", "-o", out]
    made = run(app, [*words, "--jobs", "1", "--json"])
    assert json.loads(made.stdout) == {
        "folder": out,
        "counts": {"train": 4, "test": 2},
        "made": 6,
        "kept": 0,
    }
    checked = run(app, ["check", out, "--json"])
    assert checked.exit_code == 0 and json.loads(checked.stdout)["ok"] is True
    (tmp_path / "set" / "train" / "000000.png").unlink()
    checked = run(app, ["check", out])
    assert checked.exit_code == 1
    assert "train/000000.png: The picture is missing." in checked.stdout


def test_readers_are_listed_and_used(tmp_path, picture, capsys):
    names = [line.split("\t")[0] for line in run(app, ["list", "--readers"]).stdout.splitlines()]
    assert {"images", "clevr", "kitti", "multi-object", "hf"} <= set(names)
    rows = json.loads(run(app, ["list", "--readers", "--json"]).stdout)
    assert [row["name"] for row in rows] == names
    for number in range(3):
        picture(tmp_path / "s" / f"{number}.png", number)
    (tmp_path / "s" / "bad.png").write_bytes(b"")
    out = str(tmp_path / "set")
    words = ["import", "images", str(tmp_path / "s"), "-o", out, "--size", "16"]
    assert main(["data", *words, "--test-fraction", "0", "--json"]) == 0
    done = capsys.readouterr()
    assert json.loads(done.out) == {
        "folder": out,
        "counts": {"train": 3, "test": 0},
        "imported": 3,
        "kept": 0,
        "skipped": ["bad.png"],
    }
    assert done.err.startswith("comet: 1 of the pictures")
    again = run(app, [*words, "--test-fraction", "0"])
    assert again.stdout == f"{out}: 3 train, 0 test (0 imported, 3 kept, 1 skipped)\n"
    wrong = run(app, ["import", "nothing", str(tmp_path / "s"), "-o", str(tmp_path / "no")])
    assert isinstance(wrong.exception, UsageError) and "choose one of: images" in str(
        wrong.exception
    )


@pytest.mark.parametrize(
    "words", [["nothing"], ["tetris", "--objects", "many"], ["tetris", "--size", "36"]]
)
def test_wrong_usage_makes_nothing(tmp_path, words):
    result = run(app, ["make", *words, "-o", str(tmp_path / "set")])
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "set").exists()


def test_help_imports_neither_torch_nor_numpy():
    code = (
        "import sys, comet_cli.cli.data; "
        "assert not {'torch', 'numpy', 'mitsuba', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_check_that_finds_problems_says_its_exit_code_in_json(tmp_path):
    checked = run(app, ["check", str(tmp_path), "--json"])
    assert checked.exit_code == json.loads(checked.stdout)["exit_code"] == 1
