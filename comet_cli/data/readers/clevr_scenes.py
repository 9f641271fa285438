"""Reader of CLEVR v1.0: images/{train,val,test}/*.png and scenes/CLEVR_*_scenes.json."""

import json
from pathlib import Path
from typing import Any

from comet_cli.data.readers.source import (
    SourcePicture,
    from_file,
    open_source,
    pictures_in,
    wrong_layout,
)
from comet_cli.errors import FileFormatError
from comet_cli.formats.files import read_input, show

_LAYOUT = "CLEVR_v1.0: images/train, images/val or images/test with PNGs (scenes/*.json beside)"


def read_clevr(source: str) -> list[SourcePicture]:
    """Read CLEVR; where scenes are there, their objects become metadata (the test part has none).

    Raises:
        CometError: no folder, another layout, or scenes that are not those of CLEVR.
    """
    root = open_source(source, _LAYOUT)
    if not (root / "images").is_dir() and (root / "CLEVR_v1.0").is_dir():
        root = root / "CLEVR_v1.0"
    found = []
    for part in ("train", "val", "test"):
        folder = root / "images" / part
        if folder.is_dir():
            files = pictures_in(folder, root, _LAYOUT)
            scenes = _scenes(root / "scenes" / f"CLEVR_{part}_scenes.json")
            found += [from_file(root, file, objects=scenes.get(file.name)) for file in files]
    if not found:
        raise wrong_layout(root, _LAYOUT)
    return found


def _scenes(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Objects by the file name of their picture."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(read_input(file))
        return {
            scene["image_filename"]: [_object(item) for item in scene["objects"]]
            for scene in content["scenes"]
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FileFormatError(
            f"'{show(file)}' does not hold the scenes of CLEVR; expected JSON with scenes, each "
            "with image_filename and objects"
        ) from None


def _object(item: dict[str, Any]) -> dict[str, Any]:
    """An object in the words of our own `clevr`."""
    x, y, depth = (float(value) for value in item["pixel_coords"])
    return {
        "shape": item["shape"],
        "colour": item["color"],
        "material": item["material"],
        "size": item["size"],
        "position": [float(value) for value in item["3d_coords"]],
        "rotation": float(item["rotation"]),
        "pixel": [x, y],
        "depth": depth,
    }
