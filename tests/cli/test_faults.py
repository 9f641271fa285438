"""What must not go wrong: a full disk, a read-only folder, an interrupt, huge pictures."""

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import comet_cli
from comet_cli.formats.picture_recipe import RecipeRow, embed_recipe, read_recipe

ROOT = Path(comet_cli.__file__).parents[1]


@pytest.fixture
def encoded(pictures):
    """Components of two pictures; return the runner."""
    assert pictures("encode", "a.png", "b.png", "-m", "quad").code == 0
    return pictures


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


WRITES = {
    "encode": ["encode", "a.png", "-m", "quad", "--fresh", "-o", "{}/out.z"],
    "compose": ["compose", "a.z:0", "b.z:1", "--steps", "1", "-o", "{}/out.png"],
    "trace": ["compose", "a.z", "--steps", "1", "-o", "kept.png", "--trace", "{}/out.gif"],
    "decompose": ["decompose", "a.png", "-m", "quad", "-o", "{}/out.png"],
    "gradients": ["gradients", "a.png", "-m", "quad", "-o", "{}/out.png"],
    "recombine": ["recombine", "a.z", "b.z", "--steps", "1", "-o", "{}/out.png"],
    "gallery": ["gallery", ".", "-o", "{}/out.html"],
}


@pytest.mark.parametrize("verb", WRITES)
def test_a_full_disk_keeps_what_is_there_and_leaves_nothing_half(encoded, small_disk, verb):
    (small_disk / "mine").write_bytes(bytes(1000))
    with pytest.raises(OSError), open(small_disk / "full", "wb", buffering=0) as file:
        while True:
            assert file.write(bytes(4096)), "the disk is full"
            os.fsync(file.fileno())
    before = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    done = encoded(*(word.format(small_disk) for word in WRITES[verb]))
    assert done.code == 1 and "no space left for" in done.sentence
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("verb", WRITES)
def test_writes_that_fail_half_way_keep_the_file_that_was_there(encoded, monkeypatch, verb, number):
    os.mkdir("folder")
    command = [word.format("folder") for word in WRITES[verb]]
    assert encoded(*command).code == 0
    before = {path.name: path.read_bytes() for path in Path("folder").iterdir()}
    fdopen = os.fdopen

    class Half:
        """A file that takes half of what it is given."""

        def __init__(self, handle: int, mode: str) -> None:
            self.file = fdopen(handle, mode)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[: len(data) // 2])
            raise OSError(number, os.strerror(number))

    if verb == "encode":  # its file is there, so that nothing would be written
        Path("folder/out.z").write_bytes(Path("b.z").read_bytes())
        before["out.z"] = Path("b.z").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", Half)
        done = encoded(*command)
    sentence = "no space left" if number == errno.ENOSPC else "cannot be written"
    assert done.code == 1 and sentence in done.sentence
    assert {path.name: path.read_bytes() for path in Path("folder").iterdir()} == before


def test_a_batch_on_a_full_disk_names_each_line_and_is_completed_later(encoded, monkeypatch):
    lines = [f"a.z:{k} -o {k}.png --steps 1" for k in range(4)]
    Path("list.txt").write_text("\n".join(lines))
    replace = os.replace

    def full(source, target):
        if Path(target).name in ("1.png", "2.png"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        done = encoded("batch", "list.txt", "--resume")
    assert done.code == 3 and done.out.count('"written"') == 2
    assert all(f"line {n}: no space left for '{n - 1}.png'" in done.err for n in (2, 3))
    assert not list(Path().glob(".comet-*")) and not Path("1.png").exists()
    done = encoded("batch", "list.txt", "--resume")
    assert (done.code, done.out.count('"written"'), done.out.count('"kept"')) == (0, 2, 2)


@pytest.mark.parametrize("verb", WRITES)
def test_a_read_only_folder_is_told_in_a_sentence(encoded, verb):
    folder = Path("folder")
    folder.mkdir()
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("permissions do not bind this user")
        done = encoded(*(word.format("folder") for word in WRITES[verb]))
        assert done.code == 1 and "cannot be written: Permission denied" in done.sentence
        assert not list(folder.iterdir())
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("verb", WRITES)
def test_a_folder_that_takes_no_files_is_told_in_a_sentence(encoded, monkeypatch, verb):
    os.mkdir("folder")
    opened = os.open

    def refuse(path, flags, *rest, **words):
        if flags & os.O_CREAT and Path(path).parent.name == "folder":
            raise OSError(errno.EACCES, "Permission denied")
        return opened(path, flags, *rest, **words)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        done = encoded(*(word.format("folder") for word in WRITES[verb]))
    assert done.code == 1 and "cannot be written: Permission denied" in done.sentence
    assert os.listdir("folder") == []


def test_an_interrupt_between_seeds_keeps_pictures_and_names_the_rest(encoded, monkeypatch):
    from comet_cli.verbs import compose as module

    write = module.write_png

    def interrupted(pixels, path, recipe):
        if str(path) == "5.png":
            raise KeyboardInterrupt
        write(pixels, path, recipe)

    command = ["compose", "a.z:0,1", "--steps", "1", "--init", "noise", "-o", "{seed}.png"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_png", interrupted)
        done = encoded(*command, "--seeds", "3-7,1")
    assert done.code == 130 and "2 of 6 pictures are written and kept" in done.sentence
    rest = done.sentence.split()[-1]
    assert rest == "5-7,1"
    kept = Path("4.png").read_bytes()
    assert encoded(*command, "--seeds", rest).code == 0
    assert {path.name for path in Path().glob("[0-9].png")} == {
        f"{n}.png" for n in (1, 3, 4, 5, 6, 7)
    }
    assert encoded("compose", *command[1:-2], "--seed", "4", "-o", "alone.png").code == 0
    assert Path("alone.png").read_bytes() == kept == Path("4.png").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for another process")
def test_ctrl_c_in_a_batch_ends_with_130_and_the_rerun_completes(encoded, models):
    lines = [f"a.z:0,{n % 3} -o {n:03}.png --seed {n} --init noise --steps 400" for n in range(800)]
    Path("list.txt").write_text("\n".join(lines))
    process = subprocess.Popen(
        [sys.executable, "-m", "comet_cli", "batch", "list.txt", "--batch-size", "1"],
        env={**os.environ, "COMET_HOME": str(models), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in a shell's background, SIGINT is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not list(Path().glob("0*.png")):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    there = {path.name: path.read_bytes() for path in Path().glob("[0-9]*.png")}
    assert process.returncode == 130, err
    assert 1 <= len(there) < 800 and len(err.splitlines()) == 1 and "--resume goes on" in err
    assert not list(Path().glob(".comet-*"))
    Path("list.txt").write_text("\n".join(lines[: len(there) + 2]))
    done = encoded("batch", "list.txt", "--resume", "--batch-size", "1")
    assert done.code == 0 and done.out.count('"kept"') == len(there)
    assert all(Path(name).read_bytes() == data for name, data in there.items())


def test_ctrl_c_while_the_command_is_imported_ends_with_130(tmp_path):
    """Also in the middle of an ``exec``, after which CPython would end with the signal."""
    (tmp_path / "sitecustomize.py").write_text(
        "import dataclasses\n"
        "def interrupted(*args, **options):\n"
        "    exec('raise KeyboardInterrupt')\n"
        "dataclasses._create_fn = interrupted\n"
        "dataclasses._process_class = interrupted\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "comet_cli", "--version"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "comet: interrupted\n")


def huge(width: int = 30_000, height: int = 30_000) -> bytes:
    """Return a PNG that says it is huge, and of which some rows are there."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1 << 20))),
        (b"IEND", b""),
    ]
    found = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        found += struct.pack(">I", len(body)) + kind + body
        found += struct.pack(">I", zlib.crc32(kind + body))
    return found


@pytest.mark.parametrize(
    "command",
    [
        "encode huge.png -m quad",
        "encode huge.png",
        "compose huge.png:0 -m quad -o out.png",
        "compose a.z --init huge.png -o out.png",
        "compose a.z:0@huge.png -o out.png",
        "decompose huge.png -m quad -o out.png",
        "gradients huge.png -m quad -o out.png",
        "recombine huge.png a.png -m quad -o out.png",
        "score huge.png a.z",
        "inspect huge.png",
        "replay recipe.png -o out.png",
        "replay inside.png -o out.png",
    ],
)
def test_a_picture_of_30000_pixels_is_refused_before_it_is_decoded(encoded, monkeypatch, command):
    encoded("compose", "a.z", "--steps", "1", "--init", "a.png", "-o", "small.png")
    recipe = read_recipe(Path("small.png").read_bytes())
    Path("huge.png").write_bytes(huge())
    Path("recipe.png").write_bytes(embed_recipe(huge(), recipe))
    inside = recipe.rows[0]
    changed = recipe.__class__(
        recipe.verb,
        recipe.models,
        (RecipeRow(inside.name, inside.terms, huge()),),
        recipe.settings,
        recipe.versions,
    )
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save("plain.png")
    plain = Path("plain.png").read_bytes()
    Path("inside.png").write_bytes(embed_recipe(plain, changed))
    load = ImageFile.ImageFile.load

    def decoded(image):
        assert image.width < 30_000, "it is decoded"
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    done = encoded(*command.split())
    assert done.code == 1 and "million pixels, too many to decode" in done.err
    assert "Traceback" not in done.err and not Path("out.png").exists()


def test_large_pictures_are_not_copied_for_nothing(tmp_path):
    """Pillow keeps 4 bytes a pixel; a copy or two more would pass a gigabyte at 100 million."""
    if not sys.platform.startswith("linux"):
        pytest.skip("ru_maxrss is in other units")
    side = 4000
    Image.new("RGB", (side, side), (10, 200, 30)).save(tmp_path / "a.png", compress_level=1)
    script = (
        "import sys, resource; from comet_cli.formats.images import load_image;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "x = load_image(sys.argv[1], 8);"
        "assert abs(x[1] - 200 / 255).max() < 0.01;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.png")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 1.5 * 4 * side * side
