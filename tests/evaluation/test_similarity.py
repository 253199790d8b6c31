"""The four metrics and the four pairings, against scikit-image, SciPy and formulas written out."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS, RealPairings, nearest, similarity


def images(count: int, *, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 16, 20, generator=torch.Generator().manual_seed(seed))


def reference_values(judged: np.ndarray, partner: np.ndarray) -> dict[str, float]:
    def shares(image: np.ndarray) -> np.ndarray:
        counts = np.bincount(np.rint(image * 255).astype(int).ravel(), minlength=256)
        return counts / image.size + 1e-8

    def backward(image: np.ndarray) -> np.ndarray:
        return 2 * image[1:, 1:] - image[:-1, 1:] - image[1:, :-1]

    return {
        "ssim": structural_similarity(
            judged, partner, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        ),
        "psnr": peak_signal_noise_ratio(partner, judged, data_range=1),
        "kl": entropy(shares(judged), shares(partner)),
        "sd": -10 * np.log10(np.abs(backward(judged) - backward(partner)).mean()),
    }


def test_each_metric_is_that_of_an_independent_implementation() -> None:
    judged, partners = images(3, seed=0), images(3, seed=1)
    values = similarity(judged, partners)
    assert list(values) == list(METRICS)
    for i in range(3):
        for metric, expected in reference_values(
            judged[i, 0].double().numpy(), partners[i, 0].double().numpy()
        ).items():
            assert values[metric][i].item() == pytest.approx(expected, abs=2e-4), metric


def test_identical_images_are_perfectly_similar() -> None:
    values = {metric: value.tolist() for metric, value in similarity(images(2, seed=0), images(2, seed=0)).items()}
    assert values == {"ssim": pytest.approx([1, 1]), "psnr": [np.inf] * 2, "kl": [0, 0], "sd": [np.inf] * 2}


def test_chunks_and_single_images_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    judged, partners = images(5, seed=0), images(5, seed=1)
    whole = similarity(judged, partners)
    monkeypatch.setattr(import_module(similarity.__module__), "CHUNK", 2)
    in_chunks = similarity(judged, partners)
    singly = [similarity(judged[i : i + 1], partners[i : i + 1]) for i in range(5)]
    for metric in METRICS:
        torch.testing.assert_close(in_chunks[metric], whole[metric])
        torch.testing.assert_close(torch.cat([one[metric] for one in singly]), whole[metric])


def test_nearest_finds_the_noisy_original() -> None:
    references = images(6, seed=0)
    order = torch.tensor([4, 0, 5])
    judged = (references[order] + 0.05 * images(3, seed=1)).clamp(0, 1)
    assert nearest(judged, references).tolist() == order.tolist()


def test_nearest_respects_excluded_pairs() -> None:
    references = images(3, seed=0)
    exclude = torch.tensor([[True, False, False], [False, False, False], [True, True, True]])
    indices = nearest(references, references, exclude=exclude)
    assert indices[0] in (1, 2)
    assert indices[1:].tolist() == [1, -1]


def test_all_metrics_of_a_pairing_are_taken_against_the_same_image() -> None:
    judged, training, held_out = images(4, seed=0), images(5, seed=1), images(3, seed=2)
    columns = RealPairings(training, held_out).compare(judged, partners=torch.tensor([2, 0, 3, 3]), seed=7)
    names = [f"{metric}_{pairing}" for pairing in PAIRINGS for metric in METRICS]
    assert list(columns) == [*names, "nearest_training", "nearest_held_out"]
    against = {
        "paired": training[[2, 0, 3, 3]],
        "nearest": training[nearest(judged, training)],
        "held_out_nearest": held_out[nearest(judged, held_out)],
    }
    for pairing, partners in against.items():
        for metric, expected in similarity(judged, partners).items():
            torch.testing.assert_close(columns[f"{metric}_{pairing}"], expected, atol=2e-6, rtol=1e-5)


def test_random_partner_is_a_training_image_drawn_by_the_seed_alone() -> None:
    judged, training = images(8, seed=0), images(5, seed=1)

    def draw(seed: int) -> torch.Tensor:
        torch.rand(1)  # the global generator must not matter
        reals = RealPairings(training, training)
        return reals.compare(judged, partners=torch.zeros(8, dtype=torch.long), seed=seed)["psnr_random"]

    assert draw(3).equal(draw(3))
    assert not draw(3).equal(draw(4))
    every = torch.stack([similarity(judged, image.expand_as(judged))["psnr"] for image in training])
    assert (every - draw(3)).abs().min(dim=0).values.max() < 1e-4


def test_known_shortlists_give_the_same_columns() -> None:
    judged, reals = images(4, seed=0), RealPairings(images(5, seed=1), images(3, seed=2))
    anew = reals.compare(judged, partners=torch.tensor([0, 1, 2, 4]), seed=1)
    known = reals.compare(judged, partners=torch.tensor([0, 1, 2, 4]), seed=1, shortlists=reals.shortlists(judged))
    assert all(torch.equal(known[name], values) for name, values in anew.items())


def test_an_image_without_an_allowed_held_out_partner_has_no_value() -> None:
    real = images(2, seed=0)
    exclude = torch.tensor([[True, True], [True, False]])
    reals = RealPairings(images(2, seed=1), real)
    shortlists = reals.shortlists(real, exclude_held_out=exclude)
    columns = reals.compare(real, partners=torch.tensor([0, 1]), seed=0, shortlists=shortlists)
    assert columns["nearest_held_out"].tolist() == [-1, 1]
    for metric in METRICS:
        assert columns[f"{metric}_held_out_nearest"].isnan().tolist() == [True, False]
        assert not columns[f"{metric}_nearest"].isnan().any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1, 16, 20\) and \(3, 1, 16, 20\)"):
        similarity(images(2, seed=0), images(3, seed=0))
    with pytest.raises(ValueError, match="at least one image"):
        nearest(images(2, seed=0), images(0, seed=0))
    with pytest.raises(ValueError, match=r"exclude must be \(2, 3\), got \(3, 2\)"):
        nearest(images(2, seed=0), images(3, seed=0), exclude=torch.zeros(3, 2, dtype=torch.bool))
