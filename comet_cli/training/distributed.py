"""Training by several processes, as torchrun starts them: each takes its part of every batch.

Random numbers are a function of the recipe's seed and the iteration, and drawn for the whole batch
by every process, so the loss curve is that of one process up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore
from torch.distributed.rendezvous import rendezvous

from comet_cli.errors import CometError, UsageError


@contextmanager
def process_group(device: str = "auto") -> Iterator[None]:
    """Join the other processes where torchrun (or another launcher) started several.

    The launcher says who we are by RANK, LOCAL_RANK, LOCAL_WORLD_SIZE and WORLD_SIZE. Processes
    talk by NCCL where every one has a GPU of its own, by Gloo otherwise. A group that is there
    already is used.

    Args:
        device: what training was asked to run on, see :func:`local_device`.

    Raises:
        CometError: the others were not found.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    if not several or dist.is_initialized():
        yield
        return
    place = local_device(device)
    if place.startswith("cuda"):
        torch.cuda.set_device(place)
    try:
        store, rank, world = next(rendezvous("env://"))
        # torchrun may keep one store over restarts: the addresses of processes that died are in it.
        attempt = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        dist.init_process_group(
            "nccl" if place.startswith("cuda") else "gloo",
            store=attempt,
            rank=rank,
            world_size=world,
        )
    except (RuntimeError, ValueError) as error:
        raise CometError(f"the other processes of the training were not found: {error}") from None
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_device(device: str) -> str:
    """Return this process's device: with ``auto`` or ``cuda`` the GPU of its local rank.

    Where a machine has fewer GPUs than processes, all of them there compute on the CPU.

    Raises:
        UsageError: one device for several processes.
    """
    if "LOCAL_RANK" not in os.environ or device == "cpu":
        return device
    rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", rank + 1))
    if device not in ("auto", "cuda"):
        if beside > 1:
            raise UsageError(
                f"{beside} processes cannot train together on '{device}'; use --device auto"
            )
        return device
    if beside <= gpus:
        return f"cuda:{rank}"
    return "cpu" if gpus or (device == "auto" and beside > 1) else device


def size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which of them this one is; 0 writes all files."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def together() -> Iterator[None]:
    """Do what the processes do together: that another one ended is one sentence.

    Raises:
        CometError: it ended, or is not heard of any more.
    """
    try:
        yield
    except RuntimeError as error:
        # Gloo's errors are plain ones; they name the file of its that found them.
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise CometError(
            "another process of the training ended; the checkpoint is kept, the same command "
            "goes on"
        ) from None


def check_batch(batch: int) -> None:
    """Check that the batch can be shared out.

    Raises:
        CometError: the processes' parts would differ in size.
    """
    if batch % size():
        raise CometError(
            f"recipe, [train]: batch is {batch}, not a multiple of the {size()} processes"
        )


def part(x: Tensor) -> Tensor:
    """Return this process's rows of a whole batch (B,…) -> (B/P,…)."""
    return x.chunk(size())[rank()] if size() > 1 else x


def rand_like(x: Tensor) -> Tensor:
    """Return U(0, 1) for this process's rows (B/P,…), drawn for the whole batch."""
    return part(torch.rand(len(x) * size(), *x.shape[1:], device=x.device))


def whole(x: Tensor) -> Tensor:
    """Return the whole batch of every process's rows (B/P,…) -> (B,…); gradients flow back."""
    return x if size() == 1 else _Gather.apply(x)  # type: ignore[no-any-return,no-untyped-call]


def one_before(x: Tensor) -> Tensor:
    """Return for each row of the whole batch the one before it, the last for the first (B/P,…)."""
    return part(whole(x).roll(1, 0))


class _Gather(torch.autograd.Function):
    """Every process's rows; each row's gradient is the sum of all processes' gradients for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = [torch.empty_like(x) for _ in range(size())]
        dist.all_gather(rows, x.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous()
        dist.all_reduce(total)
        return part(total)


@together()
def mean(value: float, device: torch.device) -> float:
    """Return the mean of every process's value."""
    if size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / size()


@together()
def any_of(flag: bool, device: torch.device) -> bool:
    """Return whether any process says so; all of them must ask."""
    if size() == 1:
        return flag
    votes = torch.tensor(int(flag), device=device)
    dist.all_reduce(votes)
    return bool(votes)


@together()
def from_first(value: Any) -> Any:
    """Return what the first process has; the others' values do not matter."""
    if size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
