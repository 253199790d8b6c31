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
from torch.nn import functional

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.vgg19 import (
    CONTENT_LAYER,
    OXFORD_MEANS,
    STYLE_LAYERS,
    VGG19Features,
    load_vgg19,
    probe_image,
)

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)


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


def test_names_are_torchvisions(network):
    expected = {f"features.{position}.{kind}" for position in CONVOLUTIONS for kind in ("weight", "bias")}
    assert set(network.state_dict()) == expected
    assert network.features[16].weight.shape == (256, 256, 3, 3)
    assert network.features[28].weight.shape == (512, 512, 3, 3)


def test_maps_equal_the_architecture_written_out(network, images):
    rgb = images.repeat(1, 3, 1, 1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    hidden = (rgb - mean[None, :, None, None]) / deviation[None, :, None, None]
    names = ["1_1", "1_2", "pool", "2_1", "2_2", "pool", "3_1", "3_2", "3_3", "3_4"]
    names += ["pool", "4_1", "4_2", "4_3", "4_4", "pool", "5_1"]
    convolutions = iter(CONVOLUTIONS)
    maps = network(images)
    for name in names:
        if name == "pool":
            hidden = functional.avg_pool2d(hidden, 2)
            continue
        layer = network.features[next(convolutions)]
        hidden = functional.conv2d(hidden, layer.weight, layer.bias, padding=1).relu()
        if f"relu{name}" in maps:
            torch.testing.assert_close(maps.pop(f"relu{name}"), hidden)
    assert not maps


def test_maps_are_the_layers_of_style_and_content(network, images):
    assert list(network(images)) == [*STYLE_LAYERS[:4], CONTENT_LAYER, STYLE_LAYERS[4]] == list(OXFORD_MEANS)


def test_a_batch_equals_its_images_one_by_one(network, images):
    together = network(images)
    for i in range(len(images)):
        for name, maps in network(images[i : i + 1]).items():
            torch.testing.assert_close(maps[0], together[name][i], rtol=1e-4, atol=1e-4)


def test_only_the_images_receive_gradients(network, images):
    images = images.clone().requires_grad_()
    network(images)["relu5_1"].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    assert not network.training


@pytest.mark.parametrize("size", [(16, 16), (20, 36)])
def test_the_grey_fold_is_exact_to_the_border(size):
    network = VGG19Features(seed=1).double()
    network.get_parameter("features.0.bias").normal_(generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    normalised = (images.expand(-1, 3, -1, -1) - network.mean.double()) / network.std.double()
    first = network.features[0]
    expected = functional.conv2d(normalised, first.weight, first.bias, padding=1)
    torch.testing.assert_close(network.grey_convolution(images), expected, rtol=0, atol=1e-13)


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


def test_float64_is_float64_throughout(images):
    maps = VGG19Features().double()(images)
    assert {layer.dtype for layer in maps.values()} == {torch.float64}


def test_a_seed_alone_decides_the_weights():
    before = torch.get_rng_state()
    first, again, other = VGG19Features(seed=1), VGG19Features(seed=1), VGG19Features(seed=2)
    loaded, reloaded = load_vgg19("random", seed=1), load_vgg19("random", seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), reloaded.parameters(), strict=True))
    assert not torch.equal(first.features[0].weight, other.features[0].weight)
    assert first.features[25].weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert not first.features[25].bias.any()


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


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32), (1, 1, 32, 15)])
def test_wrong_images_are_refused(shape, network):
    with pytest.raises(ValueError, match=r"images must be \(B, 1, H, W\), H and W at least 16"):
        network(torch.zeros(shape))


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
