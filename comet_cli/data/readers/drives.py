"""Readers of drives seen from a car: KITTI (object, tracking) and Virtual KITTI 2."""

from pathlib import Path
from typing import Any

from comet_cli.data.readers.source import (
    SourcePicture,
    from_file,
    open_source,
    pictures_in,
    wrong_layout,
)

# Neighbouring frames are nearly the same picture, so runs of them stay in one split.
RUN = 50
_KITTI = "training/image_2/*.png (object) or training/image_02/0000/*.png (tracking)"
_VKITTI = "Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg and so on"


def read_kitti(source: str) -> list[SourcePicture]:
    """Read the left colour camera of KITTI's object or tracking benchmark.

    Raises:
        CometError: no folder, or another layout.
    """
    root = open_source(source, _KITTI)
    found = []
    for base in (root, *_folders(root)):
        for part in ("training", "testing"):
            found += [_object(root, f) for f in sorted((base / part / "image_2").glob("*.png"))]
            tracking = base / part / "image_02"
            for sequence in _folders(tracking):
                found += [_frame(root, part, file) for file in sorted(sequence.glob("*.png"))]
    if not found:
        raise wrong_layout(root, _KITTI)
    return found


def read_vkitti2(source: str) -> list[SourcePicture]:
    """Read camera 0 of Virtual KITTI 2; the variations of a view stay in one split.

    Raises:
        CometError: no folder, or another layout.
    """
    root = open_source(source, _VKITTI)
    scenes = sorted(root.glob("Scene*")) or sorted(root.glob("*/Scene*"))
    found = []
    for scene in scenes:
        for variation in _folders(scene):
            camera = variation / "frames" / "rgb" / "Camera_0"
            for file in pictures_in(camera, root, _VKITTI) if camera.is_dir() else []:
                facts = {"scene": scene.name, "variation": variation.name}
                found.append(_in_run(root, file, facts, scene.name))
    if not found:
        raise wrong_layout(root, _VKITTI)
    return found


def _object(root: Path, file: Path) -> SourcePicture:
    return from_file(root, file, facts={"part": file.parents[1].name})


def _frame(root: Path, part: str, file: Path) -> SourcePicture:
    facts = {"part": part, "sequence": file.parent.name}
    return _in_run(root, file, facts, f"{part}/{file.parent.name}")


def _in_run(root: Path, file: Path, facts: dict[str, Any], place: str) -> SourcePicture:
    """A frame, whose number is what its name ends with."""
    digits = file.stem.rpartition("_")[2]
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    group = f"{place}/{number // RUN}"
    return from_file(root, file, facts={**facts, "frame": number}, group=group)


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("*") if each.is_dir())
