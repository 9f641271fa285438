"""`comet train`: from pictures, or a recipe, to a model folder."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.completion import complete_models, words
from comet_cli.cli.console import INTERRUPTED, Report
from comet_cli.cli.progress import duration
from comet_cli.errors import CometError, UsageError

_RECIPE_OPTIONS: tuple[str, ...] = ("--data", "--preset", "--from", "--keep", "--name")
_RECIPE_OPTIONS += ("--components", "--latent-dim", "--size", "--iterations")


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="[RECIPE.toml]", help="A recipe; or give --data instead."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="Folder of pictures to train on."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="KIND",
            help="What components are: global (light, background) or objects.",
            autocompletion=words("global", "objects"),
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from a model instead of a preset.",
            autocompletion=complete_models,
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="0,2-3", help="With --from: the components to keep."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name; default: that of the folder.")
    ] = None,
    components: Annotated[
        int | None, typer.Option("--components", "-k", help="How many components (K).")
    ] = None,
    latent_dim: Annotated[
        int | None, typer.Option("--latent-dim", "-d", help="Numbers in each component (D).")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Width and height in pixels (R).")
    ] = None,
    iterations: Annotated[int | None, typer.Option("--iterations", help="Training steps.")] = None,
    recipe_only: Annotated[
        bool, typer.Option("--recipe-only", help="Only print the recipe.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Model folder; default: in runs/."),
    ] = None,
    max_time: Annotated[
        float | None,
        typer.Option("--max-time", metavar="MINUTES", help="Stop after so many minutes."),
    ] = None,
    device: options.Device = "auto",
    force: Annotated[
        bool,
        typer.Option("--force", "-f", help="Go on with another recipe, or with other pictures."),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model; called again, it goes on where it stopped.

    By a recipe, or on --data DIR with --preset global or objects, or --from MODEL: then the recipe
    is written, shown, and kept in the model's folder. Ends by writing that, which -m uses at once,
    also when --max-time, SIGTERM or Ctrl-C ended it.
    """
    from comet_cli.baselines.recipe import BaselineRecipe, read_any_recipe
    from comet_cli.baselines.training import train_baseline
    from comet_cli.training import distributed
    from comet_cli.training.recipe import TrainingRecipe, parse_recipe
    from comet_cli.training.run import train_recipe
    from comet_cli.training.starting import untrained_starts

    wished = (data, preset, start, keep, name, components, latent_dim, size, iterations)
    given = [o for o, value in zip(_RECIPE_OPTIONS, wished, strict=True) if value is not None]
    if recipe is not None and (given or recipe_only):
        raise UsageError(
            f"{(*given, '--recipe-only')[0]} is for training without a recipe; {recipe} is given"
        )
    with distributed.process_group(device):
        first = distributed.rank() == 0  # it speaks, and writes, for all processes
        report = Report(as_json=as_json and first, quiet=quiet or not first)
        with report:
            if recipe is None:
                text, title = _write_recipe(output, *wished)
                if recipe_only:
                    report.show({"recipe": text}, text.rstrip("\n"))
                    return
                folder = output or Path("runs") / title
                if not force:
                    _check_unused(folder, text)
                what: TrainingRecipe | BaselineRecipe = parse_recipe(text)
            else:
                folder = output or Path("runs") / recipe.stem
                text, what = "", read_any_recipe(recipe)
            seconds = _seconds(max_time)

            def told(line: dict[str, Any]) -> None:
                report.note(progress_line(line))

            if isinstance(what, BaselineRecipe):
                _conclude(
                    report,
                    folder,
                    *train_baseline(
                        what,
                        folder,
                        max_seconds=seconds,
                        device=device,
                        report=told,
                        measuring=partial(_say_measuring, report),
                        force=force,
                    ),
                )
                return
            begin = partial(_keep_recipe, report, folder, text, force) if text else None
            before = distributed.from_first(untrained_starts(what, folder) if first else None)
            steps = [*before, (what, folder)]
            for number, (step, into) in enumerate(steps, start=1):
                if len(steps) > 1:
                    report.note(f"training {into}, {number} of {len(steps)}")
                begun = time.monotonic()
                card, result = train_recipe(
                    step,
                    into,
                    max_seconds=max(0.0, seconds),
                    device=device,
                    report=told,
                    begin=begin if into == folder else None,
                    estimate=None if report.quiet else partial(_say_estimate, report),
                    measuring=partial(_say_measuring, report),
                    force=force,
                )
                seconds -= time.monotonic() - begun
                if into == folder or not result.finished or result.interrupted or result.unsaved:
                    _conclude(report, into, card, result)
                    return


def _conclude(report: Report, folder: Path, card: Any, result: Any) -> None:
    """Say what a training reached.

    Raises:
        CometError: nothing can go on from it, or its card lacks figures.
        typer.Exit: it was interrupted.
    """
    from comet_cli.training import distributed

    if not result.finished:
        unmeasured = "; nothing was measured" if result.interrupted else ""
        report.note(
            f"stopped at iteration {result.iteration}; the same command goes on from there"
            f"{unmeasured}"
        )
    elif result.interrupted:
        report.note("the model is trained, but nothing was measured; the same command does it")
    if distributed.rank() == 0:
        report.wrote(
            folder,
            iteration=result.iteration,
            finished=result.finished,
            seconds=round(result.seconds, 1),
            figures=card.figures,
        )
    if result.unsaved:
        raise CometError(
            f"the model is in {folder}, but nothing can go on from it: {result.unsaved}"
        )
    if result.unmeasured:
        raise CometError(
            f"the model is in {folder}, but not all figures were measured: {result.unmeasured}"
        )
    if result.interrupted:  # where the report is open, so that --json prints the error alone
        raise typer.Exit(INTERRUPTED)


def _say_estimate(report: Report, each: float, left: int) -> None:
    report.note(f"about {duration(each * left)}: {left} iterations of {each:.2g} s")


def _say_measuring(report: Report, count: int) -> None:
    report.note(f"measuring on {count} held-out picture{'s' if count > 1 else ''}")


def _write_recipe(
    output: Path | None,
    data: str | None,
    preset: str | None,
    start: str | None,
    keep: str | None,
    name: str | None,
    components: int | None,
    latent_dim: int | None,
    size: int | None,
    iterations: int | None,
) -> tuple[str, str]:
    """Return the recipe of the options, and the model's name."""
    from comet_cli.inputs.selection import parse_listing
    from comet_cli.models import comet_model
    from comet_cli.training import distributed
    from comet_cli.training.checkpoint import look
    from comet_cli.training.presets import Wishes, preset_recipe, recipe_name, tuning_recipe
    from comet_cli.training.sources import one_spelling

    if data is None:
        raise UsageError("nothing to train on: give a recipe, or --data DIR and --preset KIND")
    if preset is None and start is None:
        raise UsageError("--data needs --preset global or objects, or --from MODEL")
    if preset is not None and start is not None:
        raise UsageError("--preset and --from both say what to train; give one of them")
    if keep is not None and start is None:
        raise UsageError("--keep is for --from")
    title = name or recipe_name((output or Path(data)).absolute().name)
    if recipe_name(title) != title:
        raise UsageError(f"--name is '{name}', expected letters, digits, '.', '_' and '-'")
    folder = output or Path("runs") / title
    begun = distributed.from_first(look(folder) if distributed.rank() == 0 else None)
    wishes = Wishes(
        title, one_spelling(data), components, latent_dim, size, iterations, begun=begun
    )
    if preset is not None:
        return preset_recipe(preset, wishes), title
    assert start is not None
    card = comet_model.load(start, device="cpu").card
    if keep is not None:
        picked = parse_listing(keep, "--keep").pick(card.components, card.labels)
        wishes = dataclasses.replace(wishes, keep=tuple(k for k, _ in picked))
    return tuning_recipe(card, start, wishes), title


def _seconds(minutes: float | None) -> float:
    """Return how long to train, without end unless it is said."""
    if minutes is None:
        return math.inf
    if not minutes >= 0:
        raise UsageError(f"--max-time is {minutes:g}, expected minutes, not below 0")
    return minutes * 60


def _check_unused(folder: Path, text: str) -> None:
    """Refuse a folder with another recipe; where one trained, going on says what differs."""
    from comet_cli.training import checkpoint

    path = folder / "recipe.toml"
    if (folder / checkpoint.NAME).exists():
        return
    try:
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise UsageError(
                f"{folder} holds a training by another recipe: go on with "
                f"`comet train {path} -o {folder}`, or give another --output or --force"
            )
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the folder {folder} cannot be used: {error}") from None


def _keep_recipe(report: Report, folder: Path, text: str, force: bool) -> None:
    """Show and keep the recipe of the options, now that training is about to begin."""
    from comet_cli.formats.files import write_output
    from comet_cli.training.checkpoint import look
    from comet_cli.training.going_on import kept_recipe

    if not (report.quiet or report.as_json):
        print(text, file=sys.stderr)
    for name, content in kept_recipe(folder, text, look(folder).recipe, force=force).items():
        write_output(folder / name, content.encode())
        report.note(f"this recipe is {folder / name}")


def progress_line(line: dict[str, Any]) -> str:
    """Return a line of the log for people."""
    told = f"iteration {line['iteration']}  loss {line['loss']:.4g}  PSNR {line['train_psnr']:.1f}"
    if "held_out_psnr" in line:
        told += f", held out {line['held_out_psnr']:.1f}"
    pace = f"{line['images_per_second']:g} images/s"
    told += f" dB  {pace}"
    if line["seconds_left"]:
        told += f"  {duration(line['seconds_left'])} left"
    if line.get("largest"):  # the seed decides early who takes the background
        told += f"; component {line['largest']} has most of the pictures, not the background (0)"
    return told
