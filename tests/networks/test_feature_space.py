from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks import feature_space
from monai_aggrgan.networks.feature_space import FeatureSpace, custom_space, pixel_space, vgg19_space
from monai_aggrgan.networks.vgg19_embedding import VGG19Embedding
from monai_aggrgan.networks.vgg19_weights import load_vgg19


class Maps(nn.Module):
    """What a user's network may be: maps of three channels."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, width, 3, stride=2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images)


def images(count: int = 3, size: int = 32, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def script(tmp_path):
    """A TorchScript file and the module in it."""
    torch.manual_seed(0)
    module = Maps()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(tmp_path / "mine.ts"))
    return tmp_path / "mine.ts", module


def test_vgg19_shrinks_images_to_64_pixels_and_no_farther():
    network = load_vgg19("random", seed=1)
    space, embed = vgg19_space(network, weights_name="random"), VGG19Embedding(network)
    large = images(2, 128)
    means = large.view(2, 1, 64, 2, 64, 2).mean(dim=(3, 5))
    torch.testing.assert_close(space(large), embed(means), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(space(large[..., :40, :40]), embed(large[..., :40, :40]))
    assert space(images(1, 8)).shape == (1, 1280)  # enlarged to what VGG-19 can take
    assert "random weights" in space.description and "64" in space.description
    assert (space.whitening, vgg19_space(network, weights_name="vgg19.pth").whitening) == ("everything", "distances")


def test_pixels_are_means_over_areas():
    space = pixel_space()
    found = space(images(2, 128))
    torch.testing.assert_close(found, images(2, 128).view(2, 32, 4, 32, 4).mean(dim=(2, 4)).flatten(1))
    assert (space.name, found.dtype) == ("pixels", torch.float32)


def test_images_that_are_enlarged_equal_pillows():
    found = FeatureSpace("x", "x", nn.Flatten(), size=50)(images(1, 32))
    pillow = Image.fromarray(images(1, 32)[0, 0].numpy()).resize((50, 50), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found.view(50, 50).numpy(), np.asarray(pillow), atol=1e-5)


def test_channels_are_repeated_and_normalised():
    seen = []
    network = lambda batch: (seen.append(batch), batch.mean(dim=(2, 3)))[1]  # noqa: E731
    FeatureSpace("x", "x", network, channels=3, mean=[0.1, 0.2, 0.3], std=[1, 2, 4])(images())
    expected = [(images()[:, 0] - mean) / std for mean, std in ((0.1, 1), (0.2, 2), (0.3, 4))]
    torch.testing.assert_close(seen[0], torch.stack(expected, dim=1))


def test_features_do_not_depend_on_blocks_and_memory_is_flat(monkeypatch):
    monkeypatch.setattr(feature_space, "BLOCK", 2)
    seen = []
    space = FeatureSpace("x", "x", lambda batch: (seen.append(len(batch)), batch.flatten(1))[1], size=8)
    together = space(images(5))
    assert seen == [2, 2, 1]
    torch.testing.assert_close(together, torch.cat([space(image[None]) for image in images(5)]))


def test_networks_judge_without_gradients_or_batch_statistics():
    norm = nn.Sequential(nn.BatchNorm2d(1, affine=True), nn.Dropout(0.5), nn.Flatten()).train()
    space = FeatureSpace("x", "x", norm, size=8)
    found = space(MetaTensor(images().requires_grad_()))
    assert type(found) is torch.Tensor and not found.requires_grad
    torch.testing.assert_close(found[:1], space(images()[:1]))
    torch.testing.assert_close(norm[0].running_mean, torch.zeros(1))


@pytest.mark.parametrize(
    "wrap", [lambda x: (x + 1, x), lambda x: [x], lambda x: {"a": x + 1, "b": x}, lambda x: {"features": x, "n": 3}]
)
def test_the_last_tensor_of_an_output_counts(wrap):
    plain = FeatureSpace("x", "x", nn.Flatten())
    torch.testing.assert_close(FeatureSpace("x", "x", lambda batch: wrap(batch.flatten(1)))(images()), plain(images()))


def test_maps_are_averaged_over_space():
    layer = nn.Conv2d(1, 4, 3)
    found = FeatureSpace("x", "x", layer)(images())
    torch.testing.assert_close(found, layer(images()).flatten(2).mean(dim=2).detach())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda batch: batch.flatten(1) / 0, "'mine' gives features that are infinite"),
        (lambda batch: batch[:, 0], r"'mine' must give features \(3, D\) or maps .* got shape \(3, 32, 32\)"),
        (lambda batch: batch.flatten(1)[:1], r"got shape \(1, 1024\)"),
        (lambda batch: "nothing", "'mine' must give .* got no tensor"),
        (nn.Conv2d(3, 4, 3), r"'mine' cannot take images \(3, 1, 32, 32\) \(RuntimeError"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(network, message):
    with pytest.raises(InputError, match=message):
        FeatureSpace("mine", "mine", network)(images())


@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (3, 32, 32), (0, 1, 32, 32)])
def test_wrong_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"images must be \(B, 1, H, W\)"):
        pixel_space()(torch.zeros(shape))


def test_a_script_file_gives_its_modules_features(script):
    path, module = script
    spec = {"path": path, "size": 16, "channels": 3, "mean": 0.5, "std": [0.1, 0.2, 0.3]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space = custom_space("radimagenet", spec)
        found = space(images())
    assert space.description == f"mine.ts (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}), " + (
        "images at 16 pixels"
    )
    direct = FeatureSpace("x", "x", module, size=16, channels=3, mean=0.5, std=(0.1, 0.2, 0.3))
    torch.testing.assert_close(found, direct(images()))
    assert not any(parameter.requires_grad for parameter in space.network.parameters())


def test_a_module_is_made_from_its_dotted_path():
    space = custom_space("mine", {"target": "torch.nn.AvgPool2d", "kernel_size": 8, "size": 16, "channels": 2})
    found = space(images())
    expected = images().mean(dim=(1, 2, 3))
    torch.testing.assert_close(found, torch.stack([expected, expected], dim=1), rtol=1e-5, atol=1e-6)
    assert space.description.startswith("torch.nn.AvgPool2d")


def test_a_network_of_monai_serves_as_a_space():
    spec = {
        "_target_": "monai.networks.nets.DenseNet121",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 7,
        "size": 32,
    }
    assert custom_space("densenet", spec)(images(2)).shape == (2, 7)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"path": "nowhere.ts"}, "'mine': there is no file 'nowhere.ts'"),
        ({"size": 3}, r"'mine' must name a path or a target, got \['size'\]"),
        ({"path": "nowhere.ts", "sise": 3}, r"'mine' has unknown keys \['sise'\]"),
        ({"_target_": "torch.nn.Nothing"}, "'mine': cannot make torch.nn.Nothing"),
        ({"_target_": "torch.nn.Conv2d", "wrong": 1}, "'mine': cannot make torch.nn.Conv2d"),
        ({"_target_": "torch.arange", "end": 3}, "torch.arange must be a torch module, got Tensor"),
        ({"_target_": "torch.nn.Flatten", "size": 0}, "size must be a positive integer, got 0"),
        ({"_target_": "torch.nn.Flatten", "channels": 1.5}, "channels must be a positive integer, got 1.5"),
        ({"_target_": "torch.nn.Flatten", "channels": 3, "mean": [0, 1]}, r"one for each of 3 channels, got \[0, 1\]"),
        ({"_target_": "torch.nn.Flatten", "std": "wide"}, "std must be one number.* got 'wide'"),
        ({"_target_": "torch.nn.Flatten", "std": 0}, "std positive, got 0.0 and 0"),
    ],
)
def test_wrong_descriptions_are_refused_in_one_sentence(spec, message):
    with pytest.raises(InputError, match=message) as caught:
        custom_space("mine", spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [lambda path: path.write_bytes(b"no script"), lambda path: torch.save({}, path)])
def test_files_that_are_no_script_are_refused(tmp_path, write):
    write(tmp_path / "mine.pt")
    with pytest.raises(InputError, match=r"mine.pt' cannot be read as a TorchScript module"):
        custom_space("mine", {"path": tmp_path / "mine.pt"})
