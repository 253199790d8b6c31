from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.initial_network import initial_network

BUILD = partial(nn.Linear, 3, 2)


def test_the_weights_are_a_function_of_the_seed_alone():
    torch.manual_seed(1)
    first = initial_network(BUILD, seed=5).weight
    before = torch.manual_seed(2).get_state()
    assert torch.equal(initial_network(BUILD, seed=5).weight, first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(initial_network(BUILD, seed=6).weight, first)


def test_weights_of_a_file_are_loaded(tmp_path):
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    build = partial(nn.Sequential, nn.Linear(3, 4), nn.Linear(4, 2))
    started = initial_network(build, seed=0, weights=tmp_path / "weights.pth")
    assert torch.equal(started[0].weight, network[0].weight)


def test_a_network_that_is_built_already_is_refused():
    with pytest.raises(InputError, match="gives a Linear whose initial weights no seed decides: add `_mode_: call"):
        initial_network(nn.Linear(3, 2), seed=0)
