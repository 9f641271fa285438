import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.colouring_encoder import Colouring
from comet_cli.networks.quadratic_energy import BoundLightEnergy, BoundQuadraticEnergy
from comet_cli.training.colouring_losses import (
    bind_present,
    consistency_loss,
    cover_loss,
    depth_order_loss,
    mixture_loss,
    silence_loss,
)
from comet_cli.training.loss_table import Batch, weighted_sum
from comet_cli.training.objective import training_loss
from comet_cli.training.settings import TrainSettings


def maps(*values):
    """Return (1,K,1,1), one number a component."""
    return torch.tensor(values)[None, :, None, None]


def energy(confidences, greys):
    precision = maps(*confidences)[:, :, None]
    return BoundQuadraticEnergy(precision, maps(*greys)[:, :, None].expand(-1, -1, 3, -1, -1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        encoder="recurrent",
        attention="colouring",
        ground=True,
        energy="quadratic",
        filter_dim=8,
        components=4,
        latent_dim=6,
        image_size=16,
        positional=[True] * 4,
        step_size=1.0,
        num_steps=1,
        render_step_size=1.0,
        render_steps=3,
    )
    return CometModel(card)


def test_mixture_of_one_component_is_its_mean_square_error():
    x, mean = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 3, 4, 4)
    loss = mixture_loss(x, mean, torch.ones(2, 1, 4, 4), 0.1)
    torch.testing.assert_close(loss, (x - mean[:, 0]).square().mean())


def test_mixture_by_hand():
    x = torch.full((1, 3, 1, 1), 0.5)
    mean = torch.tensor([0.5, 0.7])[None, :, None, None, None].expand(-1, -1, 3, -1, -1)
    loss = mixture_loss(x, mean, maps(0.25, 0.75), 0.2)
    likelihood = 0.25 + 0.75 * math.exp(-3 * 0.2**2 / (2 * 0.2**2))
    assert float(loss) == pytest.approx(-math.log(likelihood) * 2 * 0.2**2 / 3, rel=1e-5)


def test_mixture_prefers_attention_to_who_is_right():
    x = torch.full((1, 3, 1, 1), 0.5)
    mean = torch.tensor([0.5, 0.9])[None, :, None, None, None].expand(-1, -1, 3, -1, -1)
    right, wrong = (mixture_loss(x, mean, maps(*a), 0.1) for a in ((0.9, 0.1), (0.1, 0.9)))
    assert right < wrong


def test_consistency_by_hand():
    loss = consistency_loss(maps(0.5, 0.5), maps(3.0, 1.0)[:, :, None])
    cross = -0.5 * math.log(0.75) - 0.5 * math.log(0.25)
    assert float(loss) == pytest.approx(2 * cross - math.log(2), rel=1e-5)


def test_consistency_is_least_where_attention_and_precision_agree():
    attention = maps(0.3, 0.7).requires_grad_()
    logits = maps(0.3, 0.7).log()[:, :, None].requires_grad_()
    consistency_loss(attention, logits.exp()).backward()
    # The gradient of the divergence along the simplex: alike for all components.
    assert float(attention.grad[0, 0]) == pytest.approx(float(attention.grad[0, 1]), abs=1e-5)
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-6, rtol=0)


def test_empty_components_lose_their_precision():
    attention = maps(1 - 1e-5, 1e-5)
    logits = maps(0.0, 0.0)[:, :, None].requires_grad_()
    for _ in range(200):
        (gradient,) = torch.autograd.grad(consistency_loss(attention, logits.exp()), logits)
        logits = (logits - 10 * gradient).detach().requires_grad_()
    share = logits.detach().softmax(1)
    assert float(share[0, 1]) < 1e-3


def found_in(attention):
    winner = torch.zeros_like(attention).scatter_(1, attention.argmax(1, keepdim=True), 1.0)
    z = torch.zeros(*attention.shape[:2], 2)
    return Colouring(z, attention, attention.mean((2, 3)), winner.mean((2, 3)))


def test_silence_is_asked_of_absent_components_alone():
    m = maps(2.0, 3.0)[:, :, None]
    loss = silence_loss(torch.tensor([[True, False]]), m)
    assert float(loss) == pytest.approx(math.log(1 + 3.0 / 0.001), rel=1e-5)  # s: 0.05 / 50
    assert silence_loss(torch.tensor([[True, True]]), m) == 0


def pictures_of(*precisions: float) -> torch.Tensor:
    """Return m (B,2,1,1,1) of a ground, 0.1, and an object in each picture."""
    return torch.tensor([[0.1, m] for m in precisions])[..., None, None, None]


FIRST_IS_LOWER = torch.tensor([[0.0, 0.5], [0.0, -0.5]])


def test_depth_order_by_hand():
    loss = depth_order_loss(FIRST_IS_LOWER, pictures_of(3.0, 7.0))
    assert float(loss) == pytest.approx(-math.log(3 / (3 + 7)), rel=1e-5)
    turned = depth_order_loss(-FIRST_IS_LOWER, pictures_of(3.0, 7.0))
    assert float(turned) == pytest.approx(-math.log(7 / (3 + 7)), rel=1e-5)
    assert depth_order_loss(torch.zeros(2, 2), pictures_of(3.0, 7.0)) == 0


def test_depth_order_is_of_the_object_that_is_surest_at_the_pixel():
    height = torch.tensor([[0.0, 0.5, -0.9], [0.0, -0.5, 0.9]])
    two = torch.tensor([[0.1, 3.0, 1e-9], [0.1, 7.0, 1e-9]])[..., None, None, None]
    one = depth_order_loss(height[:, :2], two[:, :2])
    assert float(depth_order_loss(height, two)) == pytest.approx(float(one), rel=1e-5)


@pytest.mark.parametrize("precisions", [(3.0, 0.0), (0.0, 7.0), (3.0, 0.8)])
def test_depth_order_counts_pixels_that_both_pictures_give_to_an_object(precisions):
    """Of 0.1 + 0.8 an object has less than nine tenths: that is an edge."""
    assert depth_order_loss(FIRST_IS_LOWER, pictures_of(*precisions)) == 0


def test_depth_order_makes_the_lower_object_surer_and_moves_nothing():
    height, precision = FIRST_IS_LOWER.clone().requires_grad_(), pictures_of(3.0, 7.0)
    precision.requires_grad_()
    depth_order_loss(height, precision).backward()
    assert height.grad is None
    near, far = precision.grad[:, 1].flatten().tolist()
    assert near < 0 < far and not precision.grad[:, 0].any()


def test_depth_order_is_weighed_by_the_recipe_and_off_at_first(model):
    bound = BoundQuadraticEnergy(pictures_of(3.0, 7.0), torch.rand(2, 2, 3, 1, 1))
    x, z = torch.rand(2, 3, 1, 1), FIRST_IS_LOWER[..., None]
    settings = TrainSettings(100, penalty_warm_up=80, losses={"depth_order": 3.0})
    batch = Batch(
        model=model, settings=settings, x=x, z=z, bound=bound, output=x, recompose=torch.clone,
        noise=torch.Generator(), low=False, found=found_in(torch.full((2, 2, 1, 1), 0.5)),
    )  # fmt: skip
    assert weighted_sum(batch, torch.zeros(()), 0) == 0
    loss = weighted_sum(batch, torch.zeros(()), 80)
    assert float(loss) == pytest.approx(-3 * math.log(3 / (3 + 7)), rel=1e-5)


def on_grounds(objects, grounds):
    """Return precisions (2,2,1,1,1) of two pictures of a pixel, a ground and an object each."""
    return torch.tensor([*zip(grounds, objects, strict=True)])[..., None, None, None]


def test_cover_by_hand():
    """The first picture's object is on the ground of the second; there is no object in that."""
    loss = cover_loss(on_grounds((3.0, 0.0), (0.1, 2.0)))
    assert float(loss) == pytest.approx(-math.log(3 / (3 + 2)) / 2, rel=1e-5)
    sure = cover_loss(on_grounds((30.0, 0.0), (0.1, 2.0)))
    assert float(sure) == pytest.approx(-math.log(30 / 32) / 2, rel=1e-5)


def test_cover_counts_pixels_that_show_an_object_and_makes_that_surer():
    assert cover_loss(on_grounds((3.0, 0.0), (0.5, 2.0))) == 0  # less than nine tenths: an edge
    precision = on_grounds((3.0, 0.0), (0.1, 2.0)).requires_grad_()
    cover_loss(precision).backward()
    assert precision.grad[0, 1] < 0 and not precision.grad[:, 0].any()
    assert not precision.grad[1].any()


def test_cover_leaves_outlines_alone():
    shape = torch.zeros(1, 1, 9, 9)
    shape[..., 1:8, 1:8] = 1
    objects = 3 * shape + 1e-6
    ground = 0.1 * shape + 2 * (1 - shape)
    first = torch.stack([ground, objects], 1)
    other = torch.stack([torch.full_like(ground, 2), torch.full_like(objects, 1e-6)], 1)
    precision = torch.cat([first, other]).requires_grad_()
    cover_loss(precision).backward()
    inside = torch.zeros(9, 9, dtype=torch.bool)
    inside[3:6, 3:6] = True
    assert torch.equal(precision.grad[0, 1, 0] < 0, inside)


def test_mean_pictures_are_seen_in_the_light_of_the_picture():
    one = torch.ones(1, 1, 1, 1, 1)
    bound = BoundLightEnergy(one, 0.25 * one.expand(1, 1, 3, 1, 1), one.expand(1, 1, 3, 1, 1))
    x = torch.full((1, 3, 1, 1), 0.75)
    torch.testing.assert_close(bound.mean_pictures(x), torch.full((1, 1, 3, 1, 1), 0.5))
    torch.testing.assert_close(energy([1.0], [0.2]).mean_pictures(x)[0, 0, 0], maps(0.2)[0, 0])


def test_the_recipe_weighs_each_loss():
    x, attention, bound = torch.rand(1, 3, 1, 1), maps(0.4, 0.6), energy([1.0, 2.0], [0.2, 0.8])
    mixture = mixture_loss(x, bound.mean, attention, 0.1)
    consistency = 2 * 0.1**2 / 3 * consistency_loss(attention, bound.precision)

    def loss(**weights):
        batch = Batch(
            model=SimpleNamespace(card=SimpleNamespace(sees_image=False)),
            settings=TrainSettings(iterations=1, losses=weights),
            x=x,
            z=torch.zeros(1, 2, 2),
            bound=bound,
            output=x,
            recompose=lambda other: x,
            noise=torch.Generator(),
            low=False,
            found=found_in(attention),
        )
        return weighted_sum(batch, torch.zeros(()), 0)

    torch.testing.assert_close(loss(mixture=1.0), mixture)
    torch.testing.assert_close(loss(consistency=3.0), 3 * consistency)
    assert float(loss(attention_area=1e-2)) == pytest.approx(0.6e-2)
    assert float(loss(silence=1.0)) == 0


@pytest.mark.parametrize("name", ["mixture", "depth_order"])
def test_only_an_encoder_that_colours_has_these_losses(quadratic, name):
    recipe = quadratic(model={"attention": "lstm"}, train={name: 1.0})
    with pytest.raises(CometError, match=f"{name} is for colouring attention"):
        training_loss(CometModel(recipe.card), torch.rand(2, 3, 16, 16), recipe.train, 0)


def test_present_components_are_bound_as_all_are(model):
    z = torch.randn(3, 4, 6)
    share = torch.tensor([[0.5, 0.5, 0, 0], [0.4, 0, 0.3, 0.3], [1, 0, 0, 0]])
    bound, whole = bind_present(model, z, share > 0), model.bind(z)
    asked = bound.precision.amax((2, 3, 4)) > 1e-3
    assert asked[share > 0].all()
    for name in ("precision", "mean"):
        torch.testing.assert_close(getattr(bound, name)[asked], getattr(whole, name)[asked])
    bound.precision.sum().backward()


def test_one_absent_component_a_picture_is_trained_each_in_its_turn(model):
    share = torch.tensor([[0.5, 0.5, 0, 0], [0.4, 0, 0, 0.6], [1, 0, 0, 0]])
    z = torch.randn(3, 4, 6)
    turns = torch.zeros(3, 4)
    for seed in range(40):
        torch.manual_seed(seed)
        asked = bind_present(model, z, share > 0).precision.amax((2, 3, 4)) > 1e-3
        assert (asked & (share == 0)).sum(1).tolist() == [1, 1, 1]
        turns += asked
    assert torch.equal(turns > 0, torch.ones(3, 4, dtype=torch.bool))


def test_training_imports_nothing_of_masks_or_labels():
    script = (
        "import sys; import comet_cli.training.colouring_losses, "
        "comet_cli.networks.colouring_encoder, comet_cli.training.small_pictures; "
        "print(*[m for m in sys.modules if m.startswith('comet_cli')])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for word in ("evaluation", "data", "labels", "matching", "probe", "segmentation"):
        assert not [m for m in run.stdout.split() if word in m.split(".")]
