"""``comet doctor``."""

from __future__ import annotations

from comet_cli.cli import options
from comet_cli.cli.console import Report


def doctor(as_json: options.Json = False) -> None:
    """Print versions, device, threads and folders."""
    with Report(as_json=as_json) as report:
        from comet_cli.verbs.doctor import describe, diagnose

        facts = diagnose()
        report.show(facts, describe(facts))
