"""Videos and animated pictures to folders of ``.z``, and such folders to animations."""

import io
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from comet_cli.formats.components import read_components
from comet_cli.formats.frames import read_frames
from comet_cli.formats.images import decode_png, load_whole
from comet_cli.formats.overwriting import made_by_comet
from comet_cli.inputs.session import Session

NAMES = [f"dance/dance-{n:05}.z" for n in range(1, 5)]


def save_animation(name: str, count: int = 4, **options) -> None:
    images = [picture(n) for n in range(count)]
    options = {"duration": 40, **options}
    images[0].save(name, save_all=True, append_images=images[1:], **options)


@pytest.fixture
def dance(comet):
    """Write dance.png, an animation of four frames; return the runner."""
    save_animation("dance.png", duration=[40, 80, 120, 60])
    return comet


@pytest.fixture
def encoded(dance):
    """Encode it into the folder dance, and a picture into a.z; return the runner."""
    picture(9).save("a.png")
    assert dance("encode", "dance.png", "a.png", "-m", "quad").code == 0
    return dance


def pixels(path: str) -> list[np.ndarray]:
    data = Path(path).read_bytes()
    return [np.asarray(load_whole(f.picture)) for f in read_frames(data, path)]


def times(path: str) -> list[int]:
    return [round(1000 * f.seconds) for f in read_frames(Path(path).read_bytes(), path)]


def test_each_frame_is_what_the_frame_alone_is_encoded_to(dance):
    done = dance("encode", "dance.png", "-m", "quad")
    assert (done.code, done.out.split()) == (0, NAMES)
    assert sorted(str(p) for p in Path("dance").iterdir()) == NAMES
    for n, name in enumerate(NAMES):
        picture(n).save("one.png")
        dance("encode", "one.png", "-m", "quad", "--fresh")
        found, wanted = read_components(name), read_components("one.z")
        assert np.array_equal(found.z, wanted.z) and found.source == "dance.png"
    assert [read_components(n).seconds for n in NAMES] == [0.04, 0.08, 0.12, 0.06]


def test_what_is_encoded_already_is_kept(dance, monkeypatch):
    dance("encode", "dance.png", "-m", "quad")
    before = [Path(n).read_bytes() for n in NAMES]
    Path(NAMES[2]).unlink()
    encoded = []
    infer = Session.infer
    monkeypatch.setattr(Session, "infer", lambda *a, **k: (encoded.append(1), infer(*a, **k))[1])
    done = dance("encode", "dance.png", "-m", "quad")
    assert "3 of 4 already encoded" in done.err and len(encoded) == 1
    assert [Path(n).read_bytes() for n in NAMES] == before


def test_auto_takes_one_model_for_all_frames(dance):
    done = dance("encode", "dance.png", "--json")
    assert len({o["model"] for o in done.json["outputs"]}) == 1
    assert "'dance.png', 4 frames," in done.err and "models were chosen" not in done.err


def test_a_folder_takes_a_folder_of_each(comet):
    save_animation("dance.png", 2)
    save_animation("wave.gif", 3)
    picture(3).save("still.png")
    Path("z").mkdir()
    assert comet("encode", "dance.png", "wave.gif", "still.png", "-m", "pool", "-o", "z").code == 0
    found = sorted(str(p.relative_to("z")) for p in Path("z").rglob("*.z"))
    assert found == [
        *(f"dance/dance-{n:05}.z" for n in (1, 2)),
        "still.z",
        *(f"wave/wave-{n:05}.z" for n in (1, 2, 3)),
    ]


def test_a_video_is_taken_apart_too(encoded):
    pytest.importorskip("av")
    assert encoded("compose", "dance/", "-o", "new.mp4", "--fps", 20).code == 0
    done = encoded("encode", "new.mp4", "-m", "quad")
    assert done.code == 0 and len(done.out.split()) == 4
    assert read_components("new/new-00002.z").seconds == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "frames.z"], "has several frames, each of which becomes a .z; give an existing"),
        (["-o", "new/"], "give an existing folder"),
        (["-o", "-"], "give an existing folder"),
    ],
)
def test_an_output_that_takes_no_frames_is_refused(dance, arguments, sentence):
    done = dance("encode", "dance.png", "-m", "quad", *arguments)
    assert done.code == 2 and sentence in done.sentence
    assert os.listdir() == ["dance.png"]


def test_work_in_the_way_is_kept(dance):
    Path("dance").write_text("mine")
    done = dance("encode", "dance.png", "-m", "quad")
    assert done.code == 2 and "a file is called so" in done.sentence
    assert Path("dance").read_text() == "mine"
    Path("dance").unlink()
    Path("dance").mkdir()
    Path(NAMES[1]).write_text("mine")
    done = dance("encode", "dance.png", "-m", "quad")
    assert done.code == 2 and "was not made by comet; give --force" in done.sentence
    assert Path(NAMES[1]).read_text() == "mine" and len(os.listdir("dance")) == 1
    assert dance("encode", "dance.png", "-m", "quad", "--force").code == 0


def test_frames_of_something_else_would_be_composed_too_so_they_are_refused(dance):
    save_animation("longer.png", 6)
    dance("encode", "longer.png", "-m", "quad")
    os.rename("longer", "dance")
    done = dance("encode", "dance.png", "-m", "quad")
    assert done.code == 2 and "'longer-00001.z' and 5 more .z, which are no frames" in done.sentence
    for path in list(Path("dance").iterdir()):
        path.rename(str(path).replace("longer", "dance"))
    done = dance("encode", "dance.png", "-m", "quad")
    assert done.code == 2 and "'dance-00005.z' and 1 more .z" in done.sentence


def test_a_broken_animation_fails_alone_and_leaves_nothing(comet):
    save_animation("cut.png")
    data = Path("cut.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    picture(0).save("a.png")
    done = comet("encode", "cut.png", "-m", "quad")
    assert done.code == 1 and "'cut.png' is broken or truncated after frame" in done.sentence
    done = comet("encode", "cut.png", "a.png", "-m", "quad", "--json")
    assert done.code == 3 and [f["path"] for f in done.json["failed"]] == ["cut.png"]
    assert sorted(os.listdir()) == ["a.png", "a.z", "cut.png"]


def test_an_interrupt_keeps_what_is_encoded(dance, monkeypatch):
    infer = Session.infer
    calls = []

    def stopped(self, *args, **more):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return infer(self, *args, **more)

    monkeypatch.setattr(Session, "infer", stopped)
    done = dance("encode", "dance.png", "-m", "quad")
    assert done.code == 130 and "of 4 pictures were encoded and their files are kept" in done.err
    assert len(list(Path("dance").glob("*.z"))) == len(done.out.split()) > 0


def test_of_an_animation_given_as_a_picture_the_first_frame_is_taken_and_told(dance):
    done = dance("decompose", "dance.png", "-m", "quad", "-o", "sheet.png")
    assert done.code == 0
    assert "is an animation of 4 frames, of which the first is taken" in done.sentence


@pytest.mark.parametrize("ending", [".apng", ".png", ".webp", ".mp4"])
def test_each_frame_is_what_its_component_file_composes(encoded, ending):
    if ending == ".mp4":
        pytest.importorskip("av")
    done = encoded("compose", "dance/:0,2", "a.z:1,3", "-o", f"new{ending}", "--seed", 5)
    assert (done.code, done.out.strip()) == (0, f"new{ending}")
    found = pixels(f"new{ending}")
    shown = times(f"new{ending}")
    if ending == ".mp4":  # a track of one pace: longer frames are repeated
        assert sum(shown) == pytest.approx(300, abs=shown[0] / 2)
        found = [found[0], found[1], found[3], found[-1]]
    else:
        assert shown == [40, 80, 120, 60]
    for name, frame in zip(NAMES, found, strict=True):
        encoded("compose", f"{name}:0,2", "a.z:1,3", "-o", "one.png", "--seed", 5)
        assert np.array_equal(decode_png(Path("one.png").read_bytes()), frame)


def test_a_gif_has_the_frames_and_is_comets_own(encoded):
    command = ["compose", "dance", "-o", "new.gif", "--fps", 10, "--scale", 2]
    assert encoded(*command).code == 0
    assert times("new.gif") == [100] * 4 and pixels("new.gif")[0].shape == (48, 48, 3)
    assert made_by_comet("new.gif") and encoded(*command).code == 0
    Path("new.gif").write_bytes(Path("new.gif").read_bytes() + b"\0")
    assert "was changed after comet made it" in encoded(*command).sentence


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_inspect_knows_an_animation_by_comet(encoded, kind):
    name = f"new.{kind}"
    assert encoded("compose", "dance", "-o", name).code == 0
    facts = encoded("inspect", name, "--json").json
    assert (facts["frames"], facts["sealed"], facts["recipe"]) == (4, True, None)
    first, second = encoded("inspect", name).out.splitlines()
    assert first.endswith(", 4 frames")
    reason = f"an animation by comet; a {kind.upper()} carries no recipe"
    assert second == f"recipe   none: {reason}"
    Path(name).write_bytes(Path(name).read_bytes() + b"\0")
    assert "not made by comet" in encoded("inspect", name).out


def test_an_animated_png_is_made_again_from_its_recipe(encoded):
    picture(7).save("start.png")
    options = ["--init", "start.png", "--tolerance", 0.01, "--seed", 3]
    assert encoded("compose", "dance:0,1", "a.z:2@0,0,9,9", "-o", "new.apng", *options).code == 0
    done = encoded("replay", "new.apng")
    assert done.sentence == "comet: the replay has the same pixels"
    assert done.out.strip() == "new-replay.apng"
    assert Path("new-replay.apng").read_bytes() == Path("new.apng").read_bytes()
    assert encoded("inspect", "new.apng").out.splitlines()[0].endswith(", 4 frames")
    assert encoded("compose", "dance", "-o", "bare.apng", "--no-metadata").code == 0
    assert "holds no recipe" in encoded("replay", "bare.apng").sentence
    Path("new.png").write_bytes(Path("new.apng").read_bytes())
    done = encoded("replay", "new.apng", "new.png")
    assert (done.code, done.out.split()) == (0, ["new-replay.apng", "new-replay.png"])
    assert encoded("replay", "new.apng", "-o", "other.apng").code == 0


@pytest.mark.parametrize("options", [["--steps", 4], ["--solver", "langevin", "--steps", 130]])
def test_a_trace_is_made_again_whole(encoded, options):
    made = encoded("compose", "a.z", *options, "--trace", "way.apng", "-o", "out.png")
    assert made.code == 0
    done = encoded("replay", "way.apng", "out.png")
    assert (done.code, done.out.split()) == (0, ["way-replay.apng", "out-replay.png"])
    assert done.err.count("the replay has the same pixels") == 2
    assert Path("way-replay.apng").read_bytes() == Path("way.apng").read_bytes()


@pytest.mark.parametrize("frames", ["0111", "0010", "0000"])
def test_frames_that_are_alike_are_made_again_too(encoded, frames):
    """Pillow writes equal neighbours once, for a longer time."""
    Path("still").mkdir()
    known = sorted(Path("dance").iterdir())
    for n, digit in enumerate(frames):
        shutil.copy(known[int(digit)], f"still/{n}.z")
    assert encoded("compose", "still", "-o", "new.apng", "--fps", 10).code == 0
    done = encoded("replay", "new.apng")
    assert done.sentence == "comet: the replay has the same pixels"
    assert Path("new-replay.apng").read_bytes() == Path("new.apng").read_bytes()


def test_score_tells_that_it_takes_the_first_frame(encoded):
    done = encoded("score", "dance.png", "a.z:0")
    assert "is an animation of 4 frames, of which the first is taken" in done.sentence


def test_folders_and_blends_go_together(encoded):
    save_animation("wave.gif", 4)
    encoded("encode", "wave.gif", "-m", "quad")
    assert encoded("compose", "dance:0%0.5%wave:0", "wave/:1-3", "-o", "new.webp").code == 0
    encoded(
        *("compose", "dance/dance-00003.z:0%0.5%wave/wave-00003.z:0"),
        *("wave/wave-00003.z:1-3", "-o", "one.png"),
    )
    assert np.array_equal(pixels("new.webp")[2], decode_png(Path("one.png").read_bytes()))


def test_a_picture_beside_a_folder_is_encoded_once(encoded, monkeypatch):
    Path("a.z").unlink()
    seen = []
    infer = Session.infer
    monkeypatch.setattr(Session, "infer", lambda *a, **k: (seen.append(1), infer(*a, **k))[1])
    assert encoded("compose", "dance:0", "a.png:1", "-m", "quad", "-o", "new.apng").code == 0
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dance", "-o", "new.txt"], "'new.txt' must end in one of .apng, .gif"),
        (["dance", "-o", "-"], "must end in one of"),
        (["dance", "-o", "new.gif", "--seeds", "0-3"], "makes an animation, and --seeds goes with"),
        (["dance", "-o", "new.gif", "--trace", "t.gif"], "and --trace goes with one picture"),
        (["dance", "-o", "new.gif", "--fps", "0"], "--fps is 0, expected 0.01 to 1000"),
        (["dance", "-o", "gone/new.gif"], "output folder 'gone' does not exist"),
        (["a.z", "-o", "new.png", "--fps", "5"], "--fps is for an animation, and no folder"),
        (["dance", "empty", "-o", "new.gif"], "the folder 'empty' holds no .z; comet encode"),
        (["dance", "two:1", "-o", "n.gif"], "as many .z files: 'dance' holds 4 and 'two' holds 2"),
        (["a.z:0", "-o", "new.gif"], "pictures are written as PNG"),
        (["dance:9", "-o", "new.gif"], "asks for component 9, but there are 4"),
    ],
)
def test_what_cannot_be_an_animation_is_one_sentence(encoded, arguments, sentence):
    Path("empty").mkdir()
    save_animation("two.gif", 2)
    encoded("encode", "two.gif", "-m", "quad")
    before = sorted(os.listdir())
    done = encoded("compose", *arguments)
    assert done.code == 2 and sentence in done.sentence
    assert sorted(os.listdir()) == before


def test_a_line_of_a_list_makes_an_animation(encoded):
    lines = ["dance:0 a.z:1 -o new.apng", "a.z -o one.png", "dance a.z:0 --fps 5 -o new.gif"]
    Path("list.txt").write_text("\n".join([*lines, "dance -o new.txt"]))
    done = encoded("batch", "list.txt")
    told = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 3 and [each["status"] for each in told] == [*["written"] * 3, "failed"]
    assert "must end in one of .apng" in told[3]["error"]
    for line, path in zip(lines, ("new.apng", "one.png", "new.gif"), strict=True):
        assert encoded("compose", *line.split()[:-1], f"alone-{path}").code == 0
        assert Path(path).read_bytes() == Path(f"alone-{path}").read_bytes()
    done = encoded("batch", "list.txt", "--resume")
    told = [json.loads(line)["status"] for line in done.out.splitlines()]
    assert told == ["kept", "kept", "written", "failed"]  # only a PNG tells how it was made
    Path("new.apng").write_bytes(Path("new.apng").read_bytes()[:-20])
    done = encoded("batch", "list.txt", "--resume")
    assert json.loads(done.out.splitlines()[0])["status"] == "failed"  # it was changed


def test_a_recipe_of_an_animation_that_cannot_be_is_one_sentence(encoded):
    from comet_cli.formats.images import encode_png
    from comet_cli.formats.picture_recipe import read_recipe

    encoded("compose", "dance:0", "-o", "new.apng")
    recipe = read_recipe(Path("new.apng").read_bytes())
    for wrong in ("1,2", "0,1,1,1", "x", None, "1,2,3,99999999999999"):
        recipe.settings["milliseconds"] = wrong
        Path("bad.png").write_bytes(encode_png(np.zeros((24, 24, 3), np.uint8), recipe))
        done = encoded("replay", "bad.png")
        assert done.code == 1 and "'milliseconds' is no number for each frame" in done.sentence


def test_one_frame_is_an_animation_of_one(encoded):
    for name in NAMES[1:]:
        os.remove(name)
    for ending in ("apng", "gif", "webp"):
        assert encoded("compose", "dance", "-o", f"new.{ending}").code == 0
        with Image.open(io.BytesIO(Path(f"new.{ending}").read_bytes())) as image:
            assert image.size == (24, 24)
    assert encoded("replay", "new.apng").sentence == "comet: the replay has the same pixels"


def test_of_several_pages_the_first_is_taken_and_told(comet):
    pages = [picture(n) for n in range(3)]
    pages[0].save("pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save("page.tif")
    done = comet("encode", "pages.tif", "page.tif", "-m", "quad")
    assert done.code == 0 and done.sentence == (
        "comet: 'pages.tif' holds 3 pages, of which the first is taken"
    )
    assert np.array_equal(read_components("pages.z").z, read_components("page.z").z)


def test_all_frames_start_from_one_picture_of_standard_input(encoded, monkeypatch):
    picture(7).save("start.png")
    command = ["compose", "dance:0", "a.z:1", "--steps", "1"]
    assert encoded(*command, "--init", "start.png", "-o", "named.apng").code == 0
    data = io.BytesIO(Path("start.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data, isatty=lambda: False))
    done = encoded(*command, "--init", "-", "-o", "piped.apng")
    assert done.code == 0, done.err
    assert Path("piped.apng").read_bytes() == Path("named.apng").read_bytes()
