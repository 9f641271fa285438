import pytest
import torch

from comet_cli.networks import pooled_gradient
from comet_cli.networks.pooled_energy import PooledEnergy64, PooledEnergy128

FLAGS = [True, False, True]


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    found = {
        "64": PooledEnergy64(4, 2, positional=False),
        "64 positional": PooledEnergy64(4, 2, positional=True),
        "128": PooledEnergy128(4, 2),
    }
    for network in found.values():
        for block in network.blocks:  # a conv2 that has been trained, so that it matters
            torch.nn.init.normal_(block.conv2.weight, std=0.3)
    return found


NETWORKS = networks()


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    return NETWORKS[request.param]


def test_components_bound_together_score_as_each_alone(network) -> None:
    x, z = torch.rand(2, 3, 20, 20), torch.randn(2, 3, 2)
    together = network.bind(z, FLAGS)(x)
    alone = [network.bind(z[:, [j]], [FLAGS[j]])(x) for j in range(3)]
    assert together.shape == (2, 3)
    assert torch.allclose(together, torch.cat(alone, 1), atol=1e-6)


def test_gradient_of_the_sum_is_the_sum_of_gradients(network) -> None:
    x = torch.rand(2, 3, 20, 20, requires_grad=True)
    z = torch.randn(2, 3, 2)
    (of_sum,) = torch.autograd.grad(network.bind(z, FLAGS)(x).sum(), x)
    summed = torch.zeros_like(of_sum)
    for j in range(3):
        (one,) = torch.autograd.grad(network.bind(z[:, [j]], [FLAGS[j]])(x).sum(), x)
        summed += one
    assert torch.allclose(of_sum, summed, atol=1e-6 * float(of_sum.abs().max()) + 1e-9)


@pytest.mark.parametrize("chunk", [1, 10_000, 4 << 20])
@pytest.mark.parametrize("side", [20, 13])
def test_the_gradient_written_out_is_autograd_s(
    network, chunk: int, side: int, monkeypatch
) -> None:
    """Whatever the number of maps computed at a time."""
    monkeypatch.setattr(pooled_gradient, "CHUNK", chunk)
    x = torch.rand(3, 3, side, side, requires_grad=True)
    z, scales = torch.randn(3, 3, 2), torch.tensor([1.0, -0.5, 3.0])
    bound = network.bind(z, FLAGS)
    (wanted,) = torch.autograd.grad((bound(x) * scales).sum(), x)
    close = {"rtol": 1e-4, "atol": 1e-5 * float(wanted.abs().max())}
    torch.testing.assert_close(bound.summed(scales)(x), wanted, **close)
    torch.testing.assert_close(
        torch.einsum("bj...,j->b...", bound.gradients(x), scales), wanted, **close
    )


def test_the_gradient_written_out_repeats_one_picture_or_one_set_of_latents(network) -> None:
    x, z, scales = torch.rand(2, 3, 20, 20), torch.randn(2, 3, 2), torch.ones(3)
    for pictures, latents in ((x[:1], z), (x, z[:1])):
        whole = network.bind(latents.expand(2, -1, -1), FLAGS).summed(scales)
        wanted = whole(pictures.expand(2, -1, -1, -1))
        found = network.bind(latents, FLAGS).summed(scales)(pictures)
        torch.testing.assert_close(found, wanted)


def test_one_picture_is_scored_under_many_latents(network) -> None:
    x, z = torch.rand(1, 3, 20, 20), torch.randn(4, 2, 2)
    repeated = network.bind(z, FLAGS[:2])(x.expand(4, -1, -1, -1))
    assert torch.allclose(network.bind(z, FLAGS[:2])(x), repeated, atol=1e-6)


def test_every_parameter_is_used(network) -> None:
    network.zero_grad()
    network.bind(torch.randn(1, 3, 2), FLAGS)(torch.rand(1, 3, 20, 20)).sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_second_derivatives_reach_the_weights_and_the_latents(network) -> None:
    x = torch.rand(1, 3, 20, 20, requires_grad=True)
    z = torch.randn(1, 3, 2, requires_grad=True)
    energy = network.bind(z, FLAGS)(x).sum()
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    gradient.square().sum().backward()
    assert z.grad is not None and z.grad.abs().max() > 0
    assert network.blocks[0].conv1.weight.grad.abs().max() > 0


def test_without_a_positional_embedding_the_flag_means_nothing() -> None:
    x, z = torch.rand(1, 3, 20, 20), torch.randn(1, 1, 2)
    for name in ("64", "128"):
        on, off = (NETWORKS[name].bind(z, [flag])(x) for flag in (True, False))
        assert torch.equal(on, off)


def test_switching_the_embedding_off_blinds_a_component_to_positions() -> None:
    """Away from the border, a pattern's features do not depend on where the pattern stands."""
    network = NETWORKS["64 positional"]
    x = torch.zeros(1, 3, 20, 20)
    for positional in (True, False):
        features = network.stem(x, positional)[0, :, 2:-2, 2:-2]
        spread = (features.amax((1, 2)) - features.amin((1, 2))).max()
        assert (spread > 1e-3) == positional


def test_grid_grows_down_the_rows_in_its_first_channel() -> None:
    network = PooledEnergy64(2, 2, positional=True)
    torch.nn.init.zeros_(network.image_stem.weight)
    torch.nn.init.zeros_(network.position_stem.weight)
    network.position_stem.weight.data[0, 0, 1, 1] = 1.0  # passes the first channel through
    network.position_stem.bias.data.zero_()
    rows = network.stem(torch.zeros(1, 3, 16, 16), True)[0, 1, 1:-1, 1:-1]
    assert (rows[1:] > rows[:-1]).all()
    assert torch.allclose(rows, rows[:, :1].expand_as(rows))


def test_second_convolutions_start_near_zero() -> None:
    for network in (PooledEnergy64(8, 4, positional=True), PooledEnergy128(8, 4)):
        for block in network.blocks:
            assert block.conv2.weight.abs().max() < 1e-4
