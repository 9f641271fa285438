import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.colouring_encoder import ColouringEncoder
from comet_cli.training.objective import TrainingStep, compile_networks
from comet_cli.training.small_pictures import at_half_size, halved


@pytest.fixture
def model(quadratic):
    torch.manual_seed(0)
    return CometModel(quadratic(model={"attention": "colouring"}).card)


def test_the_small_models_weights_are_the_large_ones(model):
    small = at_half_size(model)
    assert small.card.image_size == model.card.image_size // 2
    weights = dict(model.named_parameters())
    assert weights.keys() == dict(small.named_parameters()).keys()
    assert all(p is weights[name] for name, p in small.named_parameters())
    z = model.encode(torch.rand(2, 3, 16, 16))
    assert model.bind(z).curvature(torch.zeros(())).shape[-1] == 16
    assert small.bind(z).curvature(torch.zeros(())).shape[-1] == 8


def test_pictures_are_halved_by_the_mean_of_four_pixels():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert halved(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_the_first_iterations_see_small_pictures(model, quadratic):
    settings = quadratic(train={"small_iterations": 3}).train
    step, x = TrainingStep(model, at_half_size(model)), torch.rand(4, 3, 16, 16)
    assert sum(1 for _ in step.parameters()) == sum(1 for _ in model.parameters())
    for iteration, expected in ((2, TrainingStep(at_half_size(model))), (3, TrainingStep(model))):
        seen = halved(x) if iteration < 3 else x
        assert step(x, settings, iteration)[1] == expected(seen, settings, iteration)[1]


def test_losses_may_weigh_otherwise_at_full_size(model, quadratic):
    train = {"area": 2.0, "purity": 3.0, "small_iterations": 3}
    settings = quadratic(train={**train, "full_size": {"purity": 0, "parsimony": 1}}).train
    assert settings.weights_at(2) == {"area": 2, "purity": 3}
    assert settings.weights_at(3) == {"area": 2, "purity": 0, "parsimony": 1}

    def losses(iteration, **facts):
        torch.manual_seed(0)  # seeds of the colouring are drawn
        return TrainingStep(model, at_half_size(model))(x, quadratic(train=facts).train, iteration)

    x = torch.rand(4, 3, 16, 16)
    changed = {**train, "full_size": {"area": 0.5, "purity": 0}}
    assert losses(2, **changed) == losses(2, **train)
    assert losses(3, **changed) == losses(3, area=0.5, small_iterations=3)
    assert losses(3, **changed) != losses(3, **train)


@pytest.mark.parametrize("iteration", [0, 1], ids=["small pictures", "large pictures"])
def test_what_is_compiled_is_what_training_calls(model, quadratic, monkeypatch, iteration):
    called = []

    def compiled(work):
        def run(*words, **more):
            called.append(type(work.__self__).__name__)
            return work(*words, **more)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    settings = quadratic(train={"small_iterations": 1}).train
    compile_networks(model)
    step = TrainingStep(model, at_half_size(model))
    step(torch.rand(4, 3, 16, 16), settings, iteration)
    assert called == ["ColouringEncoder", "QuadraticEnergy"]


@pytest.mark.parametrize(("size", "whole", "half"), [(64, 32, 32), (96, 32, 24), (128, 32, 32)])
def test_small_pictures_are_seen_at_about_32_pixels_too(size, whole, half):
    encoder = ColouringEncoder(8, 3, 4, size)
    for side, expected in ((size, whole), (size // 2, half)):
        assert encoder.see(torch.rand(1, 3, side, side))[2].shape[-1] == expected


def test_networks_of_one_size_are_refused_in_a_sentence(quadratic):
    with pytest.raises(CometError, match="small_iterations is for the colouring attention"):
        at_half_size(CometModel(quadratic(model={"attention": "lstm"}).card))
