from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import SSIMMetric
from torch import Tensor

from monai_aggrgan.inferers import AggregationInferer, AGGrGANInferer, StyleTransferInferer
from monai_aggrgan.networks import DCGAN1Generator, DCGAN2Generator, GeneratorEnsemble, load_vgg19

SIZE = 32


@pytest.fixture(scope="module")
def references() -> Tensor:
    return torch.rand(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def ensemble() -> GeneratorEnsemble:
    members = {
        "dcgan1": DCGAN1Generator(image_size=SIZE, base_width=4, latent_size=4),
        "dcgan2": DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=6),
    }
    with torch.no_grad():
        for member in members.values():
            for weight in member.parameters():
                weight.mul_(6)  # as drawn, all images are nearly one grey
    return GeneratorEnsemble(members)


@pytest.fixture(scope="module")
def inferer() -> AGGrGANInferer:
    features = load_vgg19("random")
    return AGGrGANInferer(AggregationInferer(pool_size=5), StyleTransferInferer(max_iterations=2), features)


@pytest.fixture(scope="module")
def evaluator(references: Tensor, ensemble: GeneratorEnsemble, inferer: AGGrGANInferer) -> SupervisedEvaluator:
    """An evaluator over real images whose `pred` are the synthetic images paired with them, after its run."""
    ssim = IgniteMetricHandler(
        metric_fn=SSIMMetric(spatial_dims=2, data_range=1.0), output_transform=from_engine(["pred", "image"])
    )
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": image} for image in references]), batch_size=2),
        network=ensemble,
        inferer=inferer,
        key_val_metric={"ssim": ssim},
        decollate=False,
    )
    preds: list[Tensor] = []
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: preds.append(engine.state.output["pred"]))
    evaluator.run()
    evaluator.state.preds = torch.cat(preds)
    return evaluator


def test_equals_aggregation_and_then_style_transfer(evaluator, references, ensemble, inferer):
    merged = AggregationInferer(pool_size=5)(references, ensemble)
    restyled = StyleTransferInferer(max_iterations=2)(references, inferer.features, content=merged)
    preds = evaluator.state.preds
    assert preds.shape == references.shape and not preds.requires_grad
    torch.testing.assert_close(preds, restyled, rtol=0, atol=1e-3)  # L-BFGS amplifies the rounding of other batches
    assert (preds - merged).abs().max() > 0.01  # the style has come


def test_the_evaluator_judges_the_synthetic_image_against_its_reference(evaluator, references):
    expected = SSIMMetric(spatial_dims=2, data_range=1.0)(evaluator.state.preds, references).mean().item()
    assert evaluator.state.metrics["ssim"] == pytest.approx(expected, abs=1e-6)


def test_both_steps_report_on_the_last_batch(evaluator, inferer):
    assert len(inferer.aggregation.reports) == len(inferer.style_transfer.reports) == 1  # 3 images in batches of 2
    assert inferer.style_transfer.reports[0].iterations == 2


def test_style_transfer_starts_from_the_merged_image_never_from_the_real_one(references, ensemble, inferer):
    nothing_done = AGGrGANInferer(inferer.aggregation, StyleTransferInferer(max_iterations=0), inferer.features)
    result = nothing_done(references, ensemble)
    assert torch.equal(result, inferer.aggregation(references, ensemble))
    assert (result - references).abs().mean() > 0.1


@pytest.mark.parametrize("shape", [(2, 1, 32), (2, 1, 32, 32, 32)])
def test_signals_and_volumes_are_refused_before_anything_is_made(inferer, shape):
    with pytest.raises(ValueError, match=r"inputs must be images \(B, 1, H, W\) to lend their style, got shape \(2, 1"):
        inferer(torch.rand(shape), None)
