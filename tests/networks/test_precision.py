from __future__ import annotations

import pytest
import torch

from monai_aggrgan.networks.precision import autocast_dtype

CPU = torch.device("cpu")


def test_precisions_of_a_cpu(monkeypatch):
    assert autocast_dtype("float32", CPU) is None
    assert autocast_dtype("bfloat16", CPU) is torch.bfloat16
    for native, expected in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda native=native: native)
        assert autocast_dtype("auto", CPU) is expected


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="float16"):
        autocast_dtype("float16", CPU)
