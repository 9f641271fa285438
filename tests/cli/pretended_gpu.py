"""A device that this machine does not have, pretended: it computes on the CPU, but keeps apart.

Tensors on it say that they are on ``gpu:0``. An operation on tensors of both places raises, as on
a real GPU, and so do NumPy arrays of them. So what forgets to move a tensor is found without a
GPU. Kernels, precision and speed of a real one are not.

As a script it runs lines of ``comet`` words, JSON on standard input, with this device as ``cuda``,
and prints the exit code and the messages of each.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
torch.utils.rename_privateuse1_backend("gpu")
DEVICE = torch.device("gpu:0")
MOVES = {aten._to_copy.default, aten.copy_.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


class There(torch.Tensor):
    """A tensor of the pretended device."""

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> There:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )
        made.values_here = values
        return made

    def numpy(self, **_):
        raise TypeError("a tensor of gpu:0 is no NumPy array; use .cpu() first")

    def __array__(self, *_, **__):
        return self.numpy()

    def tolist(self):
        return self.detach().cpu().tolist()

    def __deepcopy__(self, memo):
        with torch.no_grad():
            copied = self.clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
        return copied

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """Within it, tensors can be made on the pretended device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        theirs = any(isinstance(leaf, There) for leaf in tree_leaves((args, kwargs)))
        if theirs or _is_there(kwargs.get("device")):
            return _run(operation, args, kwargs)
        return operation(*args, **kwargs)


def _is_there(device: torch.device | None) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def _run(operation, args, kwargs):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    theirs = [t for t in tensors if isinstance(t, There)]
    if theirs and operation not in MOVES:
        _check(operation, args, [t for t in tensors if not isinstance(t, There) and t.dim()])
    here, given = tree_map(
        lambda leaf: leaf.values_here if isinstance(leaf, There) else leaf, (args, kwargs)
    )
    asked = kwargs.get("device")
    if asked is not None:
        stays = _is_there(asked)
        given["device"] = "cpu"
    else:
        stays = isinstance(args[0], There) if operation in MOVES else bool(theirs)
    made = operation(*here, **given)
    if not stays:
        return args[0] if operation is aten.copy_.default else made
    wrapped = tree_map(lambda leaf: There(leaf) if isinstance(leaf, torch.Tensor) else leaf, made)
    if operation is aten._to_copy.default:
        return wrapped
    return return_and_correct_aliasing(operation, args, kwargs, wrapped)


def _check(operation, args, others: list[torch.Tensor]) -> None:
    """Raise where tensors of the CPU (not numbers, which may) meet those of the device.

    Indices may be on the CPU, as on a real GPU.
    """
    if operation in INDEXING and isinstance(args[0], There):
        indices = {id(leaf) for leaf in tree_leaves(args[1])}
        others = [other for other in others if id(other) not in indices]
    if others:
        raise RuntimeError(f"tensors of the CPU and of gpu:0 meet in {operation}")


def start() -> None:
    """Register the device, let every thread of this process use it, and make it ``cuda``."""

    class Module(backend_registration._DummyBackendModule):
        def is_initialized(self) -> bool:
            return True

        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16]

    torch.utils.generate_methods_for_privateuse1_backend()
    torch._register_device_module("gpu", Module())
    torch._C._acc.register_python_privateuseone_hook(backend_registration._DummyPrivateUse1Hook())
    torch._C._acc.register_python_privateuseone_device_guard(
        backend_registration._DummyDeviceGuard()
    )
    known, plain, run = torch.amp.is_autocast_available, torch.tensor, threading.Thread.run
    torch.amp.is_autocast_available = lambda kind: kind != "gpu" and known(kind)

    def tensor(data, *, device=None, requires_grad=False, **options):
        # torch's own moves its values without asking a mode.
        return plain(data, **options).to(device or "cpu").requires_grad_(requires_grad)

    def new_tensor(like, data):
        return tensor(data, dtype=like.dtype, device=like.device)

    def run_within(thread):
        with Pretended():
            run(thread)

    torch.tensor, torch.Tensor.new_tensor = tensor, new_tensor
    threading.Thread.run = run_within
    Pretended().__enter__()

    from comet_cli.models import device

    pick = device.pick_device
    device.pick_device = lambda name="auto": (
        DEVICE if name in ("auto", "cuda", "gpu:0") else pick(name)
    )


def main() -> None:
    start()
    from comet_cli.cli.app import main as comet

    results = []
    for words in json.load(sys.stdin):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as messages:
            code = comet(words)
        results.append([code, messages.getvalue()])
    print(json.dumps(results))


if __name__ == "__main__":
    main()
