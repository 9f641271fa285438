"""The quadratic energy: everything about it has a closed form."""

import math

import pytest
import torch

from comet_cli.energy.composition import QUADRATIC_REST, Term, compose
from comet_cli.energy.descent import descend
from comet_cli.energy.render import render
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.quadratic_energy import (
    LOG_PRECISION_LIMIT,
    BoundQuadraticEnergy,
    QuadraticEnergy,
)

D = 4


def network(size: int = 12, *, sees_image: bool = False, filters: int = 8) -> QuadraticEnergy:
    """Return a network whose precisions and means vary strongly over the picture."""
    torch.manual_seed(0)
    net = QuadraticEnergy(filters, D, size, sees_image=sees_image)
    with torch.no_grad():
        net.out.weight.mul_(10)
    return net.requires_grad_(False)


def latents(batch: int, count: int) -> torch.Tensor:
    return torch.randn(batch, count, D, generator=torch.Generator().manual_seed(1)) * 0.7


def pictures(batch: int, size: int = 12) -> torch.Tensor:
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(2))


def model(components: int = 3) -> CometModel:
    card = ModelCard(
        name="tiny",
        encoder="global",
        energy="quadratic",
        filter_dim=8,
        components=components,
        latent_dim=D,
        image_size=12,
        positional=[True] * components,
        step_size=1.0,
        num_steps=1,
        render_step_size=1.0,
        render_steps=5,
    )
    made = CometModel(card)
    made.energy_network = network()
    return made.requires_grad_(False)


def test_energy_of_one_pixel_by_hand():
    precision = torch.tensor([2.0]).reshape(1, 1, 1, 1, 1)
    mean = torch.tensor([0.1, 0.2, 0.3]).reshape(1, 1, 3, 1, 1)
    x = torch.tensor([0.4, 0.0, 0.8]).reshape(1, 3, 1, 1)
    energy = BoundQuadraticEnergy(precision, mean)(x)
    assert energy.item() == pytest.approx(0.5 * 2 * (0.09 + 0.04 + 0.25))


def test_energy_is_half_the_confidence_weighted_square_distance_to_the_proposal():
    net, z, x = network(), latents(2, 3), pictures(2)
    m, f = (t.double() for t in net(z, [True] * 3))
    found = net.bind(z, [True] * 3)(x)
    for b in range(2):
        for k in range(3):
            by_pixel = (x[b].double() - f[b, k]).square().sum(0)
            expected = 0.5 * (m[b, k, 0] * by_pixel).sum()
            assert found[b, k].item() == pytest.approx(expected.item(), rel=1e-5)


def test_gradient_is_confidence_times_distance():
    net, z = network(), latents(2, 3)
    x = pictures(2).requires_grad_(True)
    m, f = net(z, [True] * 3)
    energies = net.bind(z, [True] * 3)(x)
    for k in range(3):
        (gradient,) = torch.autograd.grad(energies[:, k].sum(), x, retain_graph=True)
        torch.testing.assert_close(gradient, (m[:, k] * (x - f[:, k])).detach())


def test_curvature_is_the_hessian_which_is_diagonal():
    size = 6
    net, z, x = network(size), latents(1, 2), pictures(1, size)
    bound = net.bind(z, [True] * 2)
    curvature = bound.curvature(x)
    assert curvature.shape == (1, 2, 1, size, size)
    for k in range(2):
        hessian = torch.func.hessian(lambda y, k=k: bound(y)[0, k])(x)
        expected = curvature[:, k].expand(-1, 3, -1, -1).flatten().diag()
        torch.testing.assert_close(hessian.reshape(expected.shape), expected)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_confidence_is_positive_and_bounded_and_proposals_are_colours(scale):
    m, f = network()(latents(2, 3) * scale, [True] * 3)
    assert m.shape == (2, 3, 1, 12, 12) and f.shape == (2, 3, 3, 12, 12)
    assert (m >= math.exp(-LOG_PRECISION_LIMIT) * 0.999).all()
    assert (m <= math.exp(LOG_PRECISION_LIMIT) * 1.001).all()
    assert (f >= 0).all() and (f <= 1).all()


@pytest.mark.parametrize("size", [5, 12, 17])
def test_every_image_size_gives_maps_of_that_size(size):
    m, f = network(size)(latents(1, 2), [True] * 2)
    assert m.shape[-2:] == f.shape[-2:] == (size, size)


def test_each_step_shrinks_the_distance_to_the_minimum_by_the_closed_form():
    """x_n = x* + (ρ / (ρ + Σm))ⁿ (x_0 − x*) with x* = Σ m f / Σ m."""
    made, z, x0 = model(), latents(2, 3), pictures(2)
    m, f = made.energy_network(z, [True] * 3)
    total = m.sum(1)
    minimum = (m * f).sum(1) / total
    factor = QUADRATIC_REST / (QUADRATIC_REST + total)
    terms = [Term(made, z[:, k], component=k) for k in range(3)]
    for steps in (1, 2, 5):
        found = descend(compose(terms), x0, num_steps=steps)
        torch.testing.assert_close(found, minimum + factor**steps * (x0 - minimum))


def test_rendering_reaches_the_weighted_mean_of_the_proposals_as_steps_grow():
    made, z = model(), latents(2, 3)
    m, f = made.energy_network(z, [True] * 3)
    minimum = (m * f).sum(1) / m.sum(1)
    terms = [Term(made, z[:, k], component=k) for k in range(3)]
    errors = [
        (render(terms, num_steps=steps, seed=3) - minimum).abs().max().item()
        for steps in (1, 3, 10, 200)
    ]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 1e-4


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_components_scores_like_each_alone(count):
    made, z, x = model(components=3), latents(2, count), pictures(2)
    together = made.energy(x, z)
    assert together.shape == (2, count)
    for k in range(count):
        torch.testing.assert_close(together[:, k : k + 1], made.energy(x, z[:, k : k + 1]))


def test_pictures_of_a_batch_are_scored_with_their_own_latents_and_flags():
    for sees in (False, True):
        net, z, x = network(sees_image=sees), latents(2, 3), pictures(2)
        flags = [True, False, True]
        together = net.bind(z, flags)(x)
        for b in range(2):
            for k in range(3):
                alone = net.bind(z[b : b + 1, k : k + 1], flags[k : k + 1])(x[b : b + 1])
                torch.testing.assert_close(together[b, k], alone[0, 0])


def test_without_positions_the_interior_is_uniform_and_with_them_it_is_not():
    """Only the padding of the convolutions tells places apart: not 22 pixels from the border."""
    net, z = network(64, filters=4), latents(1, 1)
    inside = (..., slice(22, 42), slice(22, 42))
    for values in net(z, [False]):
        middle = values[inside]
        torch.testing.assert_close(middle, middle[..., :1, :1].expand_as(middle))
    for values in net(z, [True]):
        assert values[inside].std((-2, -1)).max() > 1e-3


def unmodulated_by_place(net: QuadraticEnergy) -> QuadraticEnergy:
    """Let the first two latent dimensions act as the centre alone."""
    with torch.no_grad():
        net.modulation[0].weight[:, :2] = 0
    return net


def test_without_positions_the_centre_has_no_say():
    net, z = unmodulated_by_place(network()), latents(1, 1)
    elsewhere = z + torch.tensor([0.5, -0.25, 0.0, 0.0])
    for here, there in zip(net(z, [False]), net(elsewhere, [False]), strict=True):
        assert torch.equal(here, there)
    assert not torch.equal(net(z, [True])[1], net(elsewhere, [True])[1])


def test_moving_the_centre_moves_what_depends_on_the_relative_position():
    net = unmodulated_by_place(network(64, filters=4))
    with torch.no_grad():
        net.coarse_in.weight[:, :14] = 0  # the absolute position: 2 + 4 · 3 features
    z = latents(1, 1)
    z[..., :2] = torch.tensor([0.0, 0.1])
    moved = z + torch.tensor([0.5, 0.0, 0.0, 0.0])  # 16 of 64 pixels down
    for here, there in zip(net(z, [True]), net(moved, [True]), strict=True):
        torch.testing.assert_close(
            there[..., 38:42, 22:42], here[..., 22:26, 22:42], atol=1e-4, rtol=1e-3
        )
        assert (there - here)[..., 22:42, 22:42].abs().max() > 1e-2


def test_seeing_the_image_makes_confidence_and_proposal_functions_of_it():
    net, z = network(sees_image=True), latents(1, 2)
    bound = net.bind(z, [True] * 2)
    x, y = pictures(2).split(1)
    m, f = net(z, [True] * 2, x)
    assert not torch.allclose(m, net(z, [True] * 2, y)[0])
    torch.testing.assert_close(bound.curvature(x), m)
    torch.testing.assert_close(
        bound(x), 0.5 * (m * (x[:, None] - f).square()).sum((2, 3, 4)), rtol=1e-5, atol=0
    )


def test_seeing_the_image_the_gradient_is_that_of_the_whole_energy():
    """It passes through m(x) and f(x): central differences agree, m (x − f) alone does not."""
    net, z = network(sees_image=True), latents(1, 2)
    bound = net.bind(z, [True] * 2)
    x = pictures(1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(bound(x).sum(), x)
    m, f = net(z, [True] * 2, x.detach())
    frozen = (m * (x.detach()[:, None] - f)).sum(1)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        direction = torch.randn(x.shape, generator=generator)
        step = 2e-3 * direction
        with torch.no_grad():
            ahead, behind = bound(x + step).double().sum(), bound(x - step).double().sum()
        slope = ((ahead - behind) / 4e-3).item()
        assert slope == pytest.approx((gradient * direction).sum().item(), rel=0.02)
    assert (gradient - frozen).norm() > 0.05 * gradient.norm()


@pytest.mark.parametrize("sees_image", [False, True])
def test_every_parameter_is_used(sees_image):
    net = network(sees_image=sees_image).requires_grad_(True)
    x = pictures(2).requires_grad_(True)
    energies = net.bind(latents(2, 2), [True] * 2)(x)
    (gradient,) = torch.autograd.grad(energies.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
