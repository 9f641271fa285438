import pytest
import torch
from torch import Tensor

from comet_cli.descent import descend, descent_step
from comet_cli.errors import DivergenceError


def picture(value: float, size: int = 2) -> Tensor:
    return torch.full((1, 3, size, size), value, dtype=torch.float64)


def squares(*targets: float):
    """E(x) = Σ_a (x − a)² (section 4 of the paper, with one number a pixel)."""
    return lambda x: sum((x - a).square().sum((1, 2, 3)) for a in targets)


@pytest.mark.parametrize(("targets", "minimum"), [((2, 3), 2.5), ((2, 4), 3.0), ((7,), 7.0)])
def test_minimum_of_summed_squares_is_their_mean(targets: tuple, minimum: float) -> None:
    x = descend(squares(*targets), picture(0.3), step_size=0.1, num_steps=200, bounds=None)
    assert torch.allclose(x, picture(minimum))


def test_steps_are_the_hand_computed_ones() -> None:
    trace: list[tuple[int, float]] = []
    descend(
        lambda x: 0.5 * x.square().sum((1, 2, 3)),
        picture(1.0),
        step_size=0.1,
        num_steps=2,
        callback=lambda n, x: trace.append((n, float(x[0, 0, 0, 0]))),
    )
    assert trace == [(0, 1.0), (1, pytest.approx(0.9)), (2, pytest.approx(0.81))]


def test_every_step_is_clamped_but_the_returned_step_is_not() -> None:
    uphill = squares(9)
    seen: list[float] = []
    descend(
        uphill,
        picture(0.5),
        step_size=1.0,
        num_steps=3,
        callback=lambda n, x: seen.append(float(x.max())),
    )
    assert seen == [0.5, 1.0, 1.0, 1.0]
    unclamped = descent_step(uphill, picture(0.5), 1.0)
    assert torch.allclose(unclamped, picture(0.5 + 2 * 8.5))


def test_no_step_returns_the_start() -> None:
    x0 = picture(0.25)
    assert torch.equal(descend(squares(1), x0, step_size=1, num_steps=0), x0)


def test_result_is_detached_and_the_start_untouched() -> None:
    x0 = picture(0.5).requires_grad_(True)
    x = descend(squares(1), x0, step_size=0.1, num_steps=1)
    assert not x.requires_grad
    assert torch.equal(x0.detach(), picture(0.5))


def test_descent_works_under_no_grad() -> None:
    with torch.no_grad():
        x = descend(squares(0), picture(1.0), step_size=0.25, num_steps=1)
    assert torch.allclose(x, picture(0.5))


def test_a_step_can_be_trained_through() -> None:
    """With E = a x²/2, the step is x(1 − λa), so its derivative in a is −λx."""
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    x = descent_step(
        lambda x: a * x.square().sum((1, 2, 3)) / 2, picture(0.8), 0.1, create_graph=True
    )
    (derivative,) = torch.autograd.grad(x[0, 0, 0, 0], a)
    assert float(derivative) == pytest.approx(-0.08)


class Preconditioned:
    """½ m (x − f)² with the preconditioner p."""

    def __init__(self, m: float, f: float, p: float) -> None:
        self.m, self.f, self.p = m, f, p

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * self.m * (x - self.f).square().sum((1, 2, 3))

    def curvature(self, x: Tensor) -> Tensor:
        return torch.full_like(x[:, :1], self.p)


def test_the_exact_curvature_reaches_the_minimum_in_one_step() -> None:
    x = descend(Preconditioned(40.0, 0.3, 40.0), picture(0.9), num_steps=1)
    assert torch.allclose(x, picture(0.3))


@pytest.mark.parametrize("p", [4.0, 7.0, 100.0])
def test_the_preconditioner_changes_the_way_and_not_the_end(p: float) -> None:
    x = descend(Preconditioned(4.0, 0.3, p), picture(0.9), num_steps=1500)
    assert torch.allclose(x, picture(0.3))


def test_a_picture_that_is_no_longer_finite_stops_with_the_step() -> None:
    def explodes(x: Tensor) -> Tensor:
        return (x * torch.where(x > 0.6, torch.inf, 1.0)).sum((1, 2, 3))

    with pytest.raises(DivergenceError, match=r"diverged at step 1 of 5 \(step size 0\.5\)"):
        descend(explodes, picture(0.9), step_size=0.5, num_steps=5)
