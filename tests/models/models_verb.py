"""``comet models …`` as its tests call it."""

from typer.testing import CliRunner

from comet_cli.cli.models import app


def run(*arguments: str, code: int = 0) -> str:
    """Return what is printed to stdout; an error that is no message is raised."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout
