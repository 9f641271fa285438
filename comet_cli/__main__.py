"""``python -m comet_cli``."""

from comet_cli.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
