"""``comet doctor``: versions, device, threads, where things are, which models are there."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from comet_cli.formats.places import NOWHERE
from comet_cli.version import __version__

PACKAGES = ("torch", "numpy", "pillow", "safetensors", "huggingface-hub", "typer", "rich")
EXTRAS = {
    "render": "mitsuba",
    "metrics": "scikit-learn",
    "tensorboard": "tensorboard",
    "video": "av",
    "heic": "pillow-heif",
}
VARIABLES = (
    "COMET_HOME",
    "COMET_CACHE",
    "COMET_MODEL",
    "COMET_DEBUG",
    "HF_HUB_OFFLINE",
    "OMP_NUM_THREADS",
    "NO_COLOR",
)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def diagnose() -> dict[str, Any]:
    """Return everything that a report of a problem should hold, as JSON values.

    ``problems`` lists what is wrong, a sentence each.
    """
    import torch

    from comet_cli.models import library
    from comet_cli.models.device import pick_device

    problems: list[str] = []
    entries = library.list_models(problems)
    if not entries:
        problems.append("no model is installed")
    problems += [f"the package '{name}' is missing" for name in PACKAGES if not _version(name)]
    home = library.comet_home()
    parent = next((p for p in (home, *home.parents) if os.path.exists(p)), home)
    if NOWHERE in home.parents:
        problems.append("there is no home folder; set COMET_HOME to a folder for local models")
    elif not os.access(parent, os.W_OK):
        problems.append(f"the folder of local models, {home}, cannot be written")
    return {
        "comet": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: _version(package) for extra, package in EXTRAS.items()},
        "device": str(pick_device("auto")),
        "cuda_devices": [
            torch.cuda.get_device_name(n)
            for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
        ],
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "package_folder": str(Path(__file__).resolve().parents[1]),
        "shipped_models_folder": str(library.shipped_root()),
        "local_models_folder": str(library.local_root()),
        "models": [{"name": e.name, "origin": e.origin, "folder": str(e.folder)} for e in entries],
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "problems": problems,
    }


def describe(facts: dict[str, Any]) -> str:
    """Return what :func:`diagnose` found as lines of text."""
    lines = []
    for name, value in facts.items():
        title = name.replace("_", " ")
        if name == "models":
            lines += [f"{'model':<22}{m['name']} ({m['origin']}, {m['folder']})" for m in value]
        elif name == "problems":
            lines += [f"{'problem':<22}{sentence}" for sentence in value]
        elif isinstance(value, dict):
            lines += [f"{key:<22}{'not installed' if v is None else v}" for key, v in value.items()]
        elif isinstance(value, list):
            lines += [f"{title:<22}{item}" for item in value]
        else:
            lines.append(f"{title:<22}{value}")
    return "\n".join(lines if facts["problems"] else [*lines, f"{'problems':<22}none"])
