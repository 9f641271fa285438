"""The baselines' networks and losses: shapes, closed forms, and where gradients go."""

import math

import pytest
import torch
import torch.nn.functional as F
from baseline_recipes import SIZE, TINY, tiny_card

from comet_cli.baselines.base import gaussian_kl, sample_gaussian
from comet_cli.baselines.folder import build
from comet_cli.baselines.infogan import log_likelihood
from comet_cli.baselines.monet import (
    BACKGROUND,
    FOREGROUND,
    ComponentVAE,
    mask_kl,
    mixture_log_likelihood,
)
from comet_cli.errors import CometError, FileFormatError


def made(kind, **facts):
    torch.manual_seed(0)
    return build(tiny_card(kind, **facts))


def noise():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("size", [16, 32, 64])
def test_latents_and_pictures_have_their_shapes(kind, size):
    model = made(kind, image_size=size).eval()
    x = torch.rand(2, 3, size, size)
    assert model.encode(x).shape == (2, model.card.components, model.card.latent_dim)
    y = model.reconstruct(x)
    assert y.shape == x.shape and 0 <= y.min() and y.max() <= 1


@pytest.mark.parametrize("kind", TINY)
def test_a_picture_is_encoded_alike_alone_and_among_others(kind, pictures):
    model = made(kind).eval()
    alone = torch.cat([model.encode(x[None]) for x in pictures])
    assert torch.allclose(model.encode(pictures), alone, atol=1e-5)


@pytest.mark.parametrize("kind", TINY)
def test_the_loss_repeats_and_reaches_every_weight(kind, pictures):
    losses = []
    for _ in range(2):
        model = made(kind).train()
        loss, error = model.loss(pictures, noise())
        loss.backward()
        losses.append((float(loss.detach()), float(error.detach())))
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        assert model.training
    assert losses[0] == losses[1] and losses[0][1] > 0


@pytest.mark.parametrize("facts, sentence", [
    ({"kind": "vae"}, "kind must be one of"),
    ({"kind": "beta-vae", "decoder": "laplace"}, "decoder must be one of"),
    ({"kind": "beta-vae", "image_size": 24}, "power of two"),
    ({"kind": "beta-vae", "components": 2}, "components is for monet"),
    ({"kind": "monet"}, "components must be 2 or more"),
    ({"kind": "beta-vae", "beta": -1.0}, "must not be negative"),
    ({"kind": "beta-vae", "latent_dim": 0}, "at least 1"),
])  # fmt: skip
def test_facts_that_cannot_be_are_one_sentence(facts, sentence):
    facts = {"name": "tiny", "image_size": SIZE, "latent_dim": 4, **facts}
    from comet_cli.baselines.card import BaselineCard

    with pytest.raises(FileFormatError, match=sentence):
        BaselineCard(**facts)


def test_kl_by_hand():
    """KL(N(2, 1/4) ‖ N(0, 1)) = ½ (4 + ¼ − ln ¼ − 1)."""
    mean, log_variance = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.25, 1.0]]).log()
    expected = 0.5 * (4 + 0.25 + math.log(4) - 1)
    assert gaussian_kl(mean, log_variance).tolist() == pytest.approx([expected])


def test_kl_is_what_torch_says():
    mean, log_variance = torch.randn(2, 5, 3, generator=noise())
    here = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    there = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(here, there).sum(-1)
    assert torch.allclose(gaussian_kl(mean, log_variance), expected, atol=1e-5)


def test_samples_have_the_mean_and_the_deviation_asked_for():
    mean, log_variance = torch.full((20000, 1), 3.0), torch.full((20000, 1), 4.0).log()
    z = sample_gaussian(mean, log_variance, noise())
    assert float(z.mean()) == pytest.approx(3, abs=0.06)
    assert float(z.std()) == pytest.approx(2, abs=0.06)


@pytest.mark.parametrize("decoder", ["gaussian", "bernoulli"])
def test_the_beta_vae_loss_is_the_negative_bound(decoder, pictures):
    """A density of N(x; y, ½) is −‖x − y‖² up to a constant; β counts the divergence."""
    found = {}
    for beta in (0.0, 1.0, 4.0):
        model = made("beta-vae", decoder=decoder, beta=beta)
        found[beta] = float(model.loss(pictures, noise())[0].detach())
    mean, log_variance = model.posterior(pictures)
    logits = model.decoder(sample_gaussian(mean, log_variance, noise()))
    y = torch.sigmoid(logits)
    if decoder == "gaussian":
        normal = torch.distributions.Normal(y, math.sqrt(0.5))
        told = -normal.log_prob(pictures) - 0.5 * math.log(math.pi)
    else:
        told = -(pictures * y.log() + (1 - pictures) * (1 - y).log())
    assert found[0.0] == pytest.approx(float(told.detach().sum((1, 2, 3)).mean()), rel=1e-4)
    divergence = float(gaussian_kl(mean, log_variance).detach().mean())
    assert found[4.0] - found[1.0] == pytest.approx(3 * divergence, rel=1e-2)


def test_infogan_likelihood_of_codes_is_what_torch_says():
    code, mean, log_variance = torch.randn(3, 5, 2, generator=noise())
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = normal.log_prob(code).sum(-1)
    assert torch.allclose(log_likelihood(code, mean, log_variance), expected, atol=1e-5)


def test_infogan_gives_each_network_its_own_gradient(pictures):
    """The reader's is of L_D − λI, the generator's of L_G − λI, computed here one by one."""
    model = made("infogan")
    model.loss(pictures, noise())[0].backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters()}

    def by_hand(part):
        other = made("infogan")
        draw = noise()
        code = 2 * torch.rand(len(pictures), 3, generator=draw) - 1
        fake = other.generate(code, torch.randn(len(pictures), 2, generator=draw))
        judged, mean, log_variance = other.reader(fake)
        loss = -other.card.information * log_likelihood(code, mean, log_variance).mean()
        if part == "reader":
            loss = loss + F.softplus(-other.reader(pictures)[0]).mean() + F.softplus(judged).mean()
        else:
            loss = loss + F.softplus(-judged).mean()
        loss.backward()
        return {n: p.grad for n, p in other.named_parameters() if n.startswith(part)}

    for name, gradient in {**by_hand("reader"), **by_hand("generator")}.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


def test_infogan_keeps_statistics_of_real_pictures_alone(pictures):
    model, other = made("infogan"), made("infogan")
    model.loss(pictures, noise())
    other.reader(pictures)
    kept, expected = dict(model.reader.named_buffers()), dict(other.reader.named_buffers())
    assert kept and all(torch.equal(kept[name], expected[name]) for name in expected)


def test_monet_masks_share_every_pixel_out(pictures):
    masks = made("monet").masks(pictures).exp()
    assert masks.shape == (8, 3, SIZE, SIZE)
    assert torch.allclose(masks.sum(1), torch.ones(8, SIZE, SIZE), atol=1e-5)


def test_monet_attention_takes_its_share_of_what_is_left(pictures):
    """With logits 0 everywhere: ½, half of what is left, the rest."""
    model = made("monet")
    torch.nn.init.zeros_(model.attention.out.weight)
    torch.nn.init.zeros_(model.attention.out.bias)
    masks = model.masks(pictures).exp()
    for k, share in enumerate((0.5, 0.25, 0.25)):
        assert torch.allclose(masks[:, k], torch.full_like(masks[:, k], share))


def test_monet_mixture_by_hand():
    """One pixel 0.1 from component 0 in one channel, and exactly component 1, at shares ¾ and ¼."""
    x = torch.zeros(1, 3, 1, 1)
    pictures = torch.zeros(1, 2, 3, 1, 1)
    pictures[0, 0, 0] = 0.1
    masks = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1)
    one = (
        0.75 * math.exp(-0.5 * (0.1 / BACKGROUND) ** 2) / (BACKGROUND * math.sqrt(2 * math.pi)) ** 3
    )
    two = 0.25 / (FOREGROUND * math.sqrt(2 * math.pi)) ** 3
    found = mixture_log_likelihood(x, pictures, masks)
    assert float(found) == pytest.approx(math.log(one + two), rel=1e-5)


def test_monet_mask_divergence_by_hand():
    a, b = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    expected = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    found = mask_kl(a.log().view(1, 2, 1, 1), b.log().view(1, 2, 1, 1))
    assert float(found) == pytest.approx(expected)


def test_monet_segments_are_the_largest_masks(pictures):
    model = made("monet")
    assert torch.equal(model.segment(pictures), model.masks(pictures).argmax(1))


def test_the_broadcast_decoder_makes_the_same_everywhere_but_for_coordinates():
    """Without coordinates every pixel is alike: nothing else tells a pixel its place."""
    vae = ComponentVAE(SIZE, 4, 8)
    z = torch.randn(1, 4, generator=noise())
    assert vae.decode(z).shape == (1, 4, SIZE, SIZE)
    assert vae.decode(z).std((2, 3)).min() > 1e-4
    vae.place.zero_()
    assert vae.decode(z).std((2, 3)).max() < 1e-5


@pytest.mark.parametrize("kind", ["beta-vae", "infogan"])
def test_one_vector_has_no_segments(kind, pictures):
    with pytest.raises(CometError, match="no components that pixels could belong to"):
        made(kind).segment(pictures)
