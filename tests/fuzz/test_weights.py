"""Files of weights, checkpoints and generators: loaded, or refused in a sentence; none runs what is in it."""

from __future__ import annotations

import io
import pickle
import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.feature_space import FeatureSpace, custom_space
from monai_aggrgan.networks.pretrained import load_pretrained
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.networks.vgg19_weights import load_vgg19
from monai_aggrgan.stages.train import with_weights
from tests.fuzz.properties import NAMES, damaged, nested, value_or_sentence


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))


def saved(state: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


@cache
def valid(legacy: bool) -> bytes:
    return saved(network().state_dict(), legacy=legacy)


class Touch:
    """What a pickle that is opened as such would run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.path),)


ODD = {
    "sparse": torch.ones(2).to_sparse(),
    "complex": torch.ones(2, dtype=torch.complex64),
    "without data": torch.ones(2, device="meta"),
    "whole": torch.ones(2, dtype=torch.int8),
    "undefined": torch.full((2,), float("nan")),
    "none": None,
    "text": "ones",
}


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "generator.pt")
        path.write_bytes(content)
        value_or_sentence(lambda: load_pretrained(network(), path), list)
        value_or_sentence(lambda: with_weights(network(), path), nn.Module)
        assert [*Path(folder).iterdir()] == [path]


@pytest.mark.parametrize("legacy", [False, True])
@given(data=st.data())
def test_any_bytes_are_weights_or_refused(legacy, data):
    check(data.draw(damaged(valid(legacy))))


@given(state=nested(), nest=st.sampled_from(["state_dict", "model", "x"]))
@example(state=[], nest="x")
def test_any_plain_values_are_weights_or_refused(state, nest):
    check(saved(state))
    check(saved({nest: state}))


@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_no_network_has(kind):
    state = network().state_dict()
    check(saved({**state, "0.bias": ODD[kind]}))
    check(saved({**state, "1.num_batches_tracked": ODD[kind]}))


@given(names=st.lists(NAMES, max_size=4))
def test_tensors_of_any_names(names):
    check(saved({name: torch.ones(2) for name in names}))


@pytest.mark.parametrize(
    "write", [pickle.dumps, saved, lambda bad: saved({"0.weight": bad}), lambda bad: saved(bad, legacy=True)]
)
def test_no_program_in_a_file_is_run(tmp_path, write):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "weights.pth"
    path.write_bytes(write(Touch(str(tmp_path / "touched"))))
    for load in (load_pretrained, with_weights):
        with pytest.raises(InputError, match=r"cannot be (read|used)"):
            load(network(), path)
    with pytest.raises(InputError, match="cannot be read"):
        load_vgg19(path)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_vgg19_from_odd_files(tmp_path, monkeypatch):
    path = tmp_path / "vgg19.pth"
    shapes = VGG19Features().state_dict()
    small = {name: torch.zeros(1).expand(tensor.shape) for name, tensor in shapes.items()}
    contents = [
        b"",
        b"PK\x03\x04",
        saved([]),
        saved({}),
        saved(small),
        saved({**small, "features.0.bias": ODD["sparse"]}),
    ]
    contents += [saved({**small, "features.0.bias": torch.ones(64, device="meta")})]
    for content in contents:
        path.write_bytes(content)
        assert value_or_sentence(lambda: load_vgg19(path), VGG19Features) is None


@given(
    spec=st.dictionaries(
        st.sampled_from(["path", "target", "size", "channels", "mean", "std", "x"]), nested(2), max_size=4
    )
)
@example(spec={"path": ["x"]})
@example(spec={"target": {"_target_": "os.system"}})
@example(spec={"target": "builtins.dict"})
@example(spec={"path": "a" * 5000})
def test_feature_spaces(spec):
    try:
        custom_space("mine", spec)
    except InputError as error:
        assert str(error).strip()


def test_feature_spaces_are_made():
    assert isinstance(custom_space("mine", {"target": "torch.nn.Flatten"}), FeatureSpace)
