"""The README of a model folder: its card for people, in the Hub's format."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from comet_cli.formats.overwriting import may_write
from comet_cli.models.card import ModelCard

README = "README.md"
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]*")  # as the Hub has them


def model_readme(card: ModelCard, reference: str = "") -> str:
    """Return a model card in the Hub's format, made of the card's facts alone.

    Args:
        card: the facts.
        reference: where the model is going to be, ``hf:org/name``; default a local model.
    """
    rows = "\n".join(f"| {name} | {value} |" for name, value in flat(card.figures))
    measured = "Figures measured on held-out pictures:\n\n| figure | value |\n| --- | --- |\n"
    measured = f"{measured}{rows}\n\n" if rows else "No figures were measured.\n\n"
    network = card.energy + (", sees the image" if card.sees_image else "")
    network += "".join(f", {word}" for word in ("spatial", "responds") if getattr(card, word))
    attention = f", {card.attention} attention" if card.encoder == "recurrent" else ""
    attention += ", glimpses" if card.glimpses else ""
    told = "".join(
        f"{title}: {text}\n\n"
        for title, text in (("Intended use", card.intended_use), ("Limits", card.limits))
        if text
    )
    use = f"Use it: `comet encode picture.png -m {reference or card.name}`."
    if reference:
        repository = reference.removeprefix("hf:")
        use += f" Keep it: `comet models pull {repository}`. From Python:\n"
        use += f'`comet_cli.CometModel.from_pretrained("{repository}")`.'
    if card.recipe:
        use += " Train it again: `comet train recipe.toml -o DIR`."
    assumed = ""
    if card.defaults_from:
        assumed = f"Not in the checkpoint, so defaults: {', '.join(card.defaults_from)}.\n\n"
    duration = f"{card.iterations} iterations, {card.train_seconds / 60:.0f} minutes"
    if card.started_from:
        before = card.started_from
        duration += f", of these {before['iterations']} of `{before['name']}`"
        duration += f" (weights {before['weights_sha256'][:12]}), which it started from"
    return f"""---
{licence_lines(card.licence)}
library_name: comet-cli
tags: [comet, energy-based-model, image-decomposition]
---
# {card.name}

{card.description}

{told}| fact | value |
| --- | --- |
| components K | {card.components} |
| latent dimension D | {card.latent_dim} |
| image size R | {card.image_size} |
| encoder | {card.encoder}{attention} |
| energy | {network} |
| filters F | {card.filter_dim} |
| components' names | {", ".join(card.labels) or "none"} |
| rendering | {card.render_steps} steps of {card.render_step_size:g}, from {card.init} |
| data | {card.dataset} |
| training | {duration if card.iterations else "unknown"} |

{assumed}{measured}{use}
"""


def licence_lines(licence: str) -> str:
    """Return what a README's header says of a licence: the Hub's word for it, or any text.

    What is no word of the Hub's, such as ``cc-by-4.0``, is the name of another licence; JSON of a
    text is YAML.
    """
    word = licence.lower() or "other"
    if IDENTIFIER.fullmatch(word):
        return f"license: {word}"
    return f"license: other\nlicense_name: {json.dumps(licence, ensure_ascii=False)}"


def has_own_readme(folder: Path) -> bool:
    """Say whether a folder's README may be written: there is none, or it is what comet wrote.

    One that was changed since, or that somebody else wrote, is kept, which is told.
    """

    def is_ours(text: str) -> bool:
        written = model_readme(ModelCard.read(folder)).splitlines()
        # A card that was read has its figures in another order.
        return sorted(text.splitlines()) == sorted(written)

    return may_write(folder / README, is_ours)


def flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested figures as (dotted name, value) rows."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append(
                (f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value))
            )
    return rows
