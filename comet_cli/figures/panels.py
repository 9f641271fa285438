"""The kinds of panels: overview, decomposition, swaps, additive series, compositions of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comet_cli.drawing.layout import (
    CAPTION,
    GAP,
    Box,
    beside,
    blank,
    framed,
    ruled,
    stack,
    text,
    upright,
)
from comet_cli.figures.panel_session import PanelInput, PanelSession
from comet_cli.models.card import ModelCard

SIDE = 128  # of a picture in a figure, whatever its own size
RESULT = 192
WIDE = 20  # gap between groups of columns
_WIDTHS = (SIDE, SIDE, RESULT)
STRIP = 20  # width of an upright label
Inputs = Sequence[Sequence[PanelInput]]


def overview(session: PanelSession, inputs: Inputs) -> Box:
    """Figure 1: each input's minima one energy at a time and all together, and a recombination."""
    sources = inputs[0]
    count = len(sources[0].terms)
    own = (count + 1) // 2
    rows = [
        _over("minimal energy state of each energy function", count, before=1),
        _header(sources[0].labels, before=["input"], after=["across all", "recombined"]),
    ]
    for source, other in zip(sources, [*sources[1:], sources[0]], strict=True):
        alone = [session.draw([term]) for term in source.terms]
        mixed = session.draw([*source.terms[:own], *other.terms[own:]])
        note = f"{_span(source.labels[own:])}\nof {_bare(other)}"
        ends = [_picture(session.draw(source.terms)), _picture(mixed, note)]
        rows.append(beside([_input(source), _row(alone), *ends], gap=WIDE))
    return stack(rows, align="start")


def decomposition(session: PanelSession, inputs: Inputs) -> Box:
    """Figures 3, 6 and 9: an input, each energy's gradient and minimum, and all together."""
    sources = [source for group in inputs for source in group]
    rows = [_header(sources[0].labels, before=["input"], after=["final"], strip=True)]
    strip = stack([upright("gradient", SIDE, STRIP), upright("generation", SIDE, STRIP)])
    for source in sources:
        alone = [session.draw([term]) for term in source.terms]
        both = stack([_row(session.maps(source)), _row(alone)])
        whole = _picture(session.draw(source.terms), " ")
        middle = beside([strip, both], gap=4)
        rows.append(beside([_input(source), middle, whole], gap=WIDE, align="middle"))
    return stack(rows, align="start", gap=WIDE)


def swaps(session: PanelSession, inputs: Inputs) -> Box:
    """Figures 4 and 10: each component in turn is taken from the other input of a pair."""
    if len(inputs) > 1:  # two looks: a pair is one of each
        pairs = list(zip(*inputs, strict=False))
    else:
        pairs = list(zip(inputs[0][::2], inputs[0][1::2], strict=False))
    labels = pairs[0][0].labels
    rows = [
        _over("one component from the other input", len(labels), before=2),
        _header(labels, before=["input", "other input"]),
    ]
    for pair in pairs:
        for mine, other in (pair, pair[::-1]):
            mixed = [
                session.draw([*mine.terms[:k], other.terms[k], *mine.terms[k + 1 :]])
                for k in range(len(labels))
            ]
            rows.append(beside([_input(mine), _input(other), _row(mixed)], gap=WIDE))
    return stack(rows, align="start")


def series(session: PanelSession, inputs: Inputs) -> Box:
    """Figure 5: minima of a growing sum of energies."""
    sources = inputs[0]
    labels = sources[0].labels
    rows = [
        _over("generation (per additive component)", len(labels), before=1),
        _header([labels[0], *(f"+ {label}" for label in labels[1:])], before=["input"]),
    ]
    for source in sources:
        steps = [session.draw(source.terms[: k + 1]) for k in range(len(source.terms))]
        rows.append(beside([_input(source), _row(steps)], gap=WIDE))
    return stack(rows, align="start")


def all_objects(session: PanelSession, inputs: Inputs) -> Box:
    """Figure 7, left: the objects of two inputs on the ground of the first."""
    sources = inputs[0]
    pairs = list(zip(sources[::2], sources[1::2], strict=False))
    if len(pairs) == 1:
        pairs.append((sources[1], sources[0]))
    rows = []
    for a, b in pairs:
        shared = common(a.model.card)
        terms = [*a.terms, *b.terms[shared:]]
        lines = [
            *_named(a.labels[:shared], "image 1"),
            *_named(a.labels[shared:], "image 1"),
            *_named(b.labels[shared:], "image 2"),
        ]
        rows.append((a, b, lines, session.draw(terms)))
    return _compositions(rows, ("image 1", "image 2", "combined objects"))


def other_light(session: PanelSession, inputs: Inputs) -> Box:
    """Figure 7, right: component 0 of one input with the objects of the other."""
    a, b = inputs[0][:2]
    rows = []
    for mine, other in ((a, b), (b, a)):
        lines = [*_named(other.labels[:1], "image 2"), *_named(mine.labels[1:], "image 1")]
        rows.append((mine, other, lines, session.draw([other.terms[0], *mine.terms[1:]])))
    return _compositions(rows, ("image 1", "image 2", "recombined"))


def two_models(session: PanelSession, inputs: Inputs) -> Box:
    """Figure 8: half the objects of one model's input with half of another's, on either ground."""
    rows = []
    for n, (a, b) in enumerate(zip(*inputs, strict=False)):
        ground = a if n % 2 == 0 else b
        rows.append(_mixed(session, a, b, ground))
    return _compositions(rows, ("data set 1", "data set 2", "recombined"))


def two_models_one_light(session: PanelSession, inputs: Inputs) -> Box:
    """Figure 8, right: the same, always with the ground and light of the second model's input."""
    rows = [_mixed(session, a, b, b) for a, b in zip(*inputs, strict=False)]
    return _compositions(rows, ("data set 1", "data set 2", "recombined"))


Composed = tuple[PanelInput, PanelInput, list[str], np.ndarray]


def _mixed(session: PanelSession, a: PanelInput, b: PanelInput, ground: PanelInput) -> Composed:
    """Compose the first half of a's objects with the second half of b's."""
    first, second = common(a.model.card), common(b.model.card)
    half = first + (len(a.terms) - first + 1) // 2
    rest = second + (len(b.terms) - second + 1) // 2
    back = a.terms[:first] if ground is a else b.terms[:second]
    lines = [
        *_named(ground.labels[: len(back)], "data set 1" if ground is a else "data set 2"),
        *_named(a.labels[first:half], "data set 1"),
        *_named(b.labels[rest:], "data set 2"),
    ]
    picture = session.draw([*back, *a.terms[first:half], *b.terms[rest:]])
    return a, b, lines, picture


def common(card: ModelCard) -> int:
    """Return how many of a model's first components are no objects but the ground or the light."""
    return 1 if card.ground or (not card.positional[0] and all(card.positional[1:])) else 0


def _compositions(rows: Sequence[Composed], titles: tuple[str, str, str]) -> Box:
    sums = [text("\n+ ".join(lines), align="l") for _, _, lines, _ in rows]
    room = max(box.width for box in sums)
    heads = [text(title, width=width) for title, width in zip(titles, _WIDTHS, strict=True)]
    out = [beside([*heads[:2], blank(room, 1), heads[2]], gap=WIDE)]
    for (a, b, _, picture), words in zip(rows, sums, strict=True):
        filled = beside([words, blank(room - words.width, 1)], gap=0)
        cells = [_input(a), _input(b), filled, framed(picture, RESULT)]
        out.append(beside(cells, gap=WIDE, align="middle"))
    return stack(out, align="start")


def _row(pictures: Sequence[np.ndarray]) -> Box:
    return beside([framed(picture, SIDE) for picture in pictures])


def _picture(pixels: np.ndarray, caption: str = "") -> Box:
    frame = framed(pixels, SIDE)
    if not caption:
        return frame
    return stack([frame, text(caption, size=CAPTION, width=SIDE, faint=True)], gap=4)


def _input(source: PanelInput) -> Box:
    return _picture(source.picture, source.caption)


def _header(
    labels: Sequence[str], *, before: Sequence[str], after: Sequence[str] = (), strip: bool = False
) -> Box:
    """Return a label over each column of a row: inputs, components, results."""
    middle = beside([text(label, width=SIDE) for label in labels])
    if strip:
        middle = beside([blank(STRIP, 1), middle], gap=4)
    ends = [[text(word, width=SIDE) for word in words] for words in (before, after)]
    return beside([*ends[0], middle, *ends[1]], gap=WIDE)


def _over(heading: str, count: int, *, before: int) -> Box:
    """Return a heading over the columns of ``count`` components alone."""
    across = count * SIDE + (count - 1) * GAP
    return beside([*[blank(SIDE, 1)] * before, ruled(heading, across)], gap=WIDE)


def _bare(source: PanelInput) -> str:
    return source.caption.rpartition(" ")[2].rpartition(".")[0]


def _span(labels: Sequence[str]) -> str:
    """Return labels in short: "object3, object4" as "objects 3-4"."""
    if len(labels) > 1:
        stems = {label.rstrip("0123456789") for label in labels}
        numbers = [label[len(label.rstrip("0123456789")) :] for label in labels]
        if len(stems) == 1 and all(numbers):
            return f"{stems.pop().strip()}s {numbers[0]}-{numbers[-1]}"
    return ", ".join(labels)


def _named(labels: Sequence[str], where: str) -> list[str]:
    """Return what a sum says of some components: nothing of none."""
    return [f"{_span(labels)} ({where})"] if labels else []
