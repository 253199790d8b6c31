"""Workflows of MONAI in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import monai
import pytest
import torch
from monai.bundle import run_workflow

import monai_aggrgan
from monai_aggrgan.losses import LeastSquaresObjective
from monai_aggrgan.networks import DCGAN1Generator
from monai_aggrgan.workflows import GanTrainingWorkflow
from tests.bundle_trainings import BUNDLE, TINY, finish, workflow, write_prepared

NAME = "monai_aggrgan.workflows.GanTrainingWorkflow"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepare"))


@pytest.fixture
def options(prepared, tmp_path) -> dict[str, Any]:
    given = {"dataset_dir": prepared, "class_name": "glioma", "output_dir": tmp_path / "out", "device": "cpu"}
    return {**given, **TINY, "max_epochs": 2, "batch_size": 2}


def test_it_has_all_properties_of_a_training(options, prepared):
    training = GanTrainingWorkflow(**options)
    training.initialize()
    assert training.check_properties() == []
    assert training.get_workflow_type() == "train"
    assert (training.version, training.monai_version) == (monai_aggrgan.__version__, monai.__version__)
    assert training.dataset_dir == str(prepared) and len(training.train_dataset) == 4
    assert training.trainer is training.trainer and training.trainer.generator is training.network_def
    assert training.evaluator is None


def test_metadata_can_be_a_bundles(options):
    training = GanTrainingWorkflow(**options, meta_file=str(BUNDLE / "configs" / "metadata.json"))
    training.initialize()
    assert training.check_properties() == []
    assert training.description.startswith("Three GANs a class")


def test_monais_run_workflow_trains_as_the_configs_do(options, prepared, tmp_path):
    run_workflow(NAME, **options)
    finish(workflow("dcgan2", prepared, tmp_path / "config", max_epochs=2, batch_size=2))
    ours, configs = (torch.load(tmp_path / name / "generator.pt", weights_only=True) for name in ("out", "config"))
    assert ours.keys() == configs.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in configs.items())


def test_parts_that_are_set_take_the_place_of_ours(options, tmp_path):
    training = GanTrainingWorkflow(**options, model_file=tmp_path / "models" / "model.pt")
    training.network_def, training.objective = DCGAN1Generator(**TINY), LeastSquaresObjective()
    training.max_epochs = 1
    training.initialize()
    training.run()
    assert training.trainer.state.epoch == 1
    assert training.trainer.step.objective is training.objective
    state = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in training.network_def.state_dict().items())
    DCGAN1Generator(**TINY).load_state_dict(state)
    assert not (tmp_path / "out" / "generator.pt").exists()


def test_a_training_goes_on_where_it_was(options, tmp_path):
    run_workflow(NAME, **{**options, "max_epochs": 1})
    run_workflow(NAME, **options)
    run_workflow(NAME, **{**options, "output_dir": tmp_path / "whole"})
    parts, whole = (torch.load(tmp_path / name / "generator.pt", weights_only=True) for name in ("out", "whole"))
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


def test_properties_are_there_after_initialize(options):
    with pytest.raises(RuntimeError, match="initialize"):
        _ = GanTrainingWorkflow(**options).trainer
