from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import MMDMetric
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from monai_aggrgan.metrics.fidelity import (
    density_coverage,
    density_coverage_terms,
    frechet_distance,
    kernel_distance,
    kernel_terms,
    precision_recall,
    precision_recall_terms,
)
from monai_aggrgan.metrics.resampling import cluster_counts

METRICS = (kernel_distance, frechet_distance, precision_recall, density_coverage)


def features(count: int, size: int = 4, *, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def with_moments(mean: list[float], deviations: list[float]) -> Tensor:
    """Rows whose mean and diagonal covariance are exactly these."""
    size = len(mean)
    spread = torch.tensor(deviations) * ((2 * size - 1) / 2) ** 0.5
    return torch.tensor(mean) + torch.cat([spread.diag(), -spread.diag()])


def sklearn_distances(judged: Tensor, reference: Tensor, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Radii of the references' balls (M,), and distances (N, M)."""
    radii = NearestNeighbors(n_neighbors=neighbours).fit(reference).kneighbors()[0][:, -1]  # without a row itself
    return radii, np.linalg.norm(judged[:, None].numpy() - reference[None].numpy(), axis=2)


@pytest.mark.parametrize(("degree", "options"), [(3, {}), (2, {"degree": 2})])
def test_kernel_distance_equals_the_sums_written_literally(degree, options):
    x, y = features(5, seed=0).double(), 2 * features(7, seed=1).double() + 1

    def kernel(a: Tensor, b: Tensor) -> float:
        return (sum(p * q for p, q in zip(a.tolist(), b.tolist(), strict=True)) / 4 + 1) ** degree

    expected = sum(kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    expected += sum(kernel(y[i], y[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    expected -= 2 * sum(kernel(a, b) for a in x for b in y) / (5 * 7)
    assert kernel_distance(x, y, **options).item() == pytest.approx(expected, rel=1e-12)


def test_kernel_distance_equals_scikit_learns_kernel():
    x, y = features(30, 8, seed=0), features(40, 8, seed=1) * 1.5
    means = []
    for a, b in ((x, x), (y, y), (x, y)):
        kernels = polynomial_kernel(a.double(), b.double(), degree=3, gamma=1 / 8, coef0=1)
        means.append(kernels[~np.eye(len(a), dtype=bool)].mean() if a is b else kernels.mean())
    assert kernel_distance(x, y).item() == pytest.approx(means[0] + means[1] - 2 * means[2], rel=1e-10)


def test_a_linear_kernel_gives_monais_metric():
    x, y = features(6, seed=0).double(), features(6, seed=1).double() + 1
    torch.testing.assert_close(kernel_distance(x, y, degree=1), MMDMetric()(y, x) / 4)


def test_kernel_distance_is_unbiased_and_sees_more_than_means():
    pairs = [(features(10, seed=seed), features(25, seed=seed + 1000)) for seed in range(300)]
    same = torch.stack([kernel_distance(x, y) for x, y in pairs])
    wider = torch.stack([kernel_distance(1.5 * x, y) for x, y in pairs])
    standard_error = same.std() / len(pairs) ** 0.5
    assert same.mean().abs() < 3 * standard_error
    assert wider.mean() > 20 * standard_error


def test_frechet_distance_of_gaussians_with_diagonal_covariances():
    judged = with_moments([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    reference = with_moments([0.5, 1.0, 0.0], [2.0, 2.0, 0.5])
    shift, spread = 0.5**2 + 2.0**2, (1 - 2) ** 2 + (3 - 0.5) ** 2
    assert frechet_distance(judged, reference).item() == pytest.approx(shift + spread, rel=1e-6)


@pytest.mark.parametrize("count", [5, 200])
def test_frechet_distance_of_a_set_to_itself_and_shifted(count):
    x = features(count, 12, seed=0).double()
    assert frechet_distance(x, x).item() == pytest.approx(0, abs=1e-12)
    assert frechet_distance(x.flip(0) + 3, x).item() == pytest.approx(12 * 9, rel=1e-12)


def test_frechet_distance_equals_the_matrix_square_root():
    x = features(50, 6, seed=0).double() @ features(6, 6, seed=1).double()
    y = features(40, 6, seed=2).double() @ features(6, 6, seed=3).double() + 0.5
    covariances = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum().item()
    expected += np.trace(covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert frechet_distance(x, y).item() == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, x).item() == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_with_fewer_images_than_features():
    """Turned into a space of 30 dimensions, where covariances are singular, sets are as far apart as before."""
    x, y = features(9, 3, seed=0).double(), 2 * features(11, 3, seed=1).double() + 1
    turned = torch.linalg.qr(features(30, 3, seed=2).double()).Q.T
    torch.testing.assert_close(frechet_distance(x @ turned, y @ turned), frechet_distance(x, y))


def test_precision_and_recall_equal_the_definition_written_literally():
    x, y = features(12, 2, seed=0).double(), features(15, 2, seed=1).double() + 1

    def lies_in_range(point: Tensor, others: Tensor) -> bool:
        for i in range(len(others)):
            radius = sorted(torch.dist(others[i], others[j]).item() for j in range(len(others)) if j != i)[2 - 1]
            if torch.dist(point, others[i]).item() <= radius:
                return True
        return False

    expected = [sum(lies_in_range(a, y) for a in x) / 12, sum(lies_in_range(b, x) for b in y) / 15]
    found = [value.item() for value in precision_recall(x, y, neighbours=2)]
    assert found == pytest.approx(expected)
    assert 0 < found[0] < 1 and 0 < found[1] < 1


def test_overlaps_equal_scikit_learns_neighbours():
    x, y = 0.7 * features(60, 5, seed=0).double(), features(80, 5, seed=1).double()
    (to_y, distances), (to_x, _) = sklearn_distances(x, y, 3), sklearn_distances(y, x, 3)
    expected = (distances <= to_y).any(1).mean(), (distances <= to_x[:, None]).any(0).mean()
    assert [value.item() for value in precision_recall(x, y)] == pytest.approx(expected)
    radii, distances = sklearn_distances(x, y, 5)
    expected = (distances <= radii).sum() / (5 * 60), (distances <= radii).any(0).mean()
    assert [value.item() for value in density_coverage(x, y)] == pytest.approx(expected)


def test_density_is_about_one_for_one_distribution():
    found = [density_coverage(features(60, seed=seed), features(60, seed=seed + 100)) for seed in range(30)]
    density, coverage = torch.tensor(found).mean(dim=0).tolist()
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.02)  # the nearest 5 of 2 x 60 images are all references


def test_sets_that_are_equal_far_apart_or_collapsed():
    x = features(40, seed=0)
    assert [value.item() for value in precision_recall(x, x)] == [1, 1]
    assert density_coverage(x, x)[1] == 1
    assert torch.stack([*precision_recall(x + 100, x), *density_coverage(x + 100, x)]).tolist() == [0] * 4
    collapsed = x[:2].repeat(20, 1) + 1e-3 * features(40, seed=1)
    (precision, recall), (density, coverage) = precision_recall(collapsed, x), density_coverage(collapsed, x)
    assert precision == 1 and recall < 0.1 and density > 0.5 and coverage < 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_values_are_float64_scalars_without_gradients_whatever_the_order_of_images(metric):
    x, y = features(20, seed=0).requires_grad_(), features(25, seed=1) * 2
    values, again = metric(x, y), metric(x.flip(0), y.roll(3, 0))
    for value, other in zip(*((v if isinstance(v, tuple) else (v,)) for v in (values, again)), strict=True):
        assert (value.shape, value.dtype, value.requires_grad) == ((), torch.float64, False)
        torch.testing.assert_close(value, other)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_features_are_refused(metric):
    with pytest.raises(ValueError, match=r"\(N, D\) with one D"):
        metric(torch.zeros(6, 2), torch.zeros(6, 3))
    with pytest.raises(ValueError, match="N at least"):
        metric(torch.zeros(6, 2), torch.zeros(1, 2))


@pytest.mark.parametrize("metric", [precision_recall, density_coverage])
def test_neighbours_must_be_there(metric):
    with pytest.raises(ValueError, match=r"N at least \[\d, 7\]"):
        metric(torch.zeros(7, 2), torch.zeros(6, 2), neighbours=6)
    with pytest.raises(ValueError, match="neighbours must be at least 1, got 0"):
        metric(torch.zeros(7, 2), torch.zeros(6, 2), neighbours=0)


def test_terms_have_the_metrics_as_means():
    x, y = 0.7 * features(60, 5, seed=0), features(80, 5, seed=1)
    for terms, metric in ((precision_recall_terms, precision_recall), (density_coverage_terms, density_coverage)):
        (of_judged, of_references), values = terms(x, y, neighbours=4), metric(x, y, neighbours=4)
        assert (of_judged.shape, of_references.shape) == ((60,), (80,))
        torch.testing.assert_close((of_judged.double().mean(), of_references.double().mean()), values)
    torch.testing.assert_close(kernel_terms(x, y).distance(), kernel_distance(x, y))


def test_terms_stand_at_the_right_image():
    """One judged image is odd, and one reference."""
    x, y = features(40, 3, seed=0), features(50, 3, seed=1)
    x[7], y[9] = 100, -100
    precise, recalled = precision_recall_terms(x, y)
    densities, _ = density_coverage_terms(x, y)
    assert not precise[7] and precise.double().mean() > 0.7 and densities[7] == 0
    assert not recalled[9] and recalled.double().mean() > 0.7
    _, covered = density_coverage_terms(y[3] + 1e-3 * x[:6], y)
    assert covered[3] and covered.double().mean() < 0.5


def test_resamples_of_kernels_count_every_pair_of_copies_of_different_images():
    """The weighted sums, written literally: draws of images one by one, an image and its copies no pair."""
    x, y = features(5, seed=0).double(), features(4, seed=1).double() + 1
    drawn, others = [0, 0, 0, 2, 3], [1, 1, 2, 3]

    def mean(a: Tensor, b: Tensor, first: list[int], second: list[int], *, different: bool) -> float:
        kernels = [(a[i] @ b[j] / 4 + 1) ** 3 for i in first for j in second if not different or i != j]
        return float(sum(kernels) / len(kernels))

    expected = mean(x, x, drawn, drawn, different=True) + mean(y, y, others, others, different=True)
    expected -= 2 * mean(x, y, drawn, others, different=False)
    counts = torch.tensor([[3, 0, 1, 1, 0], [1, 1, 1, 1, 1]]), torch.tensor([[0, 2, 1, 1], [1, 1, 1, 1]])
    found = kernel_terms(x, y).distances(*counts)
    assert found.tolist() == pytest.approx([expected, kernel_distance(x, y).item()], rel=1e-10)


def test_images_of_a_cluster_are_no_pair():
    x, y = features(4, seed=0).double(), features(3, seed=1).double()
    # images 0 and 1 are one patient, drawn twice, image 3 is not drawn
    within = float(sum(2 * (x[i] @ x[2] / 4 + 1) ** 3 for i in (0, 1))) / 4
    across = float(sum(times * (x[i] @ b / 4 + 1) ** 3 for i, times in ((0, 2), (1, 2), (2, 1)) for b in y)) / 15
    terms = kernel_terms(x, y)
    others = float(terms.reference.sum() - terms.reference.trace()) / 6
    clusters = torch.tensor([5, 5, 1, 2])
    found = terms.distances(torch.tensor([[2, 2, 1, 0]]), torch.ones(1, 3), judged_clusters=clusters)
    assert found.item() == pytest.approx(within + others - 2 * across, rel=1e-10)
    assert terms.distances(torch.tensor([[3, 3, 0, 0]]), torch.ones(1, 3), judged_clusters=clusters).isnan()


def test_kernel_distance_of_clusters_is_unbiased_where_that_of_images_is_not():
    """Slices of the same population of patients, four alike of each."""

    def draw(seed: int) -> Tensor:
        return features(10, seed=seed).repeat_interleave(4, dim=0) + 0.2 * features(40, seed=seed + 5000)

    clusters = torch.arange(10).repeat_interleave(4)
    terms = [kernel_terms(draw(seed), draw(seed + 1000)) for seed in range(300)]
    of_clusters = torch.stack([term.distance(judged_clusters=clusters, reference_clusters=clusters) for term in terms])
    of_images = torch.stack([term.distance() for term in terms])
    for values, biased in ((of_clusters, False), (of_images, True)):
        assert (values.mean() > 3 * values.std() / len(values) ** 0.5) == biased
    assert of_clusters.mean().abs() < 3 * of_clusters.std() / len(terms) ** 0.5


@pytest.mark.parametrize("size", [1, 4])
def test_resamples_lie_around_the_value_also_when_images_of_a_cluster_are_alike(size):
    """Pairs of copies would move all resamples up by more than their deviation."""
    clusters = torch.arange(30).repeat_interleave(size)
    x = features(30, 6, seed=0)[clusters] + 0.1 * features(30 * size, 6, seed=1)
    terms = kernel_terms(x, features(40, 6, seed=2))
    counts = cluster_counts(clusters.numpy(), resamples=4000, seed=0)
    found = terms.distances(counts, torch.ones(4000, 40), judged_clusters=clusters)
    assert (found.mean() - terms.distance(judged_clusters=clusters)).abs() < 0.1 * found.std()


def test_counts_that_do_not_fit_are_refused():
    terms = kernel_terms(features(5, seed=0), features(4, seed=1))
    with pytest.raises(ValueError, match=r"counts must be \(R, 5\) and \(R, 4\), got \(2, 4\) and \(2, 5\)"):
        terms.distances(torch.ones(2, 4), torch.ones(2, 5))
    with pytest.raises(ValueError, match=r"clusters must be \(5,\), got \(4,\)"):
        terms.distances(torch.ones(2, 5), torch.ones(2, 4), judged_clusters=torch.zeros(4))
