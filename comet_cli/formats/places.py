"""Where the user's own folders are, also for users without a home (containers, services)."""

from __future__ import annotations

import os
from pathlib import Path

from comet_cli.errors import CometError
from comet_cli.formats.files import show

NOWHERE = Path(os.sep, "nonexistent")


def home_folder() -> Path:
    """Return the user's home; a folder that does not exist where there is none."""
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user whom the system does not know
        return NOWHERE


def expanded(path: str | Path) -> Path:
    """Return a path with ``~`` replaced; one that means no home stays as it is."""
    return Path(os.path.expanduser(path))


def holds(folder: Path, name: str) -> bool:
    """Say whether there is a file of this name in a folder.

    Raises:
        CometError: the folder cannot be looked into.
    """
    try:
        os.stat(folder / name)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise CometError(reason_of(error)) from None
    return os.path.isfile(folder / name)


def reason_of(error: OSError) -> str:
    """Return an error of the system as a sentence that names the file: ``'file': reason``."""
    named = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    files = " and ".join(f"'{show(os.fsdecode(name))}'" for name in named)
    return f"{files or 'the system'}: {error.strerror or error}"
