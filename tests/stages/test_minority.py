"""A class of which most images are taken away."""

from __future__ import annotations

import pytest
import torch

from monai_aggrgan.data import read_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.minority import fill_of, minority_class

TRAINING = 8  # images of four patients a class


@pytest.fixture(scope="module")
def finished_minority(study_of, finished, tmp_path_factory):
    import shutil

    folder = tmp_path_factory.mktemp("minority") / "study"
    shutil.copytree(finished, folder)
    study = study_of(folder, minority_class="square")
    study.run("minority")
    return study


def test_whole_patients_of_the_training_side_are_kept(finished_minority):
    folder = finished_minority.settings.output_dir
    real = {row["id"]: row for row in read_manifest(folder / "prepare") if row["class_name"] == "square"}
    kept = [real[row["id"]] for row in read_manifest(folder / "minority", name="kept.csv")]
    assert {row["section"] for row in kept} == {"training"} and 2 <= len(kept) < TRAINING
    patients = {row["patient"] for row in kept}
    assert len(kept) == sum(row["patient"] in patients for row in real.values())


def test_its_generators_see_these_alone(finished_minority):
    folder = finished_minority.settings.output_dir / "minority"
    kept = {row["id"] for row in read_manifest(folder, name="kept.csv")}
    rows = read_manifest(folder / "prepare" / "square")
    assert {row["id"] for row in rows if row["section"] == "training"} == kept
    for generator in ("dcgan1", "dcgan2", "wgan_div"):
        trained = torch.load(folder / "train" / "square" / generator / "generator.pt", weights_only=True)
        whole = folder.parent / "train" / "square" / generator / "generator.pt"
        others = torch.load(whole, weights_only=True)
        assert any(not torch.equal(trained[name], others[name]) for name in trained)


def test_trainings_take_as_many_steps_as_on_the_whole_class(finished_minority):
    folder = finished_minority.settings.output_dir
    for generator in ("dcgan1", "wgan_div"):
        steps = [
            torch.load(
                max(place.glob("checkpoint_*.pt"), key=lambda path: int(path.stem.split("_")[1])), weights_only=True
            )["trainer"]["iteration"]
            for place in (folder / "train" / "square" / generator, folder / "minority" / "train" / "square" / generator)
        ]
        assert steps[0] <= steps[1] <= 1.5 * steps[0]


def test_its_images_answer_kept_ones_and_fill_the_class_up(finished_minority):
    settings = finished_minority.settings
    folder = settings.output_dir / "minority"
    rows = read_manifest(folder)
    assert len(rows) == fill_of(settings) > 0
    assert {row["reference"] for row in rows} <= {row["id"] for row in read_manifest(folder, name="kept.csv")}
    assert all((folder / row["file"]).is_file() and (folder / row["preview"]).is_file() for row in rows)
    assert {row["class_name"] for row in rows} == {"square"}


def test_what_is_done_is_not_repeated(finished_minority, caplog):
    folder = finished_minority.settings.output_dir / "minority"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    finished_minority.run("minority")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_an_interrupted_one_goes_on(study_of, copied, monkeypatch):
    from monai_aggrgan.stages import minority

    study = study_of(copied)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(minority, "answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.run("minority")
    trained = next((copied / "minority" / "train").rglob("generator.pt"))
    before = trained.stat().st_mtime_ns
    study.run("minority")
    assert trained.stat().st_mtime_ns == before and read_manifest(copied / "minority")


def test_the_smallest_class_is_the_minority_unless_another_is_named(study_of, finished):
    assert minority_class(study_of(finished, minority_class="square").settings) == "square"
    assert minority_class(study_of(finished).settings) == "disc"  # the first of two as small
    assert minority_class(study_of(finished, minority_class="none").settings) is None
    assert fill_of(study_of(finished, minority_class="none").settings) is None
    with pytest.raises(InputError, match="--minority_class must be auto, none or a class of the study"):
        minority_class(study_of(finished, minority_class="circle").settings)
