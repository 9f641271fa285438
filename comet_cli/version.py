"""The version of this comet."""

__version__ = "0.1.0"
