from __future__ import annotations

import copy
import math

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import PSNRMetric, SSIMMetric
from pytest import approx
from torch import Tensor, nn

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.inferers.matching import MATCHINGS, match
from monai_aggrgan.inferers.select import GeneratorUsage, Selection, SelectionInferer, make_pool, select_candidates
from monai_aggrgan.metrics.pairwise import pairwise_ssim
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
    selection = Selection(torch.zeros(3, 3, dtype=torch.long), scores, ("a", "b", "c"))
    assert selection.top(2).tolist() == [[1, 2], [0, 1], [1, 2]]
    assert selection.top(3).tolist() == selection.top(9).tolist() == [[1, 2, 0], [0, 1, 2], [1, 2, 0]]


def test_a_selection_of_some_references_is_their_rows_in_that_order():
    selection = select_candidates(images(4, seed=0), {"a": images(9, seed=1), "b": images(7, seed=2)})
    some = selection.of_references([3, 0, 3])
    assert torch.equal(some.indices, selection.indices[[3, 0, 3]])
    assert torch.equal(some.scores, selection.scores[[3, 0, 3]])
    assert some.generators == selection.generators == ("a", "b")
    assert selection.of_references([]).scores.shape == (0, 2)


def test_usage_by_hand():
    indices = torch.tensor([[5, 0, 7], [5, 1, 7], [2, 1, 7], [5, 3, 8]])
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.8, 0.7, 0.6], [0.3, 0.2, 0.4], [0.1, 0.6, 0.5]])
    selection = Selection(indices, scores, ("a", "b", "c"))  # of two go on: a and c, a and b, c and a, b and c
    assert selection.usage(2) == [
        GeneratorUsage("a", different_candidates=2, different_chosen=2, share=3 / 8, mean_score=approx(2.1 / 4)),
        GeneratorUsage("b", different_candidates=3, different_chosen=2, share=2 / 8, mean_score=approx(1.6 / 4)),
        GeneratorUsage("c", different_candidates=2, different_chosen=2, share=3 / 8, mean_score=approx(2.0 / 4)),
    ]
    assert [(used.different_chosen, used.share) for used in selection.usage(1)] == [(1, 0.5), (1, 0.25), (1, 0.25)]
    for count in (3, 9):
        assert [(used.different_chosen, used.share) for used in selection.usage(count)] == [
            (2, approx(1 / 3)),
            (3, approx(1 / 3)),
            (2, approx(1 / 3)),
        ]


def test_a_generator_that_is_never_best_is_not_used():
    selection = Selection(torch.tensor([[4, 2], [4, 3]]), torch.tensor([[0.2, 0.5], [0.2, 0.2001]]), ("a", "b"))
    idle, busy = selection.usage(1)
    assert (idle.different_chosen, idle.share, idle.different_candidates) == (0, 0.0, 1)
    assert (busy.different_chosen, busy.share, busy.different_candidates) == (2, 1.0, 2)


def test_any_function_may_be_the_metric():
    references, pool = images(4, seed=0), images(9, seed=1)

    def darkness(judged: Tensor, references: Tensor) -> Tensor:
        return -(judged.mean((1, 2, 3))[:, None] - references.mean((1, 2, 3))).abs()

    selection = select_candidates(references, {"a": pool}, metric=darkness)
    assert torch.equal(selection.indices[:, 0], darkness(pool, references).argmax(dim=0))
    torch.testing.assert_close(selection.scores[:, 0], darkness(pool, references).amax(dim=0))
    by_name, by_function = (select_candidates(references, {"a": pool}, metric=m) for m in ("ssim", pairwise_ssim))
    assert torch.equal(by_name.indices, by_function.indices) and torch.equal(by_name.scores, by_function.scores)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_each_pool_is_matched_by_itself_as_the_option_says(matching):
    references = images(8, seed=0)
    pools = {"a": images(8, seed=1), "b": images(9, seed=3)}
    selection = select_candidates(references, pools, matching=matching)
    assert selection.generators == ("a", "b")
    for column, pool in enumerate(pools.values()):
        indices, scores = match(pool, references, matching=matching)
        assert torch.equal(selection.indices[:, column], indices)
        assert torch.equal(selection.scores[:, column], scores)
    repeated = [len(set(column)) < 8 for column in selection.indices.T.tolist()]
    assert repeated == ([False, False] if matching == "unique" else [True, True])


def test_a_label_names_each_generator_and_none_is_silent(capsys):
    references, pools = images(2, seed=0), {"dcgan": images(5, seed=1), "wgan": images(7, seed=2)}
    select_candidates(references, pools)
    assert not capsys.readouterr().err
    select_candidates(references, pools, progress="glioma")
    told = capsys.readouterr().err
    assert "glioma dcgan" in told and "5/5" in told
    assert "glioma wgan" in told and "7/7" in told


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
    with pytest.raises(ValueError, match="uniqe"):
        select_candidates(images(1, seed=0), {"a": images(2, seed=1)}, matching="uniqe")
    with pytest.raises(ValueError, match="got 2 for 3: enlarge the pool"):
        select_candidates(images(3, seed=0), {"a": images(9, seed=1), "b": images(2, seed=1)}, matching="unique")
    with pytest.raises(ValueError, match=r"must be of one size .* got \(32, 32\)"):
        select_candidates(images(1, seed=0), {"a": torch.rand(2, 1, 32, 32)})


@pytest.mark.parametrize("shape", [(16,), (16, 16, 16)])
def test_signals_and_volumes_are_answered_with_the_best_of_the_pool(shape):
    generator = DCGAN2Generator(image_size=16, base_width=2, latent_size=5, spatial_dims=len(shape))
    pool = make_pool(generator, seeds=range(6))
    references = torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(0))
    answers = SelectionInferer(pool_size=6, metric="psnr")(references, generator)
    nearest = (pool[None] - references[:, None]).square().flatten(2).mean(2).argmin(1)
    assert torch.equal(answers, pool[nearest])
