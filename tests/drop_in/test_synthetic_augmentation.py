"""`RandSyntheticSliced` in an ordinary classification training of MONAI."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, PersistentDataset, ThreadDataLoader, decollate_batch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ROCAUC, MetricLogger, StatsHandler, ValidationHandler, from_engine
from monai.inferers import SimpleInferer
from monai.networks.nets import resnet10
from monai.transforms import (
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    RandFlipd,
    ScaleIntensityRanged,
)
from torch import Tensor

from monai_aggrgan.data import PHANTOM_CLASSES, PreparedSlices, hash_by_content
from monai_aggrgan.networks import DCGAN2Generator
from monai_aggrgan.transforms import RandSyntheticSliced

LOADING = (
    LoadImaged("image"),
    EnsureChannelFirstd("image", channel_dim="no_channel"),
    ScaleIntensityRanged("image", 0, 1200, 0, 1, clip=True),
)


@pytest.fixture(scope="session")
def files(phantoms) -> list[dict[str, Any]]:
    """24 files of three classes."""
    return [
        {"image": str(path), "label": label}
        for label, name in enumerate(PHANTOM_CLASSES)
        for path in sorted(phantoms.glob(f"{name}/*.nii.gz"))
    ]


def _marked() -> list[Tensor]:
    """Finished images of which each class has its own bright quarter: what real slices do not have."""
    images = torch.zeros(3, 4, 1, 32, 32)
    for label, (row, column) in enumerate([(0, 0), (0, 16), (16, 0)]):
        images[label, :, :, row : row + 16, column : column + 16] = torch.tensor([0.6, 0.7, 0.8, 0.9]).view(4, 1, 1, 1)
    return [*images]


def _classifier() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet10(spatial_dims=2, n_input_channels=1, num_classes=3, feed_forward=True, widen_factor=0.125)


def _trainer(loader: Any, network: torch.nn.Module, *, epochs: int = 1, **options: Any) -> SupervisedTrainer:
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), 1e-2),
        loss_function=torch.nn.CrossEntropyLoss(),
        inferer=SimpleInferer(),
        **options,
    )


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_a_classifier_learns_from_the_synthetic_images(files, mode):
    """It is right on images that only the transform can have shown it."""
    augment = RandSyntheticSliced("image", _marked(), prob=1.0, mode=mode)
    chain = Compose([*LOADING, augment, NormalizeIntensityd("image", 0.5, 0.5)]).set_random_state(0)
    data = CacheDataset(files, chain, progress=False)
    network = _classifier()
    judged = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(
            [{"image": (image - 0.5) / 0.5, "label": k} for k, of in enumerate(_marked()) for image in of],
            batch_size=12,
        ),
        network=network,
        postprocessing=Compose([AsDiscreted("label", to_onehot=3)]),
        key_val_metric={"auc": ROCAUC(output_transform=from_engine(["pred", "label"]))},
    )
    logger = MetricLogger(loss_transform=lambda output: output[0]["loss"])
    handlers = [
        ValidationHandler(interval=4, validator=judged),
        logger,
        StatsHandler(name="loss", output_transform=lambda output: output[0]["loss"]),
    ]
    loader = DataLoader(data, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0))
    trainer = _trainer(loader, network, epochs=4, train_handlers=handlers)
    trainer.run()
    assert trainer.state.iteration == 12
    assert judged.state.metrics["auc"] == pytest.approx(1, abs=0.01)
    assert logger.loss[-1][1] < logger.loss[0][1]
    untrained = _classifier()
    with torch.no_grad():
        right = [(untrained((of - 0.5) / 0.5).argmax(1) == label).float().mean() for label, of in enumerate(_marked())]
    assert sum(right) < 2  # nor does it know them by itself


@pytest.mark.parametrize("mode", ["replace", "add"])
@pytest.mark.parametrize("kind", ["cache", "disk", "threads", "workers"])
def test_batches_hold_real_and_synthetic_images_by_their_labels(files, tmp_path, mode, kind):
    marked = _marked()
    generated = RandSyntheticSliced("image", marked, prob=0.5, mode=mode)
    chain = Compose([*LOADING, generated, RandFlipd("image", prob=0.0)]).set_random_state(4)
    if kind == "disk":
        data: Any = PersistentDataset(files, chain, cache_dir=tmp_path, hash_func=hash_by_content)
    else:
        data = CacheDataset(files, chain, progress=False)
    make = ThreadDataLoader if kind == "threads" else DataLoader
    loader = make(data, batch_size=6, num_workers=1 if kind == "workers" else 0)
    for _ in range(2):  # the second epoch is one of what is cached
        kept = [item for batch in loader for item in decollate_batch(batch)]
    synthetic = [item for item in kept if item["synthetic"]]
    assert 4 <= len(synthetic) <= 20
    assert len(kept) == 24 if mode == "replace" else 24 + len(synthetic)
    for item in synthetic:
        assert any(torch.equal(torch.as_tensor(item["image"]), image) for image in marked[item["label"]])
        assert not any(torch.equal(torch.as_tensor(item["image"]), image) for image in marked[item["label"] - 1])
    real = {_content(item): item["label"] for item in CacheDataset(files, LOADING, progress=False)}
    assert all(real[_content(item)] == item["label"] for item in kept if not item["synthetic"])


def _content(item: dict[str, Any]) -> bytes:
    return np.asarray(item["image"]).tobytes()


def test_a_training_with_generators_in_a_worker(prepared):
    """Untrained generators, for their speed: every batch has their images, and no graph of theirs."""
    real = [
        {**item, "label": label}
        for label, name in enumerate(PHANTOM_CLASSES)
        for item in PreparedSlices(prepared, class_name=name)
    ]
    generators = [DCGAN2Generator(image_size=32, base_width=4, seed=seed) for seed in range(3)]
    augment = RandSyntheticSliced("image", generators, prob=0.5).set_random_state(0)
    seen: list[Tensor] = []
    loader = DataLoader(CacheDataset(real, [augment], progress=False), batch_size=6, num_workers=1)
    trainer = _trainer(loader, _classifier(), epochs=2, postprocessing=lambda item: seen.append(item) or item)
    trainer.run()
    flags = [bool(item["synthetic"]) for item in seen]
    assert len(flags) == 36
    assert 8 < sum(flags) < 28
    assert all(not item["image"].requires_grad and item["image"].shape == (1, 32, 32) for item in seen)
    assert all(generator.training for generator in generators)
