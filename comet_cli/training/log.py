"""The log of a training: a line of JSON every so often."""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comet_cli.errors import CometError, CometWarning
from comet_cli.evaluation.reconstruction import as_pictures, psnr, reconstruct, render_all
from comet_cli.formats.files import write_output
from comet_cli.models.comet_model import CometModel
from comet_cli.training.averaging import averaged
from comet_cli.training.settings import TrainSettings
from comet_cli.training.small_pictures import at_size_of

Report = Callable[[dict[str, Any]], None]


class TrainingLog:
    """``log.jsonl``: each line tells the means of the iterations since the last one."""

    def __init__(self, folder: Path, settings: TrainSettings, report: Report | None) -> None:
        """Begin; ``report`` is called with each line too."""
        self._path, self._settings, self._report = folder / "log.jsonl", settings, report
        self._since_last()

    def go_on(self, iteration: int) -> None:
        """Drop the lines of iterations that a training which was killed does again."""
        with told_if_it_fails("no log of before"):
            if not self._path.exists():
                return
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = [line for line in lines if _iteration(line) <= iteration]
            if kept != lines:
                write_output(self._path, "".join(f"{line}\n" for line in kept).encode())

    def _since_last(self) -> None:
        self._values: list[tuple[float, float]] = []
        self._began = time.monotonic()

    def add(self, loss: float, error: float) -> None:
        """Take the loss and the mean square error of an iteration."""
        self._values.append((loss, error))

    @property
    def waits(self) -> bool:
        """Whether iterations were taken that no line tells of yet."""
        return bool(self._values)

    def line(self, iteration: int, seconds: float) -> dict[str, Any]:
        """Return what there is to say after so many iterations and seconds in all."""
        pace = (time.monotonic() - self._began) / len(self._values)
        loss, error = np.mean(self._values, 0)
        return {
            "iteration": iteration,
            "seconds": round(seconds, 1),
            "seconds_left": round(pace * (self._settings.iterations - iteration)),
            "loss": round(float(loss), 6),
            "train_psnr": round(-10 * math.log10(max(float(error), 1e-12)), 3),
            "images_per_second": round(self._settings.batch / pace, 1),
        }

    def write(self, line: dict[str, Any]) -> None:
        """Write a line; the next one begins now."""
        with told_if_it_fails("no line of the log"):
            with self._path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if self._report is not None:
            self._report(line)
        self._since_last()


def _iteration(line: str) -> float:
    """Return the iteration of a line of the log; of one that was cut off, one that never is."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, TypeError, LookupError):
        return math.inf


@contextlib.contextmanager
def told_if_it_fails(what: str) -> Iterator[None]:
    """Let a training go on where a file beside the model cannot be written, and tell it.

    Args:
        what: was not written, in the message.
    """
    try:
        yield
    except CometError as error:
        warnings.warn(f"{what} was written: {error}", CometWarning, stacklevel=3)
    except OSError as error:
        warnings.warn(f"{what} was written: {error.strerror}", CometWarning, stacklevel=3)


def held_out_figures(
    model: CometModel, average: dict[str, Tensor], held_out: np.ndarray
) -> dict[str, Any]:
    """Return what a line of the log says of held-out pictures (M,R,R,3), by the averaged weights.

    Returns:
        ``held_out_psnr``: mean PSNR (dB) of recompositions, without redraws; and, of an encoder
        that colours, ``largest``: the component that has most of the pictures, which is 0 where
        component 0 has the background.
    """
    with averaged(model, average):
        x = at_size_of(model, as_pictures(held_out).to(model.device))
        figures: dict[str, Any] = {}
        if model.card.colours:
            with torch.no_grad():
                found = model.find(x, redraws=False)
            y = render_all(model, found.z).to(x)
            figures["largest"] = int(found.won.mean(0).argmax())
        else:
            y = reconstruct(model, x, redraws=False)
    return {"held_out_psnr": round(float(psnr(y, x).mean()), 3), **figures}
