from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from monai_aggrgan.metrics.fidelity import kernel_distance
from monai_aggrgan.metrics.whitening import Whitening


def features(count: int, size: int = 6, *, seed: int) -> Tensor:
    """Correlated, of unequal scales, off the origin."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=torch.Generator().manual_seed(9)) * torch.logspace(0, -2, size)
    return torch.randn(count, size, generator=generator) @ mixing.T + 5


def test_equals_scikit_learns_up_to_signs():
    reference, other = features(50, seed=0), features(7, seed=1)
    expected = PCA(3, whiten=True).fit(reference.double()).transform(other.double())
    found = Whitening(reference, components=3)(other)
    torch.testing.assert_close(found.flip(1).abs(), torch.from_numpy(expected).abs())


def test_references_have_no_mean_unit_variances_and_no_correlations():
    reference = features(50, seed=0)
    white = Whitening(reference)(reference)
    torch.testing.assert_close(white.mean(dim=0), torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(white.T.cov(), torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_linear_map_of_the_features_changes_nothing():
    reference, judged = features(50, seed=0).double(), features(40, seed=1).double() + 1
    mixing = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    values = []
    for a, b in ((judged, reference), (judged @ mixing - 3, reference @ mixing - 3)):
        whiten = Whitening(b)
        values.append(kernel_distance(whiten(a), whiten(b)))
    torch.testing.assert_close(*values)


@pytest.mark.parametrize(("count", "kept"), [(2, 1), (12, 3), (40, 6)])
def test_few_references_give_few_components(count, kept):
    assert Whitening(features(count, seed=0))(features(5, seed=1)).shape == (5, kept)


def test_directions_without_variance_are_left_out():
    reference = features(50, seed=0).repeat(1, 2)
    assert Whitening(reference, components=12)(reference).shape == (50, 6)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="references must differ"):
        Whitening(torch.ones(8, 3))
    with pytest.raises(ValueError, match="components must be at least 1, got 0"):
        Whitening(features(8, seed=0), components=0)
    with pytest.raises(ValueError, match="one D"):
        Whitening(features(8, seed=0))(torch.zeros(4, 5))
