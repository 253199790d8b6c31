from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.data import phantom_slice
from monai_aggrgan.metrics import Whitening, memorization
from monai_aggrgan.metrics.memorization import (
    authenticity,
    closeness,
    k_nearest,
    memorised,
    memorised_share,
    nearest_distances,
)
from monai_aggrgan.networks import VGG19Embedding, load_vgg19

SIZE = 16
LEVELS = (-0.3, 0.3)


def noise(count: int, size: int = SIZE, *, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)).double()


def patients(count: int, *, seed: int) -> Tensor:
    """Three slices of each patient, which are more alike than patients are."""
    return noise(count, seed=seed).repeat_interleave(3, dim=0) + 0.5 * noise(3 * count, seed=seed + 50)


TRAINING, HELD_OUT, NEW = patients(100, seed=0), patients(40, seed=1), patients(40, seed=2)


@pytest.mark.parametrize("block", [1, 4, 256])
def test_nearest_distances_equal_scikit_learns(monkeypatch, block):
    monkeypatch.setattr(memorization, "BLOCK", block)
    judged, reference = noise(9, seed=0), noise(30, seed=1)
    search = NearestNeighbors(n_neighbors=1).fit(reference)
    np.testing.assert_allclose(nearest_distances(judged, reference), search.kneighbors(judged)[0][:, 0], rtol=1e-12)
    others = nearest_distances(reference, reference, exclude_self=True)
    np.testing.assert_allclose(others, search.kneighbors()[0][:, 0], rtol=1e-12)


def test_k_nearest_equal_scikit_learns():
    judged, reference = noise(9, seed=0), noise(30, seed=1)
    expected = NearestNeighbors(n_neighbors=4).fit(reference).kneighbors(judged)
    distances, indices = k_nearest(judged, reference, neighbours=4)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_allclose(closeness(distances), expected[0][:, 0] / expected[0][:, 3], rtol=1e-12)


def test_authenticity_equals_the_rule_written_literally():
    judged = torch.cat([NEW[:30], TRAINING[:5] + 0.1 * noise(5, seed=3), 5 * NEW[:5]])
    expected = []
    for row in judged:
        nearest = min(range(len(TRAINING)), key=lambda index: torch.dist(row, TRAINING[index]).item())
        own = min(torch.dist(TRAINING[nearest], other).item() for i, other in enumerate(TRAINING) if i != nearest)
        expected.append(torch.dist(row, TRAINING[nearest]).item() > own)
    found = authenticity(judged, TRAINING)
    assert found.tolist() == expected
    assert not found[30:35].any() and found[35:].all()


def test_equal_features_have_distance_zero_however_long_they_are():
    reference = noise(40, seed=0) + 1e4
    assert not nearest_distances(reference[5:9], reference).any()
    assert nearest_distances(reference, torch.cat([reference, reference])).count_nonzero() == 0
    twice = torch.cat([reference, reference[:2]])
    assert (nearest_distances(twice, twice, exclude_self=True) == 0).nonzero().flatten().tolist() == [0, 1, 40, 41]


def test_a_search_does_not_hold_the_matrix(monkeypatch):
    """With ten times as many judged images, no tensor but what comes in and goes out becomes larger."""

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                self.numbers = max(self.numbers, result.numel())
            return result

    monkeypatch.setattr(memorization, "BLOCK", 32)
    reference, largest = noise(500, seed=0), []
    for count in (64, 640):
        judged = noise(count, seed=1)
        with Largest() as seen:
            nearest_distances(judged, reference)
        largest.append(seen.numbers)
    assert largest[0] == largest[1] < 640 * 500 / 4


def test_memorised_equals_the_rule_written_literally():
    judged = torch.cat([NEW[:20], TRAINING[:5] + 0.3 * noise(5, seed=3)])

    def closeness(row: Tensor) -> float:
        distances = sorted(torch.dist(row, other).item() for other in TRAINING[:60])
        return distances[0] / distances[3 - 1]

    held_out = sorted(closeness(row) for row in HELD_OUT[:41])
    expected = [closeness(row) < held_out[4] for row in judged]  # 0.1 of the way from the 1st to the 41st
    found = memorised(judged, TRAINING[:60], HELD_OUT[:41], quantile=0.1, neighbours=3)
    assert found.tolist() == expected
    assert 0 < sum(expected) < len(expected)
    assert memorised_share(judged, TRAINING[:60], HELD_OUT[:41], quantile=0.1, neighbours=3) == sum(expected) / 25


@pytest.mark.parametrize("held_out", [HELD_OUT, HELD_OUT[::4]])
@pytest.mark.parametrize("training", [TRAINING, TRAINING[:30]])
def test_copies_are_found_and_new_images_and_noise_are_not(training, held_out):
    """Whatever the numbers of training and of held-out images."""

    def share(judged: Tensor) -> float:
        return memorised_share(judged, training, held_out).item()

    assert share(training) == 1
    assert share(training + 0.1 * noise(len(training), seed=4)) > 0.9
    assert share(held_out) <= 0.05
    assert share(NEW) < 0.2
    assert share(5 * noise(50, seed=5)) <= 0.06


def test_averages_are_near_to_every_image_and_yet_no_copies():
    shares = []
    for seed in range(10, 20):
        training, held_out = patients(100, seed=seed), patients(40, seed=seed + 10)
        averages = training[noise(40, 300, seed=seed + 90).argsort(dim=1)[:, :8]].mean(dim=1)
        nearest = nearest_distances(averages, training), nearest_distances(held_out, training)
        near = (nearest[0] < nearest[1].quantile(0.05)).double().mean()
        shares.append([memorised_share(averages, training, held_out), near])
    share, near = torch.tensor(shares).mean(dim=0).tolist()
    assert share < 0.15 < 0.5 < near


def test_copies_with_a_fault_of_their_own_are_found_though_they_are_far_from_every_image():
    usual = nearest_distances(HELD_OUT, TRAINING).quantile(0.05)
    fault = torch.cat([torch.zeros(SIZE), usual[None]])  # along a direction in which no real image differs
    training, held_out, new = (torch.nn.functional.pad(rows, (0, 1)) for rows in (TRAINING, HELD_OUT, NEW))
    assert nearest_distances(training + fault, training).min() == usual
    assert memorised_share(training + fault, training, held_out) > 0.8
    assert memorised_share(new + fault, training, held_out) < 0.1


@pytest.mark.parametrize("times", [4, 5])
def test_copies_of_what_is_in_the_training_set_several_times_are_found(times):
    assert memorised(TRAINING[:6], TRAINING.repeat(times, 1), HELD_OUT).all()


def test_copies_are_found_though_held_out_images_are_copies_too():
    assert memorised(TRAINING[:6], TRAINING, torch.cat([HELD_OUT, TRAINING[:20]])).all()


def heads(seeds: range) -> Tensor:
    slices = [phantom_slice("ring", seed=seed, size=32, level=level) for seed in seeds for level in LEVELS]
    return torch.from_numpy(np.stack(slices))[:, None]


def test_on_phantoms_with_random_features():
    training, held_out, new = heads(range(30)), heads(range(30, 45)), heads(range(45, 60))
    embed = VGG19Embedding(load_vgg19("random"))
    known = embed(training)
    whiten = Whitening(known)

    def share(features: Tensor) -> float:
        return memorised_share(whiten(features), whiten(known), whiten(embed(held_out))).item()

    averages = torch.stack([training[start::10].mean(dim=0) for start in range(10)])
    noisy = torch.rand(10, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert share(known) == share(embed(0.95 * training[::4])) == 1
    assert share(embed(new)) < 0.2
    assert share(embed(averages)) == share(embed(noisy)) == 0


def test_bad_input_is_refused():
    for options in ({"quantile": 0.0}, {"quantile": 1.0}, {"neighbours": 1}):
        with pytest.raises(ValueError, match=r"in \(0, 1\) and neighbours be at least 2, got"):
            memorised_share(NEW, TRAINING, HELD_OUT, **options)
    with pytest.raises(ValueError, match=r"at least \[1, 5, 1\]"):
        memorised(NEW, TRAINING[:4], HELD_OUT)
    with pytest.raises(ValueError, match="two different sets"):
        nearest_distances(NEW, HELD_OUT, exclude_self=True)
    with pytest.raises(ValueError, match=r"at least \[1, 2\]"):
        nearest_distances(NEW[:1], NEW[:1], exclude_self=True)
