"""Networks for global factors that keep positions, and means that respond to the light."""

import pytest
import torch

from comet_cli.energy.composition import QUADRATIC_REST, Composition, Term, compose
from comet_cli.energy.descent import descend
from comet_cli.errors import FileFormatError
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.colouring_encoder import ColouringEncoder
from comet_cli.networks.quadratic_energy import BoundLightEnergy, BoundQuadraticEnergy
from comet_cli.networks.spatial_encoder import SpatialEncoder
from comet_cli.networks.spatial_energy import (
    BoundCoarseImageEnergy,
    SpatialQuadraticEnergy,
    seen_pixels,
)


def card(**facts) -> ModelCard:
    settings = {
        "name": "tiny",
        "encoder": "global",
        "energy": "quadratic",
        "spatial": True,
        "filter_dim": 8,
        "components": 2,
        "latent_dim": 6,
        "image_size": 24,
        "positional": [True, True],
        "step_size": 1.0,
        "num_steps": 1,
        "render_step_size": 1.0,
        "render_steps": 5,
    }
    return ModelCard(**{**settings, **facts})


@pytest.mark.parametrize("size", [16, 24, 64, 128])
def test_shapes_at_every_size(size):
    torch.manual_seed(0)
    model = CometModel(card(image_size=size)).requires_grad_(False)
    x = torch.rand(2, 3, size, size)
    z = model.encode(x)
    assert z.shape == (2, 2, 6)
    bound = model.bind(z)
    assert bound.curvature(x).shape == (2, 2, 1, size, size)
    assert model.energy(x, z).shape == (2, 2)


def test_the_encoder_knows_where_things_are_and_the_papers_does_not():
    torch.manual_seed(0)
    left = torch.zeros(1, 3, 64, 64)
    left[..., 24:40, 16:24] = 1
    right = left.roll(16, -1)

    def change(encoder) -> float:
        a, b = encoder(left), encoder(right)
        return float((a - b).norm() / a.norm())

    spatial = CometModel(card(image_size=64)).requires_grad_(False)
    averaged = CometModel(card(image_size=64, spatial=False)).requires_grad_(False)
    assert change(spatial.encode) > 20 * change(averaged.encode)


def test_what_is_decoded_is_a_function_of_z_alone_and_independent_of_the_other_components():
    torch.manual_seed(0)
    network = SpatialQuadraticEnergy(8, 6, 24).requires_grad_(False)
    z = torch.randn(2, 3, 6)
    precision, mean = network(z)
    assert (precision > 0).all() and (mean >= 0).all() and (mean <= 1).all()
    alone_confidence, alone = network(z[1:, 2:])
    torch.testing.assert_close(alone[0, 0], mean[1, 2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone_confidence[0, 0], precision[1, 2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("facts", [{}, {"spatial": False}])
def test_means_may_go_beyond_black_and_white(facts):
    def parts(margin: float) -> tuple[torch.Tensor, ...]:
        torch.manual_seed(0)
        model = CometModel(card(mean_margin=margin, **facts)).requires_grad_(False)
        torch.nn.init.normal_(model.energy_network.out.weight)
        z = 5 * torch.randn(2, model.card.components, model.card.latent_dim)
        return model.bind(z).parts()

    (precision, mean), (same, wider) = parts(0.0), parts(0.5)
    assert torch.equal(same, precision)
    torch.testing.assert_close(wider, 2 * mean - 0.5)
    assert wider.min() < 0 and wider.max() > 1


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"energy": "pooled-64"}, "spatial is for the global encoder"),
        ({"encoder": "recurrent"}, "spatial is for the global encoder"),
        ({"sees_image": True, "responds": True}, "responds is for"),
        ({"spatial": False, "sees_image": True, "responds": True}, "responds is for"),
        ({"spatial": False, "energy": "pooled-64", "responds": True}, "responds is for"),
    ],
)
def test_cards_of_networks_that_do_not_exist_are_refused(facts, sentence):
    with pytest.raises(FileFormatError, match=sentence):
        card(**facts)


def test_without_a_response_the_responding_energy_is_the_quadratic_one():
    m, f = torch.rand(2, 3, 1, 8, 8), torch.rand(2, 3, 3, 8, 8)
    x = torch.rand(2, 3, 8, 8)
    plain, responding = BoundQuadraticEnergy(m, f), BoundLightEnergy(m, f, 0 * f)
    torch.testing.assert_close(responding(x), plain(x))


def test_a_component_that_sets_the_light_changes_how_the_others_look():
    """The wall fills three quarters with its colour c; the object wants half the mean colour."""
    size = 8
    wall = torch.ones(1, 1, 1, size, size)
    wall[..., : size // 2, : size // 2] = 0
    precision = 100 * torch.cat([wall, 1 - wall], 1)

    def object_colour(c: float) -> float:
        mean = torch.tensor([c, 0.25]).view(1, 2, 1, 1, 1).expand(1, 2, 3, size, size)
        response = torch.tensor([0.0, 0.5]).view(1, 2, 1, 1, 1).expand(1, 2, 3, size, size)
        bound = BoundLightEnergy(precision, mean, response)
        x = descend(Composition.of(bound), torch.full((1, 3, size, size), 0.5), num_steps=30)
        assert x[..., -1, -1].mean().item() == pytest.approx(c, abs=0.01)
        return x[..., 0, 0].mean().item()

    for c in (0.2, 0.8):  # o = (3c/4 + o/4) / 2
        expected = 0.375 * c / (1 - 0.125)
        assert object_colour(c) == pytest.approx(expected, abs=0.01)
    assert QUADRATIC_REST < 1


def test_an_adapting_encoder_sees_the_same_objects_in_any_light_and_tells_the_ground():
    torch.manual_seed(0)
    encoder = ColouringEncoder(8, 3, 6, 24, adapts=True).eval().requires_grad_(False)
    x = torch.full((1, 3, 24, 24), 0.5)
    x[:, 0, 4:10, 4:10] = 0.7
    x[:, 2, 13:20, 14:20] = 0.8
    dim_and_warm = x * torch.tensor([0.9, 0.6, 0.4]).view(1, 3, 1, 1)
    z, other = encoder(x), encoder(dim_and_warm)
    torch.testing.assert_close(z[:, 1:], other[:, 1:], atol=1e-4, rtol=1e-3)
    assert (z[:, 0] - other[:, 0]).abs().max() > 1e-2
    torch.manual_seed(0)
    plain = ColouringEncoder(8, 3, 6, 24).eval().requires_grad_(False)
    assert (plain(x)[:, 1:] - plain(dim_and_warm)[:, 1:]).abs().max() > 1e-3


def test_the_spatial_encoder_takes_sizes_that_are_no_power_of_two():
    encoder = SpatialEncoder(8, 2, 6, 40)
    assert encoder(torch.rand(1, 3, 40, 40)).shape == (1, 2, 6)


def test_an_object_alone_leaves_the_canvas_as_it_was():
    """Its colour follows the grey canvas; nothing drifts where no component cares."""
    precision = torch.zeros(1, 1, 1, 8, 8)
    precision[..., 2:4, 2:4] = 50
    mean = torch.full((1, 1, 3, 8, 8), 0.9)
    bound = BoundLightEnergy(precision, mean, torch.ones_like(mean))
    x = descend(Composition.of(bound), torch.full((1, 3, 8, 8), 0.5), num_steps=20)
    assert torch.equal(x[..., 5:, 5:], torch.full((1, 3, 3, 3), 0.5))
    mean = x.mean().item()
    assert x[0, 0, 2, 2].item() == pytest.approx(0.9 + mean - 0.5, abs=1e-3)


def test_large_pictures_are_encoded_from_half_their_size():
    torch.manual_seed(0)
    small, large = SpatialEncoder(8, 2, 6, 64), SpatialEncoder(8, 2, 6, 128)
    large.load_state_dict(small.state_dict())
    x = torch.rand(1, 3, 64, 64)
    doubled = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(large(doubled), small(x), atol=1e-5, rtol=1e-4)


def seeing_network(scale: float = 0.3) -> SpatialQuadraticEnergy:
    """A network in which what is seen matters, as it does after training."""
    torch.manual_seed(0)
    network = SpatialQuadraticEnergy(8, 6, 24, sees_image=True).requires_grad_(False)
    network.seen_change.weight.normal_(std=scale)
    return network


def test_at_first_it_makes_no_difference_what_is_seen():
    torch.manual_seed(0)
    plain = SpatialQuadraticEnergy(8, 6, 24).requires_grad_(False)
    seeing = SpatialQuadraticEnergy(8, 6, 24, sees_image=True).requires_grad_(False)
    seeing.load_state_dict(plain.state_dict(), strict=False)
    z, x = torch.randn(2, 3, 6), torch.rand(2, 3, 24, 24)
    for a, b in zip(plain(z), seeing(z, seen_pixels(x)), strict=True):
        assert torch.equal(a, b)


def test_what_others_show_changes_what_a_component_shows():
    """z is the same; the place of a bright spot in the picture is not."""
    bound = seeing_network().bind(torch.randn(1, 2, 6), [True] * 2)
    x = torch.full((1, 3, 24, 24), 0.3)
    x[..., :6, :6] = 1
    y = x.roll(12, -1)
    assert (bound.at(x).mean - bound.at(y).mean).abs().max() > 1e-3


def test_a_step_holds_what_is_seen_fixed():
    bound = seeing_network().bind(torch.randn(2, 3, 6), [True] * 3)
    x = torch.rand(2, 3, 24, 24).requires_grad_(True)
    (gradient,) = torch.autograd.grad(bound(x).sum(), x)
    held = bound.at(x)
    expected = (held.precision * (x.detach().unsqueeze(1) - held.mean)).sum(1)
    torch.testing.assert_close(gradient, expected)


def test_a_step_decodes_once_and_the_next_step_again(monkeypatch):
    network = seeing_network()
    calls = []
    decode = network.forward
    monkeypatch.setattr(network, "forward", lambda *a: calls.append(1) or decode(*a))
    energy = Composition.of(network.bind(torch.randn(1, 2, 6), [True] * 2))
    descend(energy, torch.full((1, 3, 24, 24), 0.5), num_steps=4)
    assert len(calls) == 4


def test_a_step_of_a_rendering_decodes_once(monkeypatch):
    model = CometModel(card(sees_image=True)).requires_grad_(False)
    network = model.energy_network
    network.load_state_dict(seeing_network().state_dict())
    decode, calls = network.forward, []
    monkeypatch.setattr(network, "forward", lambda *a: calls.append(1) or decode(*a))
    terms = [Term(model, torch.randn(6), component=k) for k in range(2)]
    descend(compose(terms), torch.full((1, 3, 24, 24), 0.5), num_steps=4)
    assert len(calls) == 4


def test_what_was_computed_without_a_graph_is_not_trained_on():
    network = seeing_network()
    network.out.weight.requires_grad_(True)
    bound, x = network.bind(torch.randn(1, 2, 6), [True] * 2), torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        bound(x)
    bound(x).sum().backward()
    assert network.out.weight.grad.abs().max() > 0


def test_a_seeing_energy_computes_in_the_precision_it_was_bound_in():
    network, z = seeing_network(), torch.randn(1, 2, 6)
    x = torch.rand(1, 3, 24, 24)
    exact = network.bind(z, [True] * 2).at(x).mean
    with torch.autocast("cpu", torch.bfloat16):
        bound = network.bind(z, [True] * 2)
    again = bound.recombine(torch.zeros(1, 2, dtype=torch.long), torch.arange(2))
    low, other = bound.at(x).mean, again.at(x).mean
    assert torch.equal(low, other) and not torch.equal(low, exact)
    torch.testing.assert_close(low, exact, atol=0.05, rtol=0)


def test_seeing_models_are_composed_with_others():
    """At another size, beside a model that does not see, in any order."""
    torch.manual_seed(0)
    seeing = CometModel(card(sees_image=True)).requires_grad_(False)
    seeing.energy_network.load_state_dict(seeing_network().state_dict())
    other = CometModel(card(name="other", image_size=48)).requires_grad_(False)
    terms = [Term(seeing, torch.randn(6), component=0), Term(other, torch.randn(6), component=1)]
    start = torch.full((1, 3, 48, 48), 0.5)
    found = [descend(compose(order), start, num_steps=5) for order in (terms, terms[::-1])]
    assert torch.equal(*found) and found[0].shape == (1, 3, 48, 48)
    assert isinstance(seeing.bind(torch.randn(1, 1, 6)), BoundCoarseImageEnergy)
