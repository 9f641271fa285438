"""``comet doctor``."""

from __future__ import annotations

from comet_cli.cli.verb import Call, verb


@verb("as_json")
def doctor(call: Call) -> None:
    """Print versions, device, threads and folders."""
    from comet_cli.verbs.doctor import describe, diagnose

    facts = diagnose()
    call.report.show(facts, describe(facts))
