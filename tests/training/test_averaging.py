"""The moving average of the weights."""

import pytest
import torch
from checkpoints import checkpoint
from torch import nn

from comet_cli.models.comet_model import CometModel
from comet_cli.training.averaging import averaged, update_average
from comet_cli.training.loop import train


def test_the_average_moves_by_its_decay_and_faster_while_it_is_young():
    model = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    expected = 0.0
    for iteration, value in enumerate([1.0, 2.0, -1.0], start=1):
        nn.init.constant_(model.weight, value)
        update_average(average, model, 0.999, iteration)
        decay = iteration / (iteration + 10)
        expected = decay * expected + (1 - decay) * value
        assert average["weight"].item() == pytest.approx(expected)
    update_average(average, model, 0.9, 10**6)
    assert average["weight"].item() == pytest.approx(0.9 * expected + 0.1 * -1.0)


def test_counts_are_the_last_ones():
    model = nn.BatchNorm1d(2)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    update_average(average, model, 0.9, 1)
    assert average["num_batches_tracked"] == 1
    assert 0 < average["running_mean"][0] < model.running_mean[0]


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_result_is_the_average_which_without_decay_is_the_last_weights(
    tmp_path, images, quadratic, decay
):
    result = train(quadratic(train={"iterations": 5, "ema": decay}), images, tmp_path)
    content = checkpoint(tmp_path)
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, content["ema"][name])
    trained = [name for name, _ in result.model.named_parameters()]
    same = [torch.equal(content["model"][k], content["ema"][k]) for k in trained]
    assert all(same) if decay == 0 else not all(same)
    assert not result.model.training
    assert not any(p.requires_grad for p in result.model.parameters())


def test_the_average_is_swapped_in_and_the_live_weights_come_back(quadratic):
    model = CometModel(quadratic().card).train()
    live = {k: v.clone() for k, v in model.state_dict().items()}
    average = {k: v + 1 for k, v in live.items()}
    with averaged(model, average):
        assert not model.training
        assert all(torch.equal(v, average[k]) for k, v in model.state_dict().items())
    assert model.training
    assert all(torch.equal(v, live[k]) for k, v in model.state_dict().items())
