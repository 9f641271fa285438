"""``python -m comet_cli``, and the command ``comet``."""

import os


def main() -> int:
    """Run the command line; Ctrl-C while it is still being imported is no traceback either."""
    try:
        from comet_cli.cli.app import main as run

        return run()
    except KeyboardInterrupt:
        try:
            os.write(2, b"comet: interrupted\n")
        except OSError:
            pass
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
