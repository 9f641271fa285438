"""``comet gallery``: what a page of a folder of results shows; without torch.

Nothing in a file is trusted: pictures are decoded and written anew, recipes are read by
:mod:`comet_cli.formats.picture_recipe`, and every text is escaped by
:mod:`comet_cli.drawing.gallery_page`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from comet_cli.drawing.gallery_page import Exhibit, Thumbnail
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD, read_input, show, walk, write_output
from comet_cli.formats.images import image_facts, load_whole
from comet_cli.formats.overwriting import check_output
from comet_cli.formats.picture_recipe import PictureRecipe, read_recipe, recipe_text
from comet_cli.formats.recipe_facts import recipe_facts

ENDINGS = (".png", ".apng", ".jpg", ".jpeg", ".webp", ".gif")
SIDE = 768  # of the pictures embedded, at most
FEW = 24  # of more pictures than this, thumbnails are embedded
THUMBNAIL_SIDE = 320
SOURCE_SIDE = 96
MAX_SOURCES = 12
MAX_PNG_BYTES = 200_000  # above it a picture is embedded as JPEG
MAX_THUMBNAIL_BYTES = 40_000  # above it a thumbnail is
DEFAULT_NAME = "gallery.html"


def list_pictures(folder: Path) -> list[str]:
    """Return the pictures of a folder and of the folders in it, relative to it, with slashes.

    Numbers in names count as numbers, so ``x-2.png`` stands before ``x-10.png``. Names that begin
    with a dot are left out, and links to folders are not followed.
    """
    found = []
    for root, folders, names in walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if name.lower().endswith(ENDINGS) and not name.startswith(".") and path.is_file():
                found.append(path.relative_to(folder).as_posix())
    return sorted(found, key=_reading_order)


def _reading_order(path: str) -> tuple[Any, ...]:
    parts = re.split(r"([0-9]+)", path.casefold())
    numbers = [(part, 0) if n % 2 == 0 else ("", int(part[:18])) for n, part in enumerate(parts)]
    return (PurePosixPath(path).parent.as_posix(), numbers, path)


def exhibit(folder: Path, path: str, side: int = SIDE) -> Exhibit:
    """Read one picture of a folder; what is wrong with it becomes its ``error``.

    Args:
        folder: the folder.
        path: the picture, relative to it.
        side: longest side of what the page embeds.
    """
    where = f"'{show(path)}'"
    try:
        data = read_input(folder / path)
        facts = image_facts(data, where)
        picture = thumbnail(data, where, side)
    except CometError as error:
        return Exhibit(path, error=str(error))
    shown = Exhibit(path, int(facts["width"]), int(facts["height"]), picture)
    try:
        if recipe_text(data, where) is None:
            return shown
        recipe = read_recipe(data, where)
        facts = recipe_facts(recipe, where)
    except CometError as error:
        return Exhibit(path, shown.width, shown.height, picture, error=str(error))
    return Exhibit(path, shown.width, shown.height, picture, facts, _sources(recipe, where))


def _sources(recipe: PictureRecipe, where: str) -> tuple[tuple[str, Thumbnail | None], ...]:
    found = []
    for row in recipe.rows[:MAX_SOURCES]:
        picture = None
        if row.picture:
            try:
                picture = thumbnail(row.picture, f"an input of {where}", SOURCE_SIDE)
            except CometError:
                picture = None
        if picture is not None or row.name:
            found.append((row.name, picture))
    return tuple(found)


def thumbnail(data: bytes, where: str, side: int) -> Thumbnail:
    """Decode a picture, its first frame if it is an animation, and write it anew, not larger.

    Args:
        data: the file.
        where: named in error messages.
        side: longest side of what is returned; smaller pictures keep their pixels.

    Raises:
        FileFormatError: not a picture that comet can read.
    """
    image = load_whole(data, where, at_least=2 * side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _encode(image, MAX_PNG_BYTES if side > THUMBNAIL_SIDE else MAX_THUMBNAIL_BYTES)


def _encode(image: Image.Image, most: int) -> Thumbnail:
    clean = Image.new("RGB", image.size)  # without the metadata of the file
    clean.paste(image)
    for kind, settings in (("png", {"optimize": True}), ("jpeg", {"quality": 88})):
        buffer = io.BytesIO()
        clean.save(buffer, kind, **settings)
        if len(buffer.getvalue()) <= most:
            break
    return Thumbnail(f"image/{kind}", buffer.getvalue(), *clean.size)


@dataclass(frozen=True)
class Gallery:
    """What :func:`write_gallery` wrote."""

    output: str
    exhibits: tuple[Exhibit, ...]

    @property
    def failed(self) -> tuple[Exhibit, ...]:
        """Files of which something cannot be read; the page says so."""
        return tuple(e for e in self.exhibits if e.error)


def write_gallery(
    folder: str,
    *,
    output: str | None = None,
    title: str | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    told: Callable[[Exhibit], None] | None = None,
) -> Gallery:
    """Write one self-contained HTML page of a folder of results.

    The same files give the same bytes; the page holds no date, no folder above this one, and asks
    for nothing over a network.

    Args:
        folder: whose pictures, those of folders in it included, the page shows.
        output: the page; default ``gallery.html`` in the folder; ``-`` for standard output.
        title: of the page; default the folder's name.
        force: replace a file that is no page of comet's.
        progress: called with (done, total) pictures.
        told: called with what became of each picture, as soon as that is known.

    Raises:
        UsageError: no such folder, no pictures in it, or a page that may not be written.
    """
    from comet_cli.drawing.gallery_page import draw_page

    root = Path(folder)
    if not root.is_dir():
        problem = "is a file, expected a folder" if root.exists() else "does not exist"
        raise UsageError(f"the folder '{show(folder)}' {problem}")
    target = str(root / DEFAULT_NAME) if output is None else output
    if target != STANDARD and Path(target).suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"the page '{show(target)}' must end in .html; write -o '{show(target)}.html'"
        )
    check_output(target, force=force)
    paths = list_pictures(root)
    if not paths:
        raise UsageError(f"there are no pictures in '{show(folder)}' ({', '.join(ENDINGS)})")
    exhibits = []
    side = SIDE if len(paths) <= FEW else THUMBNAIL_SIDE
    for n, path in enumerate(paths):
        exhibits.append(exhibit(root, path, side))
        if told is not None:
            told(exhibits[-1])
        if progress is not None:
            progress(n + 1, len(paths))
    name = title if title is not None else root.resolve().name or "pictures"
    page = draw_page(exhibits, title=name, base=_base(root, target))
    write_output(target, page)
    return Gallery(target, tuple(exhibits))


def _base(root: Path, target: str) -> Sequence[str] | None:
    """Return the folders from the page to the pictures, None where nothing relative leads there."""
    if target == STANDARD:
        return ()
    try:
        relative = os.path.relpath(root.resolve(), Path(target).parent.resolve())
    except ValueError:  # another drive
        return None
    return tuple(part for part in Path(relative).parts if part != ".")
