"""Answers among given images."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator

from monai_aggrgan.inferers import NearestInferer, SelectionInferer, make_pool
from monai_aggrgan.networks import DCGAN2Generator


def images(count: int, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_images_that_are_among_the_given_find_themselves(metric):
    given = images(5)
    answers = NearestInferer(given, metric=metric)(MetaTensor(given[[3, 0, 3]]), torch.nn.Identity())
    assert torch.equal(answers, given[[3, 0, 3]]) and type(answers) is torch.Tensor


def test_a_generators_pool_is_answered_from_as_by_selection():
    generator, references = DCGAN2Generator(image_size=16, base_width=2), images(3, seed=1)
    pool = make_pool(generator, seeds=range(8))
    assert torch.equal(NearestInferer(pool)(references), SelectionInferer(pool_size=8)(references, generator))


def test_it_answers_in_monais_evaluator():
    given = images(4)
    loader = [{"image": given[:3] * 0.99}]
    evaluator = SupervisedEvaluator("cpu", loader, network=torch.nn.Identity(), inferer=NearestInferer(given))
    evaluator.run()
    assert [output["pred"].equal(image) for output, image in zip(evaluator.state.output, given, strict=False)] == [
        True
    ] * 3


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="ssim"):
        NearestInferer(images(2), metric="mse")(images(1))
