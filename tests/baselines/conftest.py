"""One thread, and a few pictures."""

import pytest
import torch
from baseline_recipes import squares


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.from_numpy(squares(8)).permute(0, 3, 1, 2).float() / 255
