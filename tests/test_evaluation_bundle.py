"""The bundle's evaluate config: a trained generator, and real slices in its place, against held-out slices."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from monai.metrics import SSIMMetric

from monai_aggrgan.data import PreparedSlices
from monai_aggrgan.inferers import make_pool
from monai_aggrgan.metrics import best_matches
from tests.bundle_trainings import finish, network, workflow, write_prepared

QUICK = {"max_epochs": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepare"), training=5, held_out=3)


@pytest.fixture(scope="module")
def evaluated(prepared, tmp_path_factory) -> Path:
    """Folder of a training of DCGAN-1 that was evaluated; tests only read it."""
    folder = tmp_path_factory.mktemp("trained")
    finish(workflow("dcgan1", prepared, folder, **QUICK))
    finish(workflow("dcgan1", prepared, folder, "evaluate", batch_size=2, validation_pool=6))
    return folder


def means(folder: Path) -> dict[str, float]:
    rows = csv.reader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines())
    return {name: float(value) for name, value in rows}


def expected_ssim(pool: torch.Tensor, held_out: torch.Tensor) -> list[float]:
    indices, _ = best_matches(pool, held_out, metric="ssim", count=1)
    metric = SSIMMetric(spatial_dims=2, data_range=1.0)
    return [
        metric(pool[i].unsqueeze(0), real.unsqueeze(0)).item() for (i,), real in zip(indices, held_out, strict=True)
    ]


@pytest.mark.parametrize("workflow_type", ["train", "evaluation"])
def test_it_is_a_complete_monai_workflow(evaluated, prepared, tmp_path, workflow_type):
    options = {"model_file": str(evaluated / "generator.pt"), "workflow_type": workflow_type, "validation_pool": 2}
    evaluation = workflow("dcgan1", prepared, tmp_path, "evaluate", **options)
    evaluation.initialize()
    assert evaluation.check_properties() == []
    assert len(evaluation.val_dataset if workflow_type == "train" else evaluation.dataset) == 3


def test_the_trained_generator_is_judged_by_the_nearest_of_its_pool(evaluated, prepared):
    generator = network("dcgan1", "network_def", image_size=16, base_width=4)
    generator.load_state_dict(torch.load(evaluated / "generator.pt", weights_only=True))
    held_out = PreparedSlices(prepared, class_name="glioma", section="held_out")
    expected = expected_ssim(make_pool(generator, seeds=range(6)), held_out.images)
    told = (evaluated / "evaluation" / "ssim_raw.csv").read_text(encoding="utf-8").split()[1:]
    assert [row.split(",")[0] for row in told] == [row["id"] for row in held_out.rows]
    assert [float(row.split(",")[-1]) for row in told] == pytest.approx(expected, abs=1e-5)
    summary = means(evaluated / "evaluation")
    assert set(summary) == {"ssim", "psnr", "kl", "sd"}
    assert summary["ssim"] == pytest.approx(sum(expected) / 3, abs=1e-5)


def test_real_training_slices_are_judged_in_the_same_way(evaluated, prepared):
    training, held_out = (PreparedSlices(prepared, class_name="glioma", section=s) for s in ("training", "held_out"))
    expected = expected_ssim(training.images, held_out.images)
    real = means(evaluated / "evaluation" / "real")
    assert real["ssim"] == pytest.approx(sum(expected) / 3, abs=1e-5)
    assert real != means(evaluated / "evaluation")


def test_nothing_of_the_training_is_touched(evaluated):
    assert {path.name for path in evaluated.glob("*.pt")} == {"generator.pt", "checkpoint_0.pt", "checkpoint_1.pt"}
    assert len(list((evaluated / "tensorboard").glob("events*"))) == 1


def test_what_is_wrong_is_told_in_one_sentence(prepared, tmp_path, capsys):
    evaluation = workflow("dcgan1", prepared, tmp_path, "evaluate")
    with pytest.raises(SystemExit) as ended:
        evaluation.initialize()
    assert ended.value.code == 2
    assert "generator.pt is not there: train this generator to its end first" in capsys.readouterr().err
