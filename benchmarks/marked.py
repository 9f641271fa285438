"""Parts of documents that commands write, between `<!-- MARK -->` and `<!-- /MARK -->`."""

from __future__ import annotations

from pathlib import Path


def has_mark(text: str, mark: str) -> bool:
    """Return whether a document has such a part."""
    return f"<!-- {mark} -->" in text


def replace_marked(text: str, mark: str, new: str) -> str:
    """Return a document with one part replaced, on lines of its own unless it is within a line.

    Raises:
        ValueError: the document has no such part.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"there is no {begin} with {end} after it")
    gap = "\n" if rest.startswith("\n") else ""
    return f"{before}{begin}{gap}{new}{gap}{end}{after}"


def rewrite_marked(path: Path, mark: str, new: str) -> None:
    """Replace one part of the document at a path; see :func:`replace_marked`."""
    path.write_text(replace_marked(path.read_text("utf-8"), mark, new), "utf-8")
