from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import SSIMMetric
from monai.transforms import LoadImage, SaveImaged
from torch import Tensor

from monai_aggrgan.inferers import aggregate
from monai_aggrgan.inferers.aggregate import AggregationInferer
from monai_aggrgan.inferers.merge import MERGINGS, edge_weighted_mean, merging_weights, weighted_sum
from monai_aggrgan.inferers.select import Selection, make_pool, select_candidates
from monai_aggrgan.metrics.pairwise import pairwise_ssim
from monai_aggrgan.networks import DCGAN1Generator, DCGAN2Generator, GeneratorEnsemble

SIZE = 16


def images(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


class CountingEnsemble(GeneratorEnsemble):
    """Notes how many latents it was given in all."""

    made = 0

    def forward(self, latent: Tensor) -> Tensor:
        self.made += len(latent)
        return super().forward(latent)


@pytest.fixture
def ensemble() -> CountingEnsemble:
    """Three generators whose images differ; the latents are of two lengths."""
    members = {
        "a": DCGAN1Generator(image_size=SIZE, base_width=4, latent_size=5),
        "b": DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=8),
        "c": DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=8, seed=1),
    }
    with torch.no_grad():
        for member in members.values():
            for weight in member.parameters():
                weight.mul_(6)
    return CountingEnsemble(members)


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_the_inferer_merges_the_best_candidates_by_hand(ensemble, metric):
    references = images(4, 1, seed=5)
    inferer = AggregationInferer(pool_size=9, first_seed=100, metric=metric, sigma=1.5)
    merged = inferer(references, ensemble)
    pools = dict(zip("abc", make_pool(ensemble, seeds=range(100, 109)).unbind(1), strict=True))
    selection = select_candidates(references, pools, metric=metric)
    for row, report in enumerate(inferer.reports):
        order = sorted(range(3), key=lambda g, row=row: -float(selection.scores[row, g]))[:2]
        chosen = [pools["abc"[g]][selection.indices[row, g]] for g in order]
        assert report.generators == tuple("abc"[g] for g in order)
        assert report.seeds == tuple(100 + int(selection.indices[row, g]) for g in order)
        assert report.scores == pytest.approx([float(selection.scores[row, g]) for g in order], abs=1e-6)
        expected = edge_weighted_mean(torch.stack(chosen)[None], torch.tensor([report.scores]), sigma=1.5)
        torch.testing.assert_close(merged[row], expected[0], rtol=0, atol=1e-5)
    assert len(inferer.reports) == 4


@pytest.mark.parametrize(("top_k", "merged"), [(1, 1), (3, 3), (9, 3)])
def test_top_k_is_any_number_and_at_most_all(ensemble, top_k, merged):
    inferer = AggregationInferer(pool_size=4, top_k=top_k)
    result = inferer(images(2, 1, seed=0), ensemble)
    assert {len(report.generators) for report in inferer.reports} == {merged}
    if top_k == 1:
        pools = dict(zip("abc", make_pool(ensemble, seeds=range(4)).unbind(1), strict=True))
        for image, report in zip(result, inferer.reports, strict=True):
            torch.testing.assert_close(image, pools[report.generators[0]][report.seeds[0]], rtol=0, atol=1e-6)


def test_pools_are_made_once_until_reset_or_another_network(ensemble):
    inferer = AggregationInferer(pool_size=6)
    first = inferer(images(2, 1, seed=0), ensemble)
    inferer(images(1, 1, seed=1), ensemble)
    assert ensemble.made == 6
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.mul_(0.5)
    assert torch.equal(inferer(images(2, 1, seed=0), ensemble), first)  # kept although the network has changed
    inferer.reset()
    assert not torch.equal(inferer(images(2, 1, seed=0), ensemble), first)
    assert ensemble.made == 12
    other = GeneratorEnsemble({"only": DCGAN2Generator(image_size=SIZE, base_width=4)})
    inferer(images(1, 1, seed=1), other)
    assert inferer.reports[0].generators == ("only",)


def test_a_further_round_is_answered_from_pools_of_the_next_seeds(ensemble):
    references = images(5, 1, seed=0)
    inferer = AggregationInferer(pool_size=6, first_seed=3, references=references)
    mixed = inferer(references, ensemble, [2, 0, 1, 0, 2])
    told, merged, made = inferer.reports, inferer.candidates, ensemble.made
    assert made == 18 and mixed.shape == references.shape
    for row, turn in enumerate([2, 0, 1, 0, 2]):
        alone = AggregationInferer(pool_size=6, first_seed=3 + 6 * turn)
        assert torch.equal(alone(references[row : row + 1], ensemble)[0], mixed[row])
        assert torch.equal(alone.candidates[0], merged[row]) and alone.reports == [told[row]]
    assert all(
        3 + 6 * turn <= seed < 9 + 6 * turn for turn, r in zip([2, 0, 1, 0, 2], told, strict=True) for seed in r.seeds
    )


def test_the_pools_of_a_round_are_kept_until_another_is_met(ensemble):
    references = images(2, 1, seed=0)
    inferer = AggregationInferer(pool_size=6)
    first = inferer(references, ensemble, torch.tensor([1, 1]))
    inferer(references[:1], ensemble, [1])
    assert ensemble.made == 6
    assert torch.equal(inferer(references, ensemble), inferer(references, ensemble, [0, 0]))
    assert ensemble.made == 12
    assert torch.equal(inferer(references, ensemble, [1, 1]), first)


@pytest.mark.parametrize("rounds", [[0], [0, -1], [0, 0, 0]])
def test_rounds_that_cannot_be_are_refused(ensemble, rounds):
    with pytest.raises(ValueError, match="rounds must be 2 numbers of at least 0"):
        AggregationInferer(pool_size=6)(images(2, 1, seed=0), ensemble, rounds)
    pools = pools_of(ensemble, seeds=range(4))
    with pytest.raises(ValueError, match="ready `pools` answer an image once, in round 0, got round 1"):
        AggregationInferer(pools=pools)(images(2, 1, seed=0), ensemble, [0, 1])


def test_given_pools_are_used_and_the_network_is_not_run(ensemble):
    references = images(3, 1, seed=0)
    pools = {"x": torch.cat([images(4, 1, seed=1), references]), "y": images(2, 1, seed=2)}
    inferer = AggregationInferer(pools=pools, first_seed=10, top_k=1)
    inferer.reset()
    assert torch.equal(inferer(references, ensemble), references)
    assert [report.seeds for report in inferer.reports] == [(14,), (15,), (16,)]
    assert {report.generators for report in inferer.reports} == {("x",)}
    assert ensemble.made == 0


def pools_of(ensemble: GeneratorEnsemble, *, seeds: range) -> dict[str, Tensor]:
    return dict(zip("abc", make_pool(ensemble, seeds=seeds).unbind(1), strict=True))


@pytest.mark.parametrize("merging", MERGINGS)
def test_merging_by_name_merges_as_merging_weights_says(ensemble, merging):
    inferer = AggregationInferer(pool_size=5, merging=merging, sigma=2.0)
    merged = inferer(images(3, 1, seed=0), ensemble)
    scores = torch.tensor([report.scores for report in inferer.reports])
    weights = merging_weights(inferer.candidates, scores, merging=merging, sigma=2.0)
    torch.testing.assert_close(inferer.weights, weights, rtol=0, atol=1e-6)
    torch.testing.assert_close(merged, weighted_sum(inferer.candidates, weights), rtol=0, atol=1e-6)
    if merging == "best-single":
        assert torch.equal(merged, inferer.candidates[:, 0])
    elif merging != "edge-weighted":
        default = AggregationInferer(pool_size=5)(images(3, 1, seed=0), ensemble)
        assert (merged - default).abs().max() > 1e-3


def test_candidates_and_weights_reproduce_the_result(ensemble):
    inferer = AggregationInferer(pool_size=5, first_seed=3, top_k=3)
    merged = inferer(images(4, 1, seed=0), ensemble)
    assert inferer.candidates.shape == inferer.weights.shape == (4, 3, 1, SIZE, SIZE)
    by_hand = (inferer.candidates * inferer.weights).sum(dim=1)
    torch.testing.assert_close(merged, by_hand, rtol=0, atol=1e-6)
    torch.testing.assert_close(inferer.weights.sum(dim=1), torch.ones_like(merged), rtol=0, atol=1e-6)
    pools = pools_of(ensemble, seeds=range(3, 8))
    for row, report in enumerate(inferer.reports):
        made = [pools[name][seed - 3] for name, seed in zip(report.generators, report.seeds, strict=True)]
        torch.testing.assert_close(inferer.candidates[row], torch.stack(made), rtol=0, atol=1e-6)


def test_any_function_may_be_the_metric(ensemble):
    references = images(3, 1, seed=0)
    by_name = AggregationInferer(pool_size=5)
    by_function = AggregationInferer(pool_size=5, metric=pairwise_ssim)
    assert torch.equal(by_function(references, ensemble), by_name(references, ensemble))
    darkest = AggregationInferer(
        pool_size=5, top_k=1, metric=lambda judged, real: -judged.mean((1, 2, 3))[:, None].expand(-1, len(real))
    )
    chosen = darkest(references, ensemble)
    lowest = make_pool(ensemble, seeds=range(5)).mean((2, 3, 4)).min()
    torch.testing.assert_close(chosen.mean((1, 2, 3)), lowest.expand(3), rtol=0, atol=1e-6)


def test_half_precision_memory_mapped_pools_give_what_their_float32_copies_give(tmp_path):
    references = images(3, 1, seed=0)
    mapped, copied = {}, {}
    for seed, name in enumerate("ab", start=1):
        np.save(tmp_path / f"{name}.npy", images(40, 1, seed=seed).half().numpy())
        mapped[name] = torch.from_numpy(np.load(tmp_path / f"{name}.npy", mmap_mode="c"))
        copied[name] = torch.from_numpy(np.load(tmp_path / f"{name}.npy")).float()
    assert mapped["a"].dtype == torch.float16
    for matching in ("best", "unique"):
        inferers = [AggregationInferer(pools=p, matching=matching, references=references) for p in (mapped, copied)]
        from_file, expected = (inferer(references, None) for inferer in inferers)
        assert from_file.dtype == torch.float32 and torch.equal(from_file, expected)
        assert inferers[0].reports == inferers[1].reports
        assert inferers[0].candidates.dtype == torch.float32


def answers(inferer: AggregationInferer, references: Tensor, network: GeneratorEnsemble, *, batch_size: int) -> Tensor:
    return torch.cat([inferer(batch, network) for batch in references.split(batch_size)])


def seeds_by_generator(inferer: AggregationInferer) -> dict[str, list[int]]:
    """Of the last call."""
    seeds: dict[str, list[int]] = {}
    for report in inferer.reports:
        for name, seed in zip(report.generators, report.seeds, strict=True):
            seeds.setdefault(name, []).append(seed)
    return seeds


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_unique_matching_uses_no_pool_image_twice_whatever_the_batches(ensemble, metric):
    references = images(6, 1, seed=0)
    made = [
        AggregationInferer(pool_size=7, top_k=3, metric=metric, matching="unique", references=references)
        for _ in range(3)
    ]
    one, three, every = (answers(made[i], references, ensemble, batch_size=size) for i, size in enumerate((1, 3, 6)))
    assert torch.equal(one, every) and torch.equal(three, every)
    assert {name: len(set(seeds)) for name, seeds in seeds_by_generator(made[2]).items()} == {"a": 6, "b": 6, "c": 6}
    best = AggregationInferer(pool_size=7, top_k=3, metric=metric)
    best(references, ensemble)
    assert min(len(set(seeds)) for seeds in seeds_by_generator(best).values()) < 6


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_with_known_references_the_answers_are_what_they_are_without(ensemble, metric):
    references = images(5, 1, seed=0)
    known = AggregationInferer(pool_size=7, metric=metric, references=references)
    unknown = AggregationInferer(pool_size=7, metric=metric)
    order = [3, 0, 3, 4]
    assert torch.equal(known(references[order], ensemble), unknown(references[order], ensemble))
    assert known.reports == unknown.reports


def test_references_may_be_metatensors_and_inputs_too(ensemble):
    references = images(4, 1, seed=0)
    plain = AggregationInferer(pool_size=7, matching="unique", references=references)
    meta = AggregationInferer(pool_size=7, matching="unique", references=MetaTensor(references))
    result = meta(MetaTensor(references[1:3]), ensemble)
    assert type(result) is Tensor and torch.equal(result, plain(references, ensemble)[1:3])
    assert type(AggregationInferer(pool_size=7)(MetaTensor(references), ensemble)) is Tensor


def test_equal_reference_images_get_one_answer(ensemble):
    references = images(3, 1, seed=0)[[0, 1, 0, 2, 0]]
    inferer = AggregationInferer(pool_size=7, matching="unique", references=references)
    merged = inferer(references, ensemble)
    assert torch.equal(merged[0], merged[2]) and torch.equal(merged[0], merged[4])
    assert inferer.reports[0] == inferer.reports[2] == inferer.reports[4] != inferer.reports[1]
    selection = select_candidates(references, pools_of(ensemble, seeds=range(7)), matching="unique")
    first = selection.indices[0].tolist()
    assert set(inferer.reports[4].seeds) <= set(first) and first != selection.indices[4].tolist()


def refuse_to_search(*_: object, **__: object) -> Selection:
    raise AssertionError("searched")


def test_an_unknown_image_is_refused_before_anything_is_searched(ensemble, monkeypatch):
    references = images(4, 1, seed=0)
    inferer = AggregationInferer(pool_size=7, matching="unique", references=references)
    monkeypatch.setattr(aggregate, "select_candidates", refuse_to_search)
    for unknown in (images(1, 1, seed=9), torch.cat([references[:1], references[1:2] + 1e-7])):
        with pytest.raises(ValueError, match=r"not among the 4 `references` that this inferer was made for: give all"):
            inferer(unknown, ensemble)


def test_a_given_selection_is_used_and_nothing_is_searched(ensemble, monkeypatch):
    references, pools = images(4, 1, seed=0), {"x": images(9, 1, seed=1), "y": images(7, 1, seed=2)}
    for matching in ("best", "unique"):
        selection = select_candidates(references, pools, matching=matching)
        options = {"pools": pools, "references": references, "matching": matching}
        expected = AggregationInferer(**options)(references, ensemble)
        given = AggregationInferer(**options, selection=selection)
        with monkeypatch.context() as patch:
            patch.setattr(aggregate, "select_candidates", refuse_to_search)
            assert torch.equal(given(references.flip(0), ensemble), expected.flip(0))
            given.reset()
            assert torch.equal(given(references[1:2], ensemble), expected[1:2])
    foreign = Selection(torch.tensor([[8, 6]] * 4), torch.tensor([[0.1, 0.9]] * 4), ("x", "y"))
    inferer = AggregationInferer(pools=pools, references=references, selection=foreign, top_k=1, first_seed=100)
    assert torch.equal(inferer(references, ensemble), pools["y"][[6] * 4])
    assert inferer.reports[0].seeds == (106,)


def test_the_references_are_searched_once_and_again_after_a_reset_or_with_another_network(ensemble, monkeypatch):
    searched: list[int] = []

    def count(references: Tensor, *arguments: object, **options: object) -> Selection:
        searched.append(len(references))
        return select_candidates(references, *arguments, **options)

    monkeypatch.setattr(aggregate, "select_candidates", count)
    references = images(4, 1, seed=0)
    inferer = AggregationInferer(pool_size=6, references=references)
    first = answers(inferer, references, ensemble, batch_size=1)
    assert searched == [4]
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.mul_(0.5)
    assert torch.equal(inferer(references, ensemble), first)
    inferer.reset()
    assert not torch.equal(inferer(references, ensemble), first)
    assert searched == [4, 4]
    other = GeneratorEnsemble({"only": DCGAN2Generator(image_size=SIZE, base_width=4)})
    inferer(references[:1], other)
    assert searched == [4, 4, 4] and inferer.reports[0].generators == ("only",)


@pytest.mark.parametrize("progress", [True, False])
def test_a_search_among_known_references_shows_its_progress_if_asked_to(ensemble, capsys, progress):
    references = images(2, 1, seed=0)
    AggregationInferer(pool_size=6, references=references, progress=progress)(references, ensemble)
    told = capsys.readouterr().err
    assert all((f"search {name}" in told) is progress for name in "abc")


def run_in_evaluator(
    samples: Sequence[dict[str, object]], inferer: AggregationInferer, network: GeneratorEnsemble, **options: object
) -> SupervisedEvaluator:
    """An evaluator after its run; `state.preds` are all images that the inferer gave."""
    batch_size = options.pop("batch_size", 2)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(samples), batch_size=batch_size),
        network=network,
        inferer=inferer,
        **{"decollate": False, **options},
    )
    preds: list[Tensor] = []

    @evaluator.on(Events.ITERATION_COMPLETED)
    def note(engine: SupervisedEvaluator) -> None:
        output = engine.state.output
        preds.extend(output["pred"] if isinstance(output, dict) else [sample["pred"] for sample in output])

    evaluator.run()
    evaluator.state.preds = torch.stack(preds)
    return evaluator


@pytest.mark.parametrize("matching", ["best", "unique"])
@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_an_evaluator_gives_the_same_whatever_its_batch_size(ensemble, metric, matching):
    references = images(6, 1, seed=0)
    samples = [{"image": MetaTensor(reference)} for reference in references]
    options = {"references": references} if matching == "unique" else {}
    results = []
    for batch_size in (1, 3, 4, 6):
        inferer = AggregationInferer(pool_size=7, metric=metric, matching=matching, **options)
        results.append(run_in_evaluator(samples, inferer, ensemble, batch_size=batch_size).state.preds)
    assert type(results[0]) is Tensor and ensemble.made == 4 * 7
    by_hand = AggregationInferer(pool_size=7, metric=metric, matching=matching, **options)(references, ensemble)
    assert all(torch.equal(result, by_hand) for result in results)


def test_an_evaluators_metric_is_that_of_the_merged_images(ensemble):
    references = images(5, 1, seed=0)
    ssim = IgniteMetricHandler(
        metric_fn=SSIMMetric(spatial_dims=2, data_range=1.0), output_transform=from_engine(["pred", "image"])
    )
    samples = [{"image": MetaTensor(reference)} for reference in references]
    inferer = AggregationInferer(pool_size=7)
    state = run_in_evaluator(samples, inferer, ensemble, key_val_metric={"ssim": ssim}).state
    expected = pairwise_ssim(state.preds, references).diagonal().mean().item()
    assert state.metrics["ssim"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_monais_saver_names_the_merged_images_after_their_references(ensemble, tmp_path, batch_size):
    references = images(3, 1, seed=0)
    names = ["scan_7.png", "axial/scan_1.png", "scan_12.jpeg"]
    samples = [
        {"image": image, "image_meta_dict": {"filename_or_obj": f"/data/{name}"}}
        for image, name in zip(references, names, strict=True)
    ]
    saver = SaveImaged(
        keys="pred",
        meta_keys="image_meta_dict",
        output_dir=tmp_path,
        output_postfix="merged",
        output_ext=".png",
        output_dtype=np.uint8,
        scale=255,
        separate_folder=False,
        print_log=False,
    )
    ssim = IgniteMetricHandler(
        metric_fn=SSIMMetric(spatial_dims=2, data_range=1.0), output_transform=from_engine(["pred", "image"])
    )
    evaluator = run_in_evaluator(
        samples,
        AggregationInferer(pool_size=7),
        ensemble,
        batch_size=batch_size,
        postprocessing=saver,
        decollate=True,
        key_val_metric={"ssim": ssim},
    )
    written = [tmp_path / f"{name}_merged.png" for name in ("scan_7", "scan_1", "scan_12")]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    merged, read = AggregationInferer(pool_size=7)(references, ensemble), LoadImage(ensure_channel_first=True)
    for path, image in zip(written, merged, strict=True):
        torch.testing.assert_close(read(path).as_tensor() / 255, image, rtol=0, atol=1.01 / 255)
    expected = pairwise_ssim(merged, references).diagonal().mean().item()
    assert evaluator.state.metrics["ssim"] == pytest.approx(expected, abs=1e-5)


ONE = torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"metric": "kl"}, "kl"),
        ({"matching": "uniqe"}, "uniqe"),
        ({"merging": "median"}, "median"),
        ({"gaussian": "blur"}, "blur"),
        ({"sigma": 0.0}, "sigma must be positive, got 0"),
        ({"matching": "unique"}, "matching='unique' needs `references`, all the images that will be answered"),
        (
            {"selection": Selection(*ONE, ("a",)), "pools": {"a": images(1, 1, seed=0)}},
            "a selection needs `references`",
        ),
        (
            {"selection": Selection(*ONE, ("a",)), "references": images(1, 1, seed=0)},
            "a selection needs the `pools` that it was made from, a, got none",
        ),
        (
            {
                "selection": Selection(*ONE, ("a", "b")),
                "references": images(1, 1, seed=0),
                "pools": {"b": images(1, 1, seed=0), "a": images(1, 1, seed=0)},
            },
            "the `pools` that it was made from, a, b, got b, a",
        ),
        (
            {
                "selection": Selection(*ONE, ("a",)),
                "references": images(2, 1, seed=0),
                "pools": {"a": images(1, 1, seed=0)},
            },
            "the selection was made for 1 references, got 2",
        ),
    ],
)
def test_wrong_options_and_combinations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AggregationInferer(**options)


def test_what_only_a_call_shows_to_be_wrong_is_refused_then(ensemble):
    with pytest.raises(ValueError, match="at least one generator, got none"):
        AggregationInferer(pools={})(images(1, 1, seed=0), None)
    references = images(4, 1, seed=0)
    with pytest.raises(ValueError, match="got 3 for 4: enlarge the pool"):
        AggregationInferer(pool_size=3, matching="unique", references=references)(references, ensemble)


@pytest.mark.parametrize(("spatial_dims", "shape"), [(1, (16,)), (2, (16, 16)), (3, (16, 16, 16))])
def test_a_whole_run_on_signals_images_and_volumes(spatial_dims, shape):
    generators = {
        name: DCGAN2Generator(image_size=16, base_width=2, latent_size=5, spatial_dims=spatial_dims, seed=seed)
        for seed, name in enumerate("abc")
    }
    for weight in (weight for generator in generators.values() for weight in generator.parameters()):
        weight.data.mul_(6)
    network = GeneratorEnsemble(generators)
    references = torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(0))
    pools = make_pool(network, seeds=range(4))
    inferer = AggregationInferer(pool_size=4, metric="ssim")
    merged = inferer(references, network)
    for row, reference in enumerate(references):
        scores = [pairwise_ssim(pools[:, column], reference[None])[:, 0] for column in range(3)]
        best = sorted(range(3), key=lambda column: -scores[column].max().item())[:2]
        candidates = torch.stack([pools[scores[column].argmax(), column] for column in best])
        weights = torch.stack([scores[column].max() for column in best])
        torch.testing.assert_close(merged[row], edge_weighted_mean(candidates[None], weights[None])[0])
        assert inferer.reports[row].generators == tuple("abc"[column] for column in best)
    known = AggregationInferer(pool_size=4, matching="unique", references=references)(references, network)
    assert known.shape == merged.shape == references.shape
    if spatial_dims == 2:
        assert len(list(inferer.pictures())) == 2
    else:
        with pytest.raises(ValueError, match=r"candidates must be images \(K, 1, H, W\) to be drawn, got shape"):
            next(inferer.pictures())
