"""Files that are no pictures to Pillow: what they are, and what helps."""

from __future__ import annotations

import contextlib

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
CONVERT = "which comet does not read; convert it to PNG"
FRAMES = "and comet reads pictures; save its frames as pictures first"
# The bytes a file begins with, what it is, and what helps.
BEGINNINGS = (
    (b"%PDF", "a PDF document", CONVERT),
    (b"8BPS", "a Photoshop file", CONVERT),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture", CONVERT),
    (b"#?RADIANCE", "a Radiance HDR picture", CONVERT),
    (b"\xff\x0a", "a JPEG XL picture", CONVERT),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", CONVERT),
    (b"FUJIFILMCCD-RAW", "a camera's raw file", CONVERT),
    (b"\x1aE\xdf\xa3", "a video", FRAMES),
    (b"PK\x03\x04", "an archive", "unpack it first"),
    (b"\x1f\x8b", "a packed file", "unpack it first"),
)


def is_heif(data: bytes) -> bool:
    """Say whether bytes are a phone's HEIC photo, or another HEIF picture."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS


def prepare_heif() -> bool:
    """Let Pillow read HEIF pictures; say whether the library for that is installed."""
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
        return True
    return False


def what_it_is(data: bytes) -> str:
    """Return what a file is and what helps, as the end of a sentence; "" where that is unknown."""
    if data[4:8] == b"ftyp":
        if is_heif(data):
            return "is a HEIC picture, which needs a library: pip install pillow-heif"
        if data[8:12] in (b"avif", b"avis"):
            return "is an AVIF picture, which needs a newer Pillow (11.3)"
        return f"is a video, {FRAMES}"
    head = data[:1024].lstrip().lower()
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head):
        return f"is an SVG drawing, {CONVERT}"
    if data[128:132] == b"DICM":
        return f"is a DICOM file, {CONVERT}"
    for beginning, name, help_ in BEGINNINGS:
        if data.startswith(beginning):
            return f"is {name}, {help_}"
    return ""
