"""The perceptual distance LPIPS (Zhang et al. 2018), as a loss on pictures of 128 pixels."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from comet_cli.errors import CometError, FileFormatError, MissingExtraError
from comet_cli.training.losses import clamped

# The backbone's weights as torchvision publishes them.
BACKBONE = "vgg16-397923af.pth"
BACKBONE_ADDRESS = f"https://download.pytorch.org/models/{BACKBONE}"

# Of the square error, beside LPIPS of weight 1 (the released code).
SQUARE_ERROR_WEIGHT = 0.1

SMALLEST = 16  # pixels; VGG halves a picture four times


def perceptual_loss(output: Tensor, target: Tensor, weights: str = "") -> Tensor:
    """Return the mean LPIPS of a batch, by the library lpips with VGG-16.

    LPIPS is calibrated on pixels of -1..1, and gets them here; the released code gives it 0..1.

    Args:
        output: (B,3,R,R); what lies outside 0..1 counts as clamped, but still has a gradient.
        target: (B,3,R,R), values 0..1.
        weights: the backbone's file (see :func:`backbone_file`).

    Raises:
        CometError: pictures of fewer than 16 pixels, or no backbone.
        MissingExtraError: lpips is not installed.
    """
    side = min(target.shape[-2:])
    if side < SMALLEST:
        raise CometError(
            f"recipe, [train]: perceptual needs at least {SMALLEST} pixels, there are {side}"
        )
    network = perceptual_network(backbone_file(weights), str(target.device))
    return network(clamped(output), target, normalize=True).float().mean()


def backbone_file(weights: str = "") -> Path:
    """Return where the backbone's weights are: the file named, or the one torch.hub downloaded.

    Args:
        weights: a file; relative to the current folder, ``""`` for torch.hub's.

    Raises:
        CometError: it is not there; nothing is downloaded.
    """
    path = Path(weights or Path(torch.hub.get_dir(), "checkpoints", BACKBONE)).expanduser()
    if not path.is_file():
        instead = "" if weights else ", or name another place as perceptual_weights in the recipe"
        raise CometError(
            f"the perceptual loss needs VGG-16's weights, which are not at {path}: download "
            f"{BACKBONE_ADDRESS} and put it there{instead}"
        )
    return path


@functools.lru_cache(maxsize=2)
def perceptual_network(path: Path, device: str) -> nn.Module:
    """Return LPIPS as a frozen network on a device; the same one at each call.

    Args:
        path: the backbone's weights.
        device: torch device.

    Raises:
        FileFormatError: a file that does not hold VGG-16.
        MissingExtraError: lpips is not installed.
        CometError: torchvision, which lpips needs, does not run with this torch.
    """
    try:
        import lpips
    except ImportError as error:
        raise MissingExtraError(
            f"the recipe's perceptual loss needs {error.name or 'lpips'}, which is not installed: "
            "pip install lpips"
        ) from None
    except (RuntimeError, OSError, AttributeError) as error:  # torchvision is for another torch
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise CometError(
            f"lpips cannot be imported ({first_line}): install the torchvision that belongs to "
            f"torch {torch.__version__}, from where that torch came from"
        ) from None
    # Random weights, soon replaced, must not move the random numbers of the training.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how lpips calls torchvision
        network = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    _load_backbone(network.net, path)
    return network.to(device).eval().requires_grad_(False)


def _load_backbone(backbone: nn.Module, path: Path) -> None:
    """Load torchvision's weights into a backbone that lpips has cut into slices.

    Layer 5 is ``features.5`` there and, being in the second slice, ``slice2.5`` here.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises almost anything on a file that is no checkpoint
        found = None
    entries = found if isinstance(found, dict) else {}
    wanted = backbone.state_dict()
    names = {key: f"features.{key.split('.', 1)[1]}" for key in wanted}
    for key, value in wanted.items():
        if getattr(entries.get(names[key]), "shape", None) != value.shape:
            raise FileFormatError(
                f"{path} does not hold VGG-16's weights ({names[key]} is missing or of another "
                f"shape); expected torchvision's {BACKBONE}, from {BACKBONE_ADDRESS}"
            )
    backbone.load_state_dict({key: entries[name] for key, name in names.items()})
