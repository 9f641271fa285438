"""Terms that act on a part of the canvas."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from toy_models import R, ToyModel, gradient, pooled, quadratic_model, quartic, square, term

from comet_cli.energy.composition import QUADRATIC_REST, Term, compose
from comet_cli.energy.render import render
from comet_cli.errors import CometError


def left_half() -> Tensor:
    region = torch.zeros(R, R)
    region[:, : R // 2] = 1
    return region


def test_outside_its_region_a_term_is_absent_and_inside_it_is_there() -> None:
    model = quadratic_model()
    ground, patch = term(model, 0.2, 8.0), term(model, 0.8, 24.0)
    masked = term(model, 0.8, 24.0, region=left_half())
    settings = {"num_steps": 3, "seed": 4}
    x = render([ground, masked], **settings)
    without, everywhere = render([ground], **settings), render([ground, patch], **settings)
    half = R // 2
    assert torch.equal(x[..., half:], without[..., half:])
    assert torch.allclose(x[..., :half], everywhere[..., :half])
    assert float((x - without)[..., :half].abs().min()) > 0.1


def test_outside_the_region_of_a_term_that_is_not_quadratic_the_step_stays_what_it_was() -> None:
    """Its ρ = 1 slows the quadratic terms down where it acts, and nowhere else."""
    ground = term(quadratic_model(), 0.2, 0.5)
    masked = term(ToyModel(quartic, name="quartic"), 0.9, region=left_half())
    x = render([ground, masked], num_steps=1, seed=4)
    without = render([ground], num_steps=1, seed=4)
    assert torch.equal(x[..., R // 2 :], without[..., R // 2 :])
    energy = compose([ground, masked])
    rest = energy.curvature(x)[0, 0] - 0.5
    assert torch.allclose(rest, torch.where(left_half() > 0, 1.0, QUADRATIC_REST))


def test_the_gradient_of_a_masked_term_is_its_gradient_times_the_mask() -> None:
    region = torch.rand(R, R)
    for size in (R, 2 * R):  # seen as it is, and through a resize
        model = ToyModel(quartic, size=size)
        terms = [term(model, 0.3), term(model, 0.3, region=region)]
        x = torch.rand(1, 3, R, R)
        plain, masked = (gradient(compose([t], size=R), x) for t in terms)
        assert torch.allclose(masked, plain * region, atol=1e-6)
        assert torch.equal(compose(terms[:1], size=R)(x), compose(terms[1:], size=R)(x))


def test_the_preconditioner_is_masked_like_the_gradient() -> None:
    model = quadratic_model()
    region = torch.rand(R, R)
    x = torch.rand(1, 3, R, R)
    curvature = compose([term(model, 0.2, 8.0, region=region)]).curvature(x)
    assert torch.allclose(curvature[0, 0], 8.0 * region + QUADRATIC_REST)


def test_permuting_masked_terms_gives_identical_bytes() -> None:
    model = pooled(8)
    z = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    regions = [None, torch.ones(8, 8).triu(), torch.ones(8, 8).tril()]
    terms = [Term(model, z[0], 1.0, 0, "", r) for r in regions]
    terms += [Term(model, z[k], 1.0, k % 2, "", regions[1]) for k in (1, 2)]
    first, *others = (render(list(order), num_steps=2) for order in itertools.permutations(terms))
    assert all(torch.equal(first, other) for other in others)


def test_a_region_everywhere_is_no_region() -> None:
    model = pooled(8)
    z = torch.tensor([0.5, -1.0])
    plain = render([Term(model, z, component=0)], num_steps=3)
    masked = render([Term(model, z, component=0, region=torch.ones(8, 8))], num_steps=3)
    assert torch.equal(plain, masked)


def test_a_region_of_another_size_is_an_error() -> None:
    with pytest.raises(CometError, match=r"region of a is \(2, 2\), expected \(4, 4\)"):
        compose([term(ToyModel(square), 0.5, name="a", region=torch.ones(2, 2))])
