"""Signals that end a training between two iterations."""

from __future__ import annotations

import signal
import threading


class StopFlag:
    """SIGTERM and SIGINT ask the loop to stop at its next iteration instead of killing it."""

    def __init__(self, listen: bool) -> None:
        """Listen or not; only a program's main thread can."""
        self.asked = False
        self._listen = listen and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        """Begin to listen."""
        if self._listen:
            self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        if self._listen:
            for number, handler in self._before.items():
                signal.signal(number, handler)
