"""The perceptual loss: with a stand-in for lpips, and with lpips itself where it is installed."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from comet_cli.errors import CometError, FileFormatError, MissingExtraError
from comet_cli.models.comet_model import CometModel
from comet_cli.training import loss_table
from comet_cli.training.loop import train
from comet_cli.training.objective import training_loss
from comet_cli.training.perceptual import (
    BACKBONE,
    backbone_file,
    perceptual_loss,
    perceptual_network,
)
from comet_cli.training.settings import TrainSettings


class StandIn(nn.Module):
    """Features of one convolution, laid out as lpips lays out its own: a slice, a linear layer."""

    built = 0

    def __init__(self, net, pnet_rand, verbose):
        assert (net, pnet_rand, verbose) == ("vgg", True, False), "it would download or print"
        type(self).built += 1
        super().__init__()
        self.net = nn.Module()
        self.net.slice1 = nn.Sequential()
        self.net.slice1.add_module("3", nn.Conv2d(3, 4, 3, padding=1))
        self.lin0 = nn.Conv2d(4, 1, 1, bias=False)
        nn.init.ones_(self.lin0.weight)
        self.drop = nn.Dropout()

    def forward(self, a, b, normalize=False):
        assert normalize, "pixels are 0..1"
        self.seen = a.detach()
        a, b = (self.net.slice1(2 * each - 1) for each in (a, b))
        return self.lin0(self.drop((a - b).square())).mean((1, 2, 3), keepdim=True)


def backbone(path, scale=1.0):
    """Write a backbone of the stand-in's shape."""
    drawn = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 3, 3, generator=drawn) * scale
    extra = {"classifier.0.weight": torch.zeros(1)}
    torch.save({"features.3.weight": kernel, "features.3.bias": torch.zeros(4), **extra}, path)
    return str(path)


@pytest.fixture
def weights(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=StandIn))
    monkeypatch.setattr(StandIn, "built", 0)
    return backbone(tmp_path / "vgg.pth")


def pictures(count=2, side=16, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_distance_is_of_the_backbone_in_the_file_on_pixels_of_minus_1_to_1(weights):
    x, y = pictures(), pictures(seed=1)
    kernel = torch.load(weights)["features.3.weight"]
    difference = nn.functional.conv2d(2 * (x - y), kernel, padding=1)
    expected = difference.square().sum(1).mean()
    torch.testing.assert_close(perceptual_loss(x, y, weights), expected)
    assert perceptual_loss(x, x, weights) == 0


def test_output_is_seen_clamped_and_has_a_gradient_where_it_is_not(weights):
    output = torch.full((1, 3, 16, 16), 1.5, requires_grad=True)
    loss = perceptual_loss(output, torch.zeros(1, 3, 16, 16), weights)
    network = perceptual_network(backbone_file(weights), "cpu")
    assert torch.equal(network.seen, torch.ones(1, 3, 16, 16))
    loss.backward()
    assert output.grad.isfinite().all() and output.grad.abs().min() > 0


def test_the_network_is_frozen_in_evaluation_and_built_once(weights):
    for _ in range(3):
        perceptual_loss(pictures(), pictures(), weights)
    network = perceptual_network(backbone_file(weights), "cpu")
    assert StandIn.built == 1
    assert not any(module.training for module in network.modules())
    assert not any(p.requires_grad for p in network.parameters())


def test_building_it_leaves_random_numbers_alone(weights):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    perceptual_loss(pictures(), pictures(), weights)
    assert StandIn.built == 1 and torch.equal(torch.rand(4), expected)


def test_a_file_that_is_not_there_is_named_with_its_origin_and_its_place(tmp_path):
    with pytest.raises(CometError) as caught:
        perceptual_loss(pictures(), pictures(), str(tmp_path / "none.pth"))
    assert f"not at {tmp_path / 'none.pth'}: download https://" in str(caught.value)
    assert f"{BACKBONE} and put it there" in str(caught.value)


def test_torch_hubs_copy_is_used_where_it_is_and_nothing_is_downloaded(monkeypatch, tmp_path):
    def download(*_, **__):
        pytest.fail("a download")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    wanted = tmp_path / "hub" / "checkpoints" / BACKBONE
    with pytest.raises(CometError, match="perceptual_weights in the recipe") as caught:
        backbone_file()
    assert str(wanted) in str(caught.value)
    wanted.parent.mkdir(parents=True)
    wanted.touch()
    assert backbone_file() == wanted


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        [1],
        {},
        {"features.3.weight": torch.zeros(4, 3, 3, 3)},
        {"features.3.weight": torch.zeros(8, 3, 3, 3), "features.3.bias": torch.zeros(4)},
        {"features.3.weight": "words", "features.3.bias": torch.zeros(4)},
    ],
    ids=["empty", "no checkpoint", "a list", "nothing", "no bias", "wider", "no tensor"],
)
def test_a_file_that_is_no_vgg_is_refused(weights, tmp_path, content):
    path = tmp_path / "other.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(FileFormatError, match=f"other.pth does not hold VGG-16.*{BACKBONE}"):
        perceptual_loss(pictures(), pictures(), str(path))


def test_without_its_library_it_is_one_sentence(monkeypatch, weights):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MissingExtraError, match=r"needs lpips, .*: pip install lpips"):
        perceptual_loss(pictures(), pictures(), weights)


def test_a_torchvision_for_another_torch_is_one_sentence(monkeypatch, weights, tmp_path):
    (tmp_path / "lpips.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.delitem(sys.modules, "lpips")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CometError, match="nms does not exist.*the torchvision that belongs to"):
        perceptual_loss(pictures(), pictures(), weights)


def test_pictures_too_small_for_vgg_are_refused(weights):
    with pytest.raises(CometError, match="at least 16 pixels, there are 15"):
        perceptual_loss(pictures(side=15), pictures(side=15), weights)


def test_before_its_warm_up_is_over_the_square_error_is_alone(monkeypatch, quadratic, weights):
    """After it: w LPIPS + 0.1 MSE, of the same iterate."""
    on = {"perceptual": 2.0, "perceptual_warm_up": 5, "perceptual_weights": weights}
    plain, with_loss = quadratic().train, quadratic(train=on).train
    model, x = CometModel(quadratic().card), pictures(4)
    seen = []
    monkeypatch.setattr(
        loss_table, "perceptual_loss", lambda *a: seen.append(perceptual_loss(*a)) or seen[-1]
    )
    for iteration in (0, 4):
        expected, _ = training_loss(model, x, plain, iteration)
        assert training_loss(model, x, with_loss, iteration)[0] == expected
    assert not seen
    alone, error = training_loss(model, x, plain, 5)
    both, same = training_loss(model, x, with_loss, 5)
    assert alone.item() == pytest.approx(error) and same == error
    assert both.item() == pytest.approx(0.1 * error + 2 * seen[0].item())
    assert seen[0] > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_is_minimised_and_not_saved(tmp_path, images, quadratic, weights, precision):
    facts = {"perceptual": 1.0, "perceptual_weights": weights, "precision": precision}
    recipe = quadratic(train={**facts, "iterations": 25})
    result = train(recipe, images, tmp_path)
    assert result.model.state_dict().keys() == CometModel(recipe.card).state_dict().keys()
    x = torch.from_numpy(images[:16]).permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(recipe.train.seed)
    before = training_loss(CometModel(recipe.card), x, recipe.train, 0)[0]
    assert training_loss(result.model, x, recipe.train, 0)[0] < 0.8 * before


def test_bfloat16_changes_it_by_rounding_alone(weights):
    x, y = pictures(), pictures(seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        low = perceptual_loss(x, y, weights)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(perceptual_loss(x, y, weights).item(), rel=0.02)


def test_what_is_missing_is_said_before_the_warm_up(tmp_path, images, quadratic):
    lacking = str(tmp_path / "none.pth")
    facts = {"perceptual": 1.0, "perceptual_warm_up": 19, "perceptual_weights": lacking}
    with pytest.raises(CometError, match=r"none\.pth"):
        train(quadratic(train=facts), images, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"perceptual": -1.0}, "perceptual must not be negative"),
        ({"perceptual_warm_up": -1}, "perceptual_warm_up must not be negative"),
        ({"perceptual": 1.0, "perceptual_warm_up": 20}, "perceptual_warm_up .* below iterations"),
        ({"perceptual_weights": 3}, "perceptual_weights must be of type str"),
    ],
)
def test_settings_out_of_range_are_refused(quadratic, facts, sentence):
    with pytest.raises(FileFormatError, match=sentence):
        quadratic(train=facts)


def test_a_weight_must_be_finite():
    with pytest.raises(FileFormatError, match="perceptual must not be negative or infinite"):
        TrainSettings(1, losses={"perceptual": math.inf})


# -- lpips itself -------------------------------------------------------------------------------

# Channels after each of VGG-16's convolutions, by the layer's number in torchvision.
VGG = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
VGG |= {n: 512 for n in (17, 19, 21, 24, 26, 28)}


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A file of VGG-16's layout with random weights that keep a signal's size."""
    try:
        import lpips  # noqa: F401
    except Exception as error:  # not installed, or its torchvision is for another torch
        pytest.skip(f"lpips: {error}")
    drawn, content, inputs = torch.Generator().manual_seed(0), {}, 3
    for layer, outputs in VGG.items():
        kernel = torch.randn(outputs, inputs, 3, 3, generator=drawn)
        content[f"features.{layer}.weight"] = kernel * math.sqrt(2 / (9 * inputs))
        content[f"features.{layer}.bias"] = torch.zeros(outputs)
        inputs = outputs
    path = tmp_path_factory.mktemp("vgg") / BACKBONE
    torch.save(content, path)
    yield path
    path.unlink()


def test_lpips_gets_the_files_weights_layer_by_layer(vgg, capsys, recwarn):
    network = perceptual_network(vgg, "cpu")
    found, h, compared = torch.load(vgg), 2 * pictures() - 1, []
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    h = (h - shift.view(3, 1, 1)) / scale.view(3, 1, 1)
    for layer in VGG:
        if layer in (5, 10, 17, 24):
            compared.append(h)
            h = nn.functional.max_pool2d(h, 2)
        h = nn.functional.conv2d(
            h, *(found[f"features.{layer}.{k}"] for k in ("weight", "bias")), 1, 1
        )
        h = h.relu()
    compared.append(h)
    features = network.net(network.scaling_layer(2 * pictures() - 1))
    for mine, theirs in zip(compared, features, strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-3, atol=1e-4)
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(module.training for module in network.modules())
    assert capsys.readouterr() == ("", "") and not recwarn.list


def test_lpips_is_nothing_for_the_picture_itself_and_grows_with_noise(vgg):
    x = pictures(1, 32)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = [perceptual_loss(x + s * noise, x, str(vgg)).item() for s in (0, 0.05, 0.2)]
    assert found[0] == 0 and 0 < 4 * found[1] < found[2]


def test_lpips_of_a_batch_is_the_mean_of_its_pictures(vgg):
    x, y = pictures(2, 32), pictures(2, 32, seed=1)
    each = [perceptual_loss(x[n : n + 1], y[n : n + 1], str(vgg)) for n in range(2)]
    torch.testing.assert_close(perceptual_loss(x, y, str(vgg)), (each[0] + each[1]) / 2)


def test_lpips_under_bfloat16_has_nearly_the_same_gradient(vgg):
    x, y = pictures(1, 32), pictures(1, 32, seed=1).requires_grad_()
    (exact,) = torch.autograd.grad(perceptual_loss(y, x, str(vgg)), y)
    with torch.autocast("cpu", torch.bfloat16):
        loss = perceptual_loss(y, x, str(vgg))
    (low,) = torch.autograd.grad(loss, y)
    assert nn.functional.cosine_similarity(low.flatten(), exact.flatten(), dim=0) > 0.95


def test_lpips_where_no_feature_fires_has_a_gradient_that_is_a_number(vgg, tmp_path):
    """The length of a vector of zeros has none; the rectifiers before it must stop that."""
    silent = torch.load(vgg)
    silent["features.0.bias"] -= 1e4
    silent["features.28.bias"] -= 1e4
    path = tmp_path / "silent.pth"
    torch.save(silent, path)
    y = pictures(1, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(perceptual_loss(y, pictures(1, 16, 1), str(path)), y)
    path.unlink()
    assert gradient.isfinite().all()


def test_lpips_takes_part_in_training(vgg, quadratic):
    settings = quadratic(train={"perceptual": 1.0, "perceptual_weights": str(vgg)}).train
    model, x = CometModel(quadratic().card), pictures(2)
    loss, error = training_loss(model, x, settings, 0)
    assert loss.item() > 0.1 * error
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)
