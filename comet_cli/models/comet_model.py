"""A model: an encoder and the energy network that all its components share."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from comet_cli.errors import CometError
from comet_cli.models.architectures import build_encoder, build_energy_network
from comet_cli.models.card import ModelCard
from comet_cli.models.decoded_latents import Decoded, DecodedLatents
from comet_cli.models.device import pick_device
from comet_cli.models.folder import read_checked, save_state, write_folder
from comet_cli.models.hub_reference import PREFIX, origin_of, parse_reference
from comet_cli.models.library import find
from comet_cli.models.redraws import best_of_redraws
from comet_cli.models.unfilled import Unfilled
from comet_cli.networks.base import BoundEnergy, EnergyNetwork
from comet_cli.networks.colouring_encoder import Colouring, ColouringEncoder, Draw
from comet_cli.networks.layers import computes_low


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
        from comet_cli.models import hub

        name = str(pretrained_model_name_or_path)
        is_path = isinstance(pretrained_model_name_or_path, Path) or Path(name).is_dir()
        if is_path or "/" not in name:
            return load(pretrained_model_name_or_path, device)
        if revision is not None:
            name = f"{name}@{revision}"
        folder = hub.fetch(
            name,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        return load(folder, device)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write a model folder, with ``config.json`` and a README; replaces what is there.

        Raises:
            CometError: it cannot be written.
        """
        from comet_cli.models import hub
        from comet_cli.models.readme import model_readme

        model = cast("CometModel", self)
        card = model.card
        if card.name.startswith(PREFIX):  # as loaded from there; a copy has a name of its own
            card = card.replace(name=parse_reference(card.name).name)
        card = save(model, save_directory, card=card, overwrite=True)
        extra = {hub.CONFIG: card.to_json(), hub.README: model_readme(card)}
        write_folder(Path(save_directory), {k: v.encode() for k, v in extra.items()})

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


class CometModel(Pretrained, nn.Module):
    """Encoder and energy network of one card.

    Symbols: B batch, K components, D latent dimension, R image size.
    """

    def __init__(self, card: ModelCard) -> None:
        """Build networks with random weights for ``card``."""
        super().__init__()
        self.card = card
        self.encoder = build_encoder(card)
        self.energy_network = build_energy_network(card)
        self._decoded = DecodedLatents()

    @property
    def device(self) -> torch.device:
        """Device that the weights are on."""
        return next(self.parameters()).device

    def encode(self, x: Tensor, *, redraws: bool = True) -> Tensor:
        """Infer components: x (B,3,R,R) in [0, 1] -> z (B,K,D).

        Args:
            x: pictures.
            redraws: see :meth:`find`.

        Raises:
            CometError: x has another size than the model's R.
        """
        size = self.card.image_size
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, size, size):
            raise CometError(
                f"model '{self.card.name}' encodes (B, 3, {size}, {size}), got {tuple(x.shape)}"
            )
        if self.card.colours:
            return self.find(x, redraws=redraws).z
        return cast(Tensor, self.encoder(x))

    def components_of(self, x: Tensor, *, redraws: bool = True) -> Tensor:
        """Infer the components that a picture has: x (1,3,R,R) -> z (k,D), k at most K.

        Of an encoder that colours, those that are there: the background, then the objects from
        left to right. Others always have K.
        """
        if not self.card.colours:
            return self.encode(x)[0]
        found = self.find(x, redraws=redraws)
        z = found.z[0][found.present[0]]
        across = z[1:, 1].argsort(stable=True)  # the first two numbers are row and column
        return torch.cat([z[:1], z[1:][across]])

    def find(self, x: Tensor, *, redraws: bool = True, draw: Draw | None = None) -> Colouring:
        """Return what an encoder that colours pictures finds in x (B,3,R,R): z, attention, share.

        Its card says so (:attr:`.ModelCard.colours`).

        Args:
            x: pictures in [0, 1].
            redraws: where the card allows it, encode a picture again that its components do not
                make up (:func:`.best_of_redraws`); never in training.
            draw: draws the seeds, see :func:`.break_stick`.
        """
        found = cast(ColouringEncoder, self.encoder).colour(x, draw)
        if not (redraws and self.card.redraws) or self.training:
            return found
        return best_of_redraws(self, x, found)

    def positional_flags(self, components: Sequence[int | None]) -> list[bool]:
        """Say for each component index whether its energy sees positions (None: the usual)."""
        flags, usual = self.card.positional, self.card.usually_positional
        return [usual if k is None or k >= len(flags) else flags[k] for k in components]

    def bind(self, z: Tensor, components: Sequence[int | None] | None = None) -> BoundEnergy:
        """Fix latents, so that what does not depend on x is computed once.

        Args:
            z: (B,J,D), any J.
            components: which component of its image each latent was (decides the positional
                embedding); default 0..J-1.
        """
        if z.ndim != 3 or z.shape[-1] != self.card.latent_dim:
            raise CometError(
                f"model '{self.card.name}' takes latents (B, J, {self.card.latent_dim}), "
                f"got {tuple(z.shape)}"
            )
        indices = list(range(z.shape[1])) if components is None else list(components)
        network = cast(EnergyNetwork, self.energy_network)
        return network.bind(z, self.positional_flags(indices))

    def bind_each(self, z: Tensor, components: Sequence[int | None]) -> BoundEnergy:
        """Fix latents as :meth:`bind` does, each decoded by itself, and once while it is held.

        So what a latent becomes does not depend, to the bit, on those beside it. Where a gradient
        is to reach z or the weights, and where z alone does not say all of an energy: :meth:`bind`.

        Args:
            z: (B,J,D).
            components: see :meth:`bind`.
        """
        weights = list(self.energy_network.parameters())
        wanted = torch.is_grad_enabled() and any(t.requires_grad for t in (z, *weights))
        if wanted or not z.numel():
            return self.bind(z, components)
        # Weights may be changed in place, moved, or shared with a model of another size.
        state = (
            *(id(self.energy_network), self.card.image_size, str(z.device), computes_low(z.device)),
            *((t.data_ptr(), 0 if t.is_inference() else t._version) for t in weights),
        )
        flags = self.positional_flags(components)
        held = z.detach().float().cpu().numpy()
        made = []
        for b, j in itertools.product(range(z.shape[0]), range(z.shape[1])):
            one = self._decoded.of(
                (state, held[b, j].tobytes(), flags[j]),
                functools.partial(self._decode, z[b : b + 1, j : j + 1], components[j]),
            )
            if one is None:
                return self.bind(z, components)
            made.append(one)
        (kind,) = {kind for kind, _ in made}
        parts = zip(*(parts for _, parts in made), strict=True)
        return kind(*(torch.cat(part, 1).unflatten(1, z.shape[:2])[0] for part in parts))

    def _decode(self, z: Tensor, component: int | None) -> Decoded | None:
        """Return the class and the parts of the energy of z (1,1,D)."""
        with torch.inference_mode(False), torch.no_grad():
            bound = self.bind(z, [component])
            parts = bound.parts()
            return None if parts is None else (type(bound), parts)

    def energy(
        self, x: Tensor, z: Tensor, components: Sequence[int | None] | None = None
    ) -> Tensor:
        """Return E(x, z_j): x (B,3,R,R), z (B,J,D) -> (B,J) (section 3.1)."""
        return self.bind(z, components)(x)

    def gradients(self, x: Tensor, z: Tensor) -> Tensor:
        """Return ∇_x E(x, z_j), one picture a component: (B,J,3,R,R)."""
        bound = self.bind(z)
        found = bound.gradients(x)
        if found is not None:
            return found.detach()
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            energies = bound(x)
            maps = [
                torch.autograd.grad(energies[:, j].sum(), x, retain_graph=True)[0]
                for j in range(z.shape[1])
            ]
        return torch.stack(maps, 1).detach()


def load(name: str | Path, device: str = "auto") -> CometModel:
    """Load a model, ready to use: evaluation mode, float32, no gradients for its weights.

    The weights are checked against the card's hash. torch's random state is left alone. A model
    in the Hub's cache is called ``hf:org/name@commit``, by which it is found again anywhere.

    Args:
        name: see :func:`find`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.

    Raises:
        UnknownModelError: nothing of that name.
        FileFormatError: damaged weights, or weights that do not fit the card.
        UsageError: a device that does not exist here.
    """
    target = pick_device(device)
    folder = find(name)
    card, state = read_checked(folder)
    hub = origin_of(folder, card.weights_sha256)
    if hub and folder.resolve().name == hub.revision:
        card = card.replace(name=str(hub))
    with torch.random.fork_rng(devices=[]), Unfilled():
        model = CometModel(card)
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False).to(target)


def save(
    model: CometModel,
    folder: str | Path,
    *,
    card: ModelCard | None = None,
    extra: Mapping[str, str | bytes] | None = None,
    overwrite: bool = False,
    dtype: torch.dtype | None = None,
) -> ModelCard:
    """Write a model folder.

    Args:
        model: the weights, on any device.
        folder: made if need be. A new folder appears at once and complete; in an existing one
            every file is replaced atomically, the card last.
        card: facts to write; default ``model.card``.
        extra: further files, name -> content (``README.md``, ``recipe.toml``).
        overwrite: replace the model that the folder may hold.
        dtype: of the weights on disk (torch.float16 halves the file); default as they are.

    Returns:
        The card as written, with the hash of the weights and the version of comet.

    Raises:
        CometError: the folder holds something else or, without ``overwrite``, a model; no space.
    """
    chosen = model.card if card is None else card
    return save_state(
        model.state_dict(), chosen, folder, extra=extra, overwrite=overwrite, dtype=dtype
    )
