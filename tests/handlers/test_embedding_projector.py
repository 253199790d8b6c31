"""Points in TensorBoard's projector: read through the projector itself, from files that are looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from ignite.engine import Engine
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from werkzeug.test import Client

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.handlers.embedding_projector import EmbeddingProjectorHandler, small_pixels
from monai_aggrgan.networks.dcgan import DCGAN2Generator

LATENTS = NormalLatents(6).from_seeds(range(5))
TAG = "glioma/features"


def _images(count: int, *, seed: int, size: int = 64) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


REAL = {"training": _images(9, seed=1), "held_out": _images(4, seed=2)}


def _generator() -> DCGAN2Generator:
    return DCGAN2Generator(image_size=64, base_width=4, latent_size=6)


def _run(folder: Path, *, max_epochs: int = 1, generator: nn.Module | None = None, **options: Any) -> None:
    generator = _generator() if generator is None else generator
    settings = {"real": REAL, "interval": 1, "tag": TAG, "log_dir": str(folder), **options}
    handler = EmbeddingProjectorHandler(generator, LATENTS, **settings)
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([0, 1], max_epochs=max_epochs)
    handler.close()


class Projector:
    """TensorBoard's projector on a folder of logs."""

    def __init__(self, folder: Path) -> None:
        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
        provider = MultiplexerDataProvider(multiplexer, str(folder))
        plugin = ProjectorPlugin(TBContext(logdir=str(folder), data_provider=provider, multiplexer=multiplexer))
        self.apps = plugin.get_plugin_apps()

    def get(self, what: str, epoch: int) -> Any:
        response = Client(self.apps[f"/{what}"]).get(query_string={"run": ".", "name": f"{TAG}:{epoch:05d}"})
        assert response.status_code == 200, response.text
        return response

    def names(self) -> list[str]:
        return [info["tensorName"] for info in self.get("info", 0).json["embeddings"]]

    def points(self, epoch: int) -> np.ndarray:
        features = np.frombuffer(self.get("tensor", epoch).data, dtype=np.float32)
        return features.reshape(len(self.labels(epoch)), -1)

    def labels(self, epoch: int) -> list[str]:
        return self.get("metadata", epoch).text.splitlines()

    def sprite(self, epoch: int, folder: Path) -> np.ndarray:
        path = folder / "downloaded.png"
        path.write_bytes(self.get("sprite_image", epoch).data)
        return np.asarray(Image.open(path))


def _named(epochs: list[int]) -> list[str]:
    return [f"{TAG}:{epoch:05d}" for epoch in epochs]


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (9, [3])])
def test_points_are_written_at_each_due_epoch_and_at_the_last_once(tmp_path, interval, epochs):
    _run(tmp_path, interval=interval, max_epochs=3)
    assert Projector(tmp_path).names() == _named(epochs)


def _blocks(images: Tensor, size: int) -> np.ndarray:
    """Means of the blocks that an image is reduced to."""
    array = images[:, 0].numpy()
    block = array.shape[-1] // size
    return array.reshape(-1, size, block, size, block).mean(axis=(2, 4))


def test_the_projector_shows_features_labels_and_thumbnails_of_all_groups(tmp_path):
    generator = _generator()
    _run(tmp_path, generator=generator)
    with torch.no_grad():
        images = torch.cat([REAL["training"], REAL["held_out"], generator.eval()(LATENTS)])
    projector = Projector(tmp_path)
    assert projector.labels(1) == ["training"] * 9 + ["held_out"] * 4 + ["generated"] * 5
    np.testing.assert_allclose(projector.points(1), _blocks(images, 16).reshape(18, 256), atol=6e-5)
    sprite = projector.sprite(1, tmp_path)
    assert sprite.shape == (5 * 32, 5 * 32, 3)
    tiles = sprite[..., 0].reshape(5, 32, 5, 32).swapaxes(1, 2).reshape(25, 32, 32)
    assert np.abs(tiles[:18] - _blocks(images, 32) * 255).max() <= 1.01
    assert not tiles[20:].any()


def test_the_files_name_one_another_and_need_no_tensorflow(tmp_path):
    _run(tmp_path)
    assert "tensorflow" not in sys.modules
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (info,) = config.embeddings
    assert list(info.sprite.single_image_dim) == [32, 32]
    for path in (info.tensor_path, info.metadata_path, info.sprite.image_path):
        assert (tmp_path / path).stat().st_size > 0
    assert len((tmp_path / info.tensor_path).read_text().splitlines()) == 18
    assert not list(tmp_path.glob(".partial*"))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 250.0])
def test_features_are_short_text_that_is_right_to_a_thousandth_of_the_largest(tmp_path, scale):
    _run(tmp_path, embedding=lambda images: small_pixels(images) * scale)
    text = next(tmp_path.glob("00001/*/tensors.tsv")).read_text()
    assert all(len(value.replace(".", "").lstrip("0")) <= 4 or "e" in value for value in text.split())
    values = np.array([line.split("\t") for line in text.splitlines()], dtype=float)
    exact = small_pixels(torch.cat([REAL["training"], REAL["held_out"]])).numpy() * scale
    assert np.abs(values[:13] - exact).max() <= exact.max() / 1000


def test_images_without_any_brightness_have_points(tmp_path):
    _run(tmp_path, embedding=lambda images: torch.zeros(len(images), 3))
    np.testing.assert_array_equal(Projector(tmp_path).points(1), np.zeros((18, 3)))


class _Recorder(nn.Module):
    """An embedding that keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.asked.append(images)
        return images.flatten(1)[:, :3]


def test_real_images_are_embedded_once_and_fakes_anew(tmp_path):
    embedding = _Recorder()
    _run(tmp_path, embedding=embedding, max_epochs=2)
    assert [len(images) for images in embedding.asked] == [9, 4, 5, 5]
    points = Projector(tmp_path).points(2)
    np.testing.assert_allclose(points[:9], REAL["training"].flatten(1)[:, :3], atol=6e-4)


@pytest.mark.parametrize(("count", "kept"), [(1, [0]), (2, [0, 4]), (4, [0, 2, 4, 6]), (9, range(9)), (50, range(9))])
def test_a_group_is_thinned_evenly(tmp_path, count, kept):
    grey = torch.arange(9.0).div(10).view(9, 1, 1, 1).expand(-1, 1, 64, 64)
    _run(tmp_path, count=count, real={"training": grey})
    projector = Projector(tmp_path)
    assert projector.labels(1) == ["training"] * len(kept) + ["generated"] * min(count, 5)
    np.testing.assert_allclose(projector.points(1)[: len(kept), 0], np.array(kept) / 10, atol=1e-6)


def test_a_resumed_run_adds_to_what_an_earlier_one_wrote(tmp_path):
    _run(tmp_path, max_epochs=3)
    before = Projector(tmp_path).points(2)
    options = {"real": REAL, "interval": 1, "tag": TAG, "log_dir": str(tmp_path)}
    handler = EmbeddingProjectorHandler(
        _generator(), LATENTS, embedding=lambda images: -small_pixels(images), **options
    )
    engine = Engine(lambda engine, batch: None)
    engine.load_state_dict({"epoch_length": 2, "max_epochs": 4, "iteration": 4})  # saved at epoch 2, killed after 3
    handler.attach(engine)
    engine.run([0, 1])
    handler.close()
    projector = Projector(tmp_path)
    assert projector.names() == _named([1, 2, 3, 4])
    np.testing.assert_array_equal(projector.points(2), before)
    assert all((projector.points(epoch) < 0).all() for epoch in (3, 4))


def test_two_handlers_share_a_writer(tmp_path):
    writer, engine = SummaryWriter(str(tmp_path)), Engine(lambda engine, batch: None)
    for tag in ("raw", TAG):
        EmbeddingProjectorHandler(_generator(), LATENTS, real=REAL, tag=tag, summary_writer=writer).attach(engine)
    engine.run([0], max_epochs=2)
    writer.add_scalar("still/open", 1.0, 0)
    writer.close()
    assert Projector(tmp_path).names() == ["raw:00002", f"{TAG}:00002"]


@pytest.mark.parametrize("training", [True, False])
def test_the_training_does_not_notice(tmp_path, training):
    generator = _generator().train(training)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    state = torch.get_rng_state()
    _run(tmp_path, generator=generator)
    assert generator.training is training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval must be at least 1, got 0"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"real": {"generated": REAL["training"]}}, "may not be called generated"),
        ({"real": {"training": REAL["training"][:0]}}, r"got \(0, 1, 64, 64\) for training"),
        ({"real": {"training": REAL["training"].expand(-1, 3, -1, -1)}}, r"got \(9, 3, 64, 64\) for training"),
        ({"real": {"held_out": REAL["training"][0]}}, r"got \(1, 64, 64\) for held_out"),
    ],
)
def test_options_are_checked_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        _run(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
