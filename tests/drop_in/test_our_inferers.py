"""Our inferers and metrics in somebody's `SupervisedEvaluator` over files that MONAI reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from ignite.metrics import MeanAbsoluteError
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, MetricsSaver, StatsHandler, from_engine
from monai.inferers import Inferer
from monai.metrics import CumulativeIterationMetric, SSIMMetric
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    SaveImaged,
    ScaleIntensityRanged,
    Transposed,
)
from torch import Tensor, nn

from monai_aggrgan.inferers import (
    AggregationInferer,
    AGGrGANInferer,
    NearestInferer,
    SelectionInferer,
    StyleTransferInferer,
)
from monai_aggrgan.metrics import (
    CoverageMetric,
    DensityMetric,
    FrechetDistanceMetric,
    HistogramKLMetric,
    KernelDistanceMetric,
    PrecisionMetric,
    RecallMetric,
    SharpnessDifferenceMetric,
)
from monai_aggrgan.networks import DCGAN2Generator, GeneratorEnsemble, load_vgg19, pixel_space

CHAIN = Compose(
    [
        LoadImaged("image"),
        EnsureChannelFirstd("image", channel_dim="no_channel"),
        Transposed("image", (0, 2, 1)),  # rows first
        ScaleIntensityRanged("image", 0, 1200, 0, 1, clip=True),
    ]
)


@pytest.fixture(scope="session")
def real(phantoms) -> CacheDataset:
    """The eight slices of a class from their files, with MONAI's metadata."""
    files = [{"image": str(path)} for path in sorted(phantoms.glob("blob/*.nii.gz"))]
    return CacheDataset(files, CHAIN, progress=False)


@pytest.fixture(scope="session")
def ensemble() -> GeneratorEnsemble:
    members = {name: DCGAN2Generator(image_size=32, base_width=4, seed=seed) for seed, name in enumerate("abc")}
    return GeneratorEnsemble(members).eval()


def _images(data: CacheDataset) -> Tensor:
    return torch.stack([item["image"].as_tensor() for item in data])


def _whole() -> AGGrGANInferer:
    style = StyleTransferInferer(max_iterations=1)
    return AGGrGANInferer(AggregationInferer(pool_size=8), style, load_vgg19("random"))


INFERERS: dict[str, Callable[[GeneratorEnsemble], tuple[Inferer, nn.Module]]] = {
    "aggregation": lambda ensemble: (AggregationInferer(pool_size=8), ensemble),
    "aggrgan": lambda ensemble: (_whole(), ensemble),
    "selection": lambda ensemble: (SelectionInferer(pool_size=8), ensemble.generators["a"]),
    "nearest": lambda ensemble: (NearestInferer(torch.rand(5, 1, 32, 32)), nn.Identity()),
}
PAIR = from_engine(["pred", "image"])


def _evaluator(data: Any, network: nn.Module, inferer: Inferer, **options: Any) -> SupervisedEvaluator:
    loader = DataLoader(data, batch_size=3)
    return SupervisedEvaluator(torch.device("cpu"), loader, network=network, inferer=inferer, **options)


@pytest.mark.parametrize("name", INFERERS)
def test_an_evaluator_answers_every_image_as_the_inferer_does(real, ensemble, name):
    inferer, network = INFERERS[name](ensemble)
    kept: list[Tensor] = []
    ssim = IgniteMetricHandler(metric_fn=SSIMMetric(spatial_dims=2, data_range=1.0), output_transform=PAIR)
    evaluator = _evaluator(
        real,
        network,
        inferer,
        postprocessing=lambda item: kept.append(item["pred"]) or item,
        key_val_metric={"ssim": ssim},
        val_handlers=[StatsHandler(name="judged", output_transform=lambda output: None)],
    )
    evaluator.run()
    images = _images(real)
    with torch.no_grad():
        expected = torch.cat([inferer(batch, network) for batch in images.split(3)])
    found = torch.stack([torch.as_tensor(image) for image in kept])
    assert found.shape == images.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert 0 <= found.min() <= found.max() <= 1
    of_all = SSIMMetric(spatial_dims=2, data_range=1.0)(expected, images).mean().item()
    assert evaluator.state.metrics["ssim"] == pytest.approx(of_all, abs=1e-5)


METRICS: dict[str, Callable[[], CumulativeIterationMetric]] = {
    "kl": HistogramKLMetric,
    "sd": SharpnessDifferenceMetric,
    "kid": lambda: KernelDistanceMetric(pixel_space(8)),
    "frechet": lambda: FrechetDistanceMetric(pixel_space(8)),
    "precision": lambda: PrecisionMetric(pixel_space(8)),
    "recall": lambda: RecallMetric(pixel_space(8)),
    "density": lambda: DensityMetric(pixel_space(8)),
    "coverage": lambda: CoverageMetric(pixel_space(8)),
}


@pytest.mark.parametrize("decollate", [True, False])
def test_our_metrics_judge_in_an_evaluator_beside_ignites(real, ensemble, tmp_path, decollate):
    inferer = AggregationInferer(pool_size=8)
    per_image = ("kl", "sd")
    handlers = {
        name: IgniteMetricHandler(metric_fn=make(), output_transform=PAIR, save_details=name in per_image)
        for name, make in METRICS.items()
    }
    others = {"mae": MeanAbsoluteError(lambda output: tuple(map(_pixels, PAIR(output))))}
    evaluator = _evaluator(
        real,
        ensemble,
        inferer,
        key_val_metric={"kl": handlers.pop("kl")},
        additional_metrics=handlers | others,
        metric_cmp_fn=lambda current, best: current < best,
        val_handlers=[MetricsSaver(str(tmp_path), metrics="*", metric_details=per_image, batch_transform=_names)],
        decollate=decollate,
    )
    evaluator.run()
    images = _images(real)
    answers = torch.cat([inferer(batch, ensemble) for batch in images.split(3)])
    assert evaluator.state.metrics["mae"] == pytest.approx((answers - images).abs().mean().item(), rel=1e-4)
    for name, make in METRICS.items():
        metric = make()
        metric(answers, images)
        expected = metric.aggregate().item()
        assert math.isfinite(expected)
        assert evaluator.state.metrics[name] == pytest.approx(expected, rel=1e-4), name
    assert evaluator.state.best_metric == evaluator.state.metrics["kl"]
    assert len((tmp_path / "sd_raw.csv").read_text().splitlines()) == 1 + 8


def _pixels(images: Any) -> Tensor:
    """All pixels, for a metric that takes the mean over the first dimension."""
    return (images if isinstance(images, Tensor) else torch.stack([*images])).flatten()


def _names(batch: Any) -> Any:
    """Metadata of each image, from a batch or a list of items."""
    items = batch if isinstance(batch, list) else [{"image": image} for image in batch["image"]]
    return [item["image"].meta for item in items] if isinstance(batch, list) else batch["image"].meta


def test_monais_saver_writes_the_answers_in_the_place_of_their_references(real, ensemble, tmp_path):
    inferer = AggregationInferer(pool_size=8)
    restore = Compose([_with_metadata, SaveImaged("pred", output_dir=tmp_path, separate_folder=False, resample=False)])
    _evaluator(real, ensemble, inferer, postprocessing=restore).run()
    written = sorted(tmp_path.glob("*.nii.gz"))
    references = sorted(Path(item["image"].meta["filename_or_obj"]).name for item in real)
    assert [path.name.replace("_trans", "") for path in written] == references
    expected = inferer(_images(real), ensemble)
    found = np.stack([nibabel.load(path).get_fdata().squeeze() for path in written])
    np.testing.assert_allclose(found, expected[:, 0], atol=1e-6)


def _with_metadata(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "pred": MetaTensor(item["pred"], meta=item["image"].meta)}
