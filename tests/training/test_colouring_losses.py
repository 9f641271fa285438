import math
import subprocess
import sys

import pytest
import torch

from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.quadratic_energy import BoundQuadraticEnergy, BoundRespondingEnergy
from comet_cli.networks.colouring_encoder import Colouring
from comet_cli.training.colouring_losses import (
    ColouringWeights,
    bind_present,
    colouring_loss,
    consistency_loss,
    mean_pictures,
    mixture_loss,
    silence_loss,
)


def maps(*values):
    """Return (1,K,1,1), one number a component."""
    return torch.tensor(values)[None, :, None, None]


def energy(confidences, greys):
    confidence = maps(*confidences)[:, :, None]
    return BoundQuadraticEnergy(confidence, maps(*greys)[:, :, None].expand(-1, -1, 3, -1, -1))


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


def test_silence_is_asked_of_absent_components_alone():
    attention, m = maps(1 - 1e-4, 1e-4), maps(2.0, 3.0)[:, :, None]
    # s is a fiftieth of the rest, 0.05.
    assert float(silence_loss(attention, m)) == pytest.approx(math.log(1 + 3.0 / 0.001), rel=1e-5)
    assert silence_loss(maps(0.5, 0.5), m) == 0
    assert silence_loss(maps(1e-4, 1 - 1e-4), m) == 0  # the background is never absent


def test_mean_pictures_are_seen_in_the_light_of_the_picture():
    one = torch.ones(1, 1, 1, 1, 1)
    bound = BoundRespondingEnergy(one, 0.25 * one.expand(1, 1, 3, 1, 1), one.expand(1, 1, 3, 1, 1))
    x = torch.full((1, 3, 1, 1), 0.75)
    torch.testing.assert_close(mean_pictures(bound, x), torch.full((1, 1, 3, 1, 1), 0.5))
    torch.testing.assert_close(mean_pictures(energy([1.0], [0.2]), x)[0, 0, 0], maps(0.2)[0, 0])


def test_the_loss_is_the_weighed_sum():
    x, attention, bound = torch.rand(1, 3, 1, 1), maps(0.4, 0.6), energy([1.0, 2.0], [0.2, 0.8])
    mixture = mixture_loss(x, bound.proposal, attention, 0.1)
    consistency = consistency_loss(attention, bound.confidence)

    def loss(*weights):
        return colouring_loss(x, attention, bound, ColouringWeights(0.1, *weights))

    torch.testing.assert_close(loss(1.0, 0.0, 0.0), mixture)
    torch.testing.assert_close(loss(0.0, 3.0, 0.0), 3 * 2 * 0.1**2 / 3 * consistency)
    assert float(loss(0.0, 0.0, 1e-2)) == pytest.approx(0.6e-2)


def test_present_components_are_bound_as_all_are(model):
    z = torch.randn(3, 4, 6)
    share = torch.tensor([[0.5, 0.5, 0, 0], [0.4, 0, 0.3, 0.3], [1, 0, 0, 0]])
    found = Colouring(z, torch.zeros(3, 4, 16, 16), share)
    bound, whole = bind_present(model, found), model.bind(z)
    asked = bound.confidence.amax((2, 3, 4)) > 1e-3
    assert asked[share > 0].all()
    for name in ("confidence", "proposal"):
        torch.testing.assert_close(getattr(bound, name)[asked], getattr(whole, name)[asked])
    bound.confidence.sum().backward()


def test_one_absent_component_a_picture_is_trained_each_in_its_turn(model):
    share = torch.tensor([[0.5, 0.5, 0, 0], [0.4, 0, 0, 0.6], [1, 0, 0, 0]])
    found = Colouring(torch.randn(3, 4, 6), torch.zeros(3, 4, 16, 16), share)
    turns = torch.zeros(3, 4)
    for seed in range(40):
        torch.manual_seed(seed)
        asked = bind_present(model, found).confidence.amax((2, 3, 4)) > 1e-3
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
    for word in ("evaluation", "data", "labels", "matching", "parts", "probe", "segmentation"):
        assert not [m for m in run.stdout.split() if word in m.split(".")]
