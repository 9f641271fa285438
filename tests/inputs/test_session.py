"""The models and files of one command."""

import torch

from comet_cli.inputs.session import Session
from comet_cli.models import comet_model
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel

CARD = ModelCard(
    name="toy",
    encoder="global",
    energy="quadratic",
    filter_dim=8,
    components=2,
    latent_dim=8,
    image_size=16,
    positional=[True] * 2,
    step_size=1.0,
    num_steps=1,
    render_step_size=1.0,
    render_steps=2,
)


def test_weights_that_are_replaced_while_a_command_runs_are_not_mixed(tmp_path):
    folder = tmp_path / "toy"
    for seed in (0, 1):
        torch.manual_seed(seed)
        comet_model.save(CometModel(CARD), folder, overwrite=True)
        if not seed:
            session = Session(model=str(folder))
            first = session.requested()
    assert session.requested() is first
    other = Session(model=str(folder)).requested()
    assert other.card.weights_sha256 != first.card.weights_sha256
