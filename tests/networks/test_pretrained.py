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
    told = re.escape("0.weight is (4, 3, 3, 3) and in the file (8, 3, 3, 3), 0.bias is (4,) and in the file (8,), 1.we")
    with pytest.raises(InputError, match=rf"fit 1 of 8 tensors of Sequential: {told}.*, and 4 more; give a \.pth or"):
        load_pretrained(loaded, tmp_path / "weights.pth")
    assert all(same(loaded, network(seed=2)).values())


def test_names_that_nothing_has_are_shown(tmp_path):
    torch.save({"a.weight": torch.zeros(2), "b.weight": torch.zeros(1), "c": torch.zeros(1)}, tmp_path / "other.pth")
    told = re.escape("it has 0.weight (4, 3, 3, 3), 0.bias (4,), ..., the file a.weight (2,), b.weight (1,), ...")
    with pytest.raises(InputError, match=rf"fit 0 of 8 tensors of Sequential: {told}; give"):
        load_pretrained(network(), tmp_path / "other.pth")


@pytest.mark.parametrize("absent", ["0.bias", "1.running_var"])
def test_a_tensor_that_is_not_the_heads_may_not_be_left(tmp_path, absent):
    state = network(seed=1).state_dict()
    state.pop(absent)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=rf"fit 7 of 8 tensors of Sequential: {absent} is not in the file; give"):
        load_pretrained(network(), tmp_path / "weights.pth")


def test_a_counter_may_lack_and_a_head_of_another_name_is_left_out(tmp_path):
    state = network(seed=1).state_dict()
    state = {name: tensor for name, tensor in state.items() if name[0] != "3" and not name.endswith("tracked")}
    torch.save(state | {"classifier.6.weight": torch.zeros(1000, 7)}, tmp_path / "weights.pth")
    assert load_pretrained(network(), tmp_path / "weights.pth") == ["3.weight", "3.bias"]


def test_weights_of_a_sibling_are_refused(tmp_path):
    shape = {"spatial_dims": 2, "in_channels": 3, "out_channels": 3, "init_features": 4, "growth_rate": 2}
    small, large, deep = (DenseNet(**shape, block_config=blocks) for blocks in ((2, 2), (2, 3), (3, 2)))
    for name, source in (("large", large), ("deep", deep)):
        torch.save(source.state_dict(), tmp_path / f"{name}.pth")
    with pytest.raises(
        InputError, match=r"tensors of DenseNet: features\.norm5\.weight is \(8,\) and in the file \(10,\)"
    ):
        load_pretrained(small, tmp_path / "large.pth")
    with pytest.raises(InputError, match=r"fit \d+ of \d+ tensors of DenseNet: .*transition1"):
        load_pretrained(small, tmp_path / "deep.pth")
    torch.save(
        {**small.state_dict(), "features.denseblock2.denselayer3.layers.conv1.weight": torch.zeros(1)},
        tmp_path / "more.pth",
    )
    with pytest.raises(InputError, match=r"larger network than DenseNet: features\.denseblock2\.denselayer3\.layers"):
        load_pretrained(small, tmp_path / "more.pth")


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(InputError, match=r"Weights not found at '.*absent\.pth': give"):
        load_pretrained(network(), tmp_path / "absent.pth")
    (tmp_path / "damaged.pth").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match=r"damaged\.pth' cannot be read \(.*\): give"):
        load_pretrained(network(), tmp_path / "damaged.pth")
    for name, content, told in (("text", b"hello", "it is a text"), ("nothing", b"", "it is empty")):
        (tmp_path / f"{name}.pth").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}\.pth' cannot be read \({told}"):
            load_pretrained(network(), tmp_path / f"{name}.pth")
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
