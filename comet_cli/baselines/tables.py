"""The paper's comparisons as tables of trained folders: tables 1 and 2, and section 5.2.

A row is a training, or several that differ in their seed alone (mean ± standard deviation). Beside
it stands what the paper reports of the same settings, and the budget of the training.
"""

from __future__ import annotations

from comet_cli.baselines.card import BaselineCard
from comet_cli.baselines.rows import Figure, Spread, Table
from comet_cli.baselines.trained import Trained
from comet_cli.errors import UsageError
from comet_cli.models.card import ModelCard

SMALL = 16  # the paper's small latent dimension (section 5.2)
BASELINES = {"beta-vae": "β-VAE", "infogan": "InfoGAN", "monet": "MONet"}


def name_of(trained: Trained) -> str:
    """Return what a table calls a model."""
    if isinstance(trained.card, BaselineCard):
        return BASELINES[trained.card.kind]
    name = "COMET, paper's networks" if trained.card.energy.startswith("pooled") else "COMET, ours"
    return f"{name}, with labels" if trained.recipe.get("train", {}).get("match") else name


def _table1_settings(trained: Trained) -> dict[str, str]:
    card = trained.card
    weighs = isinstance(card, BaselineCard) and card.kind == "beta-vae"
    return {
        "model": name_of(trained),
        "D": str(card.latent_dim),
        "β": f"{card.beta:g}" if isinstance(card, BaselineCard) and weighs else "",
        "decoder": card.decoder if isinstance(card, BaselineCard) and weighs else "",
    }


# Table 1 of the paper, on Falcor3D: kind, D, β, decoder -> BetaVAE, MIG, MCC, mean and deviation.
_TABLE1: dict[tuple[str, int, float, str], tuple[Spread, Spread, Spread]] = {
    ("comet", 64, 0, ""): ((99.41, 0.15), (19.63, 2.49), (76.55, 1.35)),
    ("beta-vae", 64, 4, "gaussian"): ((83.57, 8.05), (10.90, 3.80), (66.08, 2.00)),
    ("beta-vae", 32, 4, "gaussian"): ((79.77, 10.95), (7.14, 5.44), (57.48, 6.04)),
    ("beta-vae", 256, 4, "gaussian"): ((80.76, 4.55), (10.94, 0.58), (66.14, 1.81)),
    ("beta-vae", 64, 16, "gaussian"): ((74.71, 1.57), (9.33, 3.72), (57.28, 2.37)),
    ("beta-vae", 64, 1, "gaussian"): ((81.61, 6.75), (6.51, 3.38), (58.73, 6.31)),
    ("beta-vae", 64, 4, "bernoulli"): ((84.23, 3.51), (8.96, 3.53), (61.57, 4.09)),
    ("infogan", 64, 0, ""): ((79.65, 1.69), (2.48, 1.11), (52.67, 1.91)),
    ("monet", 64, 0, ""): ((93.13, 1.02), (13.94, 2.09), (65.72, 0.89)),
}


def _table1_paper(trained: Trained) -> dict[str, Spread]:
    card = trained.card
    beta, decoder = 0.0, ""
    if isinstance(card, BaselineCard) and card.kind == "beta-vae":
        beta, decoder = card.beta, card.decoder
    if trained.recipe.get("train", {}).get("match"):
        return {}
    found = _TABLE1.get((trained.kind, card.latent_dim, beta, decoder))
    return dict(zip(("beta_vae", "mig", "mcc"), found, strict=True)) if found else {}


def _comet_card(trained: Trained) -> ModelCard:
    if not isinstance(trained.card, ModelCard):
        raise UsageError(f"{trained.folder} holds a baseline, and table 2 is of comet's models")
    return trained.card


def _table2_settings(trained: Trained) -> dict[str, str]:
    card = _comet_card(trained)
    encoder = card.encoder if card.attention == "lstm" else card.attention
    return {
        "model": name_of(trained),
        "encoder": card.encoder if card.encoder == "global" else encoder,
        "D": str(card.latent_dim),
        "positional embedding": "yes" if card.sees_positions else "no",
    }


# Table 2 of the paper, on CLEVR: recurrent encoder, small latent, positional embedding -> ARI.
_TABLE2 = {
    (False, False, False): 0.413,
    (True, False, False): 0.407,
    (True, True, False): 0.641,
    (True, True, True): 0.889,
}


def _table2_paper(trained: Trained) -> dict[str, Spread]:
    card = _comet_card(trained)
    if not card.energy.startswith("pooled") or (
        card.encoder == "recurrent" and card.attention != "lstm"
    ):
        return {}
    asked = (card.encoder == "recurrent", card.latent_dim <= SMALL, card.sees_positions)
    return {"ari": (_TABLE2[asked], None)} if asked in _TABLE2 else {}


def _object_settings(trained: Trained) -> dict[str, str]:
    return {
        "model": name_of(trained),
        "K": str(trained.card.components),
        "D": str(trained.card.latent_dim),
    }


# Section 5.2 of the paper, on CLEVR: ARI and mean segmentation covering.
_OBJECTS = {"comet": (0.916, 0.713), "monet": (0.873, 0.701)}


def _object_paper(trained: Trained) -> dict[str, Spread]:
    found = _OBJECTS.get(trained.kind)
    return {"ari": (found[0], None), "mean_covering": (found[1], None)} if found else {}


_SEGMENTS = (
    Figure("ari", "ARI"),
    Figure("ari_foreground", "ARI, objects only"),
    Figure("mean_covering", "covering"),
    Figure("mean_covering_foreground", "covering, objects only"),
)
TABLES = {
    "table1": Table(
        "Disentanglement (table 1)",
        "disentanglement",
        tuple(
            Figure(key, title, 100, 2)
            for key, title in (
                ("beta_vae", "BetaVAE"),
                ("mig", "MIG"),
                ("mcc", "MCC"),
                ("disentanglement", "DCI D"),
                ("completeness", "DCI C"),
                ("informativeness", "DCI I"),
                ("modularity", "InfoM"),
                ("explicitness", "InfoE"),
                ("compactness", "InfoC"),
            )
        ),
        _table1_settings,
        _table1_paper,
    ),
    "table2": Table(
        "Local factors (table 2)", "segmentation", _SEGMENTS, _table2_settings, _table2_paper
    ),
    "objects": Table(
        "Objects (section 5.2)", "segmentation", _SEGMENTS, _object_settings, _object_paper
    ),
}
