"""How far long work has come: a line a minute where no terminal shows a bar."""

from __future__ import annotations

import time
from collections.abc import Callable

STATUS_SECONDS = 60


def status_lines(label: str, note: Callable[[str], None]) -> Callable[[int, int | None], None]:
    """Return a function of (done, total) that tells how far work has come, once a minute.

    The total may not be known.

    Args:
        label: what is done.
        note: told the line.
    """
    began = last = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < STATUS_SECONDS or done <= 0 or done == total:
            return
        last = now
        if total is None:
            note(f"{label}: {done} so far")
            return
        left = (now - began) / done * (total - done)
        note(f"{label}: {done} of {total}, about {duration(left)} left")

    return tell


def duration(seconds: float) -> str:
    """Return a time in words that are as exact as an estimate is."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
