"""The loss of one batch: what it is made of, and what it trains."""

import pytest
import torch

from comet_cli.errors import CometError, FileFormatError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models.comet_model import CometModel
from comet_cli.training import losses, objective
from comet_cli.training.loss_table import LOSSES, Loss
from comet_cli.training.objective import training_loss
from comet_cli.training.settings import TrainSettings


def test_loss_on_all_iterates_is_the_sum_and_on_the_last_the_last_ones(images, pooled):
    recipe = pooled(model={"num_steps": 3})
    torch.manual_seed(0)
    model, x = CometModel(recipe.card), as_pictures(images[:4])
    by_steps = [
        training_loss(model, x, TrainSettings(1, num_steps=n), 0)[0].item() for n in (1, 2, 3)
    ]
    last, error = training_loss(model, x, TrainSettings(1), 0)
    every, error_of_all = training_loss(model, x, TrainSettings(1, loss="all"), 0)
    assert last.item() == by_steps[2] == pytest.approx(error) == pytest.approx(error_of_all)
    assert every.item() == pytest.approx(sum(by_steps))
    assert len(set(by_steps)) == 3


def test_penalties_are_added_with_their_weights(images, spatial):
    recipe = spatial()
    torch.manual_seed(0)
    model, x = CometModel(recipe.card), as_pictures(images[:4])
    plain, error = training_loss(model, x, TrainSettings(1), 0)
    assert plain.item() == pytest.approx(error)
    precision = model.bind(model.encode(x)).curvature(x)
    for name in ("parsimony", "purity", "area"):
        penalty = getattr(losses, f"{name}_loss")(precision).item()
        weighted, same_error = training_loss(model, x, TrainSettings(1, losses={name: 2.0}), 0)
        assert weighted.item() == pytest.approx(error + 2 * penalty, rel=1e-4)
        assert same_error == error and penalty > 0


@pytest.mark.parametrize("name", ["parsimony", "purity", "area", "swap"])
@pytest.mark.parametrize("kind", ["pooled", "sees_image"])
def test_penalties_on_confidence_need_an_energy_that_has_one(images, quadratic, pooled, kind, name):
    recipe = pooled() if kind == "pooled" else quadratic(model={"sees_image": True})
    settings = TrainSettings(1, losses={name: 1e-3})
    with pytest.raises(CometError, match="the quadratic energy that .*not see the image"):
        training_loss(CometModel(recipe.card), as_pictures(images[:2]), settings, 0)


@pytest.mark.parametrize("name", ["swap", "dependence"])
def test_objects_that_are_found_in_any_order_are_not_swapped_one_by_one(images, quadratic, name):
    model = CometModel(quadratic(model={"attention": "colouring"}).card)
    settings = TrainSettings(1, losses={name: 1e-3})
    with pytest.raises(CometError, match=f"{name} is for components in a fixed order"):
        training_loss(model, as_pictures(images[:4]), settings, 0)


def test_dependence_is_added_with_its_weight(images, spatial):
    torch.manual_seed(0)
    model, x = CometModel(spatial().card), as_pictures(images[:8])
    dependence = losses.dependence_loss(model.encode(x)).item()
    _, error = training_loss(model, x, TrainSettings(1), 0)
    loss, _ = training_loss(model, x, TrainSettings(1, losses={"dependence": 2.0}), 0)
    assert loss.item() == pytest.approx(error + 2 * dependence, rel=1e-4)
    assert abs(dependence) > 1e-3


def test_penalties_are_off_at_first_and_grow(images, spatial):
    torch.manual_seed(0)
    model, x = CometModel(spatial().card), as_pictures(images[:4])
    area = losses.area_loss(model.bind(model.encode(x)).curvature(x)).item()

    def added(iteration: int) -> float:
        settings = TrainSettings(100, penalty_warm_up=80, losses={"area": 2.0})
        loss, error = training_loss(model, x, settings, iteration)
        return (loss.item() - error) / (2 * area)

    shares = [added(i) for i in (0, 20, 50, 80, 99)]
    assert shares == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-3)


def test_a_new_loss_is_a_function_and_a_row(images, quadratic, monkeypatch):
    def brightness(batch):
        return batch.output.mean()

    monkeypatch.setitem(LOSSES, "brightness", Loss(brightness))
    recipe = quadratic(train={"brightness": 3.0})
    model, x = CometModel(recipe.card), as_pictures(images[:4])
    plain, _ = training_loss(model, x, quadratic().train, 0)
    loss, _ = training_loss(model, x, recipe.train, 0)
    assert loss > plain
    with pytest.raises(FileFormatError, match="brightness must not be negative"):
        quadratic(train={"brightness": -1.0})


def starts(monkeypatch, recipe, count: int) -> torch.Tensor:
    """Return the x0 that a training iteration starts from."""
    seen = []

    def catch(model, bound, x0, **settings):
        seen.append(x0)
        return [x0]

    monkeypatch.setattr(objective, "recomposition_iterates", catch)
    x = torch.rand(count, 3, 16, 16)
    training_loss(CometModel(recipe.card), x, recipe.train, 0)
    return seen[0]


def test_descents_start_from_noise(monkeypatch, quadratic):
    x0 = starts(monkeypatch, quadratic(model={"init": "noise"}), 40)
    assert (x0 >= 0).all() and (x0 < 1).all()
    assert x0.mean().item() == pytest.approx(0.5, abs=0.01)
    assert x0.flatten(1).std(1).min() > 0.25
    assert x0.flatten(1).unique(dim=0).shape[0] == 40


def test_a_model_that_renders_from_grey_is_trained_from_both_starts(monkeypatch, quadratic):
    x0 = starts(monkeypatch, quadratic(model={"init": "grey"}), 40).flatten(1)
    grey = (x0 == 0.5).all(1)
    assert 10 < grey.sum() < 30
    assert x0[~grey].std(1).min() > 0.25


def test_noise_is_a_function_of_seed_and_iteration(images, quadratic):
    recipe = quadratic(model={"init": "noise"})
    torch.manual_seed(0)
    model, x = CometModel(recipe.card), as_pictures(images[:4])

    def error(iteration: int, seed: int = 0) -> float:
        torch.manual_seed(iteration + 17)
        return training_loss(model, x, TrainSettings(1, seed=seed), iteration)[1]

    assert error(3) == error(3)
    assert len({error(3), error(4), error(3, seed=1)}) == 3


def test_extra_steps_are_drawn_for_each_iteration(monkeypatch, quadratic):
    seen = []

    def catch(model, bound, x0, *, num_steps, keep):
        seen.append(num_steps)
        return [x0]

    monkeypatch.setattr(objective, "recomposition_iterates", catch)
    recipe = quadratic(train={"num_steps": 2, "extra_steps": 2})
    model, x = CometModel(recipe.card), torch.rand(4, 3, 16, 16)
    for iteration in range(60):
        training_loss(model, x, recipe.train, iteration)
    assert {n: seen.count(n) > 10 for n in seen} == {2: True, 3: True, 4: True}


def test_swaps_train_a_spatial_energy_that_sees_the_image(images, quadratic):
    facts = {
        "encoder": "global",
        "attention": "lstm",
        "spatial": True,
        "sees_image": True,
        "num_steps": 2,
    }
    recipe = quadratic(model=facts, train={"swap": 1.0})
    torch.manual_seed(0)
    model, x = CometModel(recipe.card), as_pictures(images[:4])
    torch.nn.init.normal_(model.energy_network.seen_change.weight, std=0.1)
    plain, error = training_loss(model, x, TrainSettings(1, num_steps=2), 0)
    loss, same = training_loss(model, x, recipe.train, 0)
    assert plain.item() == pytest.approx(error) and same == error and loss > 1.01 * plain
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["quadratic", "sees_image", "pooled"])
def test_every_parameter_is_trained_through_the_descent(images, quadratic, pooled, kind, precision):
    """For the pooled energy this is the second derivative of its network."""
    if kind == "pooled":  # the LSTM's attention has one place only at 16 pixels
        recipe = pooled(
            model={"encoder": "global", "attention": "lstm", "filter_dim": 8},
            train={"precision": precision},
        )
    else:
        facts = {"sees_image": kind == "sees_image"}
        recipe = quadratic(model=facts, train={"precision": precision})
    torch.manual_seed(0)
    model = CometModel(recipe.card)
    loss, _ = training_loss(model, as_pictures(images[:4]), recipe.train, 0)
    loss.backward()
    for name, parameter in model.named_parameters():
        if name == "energy_network.to_energy.bias":
            continue  # a constant in the energy moves no picture
        if name.startswith(("encoder.whole.", "encoder.edge")):
            continue  # for pictures that are larger than the convolutions' grid
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_training_with_the_loss_on_the_last_step_needs_no_graph_of_the_earlier(
    images, pooled, monkeypatch
):
    """N − 1 steps are inference: only the last gradient can be differentiated."""
    graphs = []
    right = objective.descent_step

    def watch(*args, create_graph=False):
        graphs.append(create_graph)
        return right(*args, create_graph=create_graph)

    monkeypatch.setattr(objective, "descent_step", watch)
    model = CometModel(pooled(model={"num_steps": 4}).card)
    training_loss(model, as_pictures(images[:2]), TrainSettings(1), 0)
    assert graphs == [False, False, False, True]
    graphs.clear()
    training_loss(model, as_pictures(images[:2]), TrainSettings(1, loss="all"), 0)
    assert graphs == [True] * 4
