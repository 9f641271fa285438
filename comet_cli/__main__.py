"""``python -m comet_cli``, and the command ``comet``."""

import os


def main() -> int:
    """Run the command line; Ctrl-C while it is still being imported is no traceback either."""
    try:
        from comet_cli.cli.app import main as run

        code = run()
    except KeyboardInterrupt:
        try:
            os.write(2, b"comet: interrupted\n")
        except OSError:
            pass
        code = 130
    if code == 130:
        # Ctrl-C inside an `exec`, of which an import makes many, would end `python -m` by the
        # signal after all, though it was caught: CPython remembers it until the next one.
        exec("")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
