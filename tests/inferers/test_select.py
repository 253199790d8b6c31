from __future__ import annotations

import copy
import math

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import PSNRMetric, SSIMMetric
from torch import Tensor, nn

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.inferers.select import Selection, SelectionInferer, make_pool, select_candidates
from monai_aggrgan.networks import DCGAN1Generator, DCGAN2Generator, GeneratorEnsemble

SIZE = 16


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def vivid(network: DCGAN2Generator) -> DCGAN2Generator:
    """The network with larger weights: as drawn, all its images are nearly one grey."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(6)
    return network


@pytest.fixture(scope="module")
def generator() -> DCGAN2Generator:
    return vivid(DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=6))


class Counting(nn.Module):
    """An untrainable generator that notes the size of every batch it is asked for."""

    latent_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.batches: list[int] = []
        self.modes: list[bool] = []

    def forward(self, latent: Tensor) -> Tensor:
        self.batches.append(len(latent))
        self.modes.append(self.training)
        return (self.weight * latent.sum(1).sigmoid())[:, None, None, None].expand(-1, 1, SIZE, SIZE)


def test_seed_i_makes_image_i_whatever_the_batch(generator):
    together = make_pool(generator, seeds=range(10))
    assert together.shape == (10, 1, SIZE, SIZE) and together.dtype == torch.float32
    torch.testing.assert_close(make_pool(generator, seeds=range(10), batch_size=3), together, rtol=0, atol=1e-6)
    torch.testing.assert_close(make_pool(generator, seeds=range(4, 7)), together[4:7], rtol=0, atol=1e-6)
    with torch.no_grad():
        alone = generator.eval()(NormalLatents(6).from_seeds([7]))
    torch.testing.assert_close(alone[0], together[7], rtol=0, atol=1e-6)
    assert len({image.numpy().tobytes() for image in together}) == 10


def test_a_pool_is_made_in_eval_mode_without_gradients_and_without_the_global_generator(generator):
    network = Counting().train()
    state = torch.get_rng_state()
    pool = make_pool(network, seeds=range(5), batch_size=2)
    assert network.batches == [2, 2, 1] and network.modes == [False] * 3
    assert network.training and not pool.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    make_pool(generator.train(), seeds=range(5))
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_a_pool_of_an_ensemble_holds_every_generators_pool():
    members = {"a": DCGAN1Generator(image_size=SIZE, base_width=4, latent_size=5)}
    members["b"] = DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=8)
    pool = make_pool(GeneratorEnsemble(members), seeds=range(3))
    assert pool.shape == (3, 2, 1, SIZE, SIZE)
    for place, member in enumerate(members.values()):
        torch.testing.assert_close(pool[:, place], make_pool(member, seeds=range(3)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [("ssim", SSIMMetric(spatial_dims=2, data_range=1.0)), ("psnr", PSNRMetric(max_val=1.0))],
)
def test_selection_equals_brute_force_with_monais_metrics(metric, reference):
    references = images(4, seed=0)
    pools = {"a": images(9, seed=1), "b": (images(5, seed=2) + references[:1]) / 2}
    selection = select_candidates(references, pools, metric=metric)
    assert selection.indices.shape == selection.scores.shape == (4, 2)
    for column, pool in enumerate(pools.values()):
        for row, image in enumerate(references):
            scores = [float(reference(candidate[None], image[None])) for candidate in pool]
            assert selection.indices[row, column] == max(range(len(pool)), key=scores.__getitem__)
            assert float(selection.scores[row, column]) == pytest.approx(max(scores), abs=1e-5)


def test_the_metrics_choose_differently():
    reference = images(1, seed=0)
    pool = torch.cat([0.3 * reference, torch.full_like(reference, 0.5)])  # the pattern, and a grey that is near
    assert select_candidates(reference, {"a": pool}, metric="ssim").indices.tolist() == [[0]]
    assert select_candidates(reference, {"a": pool}, metric="psnr").indices.tolist() == [[1]]


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_ties_go_to_the_lower_seed(metric):
    references, pool = images(3, seed=0), images(300, seed=1)
    best = select_candidates(references, {"a": pool}, metric=metric).indices[:, 0].tolist()
    again = torch.cat([pool[290:], pool, pool])  # every image twice, in other chunks of the search
    again = torch.cat([again, pool[best]])
    shift = {index: index - 290 if index >= 290 else index + 10 for index in best}
    found = select_candidates(references, {"a": again}, metric=metric).indices[:, 0].tolist()
    assert found == [shift[index] for index in best]


def test_an_identical_pool_image_is_found():
    references = images(2, seed=0)
    pools = {"a": torch.cat([images(3, seed=1), references[1:], references[:1]])}
    for metric, score in {"ssim": 1.0, "psnr": math.inf}.items():
        selection = select_candidates(references, pools, metric=metric)
        assert selection.indices.flatten().tolist() == [4, 3]
        assert selection.scores.flatten().tolist() == pytest.approx([score, score], abs=1e-6)


def test_a_selection_does_not_depend_on_the_batch():
    references, pools = images(5, seed=0), {"a": images(40, seed=1), "b": images(7, seed=2)}
    together = select_candidates(references, pools)
    for row in range(5):
        alone = select_candidates(references[row : row + 1], pools)
        assert torch.equal(alone.indices[0], together.indices[row])
        torch.testing.assert_close(alone.scores[0], together.scores[row], rtol=0, atol=1e-6)


def test_top_orders_by_score_and_of_equals_by_place():
    scores = torch.tensor([[0.1, 0.5, 0.3], [0.2, 0.2, 0.2], [-1.0, 0.4, 0.4]])
    selection = Selection(indices=torch.zeros(3, 3, dtype=torch.long), scores=scores)
    assert selection.top(2).tolist() == [[1, 2], [0, 1], [1, 2]]
    assert selection.top(3).tolist() == [[1, 2, 0], [0, 1, 2], [1, 2, 0]]


def test_answers_inside_an_evaluator_and_its_metric_is_the_score(generator):
    references = images(3, seed=0)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": MetaTensor(image)} for image in references]), batch_size=3),
        network=generator.train(),
        inferer=SelectionInferer(pool_size=12),
        key_val_metric={
            "ssim": IgniteMetricHandler(
                metric_fn=SSIMMetric(spatial_dims=2, data_range=1.0), output_transform=from_engine(["pred", "image"])
            )
        },
        decollate=False,
    )
    evaluator.run()
    pool = make_pool(generator, seeds=range(12))
    selection = select_candidates(references, {"generator": pool})
    chosen = evaluator.state.output["pred"]
    assert type(chosen) is Tensor
    torch.testing.assert_close(chosen, pool[selection.indices[:, 0]], rtol=0, atol=1e-6)
    assert evaluator.state.metrics["ssim"] == pytest.approx(selection.scores.mean().item(), abs=1e-5)
    assert generator.training


def test_the_inferer_follows_a_generator_that_learns(generator):
    references, inferer = images(2, seed=0), SelectionInferer(pool_size=4, metric="psnr")
    before = inferer(references, generator)
    learner = copy.deepcopy(generator)
    assert torch.equal(inferer(references, learner), before)
    vivid(learner)
    assert not torch.equal(inferer(references, learner), before)


def test_the_inferers_pool_begins_with_seed_0_and_has_the_size_asked_for(generator):
    pool = make_pool(generator, seeds=range(13))
    answers = SelectionInferer(pool_size=12)(pool[[0, 11, 12]], generator)
    torch.testing.assert_close(answers[:2], pool[[0, 11]], rtol=0, atol=1e-6)
    assert not torch.allclose(answers[2], pool[12], rtol=0, atol=1e-3)


def test_no_pool_a_wrong_metric_or_another_size_is_refused():
    with pytest.raises(ValueError, match="at least one generator, got none"):
        select_candidates(images(1, seed=0), {})
    with pytest.raises(ValueError, match="ssmi"):
        select_candidates(images(1, seed=0), {"a": images(2, seed=1)}, metric="ssmi")
    with pytest.raises(ValueError, match=r"images must be floating-point \(M, 1, H, W\)"):
        select_candidates(images(1, seed=0), {"a": torch.rand(2, 1, 32, 32)})
