"""The HTML of ``comet recombine --html``: every mixture of some pictures, looked up by clicking."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comet_cli.drawing.html import Markup, copied, draw_document, element
from comet_cli.formats.images import encode_png
from comet_cli.version import __version__


@dataclass(frozen=True)
class Mixing:
    """What the page holds.

    Attributes:
        pictures: names of the N pictures.
        components: names of the K components that are exchanged.
        mixtures: (H,W,3) uint8 of each different mixture.
        shown: N^K positions in ``mixtures``; the choice of a picture n_k for each component k is
            at Σ n_k N^k.
        commands: N^K commands, each of which makes its mixture.
        note: said below them, or "".
    """

    pictures: Sequence[str]
    components: Sequence[str]
    mixtures: Sequence[np.ndarray]
    shown: Sequence[int]
    commands: Sequence[str]
    note: str = ""


def draw_mixing(mixing: Mixing, *, title: str) -> bytes:
    """Return the page.

    Args:
        mixing: what it holds.
        title: its heading.
    """
    encoded = [base64.b64encode(encode_png(pixels)).decode() for pixels in mixing.mixtures]
    data = {
        "sources": len(mixing.pictures),
        "pictures": encoded,
        "shown": list(mixing.shown),
        "commands": list(mixing.commands),
    }
    figure = element(
        "figure",
        element("img", id="mixture", alt=mixing.commands[0], src=_source(encoded, mixing.shown[0])),
        copied(mixing.commands[0], "Copy the command", id="command"),
    )
    hint = "Choose which picture each component comes from. A cell shows what it would give."
    return draw_document(
        element(
            "header",
            element("h1", title),
            element("p", hint, class_="hint"),
            element("p", id="status", role="status", aria_live="polite"),
        ),
        element("main", figure, element("div", _table(mixing), class_="scroll")),
        element(
            "footer",
            element("p", f"{mixing.note} Commands are for a shell in the folder of the pictures."),
            element("p", f"comet {__version__}"),
        ),
        title=title,
        verb="recombine",
        styles=("gallery.css", "mixing.css"),
        scripts=("copy.js", "mixing.js"),
        data=data,
    )


def _source(encoded: Sequence[str], n: int) -> str:
    return f"data:image/png;base64,{encoded[n]}"


def _table(mixing: Mixing) -> Markup:
    head = [element("th", "all of", scope="row")]
    head += [
        element("th", element("button", name, type="button"), scope="col")
        for name in mixing.pictures
    ]
    rows = []
    for k, component in enumerate(mixing.components):
        cells = [
            element("td", element("label", *_choice(k, n, component, name)))
            for n, name in enumerate(mixing.pictures)
        ]
        rows.append(element("tr", element("th", component, scope="row"), *cells))
    return element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        id="table",
        hidden=True,
    )


def _choice(k: int, n: int, component: str, picture: str) -> tuple[Markup, Markup]:
    label = f"{component} of {picture}"
    radio = element(
        "input", type="radio", name=f"component-{k}", value=str(n), aria_label=label, checked=n == 0
    )
    return radio, element("img", alt="")
