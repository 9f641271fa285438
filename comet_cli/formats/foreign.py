"""What pictures are called, and files that are none to Pillow: what they are, and what helps."""

from __future__ import annotations

import contextlib
import io
import warnings

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
RAW_BRANDS = (b"crx ",)
VIDEOS = (b"\x1aE\xdf\xa3", b"OggS", b"FLV\1", b"\x30\x26\xb2\x75", b"\0\0\1\xba")
# Endings of files that may be pictures; what they are is told by what is in them.
ENDINGS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif"),
    *(".jp2", ".j2k", ".jpf", ".jpx", ".tga", ".ico"),
)
CONVERT = "which comet does not read; convert it to PNG"
FRAMES = "expected a picture; comet encode takes its frames apart"
# The bytes a file begins with, what it is, and what helps.
BEGINNINGS = (
    (b"%PDF", "a PDF document", CONVERT),
    (b"8BPS", "a Photoshop file", CONVERT),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture", CONVERT),
    (b"#?RADIANCE", "a Radiance HDR picture", CONVERT),
    (b"\xff\x0a", "a JPEG XL picture", CONVERT),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", CONVERT),
    (b"FUJIFILMCCD-RAW", "a camera's raw file", CONVERT),
    (b"PF\n", "a PFM picture in colours", CONVERT),
    (b"P7\n", "a PAM picture", CONVERT),
    (b"PK\x03\x04", "an archive", "unpack it first"),
    (b"\x1f\x8b", "a packed file", "unpack it first"),
)


def is_heif(data: bytes) -> bool:
    """Say whether bytes are a phone's HEIC photo, or another HEIF picture."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS


def is_video(data: bytes) -> bool:
    """Say whether a file begins as a video does (MP4, MOV, Matroska, AVI, Ogg, FLV, ASF, MPEG)."""
    if data[4:8] == b"ftyp":
        return not is_heif(data) and data[8:12] not in (*AVIF_BRANDS, *RAW_BRANDS)
    if data[:4] == b"RIFF":
        return data[8:12] == b"AVI "
    if data[4:8] in (b"moov", b"mdat", b"wide"):
        return True
    packets = len(data) > 376 and all(data[n] == 0x47 for n in (0, 188, 376))
    return (packets and not data.startswith(b"GIF8")) or data.startswith(VIDEOS)


def prepare_heif() -> bool:
    """Let Pillow read HEIF pictures; say whether the library for that is installed."""
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
        return True
    return False


def is_strange_tiff(data: bytes) -> bool:
    """Say whether a file is a sound TIFF whose pixels Pillow has no mode for."""
    if not data.startswith((b"II", b"MM")):
        return False
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            TiffImageFile(io.BytesIO(data))
    except SyntaxError as error:
        return "unknown pixel mode" in str(error)
    except Exception:  # Pillow raises many kinds on hostile files
        return False
    return False


def what_it_is(data: bytes) -> str:
    """Return what a file is and what helps, as the end of a sentence; "" where that is unknown."""
    if data[4:8] == b"ftyp":
        if is_heif(data):
            return "is a HEIC picture, which needs a library: pip install pillow-heif"
        if data[8:12] in AVIF_BRANDS:
            return "is an AVIF picture, which needs a newer Pillow (11.3)"
        if data[8:12] in RAW_BRANDS:
            return f"is a camera's raw file, {CONVERT}"
    if is_video(data):
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
