import pytest
import torch

from comet_cli.networks.layers import halve
from comet_cli.networks.paper_encoders import GlobalEncoder, RecurrentEncoder


def test_pooling_counts_the_padding() -> None:
    pooled = halve(torch.ones(1, 1, 4, 4))
    assert torch.allclose(pooled, torch.tensor([[[[4 / 9, 6 / 9], [6 / 9, 1.0]]]]))


@pytest.mark.parametrize("encoder", [GlobalEncoder, RecurrentEncoder])
@pytest.mark.parametrize("size", [35, 64])
def test_shape_is_batch_components_dimension(encoder: type, size: int) -> None:
    network = encoder(4, 3, 5, size)
    assert network(torch.rand(2, 3, size, size)).shape == (2, 3, 5)


@pytest.mark.parametrize("encoder", [GlobalEncoder, RecurrentEncoder])
def test_every_parameter_is_used(encoder: type) -> None:
    network = encoder(4, 3, 2, 35)
    network(torch.rand(2, 3, 35, 35)).square().sum().backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None]
    assert unused == []


def test_a_picture_is_encoded_as_if_it_were_alone() -> None:
    network = RecurrentEncoder(4, 3, 2, 35)
    x = torch.rand(3, 3, 35, 35)
    together, alone = network(x), network(x[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-6)


def test_more_components_extend_the_recurrence_without_changing_its_beginning() -> None:
    network = RecurrentEncoder(4, 3, 2, 35)
    x = torch.rand(1, 3, 35, 35)
    three = network(x)
    network.components = 5
    assert torch.allclose(network(x)[:, :3], three)
