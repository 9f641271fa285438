"""Every shipped model works on a device of its own: nothing it makes is left on the CPU.

All weights, pictures and components are on the ``meta`` device, whose tensors have shapes and no
values; :class:`Answers` refuses to compute with tensors of two devices. So a constant, grid or
generator that is made on the CPU and not moved is found without a GPU.

Some code asks for values: whether all energies are finite, which pictures to encode again.
It gets them from :class:`Answers`: a yes to each question, all rows where rows are chosen, and
zeros for what is copied to the CPU on purpose (an order of terms, a draw of seeds in double
precision). The answers decide which way the code goes; every tensor that it makes on the way is
still checked.
"""

import copy

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from comet_cli.energy.composition import Composition, Term, compose
from comet_cli.energy.descent import Tolerance, descend, descent_step
from comet_cli.energy.gradients import gradient_strength, segment
from comet_cli.energy.render import render, start_picture
from comet_cli.energy.solvers import SOLVERS
from comet_cli.models.comet_model import CometModel, load
from comet_cli.models.library import list_models

SHIPPED = [entry.name for entry in list_models() if entry.origin == "shipped"]
META = torch.device("meta")
MOVES = ("to", "__get__", "__getitem__", "type_as")  # may be called across devices


class Answers(TorchFunctionMode):
    """Answers where values of meta tensors are asked for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        asked = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if asked is not None and asked.is_meta:
            if name in ("__bool__", "equal"):
                return True
            if name == "__int__":
                return 0
            if name == "nonzero":
                return torch.zeros(asked.numel(), asked.ndim, dtype=torch.long, device=META)
            if name == "tolist":
                return torch.zeros(asked.shape, dtype=asked.dtype).tolist()
            if name == "cpu" or (name == "to" and args[1:2] in (("cpu",), (torch.device("cpu"),))):
                kept = args[2] if len(args) > 2 else asked.dtype
                return torch.zeros(asked.shape, dtype=kept)
        if name not in MOVES:
            tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            places = {t.device.type for t in tensors if t.ndim}
            assert len(places) <= 1, f"{name} of tensors on {places}"
        return func(*args, **kwargs)


@pytest.fixture(params=SHIPPED, scope="module")
def model(request) -> CometModel:
    return load(request.param, device="cpu").to(META)


@pytest.fixture
def x(model) -> torch.Tensor:
    return torch.empty(2, 3, model.card.image_size, model.card.image_size, device=META)


@pytest.fixture
def z(model) -> torch.Tensor:
    return torch.empty(2, model.card.components, model.card.latent_dim, device=META)


@pytest.mark.parametrize("join", [torch.add, torch.matmul, torch.dot, torch.maximum])
def test_a_tensor_of_another_device_is_refused(join) -> None:
    with Answers(), pytest.raises(AssertionError, match="of tensors on"):
        join(torch.ones(3, device=META), torch.ones(3))


def test_encoding(model, x, z) -> None:
    with Answers():
        found = model.encode(x)
    assert found.is_meta and found.shape == z.shape


@pytest.mark.skipif("tetris" not in SHIPPED, reason="no shipped weights")
def test_encoding_again() -> None:
    """By drawn seeds, as often as the card allows."""
    model = load("tetris", device="cpu").to(META)
    x = torch.empty(1, 3, model.card.image_size, model.card.image_size, device=META)
    with Answers():
        found = model.encoder.redrawn(x, 3)
    assert found.z.is_meta
    assert found.z.shape == (1, model.card.components, model.card.latent_dim)


def test_energies_and_gradients(model, x, z) -> None:
    with Answers():
        bound = model.bind(z)
        for energy in (bound, bound.at(x)):
            assert energy(x).is_meta and energy(x).shape == z.shape[:2]
            known = energy.curvature(x)  # of the paper's networks it is not
            assert (known is None) == model.card.energy.startswith("pooled")
            assert known is None or known.is_meta
        rows = torch.zeros(3, z.shape[1], dtype=torch.long, device=META)
        mixed = bound.recombine(rows, torch.arange(z.shape[1], device=META))
        assert mixed(torch.cat([x, x[:1]])).shape == (3, z.shape[1])
        gradients = model.gradients(x, z)
        assert gradients.is_meta and gradients.shape == (2, z.shape[1], *x.shape[1:])
        assert segment(gradient_strength(model, z, starts=2)).is_meta


@pytest.mark.parametrize("solver", SOLVERS)
def test_descent_on_a_composition_on_the_models_canvas_and_on_a_larger_one(
    model, x, z, solver
) -> None:
    region = torch.ones(x.shape[-2:])
    terms = [Term(model, z[:, k], component=k) for k in range(z.shape[1])]
    larger = x.shape[-1] + 8
    with Answers():
        masked = [*terms, Term(model, z[:, 0], component=0, region=region)]
        found = descend(compose(masked), x, num_steps=2, solver=solver, seed=[1, 2])
        assert found.is_meta and found.shape == x.shape
        found = render(terms, size=larger, num_steps=1, solver=solver)
        assert found.is_meta and found.shape == (2, 3, larger, larger)


def test_a_step_of_training(model, x, z) -> None:
    with Answers():
        model = copy.deepcopy(model).requires_grad_(True)
        energy = Composition.of(model.bind(model.encode(x)).at(x))
        found = descent_step(energy, x, model.card.step_size, create_graph=True)
        assert found.is_meta and found.shape == x.shape
        (found - x).square().mean().backward()
    gradients = [p.grad for p in model.energy_network.parameters() if p.grad is not None]
    assert gradients and all(gradient.is_meta for gradient in gradients)


def test_settling(model, x, z) -> None:
    tolerance = Tolerance(0.01)
    with Answers():
        energy = compose([Term(model, z[:, 0], component=0)])
        for n in range(4):
            assert tolerance(n, energy(x)).is_meta


def test_starts_are_made_on_the_cpu_and_moved(model) -> None:
    """So the same seed gives the same noise on every device."""
    start = start_picture(1, model.card.image_size, init="noise", seed=1)
    assert start.device.type == "cpu"
