"""A model whose components are known: each holds one colour in one place, sure of nothing else."""

import pytest
import torch
from torch import Tensor, nn

from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy

SIZE = 8


class StripeEncoder(nn.Module):
    """Component k is the mean colour of the k-th quarter of the columns, and k."""

    def forward(self, x: Tensor) -> Tensor:
        stripes = x.tensor_split(4, -1)
        colours = torch.stack([stripe.mean((2, 3)) for stripe in stripes], 1)
        place = torch.arange(4.0)[None, :, None].expand(len(x), -1, -1)
        return torch.cat([colours, place], -1)


class StripeEnergy(nn.Module):
    """Sure (m = 1000) of its colour in its quarter of the columns, unsure (m = 0.001) elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def bind(self, z: Tensor, positional) -> BoundQuadraticEnergy:
        column = torch.arange(SIZE) // (SIZE // 4)
        mine = (column == z[..., 3:4]).float()[:, :, None, None, :].expand(-1, -1, 1, SIZE, -1)
        mean = z[:, :, :3, None, None].expand(-1, -1, -1, SIZE, SIZE)
        return BoundQuadraticEnergy(mine * 1000 + 0.001, mean)


@pytest.fixture
def stripes() -> CometModel:
    """A model that is perfect on pictures of four upright stripes of one colour each."""
    card = ModelCard(
        name="stripes",
        encoder="global",
        energy="quadratic",
        filter_dim=8,
        components=4,
        latent_dim=4,
        image_size=SIZE,
        positional=[True] * 4,
        step_size=1.0,
        num_steps=1,
        render_step_size=1.0,
        render_steps=2,
    )
    model = CometModel(card)
    model.encoder, model.energy_network = StripeEncoder(), StripeEnergy()
    return model.eval().requires_grad_(False)
