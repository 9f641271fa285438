"""The methods that models of huggingface_hub's ``PyTorchModelHubMixin`` have, by the same names.

They are offered and not inherited: the mixin would import huggingface_hub with every model, know
nothing of the card's hash, and fall back to a pickle where there are no safetensors. The layout is
the mixin's (``config.json`` and ``model.safetensors``); the card stays the source of truth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from comet_cli.models.hub_reference import PREFIX, parse_reference

if TYPE_CHECKING:
    from comet_cli.models.comet_model import CometModel


class Pretrained:
    """What a model can be got from, and kept as."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        device: str = "cpu",
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> CometModel:
        """Load a model, in evaluation mode, its weights checked against the card's hash.

        Args:
            pretrained_model_name_or_path: a model folder, ``org/name`` on the Hub, or the name of
                a shipped or local model. A folder goes before a repository.
            revision: of the repository: a branch, a tag or a commit; default the newest.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
            token: see :func:`comet_cli.models.hub.fetch`, like the rest.
            cache_dir: default ``HF_HOME``'s.
            local_files_only: take it from the cache or not at all.
            force_download: download what is in the cache, too.

        Raises:
            CometError: no such model, or none that can be loaded.
        """
        from comet_cli.models import hub, library

        name = str(pretrained_model_name_or_path)
        is_path = isinstance(pretrained_model_name_or_path, Path) or Path(name).is_dir()
        if is_path or "/" not in name:
            return library.load(pretrained_model_name_or_path, device)
        if revision is not None:
            name = f"{name}@{revision}"
        folder = hub.fetch(
            name,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        return library.load(folder, device)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write a model folder, with ``config.json`` and a README; replaces what is there.

        Raises:
            CometError: it cannot be written.
        """
        from comet_cli.models import hub, library
        from comet_cli.models.readme import model_readme

        model = cast("CometModel", self)
        card = model.card
        if card.name.startswith(PREFIX):  # as loaded from there; a copy has a name of its own
            card = card.replace(name=parse_reference(card.name).name)
        card = library.save(model, save_directory, card=card, overwrite=True)
        extra = {hub.CONFIG: card.to_json(), hub.README: model_readme(card)}
        library.write_folder(Path(save_directory), {k: v.encode() for k, v in extra.items()})

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str | None = None,
        branch: str | None = None,
    ) -> str:
        """Upload the model to ``org/name`` and return the commit's address.

        Raises:
            CometError: see :func:`comet_cli.models.hub.push`.
        """
        from comet_cli.models import hub

        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            self.save_pretrained(folder)
            return hub.push(
                folder,
                repo_id,
                private=private,
                token=token,
                message=commit_message,
                branch=branch,
            )[1]
