"""``comet inspect``: what a file is and holds; without torch."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.components import ComponentSet, is_components, latent_hash, parse_components
from comet_cli.formats.files import check_inputs, read_input, show, walk
from comet_cli.formats.foreign import ENDINGS
from comet_cli.formats.picture_recipe import read_recipe, recipe_text
from comet_cli.formats.places import holds


def inspect_file(path: str) -> dict[str, Any]:
    """Return what a ``.z`` file, an image or a model folder holds, as JSON values.

    ``kind`` says which: ``components``, ``picture`` or ``model``. Of a picture ``recipe`` is None
    where there is none, and then ``recipe_error`` is there where it cannot be read; ``figure`` says
    what a figure of the paper shows; ``sealed``, whether it is an animation as comet wrote it.

    Raises:
        UsageError: no such file.
        FileFormatError: none of these, or broken.
    """
    if os.path.isdir(path):
        return _inspect_model(path)
    if path != "-" and not os.path.lexists(path):
        try:
            check_inputs([path])
        except UsageError as error:
            raise UsageError(f"{error}; for a model use comet models show") from None
    data = read_input(path)
    where = f"'{show(path)}'"
    if is_components(data) or path.endswith(".z"):
        return _inspect_components(path, parse_components(data, where))
    from comet_cli.formats.frames import count_frames
    from comet_cli.formats.images import image_facts
    from comet_cli.formats.recipe_facts import figure_facts, recipe_facts
    from comet_cli.formats.seal import is_sealed

    found: dict[str, Any] = {"kind": "picture", "path": path, **image_facts(data, where)}
    found.update(frames=count_frames(data), sealed=is_sealed(data), recipe=None, figure=None)
    try:
        found["figure"] = figure_facts(data, where)
        if recipe_text(data, where) is not None:
            found["recipe"] = recipe_facts(read_recipe(data, where), where)
    except FileFormatError as error:  # or another program's text of that name
        found["recipe_error"] = str(error)
    return found


def _inspect_model(path: str) -> dict[str, Any]:
    from pathlib import Path

    from comet_cli.models.card import ModelCard

    if not holds(Path(path), "card.json"):
        raise FileFormatError(_no_model(path))
    card = json.loads(ModelCard.read(Path(path)).to_json())
    return {"kind": "model", "path": path, **card}


def _no_model(path: str) -> str:
    """Return the sentence for another folder: what it holds, and how that is looked at."""
    _, _, names = next(walk(path))
    sentence = f"'{show(path)}' holds no card.json, so it is no comet model"
    for kind, endings in ((".z", (".z",)), ("picture", ENDINGS)):
        found = sorted(name for name in names if name.lower().endswith(endings))
        if found:
            first = show(os.path.join(path, found[0]))
            return f"{sentence}; it holds {len(found)} {kind} files: name them, as '{first}'"
    return sentence


def _inspect_components(path: str, components: ComponentSet) -> dict[str, Any]:
    rows = [
        {
            "component": k,
            "label": components.labels[k] if components.labels else "",
            "norm": round(float(np.linalg.norm(z.astype(np.float64))), 6),
            "min": float(z.min()),
            "max": float(z.max()),
            "latent_hash": latent_hash(z),
        }
        for k, z in enumerate(components.z)
    ]
    return {
        "kind": "components",
        "path": path,
        **components.facts(),
        "latent_dim": components.z.shape[1],
        "components": rows,
    }


def describe(facts: dict[str, Any]) -> str:
    """Return what :func:`inspect_file` found as lines of text."""
    writers = {"components": _describe_components, "picture": _describe_picture}
    lines = writers.get(facts["kind"], _describe_model)(facts)
    return "\n".join(show(line) for line in lines)


def _table(pairs: list[tuple[str, object]]) -> list[str]:
    width = max(len(name) for name, _ in pairs)
    return [f"{name:<{width}}  {value}" for name, value in pairs]


def _describe_components(facts: dict[str, Any]) -> list[str]:
    lines = _table(
        [
            ("components of", facts["source"] or "(unnamed)"),
            ("model", f"{facts['model']} (sha256 {facts['model_sha256'][:12]}…)"),
            ("picture size", f"{facts['image_size']} × {facts['image_size']}"),
            ("latent", f"{len(facts['components'])} × {facts['latent_dim']}"),
            ("made by", f"comet {facts['comet_version']}"),
        ]
    )
    width = max(len("label"), *(len(row["label"]) for row in facts["components"]))
    lines += ["", f"{'':>4}  {'label':<{width}}  {'norm':>9}  {'min':>9}  {'max':>9}  z"]
    for row in facts["components"]:
        numbers = "  ".join(f"{row[name]:>9.4f}" for name in ("norm", "min", "max"))
        place = f"{row['component']:>4}  {row['label']:<{width}}"
        lines.append(f"{place}  {numbers}  {row['latent_hash']}")
    return lines


def _describe_picture(facts: dict[str, Any]) -> list[str]:
    from comet_cli.formats.recipe_facts import term_lines

    parts = [facts["format"], f"{facts['width']} × {facts['height']}", facts["mode"]]
    if facts["frames"] > 1:
        parts.append(f"{facts['frames']} frames")
    pairs: list[tuple[str, object]] = [("picture", ", ".join(parts))]
    recipe, figure = facts["recipe"], facts["figure"]
    if "recipe_error" in facts:
        return _table([*pairs, ("recipe", f"none: {facts['recipe_error']}")])
    if recipe is not None:
        pairs += _makers(recipe["verb"], recipe["versions"].get("comet"), recipe["models"])
    elif figure is not None:
        models = [{"name": name, "sha256": sha256} for name, sha256 in figure["models"].items()]
        return _table([*pairs, *_makers(f"figure {figure['figure']}", figure["comet"], models)])
    elif facts["sealed"]:
        reason = f"an animation by comet; a {facts['format']} carries no recipe"
        return _table([*pairs, ("recipe", f"none: {reason}")])
    else:
        return _table([*pairs, ("recipe", "none: not made by comet, or without metadata")])
    for name, value in sorted(recipe["settings"].items()):
        pairs.append((name.replace("_", " "), "default" if value is None else value))
    return _table([*pairs, *(("term", line) for line in term_lines(recipe))])


def _makers(verb: str, version: str, models: list[dict[str, str]]) -> list[tuple[str, object]]:
    """Return what made a picture, and with which models."""
    shown = [("model", f"{m['name']} (sha256 {m['sha256'][:12]}…)") for m in models]
    return [("made by", f"comet {verb}, version {version}"), *shown]


def _describe_model(facts: dict[str, Any]) -> list[str]:
    from comet_cli.models.card import without_effect

    hidden = {"kind", "path", "format", "version", "name"} | without_effect(facts)
    pairs: list[tuple[str, object]] = [("model", facts["name"])]
    for name, value in sorted(facts.items()):
        if name not in hidden and value not in ("", [], {}):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            pairs.append((name.replace("_", " "), text))
    return _table(pairs)
