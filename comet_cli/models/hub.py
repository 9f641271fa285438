"""Models on the Hugging Face Hub: fetched into its cache, pulled by name, pushed.

huggingface_hub does the work, so its environment variables hold (``HF_HOME``, ``HF_TOKEN``,
``HF_HUB_OFFLINE``, ``HF_ENDPOINT``). It is imported here only, when something is asked of the Hub.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comet_cli.errors import CometError, FileFormatError, UsageError
from comet_cli.formats.files import show
from comet_cli.models import folder as model_folder
from comet_cli.models.card import ModelCard
from comet_cli.models.hub_reference import (
    PREFIX,
    HubReference,
    parse_reference,
)
from comet_cli.models.readme import model_readme
from comet_cli.version import __version__

README, RECIPE, CONFIG = "README.md", "recipe.toml", "config.json"
# All that is ever downloaded; above all no pickle.
FILES = (model_folder.CARD, model_folder.WEIGHTS, README, RECIPE)
_AGENT: dict[str, Any] = {"library_name": "comet-cli", "library_version": __version__}


def fetch(
    reference: str,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """Return a model's folder in the Hub's cache, downloading what is not there.

    The card is looked at first: of a repository that is no comet model nothing else is downloaded.

    Args:
        reference: ``hf:org/name[@revision]``; default the newest, where there is a network.
        token: default ``HF_TOKEN``, or that of ``hf auth login``.
        cache_dir: default ``HF_HOME``'s.
        local_files_only: take it from the cache or not at all.
        force_download: download what is in the cache, too.

    Raises:
        UsageError: no such reference.
        FileFormatError: the repository is no comet model.
        CometError: it is not there, not open to this token, or cannot be reached.
    """
    wanted = parse_reference(reference)
    settings: dict[str, Any] = {
        "token": token,
        "cache_dir": cache_dir,
        "local_files_only": local_files_only,
        "force_download": force_download,
        **_AGENT,
    }
    with _sentences(wanted):
        from huggingface_hub import snapshot_download

        settings["tqdm_class"] = _bars()
        folder = Path(
            snapshot_download(
                wanted.repository,
                revision=wanted.revision,
                allow_patterns=[model_folder.CARD],
                **settings,
            )
        )
        _check_card(folder, wanted, token)
        folder = Path(
            snapshot_download(
                wanted.repository, revision=folder.name, allow_patterns=list(FILES), **settings
            )
        )
    if not (folder / model_folder.WEIGHTS).is_file():
        raise FileFormatError(_not_a_model(wanted, model_folder.WEIGHTS, folder.name, token))
    return folder


def silence() -> None:
    """Show no progress of downloads and uploads from now on."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()


def _bars() -> Any:
    """Return progress bars that show where somebody can see them only."""
    from huggingface_hub.utils import tqdm

    class Bars(tqdm):  # type: ignore[type-arg]
        def __init__(self, *words: Any, **settings: Any) -> None:
            settings.setdefault("disable", None)  # tqdm's word for "unless it is a terminal"
            super().__init__(*words, **settings)

    return Bars


def _check_card(folder: Path, wanted: HubReference, token: str | bool | None) -> None:
    """Raise FileFormatError unless a snapshot has the card of a comet model."""
    path = folder / model_folder.CARD
    if not path.is_file():
        raise FileFormatError(_not_a_model(wanted, model_folder.CARD, folder.name, token))
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    ModelCard.from_json(text, where=f"{wanted}: {model_folder.CARD}")


def _not_a_model(wanted: HubReference, missing: str, commit: str, token: str | bool | None) -> str:
    """Return why a repository is no comet model."""
    held = ""
    with contextlib.suppress(Exception):  # where it cannot be told, the rest of it is still true
        from huggingface_hub import HfApi

        names = HfApi(token=token, **_AGENT).list_repo_files(wanted.repository, revision=commit)
        listed = [name for name in names if not name.startswith(".")]
        shown = listed[:6] + ["…"] * (len(listed) > 6)
        held = f" (it holds {show(', '.join(shown)) or 'nothing'})"
    return f"{wanted} has no {missing}{held}, so it is no comet model; only safetensors are read"


def push(
    folder: Path,
    repository: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    message: str | None = None,
    branch: str | None = None,
) -> tuple[HubReference, str]:
    """Upload a model folder in one commit, with a README made from the card's facts.

    The repository is made if need be; what an earlier push left there, and this model has not, is
    deleted. ``config.json``, a copy of the card, goes along for readers of huggingface_hub's
    ``PyTorchModelHubMixin``.

    Args:
        folder: a model folder.
        repository: ``[hf:]org/name``.
        private: make a new repository private; default the account's own setting. One that is there
            and public is refused.
        token: one that may write; default ``HF_TOKEN`` or that of ``hf auth login``.
        message: of the commit.
        branch: default ``main``.

    Returns:
        The repository with the new commit, and the commit's address.

    Raises:
        UsageError: no such reference, or one with a revision.
        FileFormatError: the folder is no model, or damaged; nothing is uploaded.
        CometError: no token, or one that may not write; a public repository that was to be
            private; or the Hub cannot be reached.
    """
    wanted = parse_reference(repository)
    if wanted.revision:
        raise UsageError(f"'{wanted}' names a revision; a push makes one, so give {PREFIX}org/name")
    card = model_folder.check(folder)
    with _sentences(wanted, writing=True):
        from huggingface_hub import (
            CommitOperationAdd,
            CommitOperationDelete,
            HfApi,
            constants,
            get_token,
        )

        if constants.HF_HUB_OFFLINE:  # the library would try several times
            raise CometError(f"{wanted} cannot be pushed: HF_HUB_OFFLINE forbids to ask the Hub")
        if not (token or get_token()):
            raise CometError(
                f"pushing to {wanted} needs a token that may write: set HF_TOKEN, or run "
                "`hf auth login`"
            )
        files = {
            model_folder.CARD: (folder / model_folder.CARD).read_bytes(),
            CONFIG: (folder / model_folder.CARD).read_bytes(),
            model_folder.WEIGHTS: (folder / model_folder.WEIGHTS).read_bytes(),
            README: model_readme(card, str(wanted)).encode(),
        }
        if (folder / RECIPE).is_file():
            files[RECIPE] = (folder / RECIPE).read_bytes()
        api = HfApi(token=token, **_AGENT)
        if private and api.repo_exists(wanted.repository):
            if not api.repo_info(wanted.repository).private:
                raise CometError(
                    f"{wanted} is there already and public, so nothing was uploaded: make it "
                    "private in its settings on the Hub, or push without --private"
                )
        api.create_repo(wanted.repository, private=private, exist_ok=True)
        there = api.list_repo_files(wanted.repository, revision=branch)
        former = {*FILES, CONFIG} & {*there} - {*files}
        done = api.create_commit(
            wanted.repository,
            [
                *(CommitOperationAdd(name, data) for name, data in files.items()),
                *(CommitOperationDelete(name) for name in sorted(former)),
            ],
            commit_message=message or f"{card.name}, by comet {__version__}",
            revision=branch,
        )
    return HubReference(wanted.repository, done.oid), str(done.commit_url)


@contextlib.contextmanager
def _sentences(wanted: HubReference, *, writing: bool = False) -> Iterator[None]:
    """Turn what huggingface_hub raises into one sentence."""
    try:
        yield
    except CometError:
        raise
    except ImportError:
        raise CometError(
            f"{wanted} needs huggingface_hub, which is not installed: pip install huggingface-hub"
        ) from None
    except Exception as error:  # of the library, of the HTTP client below it, of the file system
        raise _explained(error, wanted, writing) from None


def _explained(error: Exception, wanted: HubReference, writing: bool) -> CometError:
    from huggingface_hub import constants, errors

    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)

    def first(kind: type[BaseException]) -> Any:
        return next((e for e in causes if isinstance(e, kind)), None)

    hub = constants.ENDPOINT
    answer: Any = getattr(first(errors.HfHubHTTPError), "response", None)
    code = getattr(answer, "status_code", 0)
    where = f"{wanted.repository} on {hub}"
    if first(errors.HFValidationError):
        return UsageError(f"'{wanted}' names no repository of the Hub: {_first_line(error)}")
    if first(errors.GatedRepoError):
        return CometError(
            f"{where} is gated: accept its conditions at {hub}/{wanted.repository}, and set "
            "HF_TOKEN to a token of that account"
        )
    if first(errors.RevisionNotFoundError):
        return CometError(f"{where} has no revision '{wanted.revision or 'main'}'")
    if code == 403:
        verb = "write to" if writing else "read"
        return CometError(f"the token may not {verb} {where}; set HF_TOKEN to one that may")
    if code == 401 and "Invalid credentials" in str(answer.headers.get("X-Error-Message")):
        return CometError(f"{hub} refuses the token; set HF_TOKEN to a valid one")
    if first(errors.RepositoryNotFoundError):
        return CometError(
            f"there is no {where}, or it is private: check the name, or set HF_TOKEN to a token "
            "that may read it"
        )
    if first(errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
        return CometError(
            f"{wanted} is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub"
        )
    if code:
        return CometError(f"{where}: the Hub answered {code}: {_first_line(error)}")
    if first(errors.LocalEntryNotFoundError) and len(causes) == 1:
        return CometError(f"{wanted} is not in the cache, and nothing else was to be asked")
    reason = _first_line(causes[-1])
    if first(errors.LocalEntryNotFoundError):
        return CometError(f"{hub} cannot be reached ({reason}), and {wanted} is not in the cache")
    return CometError(
        f"{wanted} cannot be {'pushed to' if writing else 'got from'} {hub}: {reason}; if the "
        "network failed, repeat the command: files that are complete are kept"
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
