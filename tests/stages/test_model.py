"""A class's generators as one file of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages import RECORD, load_ensemble
from monai_aggrgan.stages.model import write
from tests.bundle_trainings import CONFIGS, TINY, network

MEMBERS = ("dcgan1", "wgan_div")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A folder like that of a study with two trained generators for glioma."""
    folder = tmp_path_factory.mktemp("study")
    for seed, name in enumerate(MEMBERS):
        out = folder / "train" / "glioma" / name
        out.mkdir(parents=True)
        torch.save(network(name, "network_def", **TINY, seed=seed).state_dict(), out / "generator.pt")
        (out / RECORD).write_text(json.dumps({"settings": TINY}), encoding="utf-8")
    return folder


def test_the_file_holds_the_weights_of_the_ensemble(study, tmp_path):
    options = {"class_name": "glioma", "generators": MEMBERS, "config_dir": CONFIGS}
    path = write(tmp_path / "models" / "model.pt", study_dir=study, **options)
    state, trained = torch.load(path, weights_only=True), load_ensemble(study, **options).state_dict()
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in trained.items())
    assert [one.name for one in path.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"class_name": "disc"}, r"must be a class that the study .* has trained \(glioma\), got 'disc'"),
        ({"study_dir": "nowhere"}, r"has trained \(none\)"),
        ({"generators": ["lsgan"]}, "lsgan holds no trained generator"),
    ],
)
def test_what_is_not_trained_is_refused(study, tmp_path, options, told):
    given = {"study_dir": study, "class_name": "glioma", "generators": MEMBERS, "config_dir": CONFIGS, **options}
    with pytest.raises(InputError, match=told):
        write(tmp_path / "models" / "model.pt", **given)
    assert not (tmp_path / "models").exists()
