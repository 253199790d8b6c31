from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.networks.vgg19_weights import OXFORD_MEANS, load_vgg19, probe_image

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="module")
def network() -> VGG19Features:
    return VGG19Features(seed=3)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 1, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def weights(network: VGG19Features, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save({**network.state_dict(), "classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


def test_loaded_weights_give_unit_means_and_scales_that_take_it_back(network, weights, images):
    loaded = load_vgg19(weights, scale="torchvision")
    maps, own = loaded(probe_image()), network(probe_image())
    assert {name: layer.mean().item() for name, layer in maps.items()} == pytest.approx(dict.fromkeys(maps, 1), 1e-5)
    assert loaded.scales == pytest.approx({name: layer.mean().item() for name, layer in own.items()}, rel=1e-5)
    for name, layer in loaded(images).items():  # the same network on any image
        torch.testing.assert_close(layer * loaded.scales[name], network(images)[name], rtol=1e-3, atol=1e-4)


def test_oxfords_scale_is_the_same_for_weights_of_any_scale(network, images, tmp_path):
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["features.5.weight"] *= 7.5  # relu2_1 and all that follow
    torch.save(state, tmp_path / "other.pth")
    torch.save(network.state_dict(), tmp_path / "vgg19.pth")
    first, second = load_vgg19(tmp_path / "vgg19.pth"), load_vgg19(tmp_path / "other.pth", scale="oxford")
    assert first.scales == second.scales == OXFORD_MEANS
    for a, b in zip(first(images).values(), second(images).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_own_factors_multiply_the_files_scale(weights):
    own, scaled = (load_vgg19(weights, scale=scale).scales for scale in ("torchvision", {"relu2_1": 2.5}))
    for name, scale in own.items():
        assert scaled[name] == pytest.approx(scale * (2.5 if name == "relu2_1" else 1))


def test_the_scale_is_told(weights, caplog):
    with caplog.at_level("INFO"):
        load_vgg19(weights, scale={"relu2_1": 2.5})
    assert "multiples of the weights' own scale: relu1_1 x1, relu2_1 x2.5, relu3_1 x1," in caplog.text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_maps_and_the_first_layer_whole(dtype, weights, images):
    full, half = load_vgg19(weights), load_vgg19(weights).to(dtype)
    assert (half.dtype, half.full_dtype, full.full_dtype) == (dtype, torch.float32, torch.float32)
    maps = half(images)
    assert maps["relu1_1"].dtype == torch.float32 and maps["relu5_1"].dtype == dtype
    for name, expected in full(images).items():
        error = (maps[name].float() - expected).norm() / expected.norm()
        assert 0 < error < (0.02 if dtype == torch.bfloat16 else 0.003), name


def test_a_file_with_classifier_keys_is_loaded(network, weights, images):
    loaded = load_vgg19(str(weights), scale="torchvision")
    torch.testing.assert_close(loaded(images)["relu5_1"] * loaded.scales["relu5_1"], network(images)["relu5_1"])


def test_the_cache_is_read_and_the_network_never_asked(network, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("downloaded"))
    with pytest.raises(InputError, match=r"not found at '.*vgg19-dcbb9e9d.pth'.*'download'"):
        load_vgg19("cache")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth").symlink_to(weights)
    assert torch.equal(load_vgg19("cache").features[28].weight, load_vgg19(weights).features[28].weight)


def test_a_download_is_checked_and_loaded(network, weights, monkeypatch):
    def fetch(url: str, *, map_location: str, check_hash: bool, weights_only: bool) -> dict[str, torch.Tensor]:
        assert url.endswith("/vgg19-dcbb9e9d.pth") and check_hash and weights_only
        return network.state_dict()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    assert torch.equal(load_vgg19("download").features[0].weight, load_vgg19(weights).features[0].weight)


def test_a_failed_download_says_what_else_to_do(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(InputError, match=r"cannot be downloaded.*no route to host.*give the path"):
        load_vgg19("download")


@pytest.mark.parametrize("choice", ["downlaod", "nowhere/vgg19.pth", "."])
def test_missing_weights_name_the_three_ways(choice):
    with pytest.raises(InputError, match=rf"not found at '{re.escape(choice)}'.*path of a .pth.*'cache'.*'download'"):
        load_vgg19(choice)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_unreadable_weights_are_refused(content, tmp_path):
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"broken.pth' cannot be read"):
        load_vgg19(tmp_path / "broken.pth")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"conv1_1.weight": torch.zeros(64, 3, 3, 3)},
            r"no tensor where features.0.weight must have shape \(64, 3, 3, 3",
        ),
        (
            {"features.0.weight": torch.zeros(64, 3)},
            r"shape \(64, 3\) where features.0.weight must have shape \(64, 3, 3",
        ),
        ({"features.0.weight": 1.0}, "no tensor where features.0.weight"),
        ([torch.zeros(1)], "no tensor where features.0.weight"),
    ],
)
def test_weights_of_another_network_are_refused(state, message, tmp_path):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError, match=rf"other.pth' have {message}.*give the path"):
        load_vgg19(tmp_path / "other.pth")


def test_a_dead_layer_cannot_be_scaled(tmp_path):
    dead = VGG19Features()
    dead.features[19].weight.zero_()
    torch.save(dead.state_dict(), tmp_path / "dead.pth")
    with pytest.raises(InputError, match=r"give maps of mean 0.0, which no factor can mend"):
        load_vgg19(tmp_path / "dead.pth")


@pytest.mark.parametrize("scale", [{"relu3_2": 1.0}, {"relu3_1": 0.0}, {"relu3_1": float("nan")}])
def test_wrong_scales_are_refused(scale):
    with pytest.raises(ValueError, match=f"scale must be positive factors of relu1_1, .*got '{next(iter(scale))}'"):
        load_vgg19("random", scale=scale)


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="caffe"):
        load_vgg19("random", scale="caffe")


def test_the_oxford_weights_have_oxfords_scale(tmp_path):
    unpack, slices = SHARED / "tools" / "unpack_vgg19.py", SHARED / "data" / "figshare_128"
    if not (unpack.exists() and slices.exists()):
        pytest.skip("needs the VGG-19 weights and Figshare slices of the shared folder")
    subprocess.run([sys.executable, unpack, tmp_path / "vgg19.pth"], check=True, capture_output=True)
    assert load_vgg19(tmp_path / "vgg19.pth", scale="torchvision").scales == pytest.approx(OXFORD_MEANS, rel=1e-4)
    paths = [sorted((slices / kind).glob("*.png"))[100] for kind in ("glioma", "meningioma", "pituitary")]
    real = torch.stack([torch.from_numpy(np.array(Image.open(path).convert("L"))) for path in paths])[:, None] / 255
    for name, maps in load_vgg19(tmp_path / "vgg19.pth")(real).items():
        assert 0.5 < maps.mean() < 1.5, name  # the probe stands for real slices
