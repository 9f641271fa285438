"""The HTML of ``comet gallery``: one file, no network, every text escaped."""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from comet_cli.drawing.html import Markup, copied, draw_document, element
from comet_cli.formats.recipe_facts import term_lines
from comet_cli.version import __version__

SMALL = 160  # pictures up to this size are enlarged with sharp pixels
MAX_TERMS = 48


def draw_page(exhibits: Sequence[Exhibit], *, title: str, base: Sequence[str] | None = ()) -> bytes:
    """Return the page.

    Args:
        exhibits: a card each, in this order.
        title: its heading.
        base: folders that lead from the page to the pictures; None: they are not linked.
    """
    cards = [_card(e, n, base) for n, e in enumerate(exhibits, 1)]
    return draw_document(
        _header(exhibits, title),
        element("main", element("ul", *cards, class_="grid", id="grid")),
        _dialog(),
        element(
            "footer",
            element("p", "Commands are for a shell in the folder of the pictures."),
            element("p", f"comet {__version__}"),
        ),
        title=title,
        verb="gallery",
        styles=("gallery.css",),
        scripts=("copy.js", "gallery.js"),
    )


def _header(exhibits: Sequence[Exhibit], title: str) -> Markup:
    with_recipe = sum(e.recipe is not None for e in exhibits)
    count = f"{len(exhibits)} picture{'s' if len(exhibits) != 1 else ''}, {with_recipe} with recipe"
    return element(
        "header",
        element("h1", title),
        element("p", count, id="count"),
        element(
            "p",
            element("label", "Filter ", element("input", type="search", id="filter")),
            class_="tools",
            hidden=True,
        ),
        element("p", id="status", role="status", aria_live="polite"),
    )


def _card(exhibit: Exhibit, number: int, base: Sequence[str] | None) -> Markup:
    name = f"name-{number}"
    parts = [element("h2", exhibit.path, id=name)]
    if exhibit.thumbnail is not None:
        picture = _image(exhibit.thumbnail, _description(exhibit))
        parts.append(picture if base is None else element("a", picture, href=_link(base, exhibit)))
        parts.append(element("p", _headline(exhibit), class_="headline"))
    if exhibit.error:
        parts.append(element("p", exhibit.error, class_="error"))
    if exhibit.sources:
        parts.append(_sources(exhibit))
    if exhibit.recipe is not None:
        facts = element("dl", *_facts(exhibit.recipe))
        parts.append(element("details", element("summary", "Recipe"), facts))
        parts += _commands(exhibit.path)
    if exhibit.thumbnail is not None:
        parts.append(
            element(
                "button",
                "Compare",
                type="button",
                class_="choose",
                aria_pressed="false",
                aria_describedby=name,
                hidden=True,
            )
        )
    return element("li", element("article", *parts, aria_labelledby=name), class_="card")


def _image(picture: Thumbnail, description: str) -> Markup:
    small = max(picture.width, picture.height) <= SMALL
    return element(
        "img",
        src=f"data:{picture.kind};base64,{base64.b64encode(picture.data).decode()}",
        alt=description,
        width=str(picture.width),
        height=str(picture.height),
        class_="small" if small else False,
    )


def _link(base: Sequence[str], exhibit: Exhibit) -> str:
    # Quoted with the colon, so that no name can be a scheme such as javascript:.
    parts = [*base, *exhibit.path.split("/")]
    return "./" + "/".join(quote(os.fsencode(part), safe="") for part in parts)


def _description(exhibit: Exhibit) -> str:
    if exhibit.recipe is None:
        return exhibit.path
    models = ", ".join(m["name"] for m in exhibit.recipe["models"])
    return f"{exhibit.path}: {exhibit.recipe['verb']} with {models}"


def _headline(exhibit: Exhibit) -> str:
    size = f"{exhibit.width} × {exhibit.height}"
    if exhibit.recipe is None:
        return f"{size} · no recipe"
    models = ", ".join(m["name"] for m in exhibit.recipe["models"])
    return f"{exhibit.recipe['verb']} · {models} · {size}"


def _sources(exhibit: Exhibit) -> Markup:
    items = []
    for name, picture in exhibit.sources:
        label = name or "the start"
        image = [] if picture is None else [_image(picture, f"source: {label}")]
        items.append(element("li", *image, element("span", label)))
    more = len((exhibit.recipe or {"rows": []})["rows"]) - len(exhibit.sources)
    if more > 0 and exhibit.sources:
        items.append(element("li", element("span", f"and {more} more")))
    return element("ul", *items, class_="sources", aria_label="Sources")


def _facts(recipe: dict[str, Any]) -> list[Markup]:
    pairs = [("made by", f"comet {recipe['verb']}")]
    pairs += [("model", f"{m['name']} ({m['sha256'][:12]}…)") for m in recipe["models"]]
    for name, value in sorted({**recipe["settings"], **recipe["versions"]}.items()):
        pairs.append((name.replace("_", " "), "default" if value is None else str(value)))
    terms = term_lines(recipe)
    pairs += [("term", term) for term in terms[:MAX_TERMS]]
    if len(terms) > MAX_TERMS:
        pairs.append(("term", f"and {len(terms) - MAX_TERMS} more"))
    return [part for name, value in pairs for part in (element("dt", name), element("dd", value))]


def _commands(path: str) -> list[Markup]:
    if not path.isprintable():
        # A terminal obeys control characters even inside quotes.
        return [element("p", "No commands: the name holds control characters.", class_="error")]
    argument = shlex.quote(f"./{path}" if path.startswith("-") else path)
    return [
        copied(f"comet {verb} {argument}", f"Copy the command comet {verb}")
        for verb in ("replay", "inspect")
    ]


def _dialog() -> Markup:
    return element(
        "dialog",
        element("h2", "Side by side", id="side-by-side"),
        element("button", "Close", type="button", id="close"),
        element("p", "What differs is marked.", class_="hint"),
        element("div", id="pair"),
        id="comparison",
        aria_labelledby="side-by-side",
    )


@dataclass(frozen=True)
class Thumbnail:
    """A picture to embed: ``image/png`` or ``image/jpeg``, its bytes and its size."""

    kind: str
    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Exhibit:
    """One file of the folder.

    Attributes:
        path: relative to the folder, with slashes.
        width: of the file's picture, in pixels.
        height: of the file's picture, in pixels.
        thumbnail: what is embedded of it; None where it cannot be read.
        recipe: see :func:`comet_cli.formats.recipe_facts.recipe_facts`; None without a recipe.
        sources: name and picture (None: the recipe holds none) of each input of a recipe.
        error: why the picture or its recipe cannot be read, or "".
    """

    path: str
    width: int = 0
    height: int = 0
    thumbnail: Thumbnail | None = None
    recipe: dict[str, Any] | None = None
    sources: tuple[tuple[str, Thumbnail | None], ...] = ()
    error: str = ""
