"""The algebra of section 4, on energies whose minima are known in closed form."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from toy_models import R, ToyModel, gradient, pooled, quadratic_model, quartic, square, term

from comet_cli.energy.composition import QUADRATIC_REST, Term, compose
from comet_cli.energy.descent import descend
from comet_cli.energy.render import render, start_picture
from comet_cli.energy.solvers import SOLVERS
from comet_cli.errors import CometError, DivergenceError
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy


@pytest.mark.parametrize(
    ("targets", "weights", "minimum"),
    [
        ((2.0, 3.0), (1, 1), 2.5),
        ((2.0, 4.0), (1, 1), 3.0),
        ((2.0, 4.0), (3, 1), 2.5),  # (3·2 + 1·4) / 4
        ((2.0, 4.0), (1, -0.5), 0.0),  # (2 − 0.5·4) / 0.5: pushed away from 4
    ],
)
def test_minimum_of_a_sum_of_squares(targets, weights, minimum) -> None:
    toy = ToyModel(square)
    terms = [term(toy, a, weight=w) for a, w in zip(targets, weights, strict=True)]
    x0 = torch.rand(1, 3, R, R)
    x = descend(compose(terms), x0, step_size=0.1, num_steps=300, bounds=None)
    assert torch.allclose(x, torch.full_like(x, minimum), atol=1e-4)


def test_a_mask_composition_written_as_an_energy_gives_the_masked_picture() -> None:
    """Remark 1: with E_k = m_k (x − f_k)² and masks that sum to 1, arg min Σ E_k = Σ m_k f_k."""
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(3, 1, R, R, generator=generator)
    masks = masks / masks.sum(0)
    pictures = torch.rand(3, 3, R, R, generator=generator)

    def masked(x: Tensor, z: Tensor) -> Tensor:
        k = int(z[0, 0])
        return (masks[k] * (x - pictures[k]).square()).sum((1, 2, 3))

    toy = ToyModel(masked)
    terms = [term(toy, k) for k in range(3)]
    x = render(terms, step_size=0.5, num_steps=1)  # ∇ = 2(x − Σ m f): one step of ½ is exact
    assert torch.allclose(x[0], (masks * pictures).sum(0), atol=1e-6)


@pytest.mark.parametrize("terms", [[(0.2, 8.0)], [(0.2, 8.0), (0.6, 24.0)], [(0.1, 1e3)] * 4])
def test_quadratic_terms_are_rendered_to_the_weighted_mean_whatever_their_confidence(terms) -> None:
    toy = quadratic_model(init="grey")
    x = render([term(toy, *t) for t in terms], num_steps=12)
    mean = sum(f * m for f, m in terms) / sum(m for _, m in terms)
    assert torch.allclose(x, torch.full_like(x, mean), atol=1e-4)


def test_where_nothing_cares_the_start_shows_through() -> None:
    x = render([term(quadratic_model(init="grey"), 0.9, 1e-6)], num_steps=5)
    assert torch.allclose(x, torch.full_like(x, 0.5), atol=1e-3)


@pytest.mark.parametrize("precision", [0.5, 20.0, 400.0])
def test_quadratic_and_other_terms_meet_where_the_summed_gradient_is_zero(precision) -> None:
    stiff, soft = quadratic_model(), ToyModel(quartic, step_size=0.7)
    terms = [term(stiff, 0.4, precision), term(soft, 0.9), term(soft, 0.8, weight=0.5)]
    energy = compose(terms)
    x0 = start_picture(1, R, init="noise", seed=0)
    x = descend(energy, x0, step_size=1.0, num_steps=3000)
    slope = gradient(energy, x)
    assert slope.abs().max() < 1e-4 * precision
    assert 0.4 < float(x.min()) and float(x.max()) < 0.9  # between the means, not clamped
    by_hand = precision * (x - 0.4) + 0.7 * ((x - 0.9) ** 3 + 0.5 * (x - 0.8) ** 3)
    assert torch.allclose(slope, by_hand, atol=1e-4 * precision)


def test_a_term_that_is_not_quadratic_keeps_its_trained_step() -> None:
    x = torch.rand(1, 3, R, R)
    assert torch.equal(compose([term(ToyModel(square), 0.5)]).curvature(x), torch.ones(1, 1, R, R))


def test_every_term_is_scaled_by_its_models_own_step_size() -> None:
    slow, fast = ToyModel(square, step_size=2.0), ToyModel(square, name="b", step_size=5.0)
    x = torch.rand(2, 3, R, R)
    terms = [
        Term(slow, torch.zeros(2, 1)),  # type: ignore[arg-type]
        Term(fast, torch.ones(2, 1), weight=-0.5),  # type: ignore[arg-type]
    ]
    wanted = 2.0 * square(x, torch.zeros(2, 1)) - 2.5 * square(x, torch.ones(2, 1))
    assert torch.allclose(compose(terms)(x), wanted)


def test_one_pooled_model_alone_is_the_papers_descent() -> None:
    model = pooled(16)
    z = torch.randn(1, 2, 2)
    found = render([Term(model, z[:, k], component=k) for k in range(2)], seed=5, num_steps=3)
    x = start_picture(1, 16, init="noise", seed=5)
    for _ in range(3):
        slope = gradient(lambda x: model.energy(x, z).sum(1), x)
        x = (x - 10.0 * slope).clamp(0, 1)
    assert torch.allclose(found, x, atol=1e-6)


def test_permuting_terms_gives_identical_bytes() -> None:
    a, b = pooled(16, render_step_size=1e3), pooled(24, render_step_size=3e3)
    z = torch.randn(4, 2)
    terms = [
        Term(a, z[0], component=0),
        Term(b, z[1], component=0, weight=0.7),
        Term(a, z[2], component=1),
        Term(a, z[2], component=1),
        Term(b, z[3], component=1, weight=-0.2),
    ]
    pictures = {
        render(list(order), num_steps=2).numpy().tobytes()
        for order in itertools.islice(itertools.permutations(terms), 0, 120, 17)
    }
    assert len(pictures) == 1


def test_weight_zero_is_as_if_absent() -> None:
    model = pooled(16)
    z = torch.randn(2, 2)
    alone = render([Term(model, z[0])], num_steps=2)
    beside = render([Term(model, z[0]), Term(pooled(24), z[1], weight=0.0)], num_steps=2)
    assert torch.equal(alone, beside)


def test_weight_two_is_the_term_twice() -> None:
    model, z, x = pooled(16), torch.randn(2), torch.rand(1, 3, 16, 16)
    twice, doubled = compose([Term(model, z)] * 2), compose([Term(model, z, weight=2.0)])
    assert torch.allclose(twice(x), doubled(x), rtol=1e-5)


def test_copies_of_a_term_are_one_term_with_the_sum_of_their_weights() -> None:
    model, other = quadratic_model(), quadratic_model(name="other")
    a, b = term(model, 0.2, 9.0), term(other, 0.8, 9.0)
    half = torch.zeros(R, R)
    half[:2] = 1
    for weights in ((1.0, -0.75), (0.5, 0.5, -0.5)):
        copies = [replace(a, weight=w) for w in weights]
        one = replace(a, weight=sum(weights))
        wanted = render([one, b], num_steps=2, init="grey")
        assert torch.equal(render([*copies, b], num_steps=2, init="grey"), wanted)
        elsewhere = [one, b, replace(b, region=half)]
        assert not torch.equal(render(elsewhere, num_steps=2, init="grey"), wanted)
    copies = [replace(a, weight=w) for w in (0.1, 0.2, 0.3)]  # whose sum depends on the order
    orders = [[*order, b] for order in itertools.permutations(copies)]
    first, *others = (render(order, num_steps=2, init="grey") for order in orders)
    assert all(torch.equal(x, first) for x in others)
    large = replace(a, model=quadratic_model(size=2 * R, name="large"))
    gone = [large, replace(large, weight=-1.0)]
    assert torch.equal(render([*gone, b], num_steps=2), render([b], num_steps=2))
    with pytest.raises(CometError, match="nothing to compose"):
        compose(gone)


def test_gradient_of_a_composition_is_the_sum_of_its_terms_gradients() -> None:
    small, large = pooled(16), pooled(24)
    z = torch.randn(3, 2)
    terms = [Term(small, z[0]), Term(large, z[1], weight=-0.5), Term(large, z[2])]
    x = torch.rand(1, 3, 24, 24)
    summed = sum(gradient(compose([t], size=24), x) for t in terms)
    whole = gradient(compose(terms), x)
    assert torch.allclose(whole, summed, atol=1e-5 * float(whole.abs().max()))


def test_models_of_different_sizes_meet_on_the_largest_canvas() -> None:
    small, large = pooled(64), pooled(128, "pooled-128")
    z = torch.randn(2, 2)
    energy = compose([Term(small, z[0]), Term(large, z[1])])
    x = torch.rand(1, 3, 128, 128)

    def by_hand(x: Tensor) -> Tensor:
        seen = F.interpolate(x, (64, 64), mode="bilinear", antialias=True)
        of_small = small.energy(seen, z[None, :1]).sum(1) * (128 / 64) ** 2
        return 10.0 * (of_small + large.energy(x, z[None, 1:]).sum(1))

    assert torch.allclose(energy(x), by_hand(x))
    wanted = gradient(by_hand, x)
    assert torch.allclose(gradient(energy, x), wanted, atol=1e-6 * float(wanted.abs().max()))
    assert render([Term(small, z[0]), Term(large, z[1])], num_steps=1).shape == (1, 3, 128, 128)


def test_quadratic_terms_of_different_sizes_meet_where_the_summed_gradient_is_zero() -> None:
    small, large = quadratic_model(size=2), quadratic_model(size=R, name="large")
    terms = [term(small, 0.25, 9.0), term(large, 0.75, 9.0)]
    x = render(terms, num_steps=200, init="grey")
    # The resize weighs border pixels otherwise than inner ones, so only the mean is half way.
    assert float(x.mean()) == pytest.approx(0.5, abs=0.02)
    assert gradient(compose(terms), x).abs().max() < 1e-4


def test_a_quadratic_term_on_a_larger_canvas_is_rendered_to_its_proposal() -> None:
    x = render([term(quadratic_model(), 0.25, 9.0)], size=6, num_steps=60, init="grey")
    assert x.shape == (1, 3, 6, 6)
    seen = F.interpolate(x, (R, R), mode="bilinear", antialias=True)
    assert torch.allclose(seen, torch.full_like(seen, 0.25), atol=1e-3)


class Drawn(ToyModel):
    """A model of one object, or of its ground: m and f are the latent's."""

    def bind_each(self, z: Tensor, components) -> BoundQuadraticEnergy:
        maps = z.unflatten(-1, (4, R, R))
        return BoundQuadraticEnergy(maps[:, :, :1], maps[:, :, 1:])


def test_an_outline_on_another_canvas_has_no_rim() -> None:
    model, there = Drawn(square), torch.zeros(R, R)
    there[1:3, 1:3] = 1
    ground = torch.stack([torch.ones(R, R), *[torch.full((R, R), 0.6)] * 3]).flatten()
    # What the object says where it does not care must not show.
    thing = torch.stack([0.01 + 100 * there, *[0.2 * there + 0.9 * (1 - there)] * 3]).flatten()
    terms = [Term(model, ground), Term(model, thing)]
    for size in (2, 7, 32):
        x = render(terms, size=size, num_steps=20, init="grey")
        assert x.min() > 0.2 - 1e-3 and x.max() < 0.6 + 5e-3
    large = render(terms, size=32, num_steps=20, init="grey")
    assert (large[..., 12:20, 12:20] < 0.21).all() and (large[..., :6, :] > 0.57).all()


def test_where_inference_is_all_that_is_allowed_pictures_are_the_same() -> None:
    terms = [Term(pooled(16), torch.ones(2)), Term(pooled(24), torch.ones(2))]
    expected = render(terms, num_steps=2, init="grey")
    with torch.inference_mode():
        assert torch.equal(render(terms, num_steps=2, init="grey"), expected)


def test_one_composition_descends_from_batches_of_several_sizes() -> None:
    energy = compose([term(quadratic_model(), 0.25, 9.0)])
    for count in (3, 2):
        x = descend(energy, torch.rand(count, 3, R, R), num_steps=60)
        assert torch.allclose(x, torch.full_like(x, 0.25), atol=1e-3)


def test_more_components_than_trained_and_one_alone_both_render() -> None:
    model = pooled(16)
    z = torch.randn(7, 2)
    many = render([Term(model, z[j], component=j) for j in range(7)], num_steps=1)
    one = render([Term(model, z[0], component=0)], num_steps=1)
    assert many.shape == one.shape == (1, 3, 16, 16)
    assert not torch.equal(many, one)


def test_an_energy_that_is_not_finite_names_the_term() -> None:
    def breaks(x: Tensor, z: Tensor) -> Tensor:
        return square(x, z) / z[:, 0]

    toy = ToyModel(breaks)
    terms = [term(toy, 1.0, name="good.z:0"), term(toy, 0.0, name="bad.z:1")]
    with pytest.raises(DivergenceError, match=r"energy of bad\.z:1 is not finite") as caught:
        render(terms)
    assert "good.z" not in str(caught.value)
    assert "--step-size" in str(caught.value)


def test_the_term_is_named_where_its_gradient_needs_no_energy() -> None:
    model = pooled(16)
    good, bad = torch.randn(2), torch.full((2,), 1e38)
    terms = [
        Term(model, good, component=0, name="good.z:0"),
        Term(model, bad, component=1, name="bad.z:1"),
    ]
    with pytest.raises(DivergenceError, match=r"energy of bad\.z:1 is not finite"):
        render(terms, num_steps=2)


def test_nothing_to_compose_and_unequal_batches_are_errors() -> None:
    toy = ToyModel(square)
    for terms in ([], [term(toy, 1.0, weight=0.0)]):
        with pytest.raises(CometError, match="nothing to compose"):
            compose(terms)
    with pytest.raises(CometError, match=r"different batch sizes: \[1, 2\]"):
        compose([term(toy, 1.0), Term(toy, torch.zeros(2, 1))])  # type: ignore[arg-type]


def test_a_curvature_that_depends_on_the_picture_is_asked_for_each_picture() -> None:
    """Of ¼ Σ (x − a)⁴ the Hessian's diagonal is 3 (x − a)²."""
    model = ToyModel(quartic, lambda x, z: 3 * (x - z[:, 0, None, None, None])[:, :1].square())
    energy = compose([term(model, 0.0)])
    for value in (0.2, 0.9):
        found = energy.curvature(torch.full((1, 3, R, R), value))
        torch.testing.assert_close(found, torch.full((1, 1, R, R), QUADRATIC_REST + 3 * value**2))


def test_a_curvature_that_is_constant_is_asked_for_once() -> None:
    card = pooled(16).card.replace(energy="quadratic", positional=[True, True])
    energy = compose([Term(CometModel(card).requires_grad_(False), torch.randn(1, 2))])
    assert energy.curvature(torch.rand(1, 3, 16, 16)) is energy.curvature(torch.rand(1, 3, 16, 16))


def test_solvers_have_names_and_gradient_descent_is_the_default() -> None:
    terms = [term(ToyModel(square), 0.3), term(ToyModel(square), 0.5)]
    found = {name: render(terms, num_steps=3, step_size=0.1, solver=name) for name in SOLVERS}
    assert torch.equal(found["gd"], render(terms, num_steps=3, step_size=0.1))
    assert len({x.numpy().tobytes() for x in found.values()}) == len(SOLVERS)
    with pytest.raises(
        CometError, match="one of gd, momentum, adam, langevin, anderson, not 'newton'"
    ):
        render(terms, solver="newton")


def test_adam_takes_as_many_steps_as_it_needs() -> None:
    terms = [term(quadratic_model(), 0.9, 9.0)]
    settled = render(terms, init="grey", num_steps=500)
    assert (render(terms, init="grey", solver="adam") - settled).abs().max() < 1 / 255
    few = render(terms, init="grey", solver="adam", num_steps=5)
    assert (few - settled).abs().max() > 0.05


def test_an_energy_that_is_composed_already_gives_the_same_picture() -> None:
    terms = [term(quadratic_model(), 0.2, 8.0), term(ToyModel(quartic), 0.9)]
    energy = compose(terms)
    for seed in (1, 2):
        assert torch.equal(render(terms, seed=seed, energy=energy), render(terms, seed=seed))
