from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_aggrgan.metrics.features import plain_features


def test_features_become_plain_float64():
    given = MetaTensor(torch.rand(3, 2))
    (rows,) = plain_features(given, at_least=(3,))
    assert (type(rows), rows.dtype) == (torch.Tensor, torch.float64)
    assert torch.equal(rows, given.as_tensor().double())


@pytest.mark.parametrize("shapes", [((3, 2), (1, 2)), ((3, 2), (2, 3)), ((3, 2), (4,)), ((3, 2, 1), (3, 2, 1))])
def test_wrong_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"one D and N at least \[3, 2\], got"):
        plain_features(*map(torch.zeros, shapes), at_least=(3, 2))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_undefined_features_are_refused(value):
    broken = torch.zeros(3, 2)
    broken[2, 1] = value
    with pytest.raises(ValueError, match="must be finite"):
        plain_features(torch.zeros(3, 2), broken, at_least=(1, 1))
