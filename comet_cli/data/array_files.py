"""Pictures in NumPy's own files."""

import zipfile
from pathlib import Path

import numpy as np

from comet_cli.errors import CometError, FileFormatError
from comet_cli.formats.files import show


def load_arrays(
    file: Path, size: int | None = None, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pictures (N, R, R, 3) uint8 of an .npy or .npz, and its masks, if it has some.

    Args:
        file: an .npy of images, which stays on disk, or an .npz of `images` and maybe `masks`.
        size: R that is expected; None for any.
        limit: only so many, the first ones.

    Raises:
        FileFormatError: not such a file, or arrays of another shape or type.
        CometError: another R.
    """
    try:
        # Never unpickled: an array file is data.
        content = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            images, masks = content[:limit], None
        else:
            with content:
                images = content["images"][:limit]
                masks = content["masks"][:limit] if "masks" in content else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"'{show(file)}' is no array file with images, and no pack; expected a pack of "
            "`comet data pack`, an .npy, or an .npz with images"
        ) from error
    side = images.shape[1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or images.shape != (len(images), side, side, 3):
        raise FileFormatError(
            f"'{show(file)}' holds images of shape {images.shape} and type {images.dtype}; "
            "expected (N, R, R, 3) and uint8"
        )
    if size not in (None, side):
        raise CometError(
            f"'{show(file)}' holds pictures of {side} pixels, not {size}, and arrays are not "
            "resized; write them again at that size, or give the pictures as a folder or a pack"
        )
    return images, masks
