"""Figures of a model that was just trained and written: none of them costs the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from comet_cli.errors import CometError, CometWarning
from comet_cli.training.stopping import StopFlag


def measured_figures(
    kinds: Iterable[Callable[[], dict[str, Any]]], stopping: StopFlag
) -> tuple[dict[str, Any], str]:
    """Return a model's figures, and why some are missing, or "".

    Whoever interrupts a training does not wait for figures: after a signal there are none.

    Args:
        kinds: each measures some figures.
        stopping: of the training.
    """
    figures: dict[str, Any] = {}
    try:
        with stopping.giving_up():
            for kind in kinds:
                if not stopping.asked:
                    figures |= kind()
    except (CometError, MemoryError, RuntimeError) as error:  # torch's are RuntimeErrors
        reason = (str(error) or "out of memory").splitlines()[0]
        warnings.warn(f"not all figures were measured: {reason}", CometWarning, stacklevel=3)
        return figures, reason
    return ({} if stopping.asked else figures), ""
