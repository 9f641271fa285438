"""Access lists (setfacl): files get what their folder, or the file they replace, has."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from comet_cli.formats.files import ACCESS_LIST, write_output

DEFAULT = "user:12345:rwx,group::rx,group:12346:rwx,other::-"


def set_list(*words: str) -> None:
    """Call setfacl, or skip the test."""
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    done = subprocess.run(["setfacl", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no access lists here: {done.stderr}")


def access(path: Path) -> tuple[int, bytes | None]:
    try:
        return path.stat().st_mode & 0o777, os.getxattr(path, ACCESS_LIST)
    except OSError:
        return path.stat().st_mode & 0o777, None


def usual(folder: Path) -> dict[bool, tuple[int, bytes | None]]:
    """Return what the system gives new files and folders."""
    folder.joinpath("plain-file").touch()
    folder.joinpath("plain-folder").mkdir()
    return {False: access(folder / "plain-file"), True: access(folder / "plain-folder")}


@pytest.mark.parametrize(
    "command",
    [
        "encode a.png b.png -m quad -o new",
        "compose a.png b.png -m quad --trace new/t.gif -o new/out.png",
        "gradients a.png -m quad --npz new/n.npz --each new -o new/g.png",
        "gallery . -o new/page.html",
        "batch list.txt -m quad",
        "models export pool -o new/m.pt",
        "data pack . -o new/pack --size 16",
    ],
)
def test_new_files_get_what_the_folder_s_list_says(pictures, command):
    os.mkdir("new")
    set_list("-d", "-m", DEFAULT, "new")
    Path("list.txt").write_text("a.png -o new/1.png\nb.png -o new/2.png\n")
    given = usual(Path("new"))
    assert b"90\0\0" in (given[False][1] or b""), "the list names user 12345"
    done = pictures(*command.split())
    assert done.code == 0, done.err
    made = [path for path in Path("new").rglob("*") if not path.name.startswith("plain-")]
    assert made
    assert [path for path in made if access(path) != given[path.is_dir()]] == []


def test_a_trained_model_gets_what_the_folder_s_list_says(train):
    os.mkdir("new")
    set_list("-d", "-m", DEFAULT, "new")
    given = usual(Path("new"))
    done = train("train", "recipe.toml", "-o", "new/m")
    assert done.code == 0, done.err
    made = [Path("new/m"), *Path("new/m").rglob("*")]
    assert (
        len(made) > 4 and {path for path in made if access(path) != given[path.is_dir()]} == set()
    )


def test_a_replaced_file_keeps_its_own_list(tmp_path):
    own, private = tmp_path / "own", tmp_path / "private"
    for path in (own, private):
        write_output(path, b"before")
        path.chmod(0o640)
    set_list("-m", "user:12345:r", str(own))
    set_list("-d", "-m", DEFAULT, str(tmp_path))  # what holds for new files
    before = access(own), access(private)
    assert before[0][1] is not None and before[1] == (0o640, None)
    for path in (own, private):
        write_output(path, b"after")
        assert path.read_bytes() == b"after"
    assert (access(own), access(private)) == before
