"""The optimizers that a recipe can name."""

import copy
import math

import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.models.comet_model import CometModel
from comet_cli.training.optimizers import is_hidden_matrix, learning_rate, make_optimizer
from comet_cli.training.settings import TrainSettings

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch without Muon")


class Net(torch.nn.Module):
    """A layer that reads pixels, one between, one that is read off."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = torch.nn.Conv2d(3, 16, 3, padding=1)
        self.middle = torch.nn.Conv2d(16, 16, 3, padding=1)
        self.out = torch.nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x):
        return self.out(torch.relu(self.middle(torch.relu(self.stem(x)))))


def step(net, optimizer):
    torch.manual_seed(1)
    optimizer.zero_grad()
    loss = net(torch.randn(4, 3, 8, 8)).square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_matrices_between_outer_layers_are_hidden():
    found = [n for n, p in Net().named_parameters() if is_hidden_matrix(n, p)]
    assert found == ["middle.weight"]


def test_of_a_model_both_networks_have_hidden_matrices(quadratic):
    names = [
        n for n, p in CometModel(quadratic().card).named_parameters() if is_hidden_matrix(n, p)
    ]
    assert {n.split(".")[0] for n in names} == {"encoder", "energy_network"}


@needs_muon
def test_a_hidden_matrix_gets_an_orthogonal_update_and_the_rest_adams():
    net, plain = Net(), Net()
    step(net, make_optimizer("muon", net, 1e-2))
    step(plain, make_optimizer("adam", plain, 1e-2))
    for name in ("stem.weight", "middle.bias", "out.weight"):
        torch.testing.assert_close(net.state_dict()[name], plain.state_dict()[name])
    update = (net.middle.weight - Net().middle.weight).view(16, -1)
    singular = torch.linalg.svdvals(update.detach())
    # Adam's first update is of signs: its largest singular value is several times the mean.
    assert singular.max() / singular.min() < 2
    plain_update = (plain.middle.weight - Net().middle.weight).view(16, -1).detach()
    assert torch.linalg.svdvals(plain_update).max() > 3 * torch.linalg.svdvals(plain_update).min()
    # Scaled to the size of Adam's updates, a fifth of the learning rate in each weight.
    assert update.square().mean().sqrt().item() == pytest.approx(0.2 * 1e-2, rel=0.3)


@needs_muon
def test_a_restored_state_goes_on_as_if_nothing_had_happened():
    net = Net()
    optimizer = make_optimizer("muon", net, 1e-2)
    step(net, optimizer)
    other = Net()
    other.load_state_dict(net.state_dict())
    restored = make_optimizer("muon", other, 1e-2)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for some, its in ((net, optimizer), (other, restored)):
        step(some, its)
    for name, value in net.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@needs_muon
def test_the_learning_rate_of_the_first_group_is_everyones():
    net = Net()
    optimizer = make_optimizer("muon", net, 1e-2)
    optimizer.param_groups[0]["lr"] = 0.0
    before = {k: v.clone() for k, v in net.state_dict().items()}
    step(net, optimizer)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_without_muon_the_version_that_has_it_is_named(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(CometError, match=r"optimizer muon needs torch 2\.9"):
        make_optimizer("muon", Net(), 1e-2)


def test_a_constant_schedule_warms_up_linearly_and_stays():
    settings = TrainSettings(100, learning_rate=0.4, warm_up=4)
    rates = [learning_rate(settings, i) for i in (0, 1, 3, 4, 50, 99)]
    assert rates == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4, 0.4])
    assert learning_rate(TrainSettings(100, learning_rate=0.4), 0) == 0.4


def test_a_cosine_schedule_falls_to_a_hundredth():
    settings = TrainSettings(100, learning_rate=0.4, schedule="cosine")
    found = [learning_rate(settings, i) for i in (0, 25, 50, 75, 100)]
    quarter = math.cos(math.pi / 4)
    shape = [1.0, 0.5 * (1 + quarter), 0.5, 0.5 * (1 - quarter), 0.0]
    assert found == pytest.approx([0.4 * (0.01 + 0.99 * part) for part in shape])
