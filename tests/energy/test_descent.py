from functools import partial

import pytest
import torch
from torch import Tensor

from comet_cli.energy import solvers
from comet_cli.energy.descent import Tolerance, descend, descent_step
from comet_cli.energy.solvers import anderson, fast_steps, heavy_ball, langevin
from comet_cli.errors import CometError, DivergenceError


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


@pytest.mark.parametrize("solver", ["gd", "momentum"])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "in a batch"])
def test_steps_that_leap_over_the_minimum_are_an_error(solver: str, others: bool) -> None:
    energy = ellipse(torch.tensor(1.0), torch.tensor(0.4))
    x0 = torch.full((2 if others else 1, 3, 2, 2), 0.41)
    if others:
        x0[1] = 0.4  # it stays where it is
    with pytest.raises(DivergenceError, match=r"its energy was lower .*\(step size 9\)"):
        descend(energy, x0, step_size=9, num_steps=6, solver=solver)
    arrived = torch.full((1, 3, 8, 8), 0.4) + 1e-5  # as near as one can tell: it stays there
    descend(energy, arrived, step_size=3.1, num_steps=6, solver=solver)
    for step_size in (1.0, 1.4):  # from side to side, but nearer each time
        x = descend(energy, x0, step_size=step_size, num_steps=60, solver=solver)
        assert torch.allclose(x, torch.full_like(x, 0.4), atol=1e-3)


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


def bowl(a: float, f: float = 0.0):
    """½ a (x − f)² in every pixel."""
    return lambda x: 0.5 * a * (x - f).square().sum((1, 2, 3))


def pixel(solver, energy, x0: float = 1.0, **settings) -> float:
    x = descend(energy, picture(x0), bounds=None, solver=solver, **settings)
    assert torch.equal(x, x[:, :1, :1, :1].expand_as(x))
    return float(x[0, 0, 0, 0])


def test_momentum_takes_the_hand_computed_steps() -> None:
    """λ = 0.1, β = 0.5, E = x²/2 from 1: v = 1, x = 0.9; v = 1.4, x = 0.76; v = 1.46, x = 0.614."""
    for steps, x in enumerate([0.9, 0.76, 0.614], 1):
        found = pixel("momentum", bowl(1.0), step_size=0.1, num_steps=steps)
        assert found == pytest.approx(x, abs=1e-12)


def test_momentum_zero_is_gradient_descent_to_the_bit() -> None:
    x0 = torch.rand(2, 3, 4, 4)
    settings = {"step_size": 0.3, "num_steps": 7}
    expected = descend(squares(0.4), x0, **settings)
    still = partial(heavy_ball, momentum=0.0)
    assert torch.equal(descend(squares(0.4), x0, solver=still, **settings), expected)


def test_adam_takes_the_hand_computed_steps() -> None:
    """E = 2 x² from 1, α = 0.1: g₁ = 4, so x₁ = 0.9; g₂ = 3.6.

    m = 0.9 · 0.4 + 0.1 · 3.6 = 0.72, m̂ = 0.72 / 0.19; v = 0.999 · 0.016 + 0.001 · 12.96 = 0.028944,
    v̂ = 0.028944 / 0.001999.
    """
    first = pixel("adam", bowl(4.0), step_size=1.0, num_steps=1)
    assert first == pytest.approx(0.9, abs=1e-8)
    second = 0.9 - 0.1 * (0.72 / 0.19) / (0.028944 / 0.001999) ** 0.5
    found = pixel("adam", bowl(4.0), step_size=1.0, num_steps=2)
    assert found == pytest.approx(second, abs=1e-8)


def test_adam_moves_alike_whatever_the_unit_of_the_energy() -> None:
    small, large = (pixel("adam", bowl(a), step_size=0.5, num_steps=6) for a in (1e-3, 1e3))
    assert small == pytest.approx(large, abs=1e-4)


@pytest.mark.parametrize(("solver", "step"), [("gd", 0.02), ("momentum", 0.02), ("adam", 0.2)])
def test_every_solver_ends_at_the_minimum(solver, step) -> None:
    found = pixel(solver, squares(0.2, 0.6), step_size=step, num_steps=2000)
    assert found == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("p", [1.0, 8.0])
def test_langevin_has_the_variance_of_its_temperature(p: float) -> None:
    """x ← (1 − λa/p) x + √(2λT/p) ξ has the variance (2λT/p) / (1 − (1 − λa/p)²)."""
    a, step, temperature = 4.0, 0.1, 0.01
    x = descend(
        Preconditioned(a, 0.5, p),
        torch.full((1, 3, 96, 96), 0.5),
        step_size=step,
        num_steps=150,
        solver=partial(langevin, temperature=temperature),
        bounds=None,
        seed=3,
    )
    keep = 1 - step * a / p
    assert float(x.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(x.var()) == pytest.approx(2 * step * temperature / p / (1 - keep**2), rel=0.04)


def test_langevin_noise_is_seeded_a_picture_and_independent_of_the_batch() -> None:
    x0 = torch.rand(3, 3, 4, 4)
    settings = {"step_size": 0.1, "num_steps": 4, "bounds": None}
    state = torch.get_rng_state()
    together = descend(bowl(1.0), x0, solver="langevin", seed=[5, 6, 5], **settings)
    assert torch.equal(torch.get_rng_state(), state)
    for b, seed in enumerate([5, 6, 5]):
        alone = descend(bowl(1.0), x0[b : b + 1], solver="langevin", seed=seed, **settings)
        assert torch.equal(alone[0], together[b])
    plain = descend(bowl(1.0), x0, **settings)
    noise = together - plain
    assert torch.allclose(noise[0], noise[2], atol=1e-6)
    assert not torch.allclose(noise[0], noise[1], atol=1e-3)


def test_langevin_without_temperature_is_gradient_descent() -> None:
    x0 = torch.rand(1, 3, 4, 4)
    settings = {"step_size": 0.3, "num_steps": 5}
    cold = descend(squares(0.4), x0, solver=partial(langevin, temperature=0.0), **settings)
    assert torch.equal(cold, descend(squares(0.4), x0, **settings))


def ellipse(curvatures: Tensor, minimum: Tensor):
    """½ Σ a (x − f)², every pixel with a curvature of its own."""
    return lambda x: 0.5 * (curvatures * (x - minimum).square()).sum((1, 2, 3))


def test_anderson_takes_the_hand_computed_steps() -> None:
    """λ = 0.1, E = x²/2 from 1: x₁ = 0.9; Δx = −0.1 and Δf = 0.01 lead to the minimum, 0."""
    first = pixel("anderson", bowl(1.0), step_size=0.1, num_steps=1)
    assert first == pytest.approx(0.9, abs=1e-12)
    assert pixel("anderson", bowl(1.0), step_size=0.1, num_steps=2) == pytest.approx(0, abs=1e-7)


def test_anderson_ends_at_a_quadratic_minimum_in_a_few_steps() -> None:
    """Of m different curvatures, m + 1 steps would do in exact numbers (Walker and Ni 2011).

    Gradient descent is still far away: its slowest pixels have kept 0.9⁶ of their distance.
    """
    minimum = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    minimum = (0.2 + 0.6 * minimum).double()
    curvatures = torch.tensor([0.1, 0.4, 0.8, 1.3, 1.7], dtype=torch.float64)
    curvatures = curvatures.repeat(40)[:192].view(3, 8, 8)
    x0 = torch.full_like(minimum, 0.5)
    energy = ellipse(curvatures, minimum)
    fast, plain = (descend(energy, x0, num_steps=6, solver=s) for s in ("anderson", "gd"))
    assert torch.allclose(fast, minimum, atol=1e-3)
    assert float((plain - minimum).abs().max()) > 0.1
    # Where it has arrived it stays, whatever the differences of rounding say.
    later = descend(energy, x0, num_steps=60, solver="anderson")
    assert torch.allclose(later, minimum, atol=1e-9)


@pytest.mark.parametrize("pictures", [1, 2])
def test_anderson_stays_at_the_minimum_where_a_device_has_float32_alone(monkeypatch, pictures):
    monkeypatch.setattr(solvers, "exact_type", lambda device: torch.float32)
    minimum = torch.rand(pictures, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x0 = torch.full_like(minimum, 0.5)
    x0[1:] = minimum[1:]  # nothing is left to do in the second
    curvatures = torch.linspace(0.2, 1.8, 192).view(1, 3, 8, 8)
    x = descend(ellipse(curvatures, minimum), x0, num_steps=80, solver="anderson")
    assert torch.allclose(x, minimum, atol=1e-5)


def test_anderson_ends_where_the_clamp_holds_gradient_descent() -> None:
    minimum = torch.linspace(-0.5, 1.5, 192).view(1, 3, 8, 8)
    curvatures = torch.linspace(0.2, 1.8, 192).view(1, 3, 8, 8).flip(-1)
    x = descend(
        ellipse(curvatures, minimum), torch.full_like(minimum, 0.5), num_steps=25, solver="anderson"
    )
    assert torch.allclose(x, minimum.clamp(0, 1), atol=1e-3)


def test_anderson_is_the_same_in_any_batch_and_twice() -> None:
    generator = torch.Generator().manual_seed(1)
    x0 = torch.rand(3, 3, 16, 16, generator=generator)
    # A neighbour that is at the minimum from the first has nothing to learn from.
    minimum = torch.rand(3, 16, 16, generator=generator)
    x0[1] = minimum
    energy = ellipse(torch.rand(3, 16, 16, generator=generator), minimum)
    together, again = (descend(energy, x0, num_steps=9, solver="anderson") for _ in range(2))
    assert torch.equal(together, again) and torch.equal(together[1], minimum)
    for b in range(3):
        alone = descend(energy, x0[b : b + 1], num_steps=9, solver="anderson")
        assert torch.equal(alone[0], together[b])


def test_anderson_without_memory_is_gradient_descent_to_the_bit() -> None:
    x0 = torch.rand(2, 3, 4, 4)
    settings = {"step_size": 0.3, "num_steps": 5}
    forgetful = partial(anderson, memory=0)
    assert torch.equal(
        descend(squares(0.4), x0, solver=forgetful, **settings),
        descend(squares(0.4), x0, **settings),
    )


def test_fast_takes_four_tenths_of_the_steps_rounded_up() -> None:
    assert [fast_steps(n) for n in (1, 2, 3, 5, 10, 30, 31, 100)] == [1, 2, 3, 5, 8, 12, 13, 40]


def test_any_update_is_a_solver_and_an_unknown_name_is_an_error() -> None:
    """Steps of one size towards the minimum: 1 − 3 · 0.25."""
    found = pixel(
        lambda start: lambda n, x, gradient: x - start.step_size * gradient.sign(),
        bowl(1.0),
        step_size=0.25,
        num_steps=3,
    )
    assert found == 0.25
    with pytest.raises(
        CometError, match="one of gd, momentum, adam, langevin, anderson, not 'newton'"
    ):
        descend(bowl(1.0), picture(1.0), num_steps=1, solver="newton")


def test_a_descent_stops_where_its_energy_has_settled() -> None:
    """x_n = (1 − λa)ⁿ, so the energies are 0.25ⁿ and E_{n−1} − E_n = 3 · 0.25ⁿ; both of the last
    two changes are within 1 % of the fall first at n = 5: 3 · 0.25⁴ = 0.0117, 3 · 0.25⁵ = 0.0029.
    """
    tolerance = Tolerance(0.012)
    x = descend(
        bowl(2.0), picture(1.0, 1), step_size=0.25, num_steps=50, bounds=None, tolerance=tolerance
    )
    assert tolerance.steps == [5] and torch.equal(x, picture(0.5**5, 1))
    strict = Tolerance(0.011)
    descend(bowl(2.0), picture(1.0, 1), step_size=0.25, num_steps=50, bounds=None, tolerance=strict)
    assert strict.steps == [6]


def test_settling_knows_neither_unit_nor_zero_of_an_energy() -> None:
    found = set()
    for scale, shift in ((1.0, 0.0), (1e-3, 7.0), (50.0, -900.0)):
        tolerance = Tolerance(0.01)
        descend(
            lambda x, s=scale, c=shift: s * bowl(2.0)(x) + c,
            picture(1.0),
            step_size=0.25 / scale,
            num_steps=50,
            tolerance=tolerance,
        )
        found.add(tolerance.steps[0])
    assert len(found) == 1 and found < {3, 4, 5, 6, 7}


def test_pictures_of_a_batch_settle_each_by_itself() -> None:
    targets = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)[:, None, None, None]
    stiffness = torch.tensor([1.0, 3.0, 0.3], dtype=torch.float64)[:, None, None, None]

    def energy_of(rows: slice):
        a, f = stiffness[rows], targets[rows]
        return lambda x: (0.5 * a * (x - f).square()).sum((1, 2, 3))

    x0 = picture(0.5).expand(3, -1, -1, -1).clone()
    together = Tolerance(1e-3)
    x = descend(energy_of(slice(None)), x0, step_size=0.5, num_steps=90, tolerance=together)
    for b in range(3):
        alone = Tolerance(1e-3)
        one = descend(
            energy_of(slice(b, b + 1)), x0[b : b + 1], step_size=0.5, num_steps=90, tolerance=alone
        )
        assert alone.steps == [together.steps[b]] and torch.equal(one[0], x[b])
        again = descend(
            energy_of(slice(b, b + 1)), x0[b : b + 1], step_size=0.5, num_steps=alone.steps[0]
        )
        assert torch.equal(again, one)
    assert len(set(together.steps)) == 3 and max(together.steps) < 90


def test_a_descent_that_never_settles_takes_all_its_steps() -> None:
    tolerance = Tolerance(1e-9)
    descend(bowl(0.1), picture(1.0), step_size=0.1, num_steps=6, tolerance=tolerance)
    assert tolerance.steps == [6]
