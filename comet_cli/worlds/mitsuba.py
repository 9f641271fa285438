"""The renderer Mitsuba, loaded when it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from comet_cli.errors import MissingExtraError


def load_mitsuba() -> Any:
    """Import mitsuba, choose its plain CPU variant, and keep it to one thread.

    Pictures are small: they are made in parallel by processes, not by threads.

    Raises:
        MissingExtraError: mitsuba is not installed.
    """
    try:
        import drjit
        import mitsuba
    except ImportError as error:
        raise MissingExtraError(
            "rendering CLEVR scenes needs mitsuba, which is not installed; "
            "install it: pip install mitsuba"
        ) from error
    if mitsuba.variant() != "scalar_rgb":
        mitsuba.set_variant("scalar_rgb")
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
    drjit.set_thread_count(1)
    return mitsuba


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Return linear light as sRGB bytes: values are clipped to [0, 1]."""
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)
