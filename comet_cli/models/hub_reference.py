"""Names of models on the Hugging Face Hub, and which model folders come from there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from comet_cli.errors import UsageError
from comet_cli.formats.files import show

PREFIX = "hf:"
ORIGIN = "origin.json"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_PATTERN = re.compile(rf"(?:hf:)?({_PART}/{_PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?")
_SNAPSHOT = re.compile(rf"models--({_PART}?)--({_PART})/snapshots/([0-9a-f]{{40}})")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubReference:
    """A repository of the Hub, at one of its revisions.

    Attributes:
        repository: ``org/name``.
        revision: a branch, a tag or a commit; None for the newest.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return what ``-m`` takes: ``hf:org/name[@revision]``."""
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")

    @property
    def name(self) -> str:
        """The repository's name, without its owner's."""
        return self.repository.partition("/")[2]

    @property
    def is_exact(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return bool(self.revision and _COMMIT.fullmatch(self.revision))


def parse_reference(text: str) -> HubReference:
    """Parse ``[hf:]org/name[@revision]``.

    Raises:
        UsageError: it is no such thing.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or "--" in match[1] or ".." in text:
        raise UsageError(
            f"'{show(text)}' names no repository of the Hub; expected hf:org/name or "
            "hf:org/name@revision"
        )
    return HubReference(match[1], match[2])


def origin_of(folder: Path, sha256: str) -> HubReference | None:
    """Return the repository and commit that a model folder was got from, None for any other.

    Args:
        folder: one that ``comet models pull`` made, or a snapshot in the Hub's cache.
        sha256: of its weights; what is said about other weights no longer holds.
    """
    if match := _SNAPSHOT.fullmatch("/".join(folder.absolute().parts[-3:])):
        return HubReference(f"{match[1]}/{match[2]}", match[3])
    try:
        facts = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        if facts["weights_sha256"] != sha256:
            return None
        found = parse_reference(f"{facts['repository']}@{facts['commit']}")
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None
    return found if found.is_exact else None


def origin_json(origin: HubReference, sha256: str) -> str:
    """Return the content of ``origin.json``, which :func:`origin_of` reads."""
    facts = {
        "commit": origin.revision,
        "repository": origin.repository,
        "weights_sha256": sha256,
    }
    return json.dumps(facts, indent=2, sort_keys=True) + "\n"
