"""Where a rendering starts."""

from __future__ import annotations

import pytest
import torch
from toy_models import R, ToyModel, pooled, quadratic_model, square, term

from comet_cli.energy.composition import Term
from comet_cli.energy.render import render, start_picture
from comet_cli.errors import CometError
from comet_cli.models.comet_model import CometModel


def test_noise_is_uniform_seeded_and_independent_of_the_batch() -> None:
    one = start_picture(1, 32, init="noise", seed=3)
    many = start_picture(5, 32, init="noise", seed=3)
    assert torch.equal(many, one.expand(5, -1, -1, -1))
    assert not torch.equal(one, start_picture(1, 32, init="noise", seed=4))
    assert 0 <= one.min() and one.max() < 1
    assert float(one.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(one.var()) == pytest.approx(1 / 12, abs=0.005)


def test_noise_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    start_picture(2, 8, init="noise", seed=9)
    assert torch.equal(torch.rand(3), wanted)


def test_a_picture_rendered_in_a_batch_is_the_picture_rendered_alone() -> None:
    model = pooled(16)
    z = torch.randn(3, 2)
    together = render([Term(model, z)], num_steps=2)
    for b in range(3):
        assert torch.allclose(together[b], render([Term(model, z[b])], num_steps=2)[0], atol=1e-5)


def test_grey_is_the_start_only_if_all_cards_ask_for_it() -> None:
    grey = quadratic_model(init="grey")
    noise = ToyModel(square, name="noise")
    starts = []
    for terms in ([term(grey, 0.1, 1.0)], [term(grey, 0.1, 1.0), term(noise, 0.5)]):
        render(terms, num_steps=1, callback=lambda n, x: starts.append(x) if n == 0 else None)
    assert torch.equal(starts[0], torch.full((1, 3, R, R), 0.5))
    assert torch.equal(starts[1], start_picture(1, R, init="noise", seed=0))
    with pytest.raises(CometError, match="'noise', 'grey' or 'black'"):
        render([term(grey, 0.1, 1.0)], init="white")


def test_a_given_picture_is_the_start() -> None:
    x0 = torch.rand(1, 3, R, R)
    x = render([term(ToyModel(square), 0.5)], init=x0, num_steps=1, step_size=0.25)
    assert torch.allclose(x, x0 + 0.5 * (0.5 - x0))


@pytest.mark.parametrize(("components", "start"), [([0, 1], "noise"), ([1], "grey")])
def test_where_no_term_cares_a_rendering_starts_from_grey(components, start) -> None:
    card = pooled(16).card.replace(energy="quadratic", positional=[True, True], init="noise")
    model, seen = CometModel(card).requires_grad_(False), []
    terms = [Term(model, torch.randn(1, 2), component=k) for k in components]
    render(terms, num_steps=1, callback=lambda n, x: seen.append(x))
    assert torch.equal(seen[0], start_picture(1, 16, init=start, seed=0))
