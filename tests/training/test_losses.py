"""What training minimises, in closed form."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from comet_cli.energy.composition import QUADRATIC_REST as REST
from comet_cli.energy.composition import Composition
from comet_cli.errors import CometError, MissingExtraError
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy
from comet_cli.training.losses import (
    area_loss,
    dependence_loss,
    gradient_loss,
    parsimony_loss,
    purity_loss,
    reconstruction_loss,
    shuffle_components,
    structure_loss,
    swap_loss,
)
from comet_cli.training.objective import recomposition_iterates

UNIT_STEP = SimpleNamespace(card=SimpleNamespace(step_size=1.0))


def constant_bound(mean: float, precision: float = 0.15) -> BoundQuadraticEnergy:
    """One component that is equally sure of one colour everywhere; both can be trained."""
    m = torch.full((1, 1, 1, 2, 2), precision, requires_grad=True)
    f = torch.full((1, 1, 3, 2, 2), mean, requires_grad=True)
    return BoundQuadraticEnergy(m, f)


def iterates(bound, x0, *, num_steps, keep="last"):
    return recomposition_iterates(UNIT_STEP, bound, x0, num_steps=num_steps, keep=keep)


def test_reconstruction_loss_sums_mean_square_errors_of_the_iterates():
    target = torch.zeros(2, 3, 4, 4)
    found = reconstruction_loss([target + 0.5, target - 2.0], target)
    assert found.item() == pytest.approx(0.25 + 4.0)


def test_training_energy_sums_the_components():
    m = torch.rand(2, 3, 1, 4, 4) + 0.1
    bound = BoundQuadraticEnergy(m, torch.rand(2, 3, 3, 4, 4))
    x = torch.rand(2, 3, 4, 4)
    energy = Composition.of(bound)
    torch.testing.assert_close(energy(x), bound(x).sum(1))
    torch.testing.assert_close(energy.curvature(x), REST + m.sum(1))


def test_an_energy_of_unknown_curvature_is_descended_with_the_plain_gradient(pooled):
    bound = CometModel(pooled().card).bind(torch.zeros(1, 3, 6))
    assert (Composition.of(bound).curvature(torch.rand(1, 3, 16, 16)) == 1).all()


def test_a_step_is_the_closed_form():
    """x − (x − f) m / (ρ + m): with m = 0.15 and ρ = 0.05, three quarters of the way."""
    (found,) = iterates(constant_bound(0.6), torch.full((1, 3, 2, 2), 0.2), num_steps=1)
    torch.testing.assert_close(found, torch.full((1, 3, 2, 2), 0.5))


def test_iterates_are_clamped_between_steps_and_not_at_their_end():
    x0 = torch.full((1, 3, 2, 2), 0.0)
    first, second = iterates(constant_bound(2.0), x0, num_steps=2, keep="all")
    # 0.75 · 2, then from the clamped 1, not from 1.5: 0.25 · 1 + 0.75 · 2
    assert first.unique().item() == pytest.approx(1.5)
    assert second.unique().item() == pytest.approx(1.75)


def test_an_output_below_0_still_has_a_gradient():
    bound = constant_bound(-1.0)
    kept = iterates(bound, torch.full((1, 3, 2, 2), 0.1), num_steps=2)
    assert (kept[-1] < 0).all()
    reconstruction_loss(kept, torch.full((1, 3, 2, 2), 0.5)).backward()
    assert (bound.mean.grad < 0).all(), "a larger mean lowers the loss"


@pytest.mark.parametrize("keep", ["last", "all"])
def test_each_iterate_is_trained_through_its_own_step_only(keep):
    """dx_n/df = m / (ρ + m) at every n: x is detached between steps."""
    bound = constant_bound(0.6)
    kept = iterates(bound, torch.full((1, 3, 2, 2), 0.2), num_steps=3, keep=keep)
    assert len(kept) == (3 if keep == "all" else 1)
    for each in kept:
        (gradient,) = torch.autograd.grad(each.sum(), bound.mean, retain_graph=True)
        torch.testing.assert_close(gradient, torch.full_like(gradient, 0.75))


def test_the_last_iterate_is_the_same_whichever_are_kept():
    x0 = torch.rand(1, 3, 2, 2)
    last = iterates(constant_bound(0.9), x0, num_steps=3)
    every = iterates(constant_bound(0.9), x0, num_steps=3, keep="all")
    assert torch.equal(last[0], every[-1])


def test_step_size_is_the_cards():
    model = SimpleNamespace(card=SimpleNamespace(step_size=0.5))
    x0 = torch.full((1, 3, 2, 2), 0.2)
    (found,) = recomposition_iterates(model, constant_bound(0.6), x0, num_steps=1, keep="last")
    assert found.unique().item() == pytest.approx(0.35)


def test_parsimony_by_hand():
    """Beyond the most confident 0.4 there is 0.001 = ρ / 50: log 2."""
    m = torch.tensor([0.4, 0.0004, 0.0006]).reshape(1, 3, 1, 1, 1)
    assert parsimony_loss(m).item() == pytest.approx(math.log(2), rel=1e-4)
    assert parsimony_loss(m[:, :1]).item() == 0.0


def test_parsimony_silences_all_but_the_most_confident():
    m = torch.tensor([[0.4, 0.1], [0.02, 3.0]]).reshape(1, 2, 1, 1, 2).requires_grad_(True)
    parsimony_loss(m).backward()
    slope = m.grad.reshape(2, 2)
    assert slope[0, 0] == 0 and slope[1, 1] == 0
    assert slope[1, 0] > 0 and slope[0, 1] > 0


def test_purity_is_lost_where_pixels_are_shared():
    """Shares (1/2, 1/2), (1, 0) and (3/4, 1/4): 1 − Σ w² is 1/2, 0 and 3/8."""
    m = torch.tensor([[2.0, 5.0, 3.0], [2.0, 0.0, 1.0]]).reshape(1, 2, 1, 1, 3)
    assert purity_loss(m).item() == pytest.approx((1 / 2 + 0 + 3 / 8) / 3)
    assert purity_loss(m * 100).item() == pytest.approx(purity_loss(m).item())


def test_area_is_the_share_that_components_beside_the_ground_claim():
    m = torch.tensor([[1.0, 3.0], [1.0, 0.5], [2.0, 0.5]]).reshape(1, 3, 1, 1, 2)
    assert area_loss(m).item() == pytest.approx((3 / 4 + 1 / 4) / 2)


def test_gradient_loss_sees_edges_and_not_brightness():
    step = torch.zeros(1, 3, 4, 4)
    step[..., 2:] = 1
    assert gradient_loss(step, step + 0.3).item() == pytest.approx(0, abs=1e-6)
    assert gradient_loss(step, torch.zeros_like(step)).item() == pytest.approx(1 / 3)


def test_shuffled_components_keep_their_place_and_bring_what_was_made_of_them():
    m = torch.arange(6.0).view(3, 2, 1, 1, 1) + 1
    f = torch.rand(3, 2, 3, 1, 1)
    z = torch.arange(6.0).view(3, 2, 1)
    generator = torch.Generator().manual_seed(1)
    mixed, wanted = shuffle_components(BoundQuadraticEnergy(m, f), z, generator)
    assert torch.equal(mixed.precision.view(3, 2, 1), wanted + 1)
    for k in range(2):
        assert sorted(wanted[:, k, 0].tolist()) == z[:, k, 0].tolist()
    assert not torch.equal(wanted[:, 0] // 2, wanted[:, 1] // 2)  # rows are mixed


def test_swap_loss_is_in_units_of_each_components_variance_and_trains_what_was_found():
    wanted = torch.tensor([[[0.0], [0.0]], [[2.0], [20.0]]], requires_grad=True)
    found = wanted.detach() + torch.tensor([[[1.0], [10.0]], [[1.0], [10.0]]])
    found.requires_grad_(True)
    loss = swap_loss(found, wanted)
    assert loss.item() == pytest.approx((1 / 2 + 100 / 200) / 2, rel=1e-3)
    loss.backward()
    assert wanted.grad is None and found.grad.abs().min() > 0


def test_dependence_is_the_bias_corrected_distance_correlation():
    """Written out as in the paper: U-centred distances, and their inner product."""

    def centred(z: list[float]) -> list[list[float]]:
        n = len(z)
        d = [[abs(a - b) for b in z] for a in z]
        rows, total = [sum(row) for row in d], sum(map(sum, d))
        return [
            [
                0.0
                if i == j
                else d[i][j] - (rows[i] + rows[j]) / (n - 2) + total / ((n - 1) * (n - 2))
                for j in range(n)
            ]
            for i in range(n)
        ]

    def inner(a: list[list[float]], b: list[list[float]]) -> float:
        return sum(p * q for r, s in zip(a, b, strict=True) for p, q in zip(r, s, strict=True))

    first, second = [0.1, 2.0, -1.0, 0.7, 3.1], [1.0, 1.5, -0.3, 0.2, -2.0]
    a, b = centred(first), centred(second)
    expected = inner(a, b) / math.sqrt(inner(a, a) * inner(b, b))
    z = torch.tensor([first, second]).T.unsqueeze(-1)
    assert dependence_loss(z).item() == pytest.approx(expected, rel=1e-4)


def test_dependence_is_nothing_on_average_where_components_are_independent():
    generator = torch.Generator().manual_seed(0)
    draws = [dependence_loss(torch.randn(8, 3, 4, generator=generator)) for _ in range(400)]
    assert torch.stack(draws).mean().item() == pytest.approx(0, abs=0.02)


def test_dependence_sees_what_correlation_does_not_and_no_scale():
    torch.manual_seed(0)
    first = torch.randn(200, 1)
    square = torch.stack([first, first.square()], 1)
    assert abs(float(torch.corrcoef(square[..., 0].T)[0, 1])) < 0.1
    assert dependence_loss(square) > 0.15
    torch.testing.assert_close(
        dependence_loss(square * torch.tensor([[[1.0], [50.0]]])), dependence_loss(square)
    )
    turned = torch.stack([first, -3 * first], 1)
    assert dependence_loss(turned).item() == pytest.approx(1, abs=1e-4)


def test_dependence_has_a_gradient_where_latents_coincide():
    z = torch.randn(6, 2, 3)
    z[1], z[:, 1] = z[0], 0
    z.requires_grad_(True)
    dependence_loss(z).backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(3, 2, 4), (8, 1, 4)])
def test_dependence_of_too_few_is_refused(shape):
    with pytest.raises(CometError, match="needs 2 components and a batch of 4"):
        dependence_loss(torch.randn(shape))


def test_structure_loss_is_nothing_for_the_picture_itself_and_sees_a_blur():
    pytest.importorskip("pytorch_msssim")
    torch.manual_seed(0)
    target = torch.rand(2, 3, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(target, 3, 1, 1)
    lighter = target * 0.8 + 0.2 * target.mean((2, 3), keepdim=True)
    assert structure_loss(target, target).item() == pytest.approx(0, abs=1e-5)
    assert structure_loss(blurred, target) > 5 * structure_loss(lighter, target)


def test_structure_loss_has_a_gradient_outside_the_range_of_pixels():
    pytest.importorskip("pytorch_msssim")
    torch.manual_seed(0)
    target = torch.rand(1, 3, 48, 48)
    output = (target + 1.5).requires_grad_()
    structure_loss(output, target).backward()
    assert output.grad.isfinite().all() and output.grad.abs().sum() > 0


def test_structure_loss_of_tiny_pictures_is_refused():
    pytest.importorskip("pytorch_msssim")
    with pytest.raises(CometError, match="more than 32 pixels, there are 32"):
        structure_loss(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))


def test_structure_loss_without_its_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(MissingExtraError, match=r"pip install pytorch-msssim"):
        structure_loss(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
