from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import MultiScaleSSIMMetric
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from scipy.stats import t as student_t
from skimage.metrics import structural_similarity
from torch import Tensor

from monai_aggrgan.metrics import diversity
from monai_aggrgan.metrics.diversity import (
    SCALE_WEIGHTS,
    PairSimilarities,
    distinct_images,
    ms_ssim_diversity,
    pairs_interval,
    scales_of,
)


def images(count: int, size: int = 32, *, seed: int = 0, grain: int = 4) -> Tensor:
    """Smooth random fields in [0, 1], (N, 1, S, S), with a common bright centre."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, max(2, size // grain), max(2, size // grain), generator=generator)
    fields = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    axis = torch.linspace(-1, 1, size)
    return (0.5 * fields + 0.5 * torch.exp(-3 * (axis[:, None] ** 2 + axis**2))).clamp(0, 1)


def noise_like(pixels: Tensor, *, seed: int = 1) -> Tensor:
    return torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed))


def ms_ssim_by_scikit_image(first: Tensor, second: Tensor, scales: int) -> float:
    """Wang et al. 2003, written literally: contrast and structure are SSIM over luminance, computed by NumPy."""
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    x, y = first[0].double().numpy(), second[0].double().numpy()
    result = 1.0
    for scale, weight in enumerate(weights):
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        _, similarity = structural_similarity(x, y, full=True, **options)
        if scale < scales - 1:
            window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
            window = np.outer(window, window) / window.sum() ** 2
            views = [np.lib.stride_tricks.sliding_window_view(image, (11, 11)) for image in (x, y)]
            a, b = (np.einsum("ijkl,kl->ij", view, window) for view in views)
            luminance = (2 * a * b + 0.01**2) / (a**2 + b**2 + 0.01**2)
            similarity = similarity[5:-5, 5:-5] / luminance
        else:
            similarity = similarity[5:-5, 5:-5]
        result *= max(similarity.mean(), 0) ** weight
        height, width = x.shape[0] // 2, x.shape[1] // 2
        x, y = (image[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3)) for image in (x, y))
    return result


@pytest.mark.parametrize(("size", "scales"), [(11, 1), (16, 1), (23, 2), (32, 2), (64, 3), (96, 4), (128, 4), (176, 5)])
def test_values_equal_scikit_images_and_numpys(size, scales):
    given = images(3, size)
    found = ms_ssim_diversity(given)
    assert scales_of(size, size) == scales
    assert sorted(map(tuple, found.pairs.tolist())) == [(0, 1), (0, 2), (1, 2)]
    for value, (i, j) in zip(found.values.tolist(), found.pairs.tolist(), strict=True):
        assert value == pytest.approx(ms_ssim_by_scikit_image(given[i], given[j], scales), abs=2e-5)


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_values_equal_monais(size):
    given = images(8, size, grain=2)
    found = ms_ssim_diversity(given)
    weights = torch.tensor(SCALE_WEIGHTS[: scales_of(size, size)])
    metric = MultiScaleSSIMMetric(2, data_range=1.0, weights=(weights / weights.sum()).tolist(), reduction="none")
    expected = metric(given[found.pairs[:, 0]], given[found.pairs[:, 1]])[:, 0]
    torch.testing.assert_close(found.values.float(), expected, rtol=0, atol=1e-5)


def test_monai_refuses_sizes_that_hold_the_window():
    """Why its metric is not used: it asks for 10 x 3^2 = 90 pixels and more at 4 scales, where 88 = 11 x 2^3 do."""
    metric = MultiScaleSSIMMetric(2, data_range=1.0, weights=SCALE_WEIGHTS[:4])
    with pytest.raises(ValueError, match="must be larger than 90"):
        metric(images(1, 90), images(1, 90))
    assert scales_of(88, 90) == 4


def test_equal_images_have_one_and_noise_has_about_none():
    assert ms_ssim_diversity(images(1).repeat(4, 1, 1, 1)).values.tolist() == pytest.approx([1] * 6, abs=1e-6)
    noise = torch.rand(6, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert ms_ssim_diversity(noise).values.max() < 0.2


def test_a_collapsed_set_is_less_diverse():
    diverse, collapsed = images(20), images(1).repeat(20, 1, 1, 1) + 0.02 * noise_like(images(20))
    assert ms_ssim_diversity(collapsed).values.min() > ms_ssim_diversity(diverse).values.max()


def test_pairs_are_drawn_by_the_seed_and_are_different():
    drawn = ms_ssim_diversity(images(30, 16), pairs=50, seed=1)
    again, other = (ms_ssim_diversity(images(30, 16, seed=2), pairs=50, seed=seed) for seed in (1, 2))
    assert torch.equal(drawn.pairs, again.pairs) and not torch.equal(drawn.pairs, other.pairs)
    assert len({tuple(pair) for pair in drawn.pairs.tolist()}) == len(drawn.values) == 50
    assert (drawn.pairs[:, 0] < drawn.pairs[:, 1]).all() and drawn.pairs.max() < 30


def test_every_pair_is_as_likely_as_another():
    counts = torch.zeros(5, 5)
    for seed in range(2000):
        (pair,) = diversity._draw(5, 1, seed=seed).tolist()
        counts[pair[0], pair[1]] += 1
    drawn = counts[counts > 0]
    assert len(drawn) == 10 and (drawn - 200).abs().max() < 60  # 4.5 standard deviations


def test_an_interval_of_pairs_equals_the_sums_written_literally():
    values, pairs = torch.tensor([0.1, 0.2, 0.6, 0.7], dtype=torch.float64), [(0, 1), (0, 2), (2, 3), (4, 5)]
    clusters = [0, 1, 2, 3, 4, 2]  # images 2 and 5 are of one patient
    apart = [value - 0.4 for value in values.tolist()]
    variance = 0.0
    for p, (i, j) in enumerate(pairs):
        for q, (k, m) in enumerate(pairs):
            if {clusters[i], clusters[j]} & {clusters[k], clusters[m]}:
                variance += apart[p] * apart[q] / 16
    found = pairs_interval(PairSimilarities(values, torch.tensor(pairs)), np.array(clusters))
    reach = student_t(4).ppf(0.975) * variance**0.5
    assert found == pytest.approx((0.4, 0.4 - reach, 0.4 + reach))


@pytest.mark.parametrize(("size", "pairs", "own"), [(1, 60, 0.0), (1, 60, 1.0), (3, 200, 1.0)])
def test_intervals_of_pairs_cover_the_truth_as_often_as_they_say(size, pairs, own):
    """Values of pairs are sums of what the two patients add, and noise; truth is 0."""
    generator = np.random.default_rng(0)
    clusters = np.arange(40).repeat(size)
    covered = []
    for seed in range(400):
        chosen = diversity._draw(40 * size, pairs, seed=seed)
        patients = own * generator.normal(size=40)
        values = patients[clusters[chosen]].sum(axis=1) + generator.normal(size=pairs)
        _, low, high = pairs_interval(PairSimilarities(torch.from_numpy(values), chosen), clusters)
        covered.append(low <= 0 <= high)
    assert 0.89 <= np.mean(covered) <= 0.98  # without the terms of related pairs: 0.55 in the last case


def test_few_clusters_give_no_interval():
    found = PairSimilarities(torch.tensor([0.25, 0.75], dtype=torch.float64), torch.tensor([[0, 1], [1, 2]]))
    assert np.isnan(pairs_interval(found, np.array([0, 0, 1]))).tolist() == [False, True, True]
    with pytest.raises(ValueError, match="for 3 images, got 2"):
        pairs_interval(found, np.array([0, 1]))


@pytest.mark.parametrize("block", [1, 7])
def test_values_do_not_depend_on_the_block(monkeypatch, block):
    whole = ms_ssim_diversity(MetaTensor(images(6)))
    monkeypatch.setattr(diversity, "BLOCK", block)
    torch.testing.assert_close(ms_ssim_diversity(images(6)).values, whole.values, rtol=1e-5, atol=1e-6)
    assert type(whole.values) is Tensor


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (images(1), {}, "two images and one pair at least, got 1 and 300"),
        (images(3), {"pairs": 0}, "got 3 and 0"),
        (images(3, 10), {}, "at least 11x11 pixels, got 10x10"),
        (images(3)[:, 0], {}, r"floating-point \(N, 1, H, W\)"),
    ],
)
def test_bad_sets_are_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        ms_ssim_diversity(given, **options)


def test_images_count_once_whatever_the_rounding_or_a_little_noise():
    given = images(12)
    assert distinct_images(given) == 12
    rounded = (given * 255).round() / 255
    noisy = [(given + 0.005 * noise_like(given, seed=seed)).clamp(0, 1) for seed in (1, 2)]
    assert distinct_images(torch.cat([given, rounded, *noisy])) == 12
    assert distinct_images(given[:1].repeat(9, 1, 1, 1)) == distinct_images(given[:1]) == 1


def test_copies_are_one_whatever_the_threshold():
    assert distinct_images(images(5, 64).repeat(3, 1, 1, 1), threshold=0) == 5


def test_other_images_are_others():
    given = images(12)
    assert distinct_images(torch.cat([given, given.flip(-1)])) == 24
    assert distinct_images(torch.cat([given, given.roll(3, -1)])) == 24
    assert distinct_images(torch.rand(9, 1, 16, 16, generator=torch.Generator().manual_seed(0))) == 9


def test_the_difference_is_relative_to_the_images_own_contrast():
    """Written literally, just below and above the threshold; what is dark and faint is judged like the bright."""
    for scale in (1.0, 0.1):
        image = scale * images(1)
        step = noise_like(image)
        step *= image.std(correction=0) / step.square().mean().sqrt()
        assert distinct_images(torch.cat([image, image + 0.098 * step])) == 1
        assert distinct_images(torch.cat([image, image + 0.105 * step])) == 2
        assert distinct_images(torch.cat([image, image + 0.28 * step]), threshold=0.3) == 1


def test_images_without_contrast_are_compared_by_grey_level():
    grey = torch.tensor([0.0, 0.0, 0.5, 0.5 + 1e-5, 0.7]).view(-1, 1, 1, 1).expand(-1, 1, 16, 16)
    assert distinct_images(grey) == 3


def test_images_in_a_chain_are_one_in_any_order():
    image, step = images(1), noise_like(images(1))
    step *= image.std(correction=0) / step.square().mean().sqrt()
    chain = torch.cat([image + 0.08 * i * step / 1.1 for i in range(4)])
    assert distinct_images(chain) == distinct_images(chain[[2, 0, 3, 1]]) == 1
    assert distinct_images(chain[[0, 3]]) == 2


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_a_negative_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold must not be negative"):
        distinct_images(images(2), threshold=threshold)


def test_real_neighbouring_slices_are_different_images(shared):
    files = sorted((shared / "data" / "figshare_128" / "glioma").glob("*.png"))[:120]  # 1858 and 1857: the nearest two
    slices = torch.stack([torch.from_numpy(np.array(Image.open(file))).float() / 255 for file in files])[:, None]
    assert distinct_images(slices) == len(slices)
    noisy = (slices + 0.005 * noise_like(slices)).clamp(0, 1)
    assert distinct_images(torch.cat([slices, noisy])) == len(slices)


def test_values_of_volumes_are_monais():
    coarse = torch.rand(3, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    volumes = torch.nn.functional.interpolate(coarse, (23, 24, 26), mode="trilinear")
    found = ms_ssim_diversity(volumes)
    weights = torch.tensor(SCALE_WEIGHTS[:2])
    metric = MultiScaleSSIMMetric(3, data_range=1.0, weights=(weights / weights.sum()).tolist(), reduction="none")
    expected = metric(volumes[found.pairs[:, 0]], volumes[found.pairs[:, 1]])[:, 0]
    torch.testing.assert_close(found.values.float(), expected, rtol=0, atol=1e-5)
    assert distinct_images(torch.cat([volumes, volumes[:1]])) == 3


def test_values_of_signals_are_those_by_scikit_image_scale_by_scale():
    coarse = torch.rand(2, 1, 9, generator=torch.Generator().manual_seed(0))
    signals = torch.nn.functional.interpolate(coarse, 46, mode="linear")
    x, y = signals.double().numpy()[:, 0]
    weights, expected = np.array(SCALE_WEIGHTS[:3]) / sum(SCALE_WEIGHTS[:3]), 1.0
    options = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0, "full": True}
    for scale, weight in enumerate(weights):
        ssim = structural_similarity(x, y, **options)[1][5:-5]
        if scale < 2:  # luminance counts at the coarsest scale only
            mean_x, mean_y = (gaussian_filter1d(signal, 1.5, truncate=3.5)[5:-5] for signal in (x, y))
            ssim = ssim * (mean_x**2 + mean_y**2 + 1e-4) / (2 * mean_x * mean_y + 1e-4)
        expected *= ssim.mean() ** weight
        x, y = (signal[: len(signal) // 2 * 2].reshape(-1, 2).mean(axis=1) for signal in (x, y))
    assert ms_ssim_diversity(signals).values.tolist() == pytest.approx([expected], abs=2e-5)
