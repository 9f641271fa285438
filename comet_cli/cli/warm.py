"""``comet warm``."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Annotated, Any

import typer

from comet_cli.cli import warm_link
from comet_cli.cli.help import HelpGroup
from comet_cli.cli.verb import Call, verb
from comet_cli.errors import CometError, UsageError

Facts = dict[str, Any] | None
RUNS_ALREADY = 4  # exit code of a helper that finds another one
STARTING = 120.0  # seconds until torch is imported, on a slow disk

app = typer.Typer(
    cls=HelpGroup,
    help="Let commands of a shell loop start at once.",
    no_args_is_help=True,
)


@app.command()
@verb("as_json")
def start(
    call: Call,
    idle: Annotated[
        float,
        typer.Option("--idle", metavar="MINUTES", help="End after so long without a command."),
    ] = 10.0,
) -> None:
    """Start the helper.

    compose, encode, recombine and gradients use it from then on. It keeps torch in memory, so that
    a command takes a fraction of a second. Results are the same. Commands with other settings of
    threads, or another version of comet, work without it.

    Example: comet warm start
    """
    if not warm_link.available():
        raise UsageError("the warm helper needs Linux; everything works without it")
    if not 0 < idle <= 1440:
        raise UsageError(f"--idle is {idle:g}, expected minutes, up to 1440")
    facts = warm_link.ask("status")
    if facts is not None and facts.get("like") != warm_link.likeness():
        warm_link.ask("stop")  # a helper of other settings is of no use here
        facts = _wait(None, gone=True)
    if facts is None:
        code = f"from comet_cli.cli.warm import _serve; _serve({float(idle) * 60!r})"
        helper = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        facts = _wait(helper)
    call.report.show({"running": True, **_told(facts)}, f"a warm helper runs ({_ends(facts)})")


@app.command()
@verb("as_json")
def status(call: Call) -> None:
    """Say whether a helper runs, and whether commands here use it."""
    facts = warm_link.ask("status")
    if facts is None:
        call.report.show({"running": False}, "no warm helper runs; comet warm start")
        return
    used = facts.get("like") == warm_link.likeness()
    note = "" if used else "; commands here do not use it, because their settings are others"
    call.report.show(
        {"running": True, "used": used, **_told(facts)},
        f"a warm helper runs ({_ends(facts)}){note}",
    )


@app.command()
@verb("as_json")
def stop(call: Call) -> None:
    """End the helper; commands that it has begun are finished."""
    facts = warm_link.ask("stop")
    if facts is not None:
        _wait(None, gone=True)
    text = "no warm helper ran" if facts is None else "the warm helper is stopped"
    call.report.show({"running": False}, text)


def _told(facts: Facts) -> dict[str, object]:
    return {name: (facts or {}).get(name) for name in ("process", "commands")}


def _ends(facts: Facts) -> str:
    told = _told(facts)
    return f"process {told['process']}, {told['commands']} commands so far"


def _wait(helper: subprocess.Popen[str] | None, *, gone: bool = False) -> Facts:
    """Wait until a helper answers, or none does any more; return what it says."""
    limit = time.monotonic() + STARTING
    while time.monotonic() < limit:
        facts = warm_link.ask("status")
        if (facts is None) == gone:
            return facts
        # One that another command has begun answers as soon as it has imported torch.
        if helper is not None and helper.poll() not in (None, RUNS_ALREADY):
            _, said = helper.communicate()
            raise CometError(f"the warm helper did not start: {said.strip() or 'no message'}")
        time.sleep(0.05)
    raise CometError("the warm helper does not answer; comet works without it")


def _serve(idle: float) -> None:
    """Be the helper."""
    import os

    from comet_cli.cli.app import main
    from comet_cli.cli.warm_helper import RunsAlreadyError, serve

    try:
        serve(main, idle)
    except RunsAlreadyError:
        sys.exit(RUNS_ALREADY)
    except CometError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        os._exit(1)
