"""comet: take pictures apart into components and put components of different pictures together.

Everything a verb of the command line does can be done from here in one call. Names are imported
when they are first used, so ``import comet_cli`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from comet_cli.version import __version__

if TYPE_CHECKING:
    from comet_cli.energy.composition import Term, compose
    from comet_cli.energy.descent import descend
    from comet_cli.energy.render import render
    from comet_cli.errors import CometError
    from comet_cli.formats.components import ComponentSet, read_components, write_components
    from comet_cli.formats.images import load_image, save_png
    from comet_cli.models.card import ModelCard
    from comet_cli.models.comet_model import CometModel, load

_HOMES = {
    "load": "comet_cli.models.comet_model",
    "CometModel": "comet_cli.models.comet_model",
    "ModelCard": "comet_cli.models.card",
    "Term": "comet_cli.energy.composition",
    "compose": "comet_cli.energy.composition",
    "render": "comet_cli.energy.render",
    "descend": "comet_cli.energy.descent",
    "ComponentSet": "comet_cli.formats.components",
    "read_components": "comet_cli.formats.components",
    "write_components": "comet_cli.formats.components",
    "load_image": "comet_cli.formats.images",
    "save_png": "comet_cli.formats.images",
    "CometError": "comet_cli.errors",
}

__all__ = [
    "CometError",
    "CometModel",
    "ComponentSet",
    "ModelCard",
    "Term",
    "__version__",
    "compose",
    "descend",
    "load",
    "load_image",
    "read_components",
    "render",
    "save_png",
    "write_components",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'comet_cli' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
