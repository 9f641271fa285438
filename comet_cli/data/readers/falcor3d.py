"""Reader of Falcor3D: images/000000.png … and a table of labels, `train-rec.labels`."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.readers.source import (
    SourcePicture,
    from_file,
    open_source,
    pictures_in,
    wrong_layout,
)
from comet_cli.errors import FileFormatError
from comet_cli.formats.files import read_input, show

FACTORS = ("light_intensity", "light_x", "light_y", "light_z", "camera_x", "camera_y", "camera_z")
_LAYOUT = "images/000000.png … and train-rec.labels (a NumPy array, one row a picture)"


def read_falcor3d(source: str) -> list[SourcePicture]:
    """Read Falcor3D; a picture's number is the row of its labels.

    Raises:
        CometError: no folder, another layout, or labels that do not fit the pictures.
    """
    root = open_source(source, _LAYOUT)
    if not (root / "images").is_dir():
        root = next((each.parent for each in sorted(root.glob("Falcor3D*/images"))), root)
    files = pictures_in(root / "images", root, _LAYOUT)
    ends = ("labels", "npy", "txt")
    table = next((file for end in ends for file in sorted(root.glob(f"*.{end}"))), None)
    if table is None:
        raise wrong_layout(root, _LAYOUT)
    labels = _labels(table)
    names = FACTORS if labels.shape[1] == 7 else [f"factor_{i}" for i in range(labels.shape[1])]
    # Labels are float32: values that differ in the sixth decimal are one class.
    columns = [np.unique(column.round(5), return_inverse=True) for column in labels.T]
    classes = np.stack([inverse.reshape(-1) for _, inverse in columns], axis=1)
    counts = tuple(len(values) for values, _ in columns)
    # Labels that are no grid have no cells.
    grid = math.prod(counts) < 2**53
    cells = np.ravel_multi_index(tuple(classes.T), counts) if grid else None
    found = []
    for file in files:
        stem = file.stem
        row = int(stem) if stem.isascii() and stem.isdigit() else -1
        if not 0 <= row < len(labels):
            raise FileFormatError(
                f"'{show(file)}' has no row in '{show(table.name)}', which has {len(labels)} "
                "rows; expected pictures named by their row, like 000000.png"
            )
        facts: dict[str, Any] = {
            "factors": dict(zip(names, classes[row].tolist(), strict=True)),
            "values": dict(zip(names, labels[row].tolist(), strict=True)),
        }
        if cells is not None:
            facts["cell"] = int(cells[row])
        found.append(from_file(root, file, facts=facts))
    return found


def _labels(file: Path) -> np.ndarray:
    """(N, F) float64, from a NumPy array file or from text."""
    data = read_input(file)
    try:
        if data.startswith(b"\x93NUMPY"):
            labels = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            text = data.decode("utf-8").replace(",", " ")
            labels = np.loadtxt(io.StringIO(text), ndmin=2)
        labels = labels.astype(np.float64)
    except (ValueError, TypeError, EOFError, MemoryError):
        labels = np.empty(0)
    if labels.ndim != 2 or not labels.size or not np.isfinite(labels).all():
        raise FileFormatError(
            f"'{show(file)}' is not a table of labels; expected a NumPy array file (or text) of "
            "finite numbers, one row a picture and one column a factor"
        )
    return labels
