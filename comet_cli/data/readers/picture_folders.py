"""Readers of folders of pictures: any, Danbooru portraits, CelebA-HQ."""

from pathlib import Path

from comet_cli.data.readers.source import SourcePicture, from_file, open_source, pictures_in
from comet_cli.errors import FileFormatError
from comet_cli.formats.files import read_input, show

_PICTURES = "pictures (PNG, JPEG, WebP …) in it or in folders below"
_ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"


def read_pictures(source: str) -> list[SourcePicture]:
    """Read any folder of pictures, flat or nested.

    Raises:
        CometError: no folder, or no picture in it.
    """
    root = open_source(source, _PICTURES)
    return [from_file(root, file) for file in pictures_in(root, root, _PICTURES)]


def read_celeba_hq(source: str) -> list[SourcePicture]:
    """Read CelebA-HQ: a folder of pictures, or CelebAMask-HQ with its attributes.

    Of CelebAMask-HQ only `CelebA-HQ-img` is read, and the names of the attributes that a face has
    become its `attributes`.

    Raises:
        CometError: no folder, no picture in it, or a table of attributes of another form.
    """
    expected = f"{_PICTURES}, or CelebAMask-HQ with CelebA-HQ-img/*.jpg"
    root = open_source(source, expected)
    if (root / "CelebAMask-HQ").is_dir():
        root = root / "CelebAMask-HQ"
    faces = root / "CelebA-HQ-img"
    files = pictures_in(faces if faces.is_dir() else root, root, expected)
    known = _attributes(root / _ATTRIBUTES)
    return [
        from_file(root, f, facts={"attributes": known[f.name]} if f.name in known else {})
        for f in files
    ]


def _attributes(file: Path) -> dict[str, list[str]]:
    """Names of attributes by file name: a count, a line of names, then `0.jpg -1 1 …`."""
    if not file.is_file():
        return {}
    lines = read_input(file).decode("utf-8", "replace").splitlines()
    names = lines[1].split() if len(lines) > 1 else []
    known = {}
    for number, line in enumerate(lines[2:], start=3):
        words = line.split()
        if not words:
            continue
        if len(words) != len(names) + 1 or not set(words[1:]) <= {"1", "-1"}:
            raise FileFormatError(
                f"line {number} of '{show(file)}' is not a file name and {len(names)} times 1 or -1"
            )
        known[words[0]] = [n for n, w in zip(names, words[1:], strict=True) if w == "1"]
    return known
