"""``comet figure``: a figure of the paper, from what is installed."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from comet_cli.drawing.layout import TITLE, Box, beside, padded, stack, text
from comet_cli.errors import CometError, UnknownModelError, UsageError
from comet_cli.figures.catalogue import FIGURES, Need, Panel
from comet_cli.figures.panel_session import PanelSession
from comet_cli.formats.files import show, write_output
from comet_cli.formats.overwriting import check_output
from comet_cli.formats.picture_recipe import FIGURE_KEYWORD, mark_pixels
from comet_cli.inputs.session import Progress
from comet_cli.version import __version__

MARGIN, BETWEEN = 24, 56


@dataclass(frozen=True)
class Made:
    """A figure that was made.

    Attributes:
        pixels: (H,W,3) uint8.
        models: the hashes of the models that it shows, by name.
        left_out: a sentence a panel that could not be made.
    """

    pixels: np.ndarray
    models: dict[str, str]
    left_out: list[str] = field(default_factory=list)


class _CannotBeMade(Exception):
    """A panel lacks its model or its inputs."""


def examples_folder(named: str | None = None) -> Path:
    """Return the folder of example inputs.

    Args:
        named: what ``--examples`` said; default ``examples/`` of the source checkout.

    Raises:
        UsageError: there is none.
    """
    if named is not None:
        if not Path(named).is_dir():
            raise UsageError(f"the folder of examples '{show(named)}' does not exist")
        return Path(named)
    root = Path(__file__).resolve().parents[2]
    # Only a checkout has pyproject.toml there; site-packages may hold someone else's `examples`.
    if (root / "examples").is_dir() and (root / "pyproject.toml").is_file():
        return root / "examples"
    raise UsageError(
        "the example inputs are not installed with comet; give examples/ of its source with "
        "--examples DIR"
    )


def example_files(folder: Path, stem: str) -> list[Path]:
    """Return ``STEM-1.png``, ``STEM-b.z`` … of a folder, by name."""
    pattern = re.compile(re.escape(stem) + r"-(\d+|[a-z])\.(png|z)")
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))


def check_number(number: int) -> None:
    """Raise UsageError if the paper has no such figure that comet can make."""
    if number not in FIGURES:
        known = ", ".join(str(n) for n in FIGURES)
        raise UsageError(f"there is no figure {number} to make, expected one of {known}")


def make_figure(
    number: int, examples: Path, session: PanelSession, progress: Progress | None = None
) -> Made:
    """Make a figure of all panels that can be made.

    Raises:
        UsageError: an unknown number.
        CometError: no panel can be made; or what stands in the examples is broken.
    """
    check_number(number)
    figure = FIGURES[number]
    boxes: list[Box] = []
    missing: list[str] = []
    for n, panel in enumerate(figure.panels):
        try:
            drawn = _draw(panel, examples, session)
            boxes.append(stack([text(panel.title, size=TITLE), drawn], gap=14))
        except _CannotBeMade as reason:
            missing.append(f"'{panel.title}' ({reason})")
        if progress is not None:
            progress(n + 1, len(figure.panels))
    if not boxes:
        raise CometError(f"figure {number} cannot be made: it lacks {' and '.join(missing)}")
    join: Callable[..., Box] = stack if figure.stacked else beside
    whole = join(boxes, gap=BETWEEN, align="start")
    return Made(
        np.asarray(padded(whole, MARGIN)),
        dict(sorted(session.models.items())),
        [f"figure {number} lacks the panel {sentence}" for sentence in missing],
    )


def _draw(panel: Panel, examples: Path, session: PanelSession) -> Box:
    try:
        for need in panel.needs:
            session.card(need.model)
    except UnknownModelError:
        raise _CannotBeMade(f"model '{need.model}' is not installed") from None
    files = [_choose(need, examples) for need in panel.needs]
    try:
        sources = [
            [session.open(path, need.model) for path in paths]
            for need, paths in zip(panel.needs, files, strict=True)
        ]
    except UnknownModelError as error:
        raise _CannotBeMade(str(error)) from None
    return panel.draw(session, sources)


def _choose(need: Need, examples: Path) -> list[Path]:
    for stem in need.stems:
        found = example_files(examples, stem)
        if len(found) >= need.count:
            return found[: max(need.count, need.most)]
    raise _CannotBeMade(
        f"model '{need.model}' has fewer than {need.count} examples {need.stems[-1]}-1, "
        f"{need.stems[-1]}-2 … in '{show(examples.name)}'"
    )


def encode_figure(number: int, made: Made, *, metadata: bool = True) -> bytes:
    """Return a figure as a PNG that says which figure it is, and of which models."""
    entry = PngImagePlugin.PngInfo()
    if metadata:
        facts = {"figure": number, "models": made.models, "comet": __version__}
        entry.add_text(FIGURE_KEYWORD.decode(), json.dumps(facts, sort_keys=True))
    buffer = io.BytesIO()
    Image.fromarray(made.pixels).save(buffer, "PNG", pnginfo=entry, optimize=True)
    return mark_pixels(buffer.getvalue(), made.pixels) if metadata else buffer.getvalue()


def write_figure(
    number: int,
    output: str,
    *,
    examples: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    metadata: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Make a figure and write it, whole or not at all.

    Args:
        number: of the paper.
        output: the PNG; ``-`` for standard output.
        examples: folder of inputs; default that of the source checkout.
        device: see :class:`comet_cli.inputs.session.Session`.
        precision: likewise.
        metadata: write into the picture what it shows.
        force: replace a file that comet did not make.
        progress: called with (done, total) panels.

    Raises:
        UsageError: an unknown number, no folder of examples, an output that may not be written.
        CometError: no panel can be made.
    """
    check_number(number)
    folder = examples_folder(examples)
    inputs = [str(path) for path in folder.iterdir()]
    check_output(output, force=force, inputs=inputs)
    session = PanelSession(device=device, precision=precision)
    made = make_figure(number, folder, session, progress)
    write_output(output, encode_figure(number, made, metadata=metadata))
    return made
