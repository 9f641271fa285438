"""The models and files of one command."""

import torch

from comet_cli.inputs.session import Session
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel


def test_weights_that_are_replaced_while_a_command_runs_are_not_mixed(card, home, tmp_path):
    folder = tmp_path / "toy"

    def train(seed):
        torch.manual_seed(seed)
        comet_model.save(CometModel(card), folder, overwrite=True)

    train(0)
    session = Session(model=str(folder))
    first = session.requested()
    train(1)
    assert session.requested() is first
    other = Session(model=str(folder)).requested()
    assert other.card.weights_sha256 != first.card.weights_sha256
