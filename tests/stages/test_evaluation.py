"""Loading a trained generator to be judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks import DCGAN2Generator
from monai_aggrgan.stages.evaluation import load
from tests.bundle_trainings import TINY, write_prepared


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trained")
    torch.save(DCGAN2Generator(**TINY, seed=3).state_dict(), folder / "generator.pt")
    return {"model_file": folder / "generator.pt", "dataset_dir": write_prepared(folder / "prepare")}


def test_the_weights_are_loaded_into_the_network(places):
    generator = DCGAN2Generator(**TINY)
    assert load(generator, class_name="glioma", **places) is generator
    expected = DCGAN2Generator(**TINY, seed=3).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in generator.state_dict().items())


@pytest.mark.parametrize(
    ("network", "changed", "told"),
    [
        ({}, {"model_file": "nowhere/generator.pt"}, "nowhere/generator.pt is not there: train this generator"),
        (
            {"image_size": 32},
            {},
            "holds slices of 16 pixels a side, but the generator makes 32: give the --image_size that was prepared",
        ),
        ({"base_width": 8}, {}, r"generator.pt cannot be used"),
        ({}, {"class_name": "pituitary"}, "pituitary"),
    ],
)
def test_what_cannot_be_judged_is_refused(places, network, changed, told):
    with pytest.raises(InputError, match=told):
        load(DCGAN2Generator(**{**TINY, **network}), **{"class_name": "glioma", **places, **changed})
