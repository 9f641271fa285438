"""A training recipe: one TOML file that says everything a training run depends on."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comet_cli.errors import FileFormatError
from comet_cli.models.card import ModelCard

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class DataSettings:
    """Where the pictures come from.

    Attributes:
        train: a data-set folder (its split ``train``) or a plain folder of pictures.
        held_out: the folder whose split ``test`` is held out; default the same folder.
        held_out_count: how many held-out pictures the log and the sheets use.
        flip: mirror pictures left to right at random.
        colour_jitter: largest relative change of each channel's gain.
    """

    train: str
    held_out: str = ""
    held_out_count: int = 64
    flip: bool = False
    colour_jitter: float = 0.0


@dataclass(frozen=True)
class TrainSettings:
    """How the weights are found.

    Attributes:
        iterations: optimizer steps.
        batch: B.
        learning_rate: Adam's, after ``warm_up`` iterations of linear growth.
        schedule: ``constant`` or ``cosine`` (to a hundredth of the learning rate).
        warm_up: iterations.
        clip: largest gradient norm.
        ema: decay of the averaged weights that are saved (0: the last weights).
        num_steps: N of the descent in training (default: the card's).
        loss: ``last`` (the released code) or ``all`` iterates (Algorithm 1 of the paper).
        parsimony: weight of the penalty on confidence beyond the most confident component's
            (quadratic energy): pixels are explained by one component, others fall silent.
        area: weight of the penalty on the share of the picture that components other than
            component 0 claim (quadratic energy with a ground): objects end where they end.
        precision: ``bfloat16`` autocast or ``float32`` for the networks.
        compile: compile encoder and energy network (needs a C++ compiler).
        seed: of weights, batches and noise.
        threads: CPU threads (0: leave as it is).
        checkpoint_minutes: time between checkpoints.
        sample_minutes: time between sample sheets.
        log_every: iterations between lines of the log.
        start_from: a model folder to start from (fine-tuning).
    """

    iterations: int
    batch: int = 16
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warm_up: int = 0
    clip: float = 10.0
    ema: float = 0.0
    num_steps: int = 0
    loss: str = "last"
    parsimony: float = 0.0
    area: float = 0.0
    precision: str = "float32"
    compile: bool = False
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 5.0
    sample_minutes: float = 10.0
    log_every: int = 100
    start_from: str = ""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            FileFormatError: a setting out of its range.
        """
        checks = [
            (self.iterations >= 1, "iterations must be at least 1"),
            (self.batch >= 1, "batch must be at least 1"),
            (self.learning_rate > 0, "learning_rate must be positive"),
            (self.schedule in ("constant", "cosine"), "schedule must be constant or cosine"),
            (self.loss in ("last", "all"), "loss must be last or all"),
            (self.precision in ("float32", "bfloat16"), "precision must be float32 or bfloat16"),
            (0 <= self.ema < 1, "ema must be at least 0 and below 1"),
            (min(self.parsimony, self.area) >= 0, "parsimony and area must not be negative"),
        ]
        for holds, sentence in checks:
            if not holds:
                raise FileFormatError(f"recipe, [train]: {sentence}")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe: the model's facts, the data, the training."""

    card: ModelCard
    data: DataSettings
    train: TrainSettings
    text: str = field(default="", compare=False)


def _section(kind: type, values: Any, name: str, where: str) -> Any:
    if not isinstance(values, dict):
        raise FileFormatError(f"{where}: no section [{name}]")
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise FileFormatError(
            f"{where}, [{name}]: unknown {', '.join(unknown)}; known are {', '.join(known)}"
        )
    for key, value in values.items():
        wanted = str(known[key].type)
        fits = {
            "int": type(value) is int,
            "float": type(value) in (int, float),
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
        }.get(wanted, True)
        if not fits:
            raise FileFormatError(f"{where}, [{name}]: {key} must be a {wanted}, not {value!r}")
    try:
        return kind(**values)
    except TypeError as error:
        raise FileFormatError(f"{where}, [{name}]: {error}") from None


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """Read a recipe.

    Args:
        text: TOML with the sections [model], [data] and [train].
        where: named in error messages.

    Raises:
        FileFormatError: not TOML, an unknown or missing key, a value out of range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{where} is not TOML: {error}") from None
    extra = sorted(set(document) - {"model", "data", "train"})
    if extra:
        raise FileFormatError(f"{where}: unknown section [{extra[0]}]")
    facts = dict(document.get("model") or {})
    components = facts.get("components")
    if isinstance(components, int):
        facts.setdefault("positional", [True] * components)
    facts.setdefault("render_step_size", facts.get("step_size", 1.0))
    facts.setdefault("render_steps", facts.get("num_steps", 1))
    card = _section(ModelCard, facts, "model", where)
    data = _section(DataSettings, document.get("data"), "data", where)
    train = _section(TrainSettings, document.get("train"), "train", where)
    return Recipe(card, data, train, text)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file (see :func:`parse_recipe`)."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError(f"there is no recipe {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    return parse_recipe(text, where=str(path))
