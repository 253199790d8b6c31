from __future__ import annotations

import re

import pytest
import torch
from monai.networks.nets import DenseNet, EfficientNetBN
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.pretrained import load_pretrained


def network(*, classes: int = 3, width: int = 4, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 5, 3), nn.Linear(5, classes)
        )


def same(first: nn.Module, second: nn.Module) -> dict[str, bool]:
    other = second.state_dict()
    return {name: torch.equal(tensor, other[name]) for name, tensor in first.state_dict().items()}


@pytest.mark.parametrize("nest", [None, "state_dict", "model", "network"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_is_found_where_it_is(tmp_path, nest, prefix):
    source = network(seed=1)
    state = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    torch.save(state if nest is None else {"epoch": 3, nest: state}, tmp_path / "weights.pth")
    loaded = network(seed=2)
    assert load_pretrained(loaded, tmp_path / "weights.pth") == []
    assert all(same(loaded, source).values())


def test_a_head_for_other_classes_stays_as_it_was(tmp_path):
    source, loaded, before = network(classes=1000, seed=1), network(seed=2), network(seed=2)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    assert load_pretrained(loaded, str(tmp_path / "weights.pth")) == ["3.weight", "3.bias"]
    assert torch.equal(loaded[3].weight, before[3].weight)
    assert torch.equal(loaded[2].weight, source[2].weight)


def test_a_file_of_other_weights_is_refused_and_nothing_is_changed(tmp_path):
    loaded = network(seed=2)
    torch.save(network(width=8).state_dict(), tmp_path / "weights.pth")
    told = re.escape("it has 0.weight (4, 3, 3, 3), 0.bias (4,), ..., the file 0.weight (8, 3, 3, 3), 0.bias (8,), ...")
    with pytest.raises(InputError, match=rf"fit 1 of 8 tensors of Sequential: {told}; give a \.pth or \.pt file"):
        load_pretrained(loaded, tmp_path / "weights.pth")
    assert all(same(loaded, network(seed=2)).values())


def test_half_of_the_tensors_suffice_and_fewer_do_not(tmp_path):
    state = network(seed=1).state_dict()
    half = {name: state[name] for name in list(state) if name.startswith(("0.", "2."))}
    torch.save(half, tmp_path / "half.pth")
    left = load_pretrained(network(), tmp_path / "half.pth")
    assert left == ["1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias"]
    half.pop("0.bias")
    torch.save(half, tmp_path / "fewer.pth")
    with pytest.raises(InputError, match="fit 3 of 8"):
        load_pretrained(network(), tmp_path / "fewer.pth")


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(InputError, match=r"Weights not found at '.*absent\.pth': give"):
        load_pretrained(network(), tmp_path / "absent.pth")
    (tmp_path / "damaged.pth").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match=r"damaged\.pth' cannot be read \(.*\): give"):
        load_pretrained(network(), tmp_path / "damaged.pth")
    for name, content in {"list": [1, 2], "empty": {}, "numbers": {"0.weight": 3}}.items():
        torch.save(content, tmp_path / f"{name}.pth")
        with pytest.raises(InputError, match=rf"{name}\.pth' hold a \w+ without tensors by name: give"):
            load_pretrained(network(), tmp_path / f"{name}.pth")


def test_a_pickle_of_a_whole_network_is_not_run(tmp_path):
    torch.save(network(), tmp_path / "whole.pth")
    with pytest.raises(InputError, match="cannot be read"):
        load_pretrained(network(), tmp_path / "whole.pth")


@pytest.mark.parametrize("dot", ["", "."])
def test_torchvisions_names_of_a_densenet(tmp_path, dot):
    shape = {"spatial_dims": 2, "in_channels": 3, "out_channels": 3, "init_features": 4, "growth_rate": 2}
    source, loaded = (DenseNet(**shape, block_config=(2, 2)) for _ in range(2))
    state = {
        re.sub(r"\.layers\.(norm|conv)([12])", rf".\g<1>{dot}\2", name): tensor
        for name, tensor in source.state_dict().items()
    }
    assert state.keys().isdisjoint(name for name in source.state_dict() if ".layers." in name)
    torch.save(state, tmp_path / "densenet.pth")
    assert load_pretrained(loaded, tmp_path / "densenet.pth") == []
    assert all(same(loaded, source).values())


def test_efficientnet_pytorchs_names(tmp_path):
    """In its files blocks are numbered through; MONAI's rule drops the number of the stage."""
    source, loaded = (EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2) for _ in range(2))
    state = {re.sub(r"^_blocks\.\d+\.", "_blocks.", name): tensor for name, tensor in source.state_dict().items()}
    assert len(state) == len(source.state_dict())
    torch.save(state, tmp_path / "efficientnet.pth")
    assert load_pretrained(loaded, tmp_path / "efficientnet.pth") == []
    assert all(same(loaded, source).values())
