"""The folder that a data set is written to: empty, or part of the same data set."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from comet_cli.data import dataset_folder
from comet_cli.errors import UsageError
from comet_cli.formats.files import show
from comet_cli.formats.overwriting import check_new_folder
from comet_cli.worlds.generator import SPLITS


def claim_folder(
    folder: Path, description: dict[str, Any], *, force: bool, ignored: Collection[str]
) -> dict[str, Any] | None:
    """Check that a data set may be written to a folder; with `force`, remove the one in it.

    Args:
        folder: need not exist.
        description: what dataset.json is going to hold.
        force: remove another data set, and write beside other files.
        ignored: keys that may differ between the description and the one that is there.

    Returns:
        The description of the part that is there; None if there is none.

    Raises:
        UsageError: a file, a folder that cannot be written or of other things, or a data set of
            other settings.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{show(folder)}' is a file; give a folder for the data set")
    check_new_folder(folder)
    if force:
        if folder.is_dir():
            _clear(folder)
        return None
    present = dataset_folder.read_description(folder) if folder.is_dir() else None
    if present is None and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"'{show(folder)}' is not empty and holds no data set; choose another folder, "
            "or give --force to write into it"
        )
    for key, value in description.items():
        if present is not None and key not in ignored and present.get(key) != value:
            raise UsageError(
                f"'{show(folder)}' holds a data set whose {key} is {present.get(key)!r}, "
                f"not {value!r}; choose another folder, or give --force to replace it"
            )
    return present


def make_folders(folder: Path, split: str, *, masks: bool = True) -> None:
    """Make the folders of a split's pictures and, unless it has none, of its masks."""
    dataset_folder.picture_path(folder, split, 0).parent.mkdir(parents=True, exist_ok=True)
    if masks:
        dataset_folder.mask_path(folder, split, 0).parent.mkdir(parents=True, exist_ok=True)


def _clear(folder: Path) -> None:
    """Remove the files of a data set, and no others."""
    for split in SPLITS:
        (folder / split / "metadata.jsonl").unlink(missing_ok=True)
        for file in (*folder.glob(f"{split}/*.png"), *folder.glob(f"masks/{split}set/*.png")):
            if re.fullmatch(r"\d{6,}\.png", file.name):
                file.unlink()
