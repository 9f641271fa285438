"""Reader of any Hugging Face image data set, through the `datasets` library."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comet_cli.data.readers.source import SourcePicture
from comet_cli.errors import CometError, FileFormatError, MissingExtraError
from comet_cli.formats.files import read_input, show

TRUST = "HF_DATASETS_TRUST_REMOTE_CODE"


class HubPictures:
    """The pictures of all splits of a data set, one after the other."""

    def __init__(self, splits: dict[str, Any], column: str) -> None:
        """Keep the splits, whose `column` is the picture, not decoded."""
        self.splits = splits
        self.column = column

    def __len__(self) -> int:
        """The number of pictures."""
        return sum(map(len, self.splits.values()))

    def __iter__(self) -> Iterator[SourcePicture]:
        """Yield the pictures; other columns of one value are their `columns`."""
        for split, rows in self.splits.items():
            for number, row in enumerate(rows):
                picture = row.pop(self.column)
                columns = {name: _plain(rows.features[name], row[name]) for name in row}
                shown = {name: value for name, value in columns.items() if value is not None}
                yield SourcePicture(
                    f"{split}/{number}",
                    lambda picture=picture: _read(picture),  # type: ignore[misc]
                    facts={"columns": shown} if shown else {},
                )


def read_hub_dataset(source: str) -> HubPictures:
    """Read a data set by its name, `owner/name` or `owner/name:configuration`.

    What the cache holds is not downloaded again; HF_HUB_OFFLINE=1 is honoured. A data set that
    comes with a program of its own is refused: nothing that is downloaded is executed.

    Raises:
        MissingExtraError: the `datasets` library is not installed.
        CometError: it finds no such data set, or the data set has no column of pictures.
    """
    try:
        import datasets
        from datasets import Image, load_dataset  # type: ignore[attr-defined]
    except ImportError:
        raise MissingExtraError(
            "Hugging Face data sets need the datasets library, which is not installed: "
            "pip install datasets"
        ) from None
    # A folder may have a colon in its path.
    name, _, configuration = (source, "", "") if Path(source).exists() else source.partition(":")
    # Versions that can execute such a program have this setting; the oldest did, unless told.
    config = getattr(datasets, "config", None)
    if hasattr(config, TRUST):
        setattr(config, TRUST, False)
    try:
        splits = dict(load_dataset(name, configuration or None))
    except Exception as error:  # the library raises many kinds: network, cache, names, formats
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CometError(
            f"the datasets library cannot load '{show(name)}': {show(reason)}; expected the name "
            "of an image data set (owner/name, or owner/name:configuration), in the cache where "
            "there is no network"
        ) from None
    undecoded = {}
    column = ""
    for split, rows in splits.items():
        columns = [n for n, kind in rows.features.items() if isinstance(kind, Image)]
        if not columns:
            raise CometError(
                f"the data set '{show(name)}' has no column of pictures, only "
                f"{show(', '.join(rows.features))}; expected an image data set"
            )
        column = columns[0]
        undecoded[split] = rows.cast_column(column, Image(decode=False))
    return HubPictures(undecoded, column)


def _read(picture: dict[str, Any] | None) -> bytes:
    """The bytes of an undecoded picture: in the table, or in a file beside it."""
    if picture and picture.get("bytes"):
        return picture["bytes"]
    if picture and picture.get("path"):
        return read_input(picture["path"])
    raise FileFormatError("the row has no picture")


def _plain(kind: Any, value: Any) -> bool | int | float | str | None:
    """A value as JSON: the name of a class, a number or a text; None for anything else."""
    if isinstance(value, int) and hasattr(kind, "int2str"):
        return kind.int2str(value) if value >= 0 else None  # -1: not labelled
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) else None
