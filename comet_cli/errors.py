"""Errors and warnings that a user can meet, each one sentence: what, where, expected, remedy."""

from __future__ import annotations


class CometError(Exception):
    """A known failure; the command line prints its message and exits with ``exit_code`` (1)."""

    exit_code = 1


class UsageError(CometError):
    """Wrong usage found before any work was done (exit code 2)."""

    exit_code = 2


class SelectionError(UsageError):
    """A selection that cannot be parsed, or that names a component which does not exist."""


class MissingInputError(UsageError):
    """An input that is not there."""


class UnknownModelError(UsageError):
    """A model name that is neither shipped, nor in COMET_HOME, nor a model folder."""


class FileFormatError(CometError):
    """A file that is not what its place in the command asks for (image, ``.z``, card, recipe)."""


class MissingExtraError(CometError):
    """An optional dependency that is not installed; the message holds the pip command."""


class DivergenceError(CometError):
    """A descent whose energy or picture is no longer finite; names the term."""


class Interrupted(CometError):
    """Work that was stopped from the keyboard; says what is kept and how to go on (130)."""

    exit_code = 130


class CometWarning(UserWarning):
    """Something that a user should know and that stops nothing; the command line prints it."""
