"""Each latent is decoded once, and nothing but time tells."""

from __future__ import annotations

import copy

import pytest
import torch

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.decoded_latents import DecodedLatents
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy


def model(**facts) -> CometModel:
    usual = {
        "name": "tiny",
        "encoder": "global",
        "energy": "quadratic",
        "filter_dim": 8,
        "components": 3,
        "latent_dim": 4,
        "image_size": 16,
        "positional": [True, True, False],
        "step_size": 1.0,
        "num_steps": 1,
        "render_step_size": 1.0,
        "render_steps": 5,
    }
    torch.manual_seed(0)
    return CometModel(ModelCard(**{**usual, **facts})).eval().requires_grad_(False)


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Note how many latents each pass through an energy network decodes."""
    counts: list[int] = []
    bind = CometModel.bind

    def counted(self, z, components=None):
        counts.append(z.shape[0] * z.shape[1])
        return bind(self, z, components)

    monkeypatch.setattr(CometModel, "bind", counted)
    return counts


def picture(made: CometModel, z: torch.Tensor) -> torch.Tensor:
    return render([Term(made, z[:, k], component=k) for k in range(z.shape[1])])


@pytest.mark.parametrize("facts", [{}, {"responds": True}, {"spatial": True}])
def test_a_latent_is_decoded_once_and_the_bytes_are_the_same(decoded, facts) -> None:
    made, z = model(**facts), torch.randn(2, 3, 4)
    first = picture(made, z)
    assert decoded == [1] * 6
    assert torch.equal(picture(made, z), first) and len(decoded) == 6
    made._decoded = DecodedLatents(0)  # nothing is held
    assert torch.equal(picture(made, z), first) and len(decoded) == 12
    # Nor does what stands beside a latent matter.
    alone = made.bind_each(z[1:, :1], [0]).precision
    assert torch.equal(made.bind_each(z, [0, 1, 2]).precision[1:, :1], alone)


def test_positions_and_weights_are_part_of_what_is_held() -> None:
    made, z = model(), torch.randn(1, 1, 4)
    seen, unseen = made.bind_each(z, [0]).precision, made.bind_each(z, [2]).precision
    assert not torch.equal(seen, unseen)
    made.energy_network.out.weight.mul_(2)
    changed = made.bind_each(z, [0]).precision
    assert not torch.equal(seen, changed)
    torch.testing.assert_close(changed, made.bind(z, [0]).precision)


def test_energies_that_see_more_than_z_are_bound_as_always(decoded) -> None:
    for facts in ({"energy": "pooled-64"}, {"spatial": True, "sees_image": True}):
        made = model(**facts)
        made.bind_each(torch.randn(2, 3, 4), [0, 1, 2])
        assert decoded.pop() == 6 and len(made._decoded) == 0


def test_a_gradient_reaches_the_latents() -> None:
    made, z = model(), torch.randn(1, 3, 4, requires_grad=True)
    made.bind_each(z, [0, 1, 2])(torch.rand(1, 3, 16, 16)).sum().backward()
    assert z.grad.abs().max() > 0 and len(made._decoded) == 0


def test_what_is_held_in_inference_mode_can_be_differentiated_later() -> None:
    made, z = model(), torch.randn(1, 3, 4)
    with torch.inference_mode():
        picture(made, z)
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    made.bind_each(z, [0, 1, 2])(x).sum().backward()
    assert x.grad.abs().max() > 0


def test_the_oldest_goes_and_a_copy_begins_empty() -> None:
    def decode():
        part = torch.zeros(1, 1, 1, 5, 5)  # 100 bytes
        return BoundQuadraticEnergy, (part,)

    held = DecodedLatents(most_bytes=250)
    for key in ("a", "b", "a", "c"):
        held.of(key, decode)
    assert (len(held), held.bytes) == (2, 200)
    assert held.of("a", lambda: None) is not None  # used last before c
    assert held.of("b", lambda: None) is None
    assert len(copy.deepcopy(held)) == 0 and copy.deepcopy(held).most_bytes == 250
