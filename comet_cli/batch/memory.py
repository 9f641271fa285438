"""How many pictures fit: measured for each kind of composition, halved when it was too many."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path

import torch

from comet_cli.energy.composition import compose
from comet_cli.errors import CometError
from comet_cli.formats.picture_recipe import PictureRecipe
from comet_cli.inputs.session import Session

# More than these at once gain nothing: a CPU's cores, and a GPU's, are busy already.
MOST = {"cpu": 16, "mps": 32, "cuda": 128}
# Of what one evaluation saves for its gradient: the gradient itself, workspaces, the curvature.
SPARE = 4
PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
UNKNOWN = 2 << 30
MOST_KINDS = 1000  # whose need of memory is remembered


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that there was too little memory, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in PHRASES)


def local_device(device: str, rank: int | None) -> str:
    """Return the GPU of a rank within its machine, where the choice is left to comet."""
    if device != "auto" or rank is None or torch.cuda.device_count() < 2:
        return device
    return f"cuda:{rank % torch.cuda.device_count()}"


def free_memory(device: torch.device) -> int:
    """Return the bytes that may be used: half of what a GPU has left, a quarter on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return min(_limits() or [UNKNOWN]) // 4


def _limits() -> list[int]:
    """Return what the machine, the control group and the process have left, where they say."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) << 10)
    except (OSError, ValueError):
        pass
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text("ascii"))
        found.append(max(0, limit - int((group / "memory.current").read_text("ascii"))))
    except (OSError, ValueError):  # no such group, or "max"
        pass
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return found


def picture_bytes(recipe: PictureRecipe, session: Session) -> int:
    """Measure what one picture of a composition needs: one evaluation of its energy."""
    size = recipe.setting("size", int, low=1, high=1 << 20)
    saved: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.full((1, 3, size, size), 0.5, device=session.device, requires_grad=True)
    with session.arithmetic():
        energy = compose(session.terms(recipe, recipe.rows[0]), size=size)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            energy(x)
    return SPARE * (sum(saved.values()) + x.untyped_storage().nbytes())


class BatchSize:
    """How many pictures of a composition are rendered at once."""

    def __init__(self, most: int | None = None) -> None:
        """Start.

        Args:
            most: as many as this, whatever is free; None for what fits.
        """
        self._asked = most
        self._load: int | None = None  # terms · pixels that fitted after a batch that did not
        self._needs: dict[Hashable, int] = {}

    def most(self, device: torch.device) -> int:
        """Return how many at once there can be, of the smallest compositions."""
        return self._asked or MOST.get(device.type, MOST["cpu"])

    def choose(self, recipe: PictureRecipe, session: Session, kind: Hashable) -> int:
        """Return how many pictures like this fit, at least one.

        Args:
            recipe: of one of them.
            session: the models.
            kind: equal for pictures that need as much memory.
        """
        count = self.most(session.device)
        if self._asked is None:
            try:
                if kind not in self._needs:
                    while len(self._needs) >= MOST_KINDS:
                        del self._needs[next(iter(self._needs))]
                    self._needs[kind] = max(1, picture_bytes(recipe, session))
                fitting = free_memory(session.device) // self._needs[kind]
            except (CometError, RuntimeError, MemoryError):  # alone it says better what is wrong
                return 1
            count = min(count, fitting)
            # A power of two, so that a little more or less memory changes nothing.
            count = 1 << (max(1, count).bit_length() - 1)
        return count

    def limit(self, recipe: PictureRecipe, count: int) -> int:
        """Return how many of ``count`` pictures to try, after what did not fit so far."""
        if self._load is None:
            return count
        return max(1, min(count, self._load // _load_of(recipe)))

    def halve(self, recipe: PictureRecipe, count: int) -> int:
        """Return half of the ``count`` that did not fit, and remember it."""
        half = max(1, count // 2)
        self._load = half * _load_of(recipe)
        return half


def _load_of(recipe: PictureRecipe) -> int:
    size = recipe.setting("size", int, low=1, high=1 << 20)
    return max(1, len(recipe.rows[0].terms) * size * size)
