"""``--preview``: pictures shown in the terminal, two pixels a character."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from comet_cli.cli.console import Report
from comet_cli.errors import MissingExtraError, UsageError
from comet_cli.formats.files import STANDARD

HALF_BLOCK = "▄"


def check_preview(output: str) -> None:
    """Refuse to show a picture that goes to standard output.

    Raises:
        UsageError: it does.
    """
    if output == STANDARD:
        raise UsageError("--preview shows a file that was written; give -o a file name, not -")


def show_preview(paths: Sequence[str], report: Report) -> None:
    """Show pictures that were written on stderr, as large as the terminal has room for.

    Where there is nothing to show them on, a note says so.

    Args:
        paths: PNG files.
        report: takes the note.

    Raises:
        MissingExtraError: what draws with characters is not installed.
    """
    pixels = _pixels_library()
    from PIL import Image
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False)
    obstacle = _obstacle(console)
    if obstacle:
        report.note(f"no preview: {obstacle}")
        return
    # A line as wide as the terminal wraps in some; two are left for the prompt.
    room = (max(console.width - 1, 1), max(2 * (console.height - 2), 2))
    for path in paths:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail(room, Image.Resampling.LANCZOS)
        console.print(pixels.from_image(small), end="")


def _obstacle(console: Any) -> str:
    if not sys.stderr.isatty():
        return "standard error is not a terminal"
    if console.color_system is None or console.no_color:
        return "the terminal shows no colours, or NO_COLOR is set"
    try:
        HALF_BLOCK.encode(console.encoding)
    except UnicodeEncodeError:
        return f"the terminal's encoding {console.encoding} has no half blocks"
    return ""


def _pixels_library() -> Any:
    try:
        from rich_pixels import Pixels
    except ImportError:
        raise MissingExtraError(
            "--preview needs rich-pixels, which is not installed; the picture is written, and "
            "pip install rich-pixels mends it"
        ) from None
    return Pixels
