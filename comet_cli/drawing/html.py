"""HTML pages: one file, no network, every text escaped, and scripts of ours only."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comet_cli.formats.files import show
from comet_cli.formats.seal import OPEN, sealed
from comet_cli.version import __version__

VOID = ("img", "input", "meta")


class Markup(str):
    """Text that is HTML already; whatever is not gets escaped."""


def element(name: str, /, *children: str, **attributes: str | bool) -> Markup:
    """Return an element.

    Args:
        name: of the tag.
        children: escaped, unless they are :class:`Markup`.
        attributes: escaped; ``class_`` is class, ``aria_label`` is aria-label; True has no value.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not False:
            key = key.rstrip("_").replace("_", "-")
            words.append(key if value is True else f'{key}="{_text(str(value))}"')
    opened = f"<{' '.join(words)}>"
    if name in VOID:
        return Markup(opened)
    inner = "".join(c if isinstance(c, Markup) else _text(c) for c in children)
    return Markup(f"{opened}{inner}</{name}>")


def _text(text: str) -> str:
    """Return text for HTML: escaped, and control and bidirectional characters made visible."""
    return html.escape(show(text), quote=True)


def copied(command: str, label: str, **attributes: str | bool) -> Markup:
    """Return a command beside a button that copies it.

    Args:
        command: the text.
        label: what the button is called for those who cannot see it.
        attributes: of the text's element.
    """
    button = element("button", "Copy", type="button", class_="copy", aria_label=label, hidden=True)
    return element("p", element("code", command, **attributes), button, class_="command")


def draw_document(
    *body: Markup,
    title: str,
    verb: str,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Any = None,
) -> bytes:
    """Return a page, sealed.

    Args:
        body: what it shows.
        title: of the window.
        verb: that made it.
        styles: files of this folder, one after the other.
        scripts: files of this folder, one after the other.
        data: what the scripts find as JSON in the element ``data``; None for nothing.
    """
    style, script = (
        "".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)
        for names in (styles, scripts)
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="generator", content=f"comet {verb} {__version__} {OPEN.decode()}"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(style)),
    )
    held = [] if data is None else [_data(data)]
    whole = element("body", *body, *held, element("script", Markup(script)))
    page = f"<!DOCTYPE html>\n{element('html', head, whole, lang='en')}\n"
    return sealed(page.encode("utf-8"))


def _data(data: Any) -> Markup:
    # No text in it can end the element: there is no "<".
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return element("script", Markup(text), type="application/json", id="data")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
