"""Signals that end a training between two iterations, or its measuring."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager


class StopFlag:
    """SIGTERM and SIGINT ask the loop to stop at its next iteration instead of killing it."""

    def __init__(self, listen: bool = True) -> None:
        """Listen or not; only a program's main thread can."""
        self.asked = False
        self._listen = listen and threading.current_thread() is threading.main_thread()
        self._given_up = False

    def __enter__(self) -> StopFlag:
        """Begin to listen."""
        if self._listen:
            self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True
        if self._given_up:
            self._given_up = False  # once: what tidies up after it goes on
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def giving_up(self) -> Iterator[None]:
        """Let a signal end what is done within; what comes after goes on, and ``asked`` tells."""
        try:
            try:
                self._given_up = True
                yield
            finally:
                self._given_up = False
        except KeyboardInterrupt:
            if not self.asked:
                raise

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        if self._listen:
            for number, handler in self._before.items():
                signal.signal(number, handler)


def listening(given: StopFlag | None) -> AbstractContextManager[StopFlag]:
    """Listen by a flag of one's own, or use the one that is given, whose owner listens already."""
    return StopFlag() if given is None else contextlib.nullcontext(given)
