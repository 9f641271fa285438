"""A sheet of the first pictures of a data set."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from comet_cli.data import dataset_folder
from comet_cli.drawing.sheets import Sheet, draw_sheet
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD, read_file, show, write_output
from comet_cli.formats.images import is_unchanged
from comet_cli.formats.overwriting import check_output
from comet_cli.formats.picture_recipe import mark_pixels
from comet_cli.formats.png_entries import has_text
from comet_cli.worlds.generator import SPLITS

COLUMNS, ROWS = 6, 4
_TEXT_KEY = "comet-data-preview"


def check_preview(path: str | Path, folder: str | Path) -> None:
    """Check that a preview may be written to `path`, before `folder` is made.

    Raises:
        UsageError: there is no such folder to write in, or another file is there already.
    """
    path = Path(path)
    if str(path) == STANDARD:
        raise UsageError("--preview is '-', expected a file name: a preview is written to a file")
    if path.parent.resolve() != Path(folder).resolve():
        check_output(path, force=True)
    if path.is_dir():
        raise UsageError(f"the preview '{show(path)}' is a folder, expected a file name")
    # --force is about the data set, so it does not allow to replace a picture of the user's.
    if path.exists() and not _is_preview(path):
        raise UsageError(
            f"'{show(path)}' exists and is no preview of a data set; choose another name"
        )


def write_preview(folder: str | Path, path: str | Path) -> Path:
    """Draw the first pictures of a data set, and write the sheet as a PNG.

    Args:
        folder: what `comet data make` has made.
        path: the PNG; an earlier preview is replaced.

    Returns:
        The path.

    Raises:
        CometError: the folder holds no picture.
        UsageError: as of `check_preview`.
    """
    check_preview(path, folder)
    sheet = draw_preview(first_pictures(folder))
    text = PngImagePlugin.PngInfo()
    text.add_text(_TEXT_KEY, "1")
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", pnginfo=text, optimize=True)
    write_output(path, mark_pixels(buffer.getvalue(), sheet))
    return Path(path)


def first_pictures(folder: str | Path, count: int = COLUMNS * ROWS) -> list[np.ndarray]:
    """The first pictures of the train split, or of the test split if there is no other.

    Returns:
        Up to `count` arrays (R, R, 3) uint8.

    Raises:
        CometError: the folder holds no picture.
    """
    for split in SPLITS:
        files = [dataset_folder.picture_path(Path(folder), split, i) for i in range(count)]
        found = [file for file in files if file.is_file()]
        if found:
            return [_read(file) for file in found]
    raise CometError(f"there is no picture in '{show(folder)}' to preview")


def draw_preview(pictures: list[np.ndarray]) -> np.ndarray:
    """A sheet of pictures (R, R, 3) uint8, six in a row: (H, W, 3) uint8."""
    columns = min(COLUMNS, len(pictures))
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    return draw_sheet(
        Sheet([""] * columns, [""] * len(rows), [_full(row, columns) for row in rows])
    )


def _full(row: list[np.ndarray], columns: int) -> list[np.ndarray | None]:
    return [*row, *[None] * (columns - len(row))]


def _read(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def _is_preview(file: Path) -> bool:
    try:
        data = read_file(file)
    except CometError:
        return False
    return has_text(data, _TEXT_KEY.encode()) and is_unchanged(data)
