"""The bundle's inference config on the finished study of drawings: real slices in, synthetic images out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.metrics import SSIMMetric
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import monai_aggrgan
from monai_aggrgan.data import PreparedSlices, read_manifest, read_nifti, write_image_files
from monai_aggrgan.inferers import AggregationInferer, make_pool, merging_weights, weighted_sum
from monai_aggrgan.networks import GeneratorEnsemble
from monai_aggrgan.stages import load_ensemble

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan"
GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
MERGED = {"inferer": "@aggregation"}


@pytest.fixture(scope="module")
def workflow_of(finished) -> Callable[..., ConfigWorkflow]:
    """Makes the workflow that answers the discs of the finished study, quickly."""

    def make(output_dir: Path, **options: Any) -> ConfigWorkflow:
        quick = {"device": "$torch.device('cpu')", "pool_size": 12, "vgg_weights": "random", "style_iterations": 2}
        places = {"bundle_root": str(BUNDLE), "study_dir": str(finished), "output_dir": str(output_dir)}
        config = str(BUNDLE / "configs" / "inference.yaml")
        given = {"class_name": "disc", **quick, **places, **options}
        return ConfigWorkflow(config_file=config, workflow_type="infer", logging_file=False, **given)

    return make


def infer(workflow: ConfigWorkflow) -> None:
    workflow.initialize()
    workflow.run()
    workflow.finalize()


@pytest.fixture(scope="module")
def styled(workflow_of, tmp_path_factory) -> Path:
    """Folder of the whole method's answers to all training discs; tests only read it."""
    folder = tmp_path_factory.mktemp("styled")
    infer(workflow_of(folder, batch_size=3))
    return folder


@pytest.fixture(scope="module")
def merged(workflow_of, tmp_path_factory) -> Path:
    """Folder of answers without style transfer; tests only read it."""
    folder = tmp_path_factory.mktemp("merged")
    infer(workflow_of(folder, **MERGED))
    return folder


@pytest.fixture(scope="module")
def training(finished) -> PreparedSlices:
    return PreparedSlices(finished / "prepare", class_name="disc")


@pytest.fixture(scope="module")
def ensemble(finished) -> GeneratorEnsemble:
    return load_ensemble(finished, class_name="disc", generators=GENERATORS, config_dir=BUNDLE / "configs")


def image_of(folder: Path, reference: str) -> Tensor:
    return read_nifti(folder / f"{reference.partition('/')[2]}.nii.gz")


def test_the_config_is_a_complete_monai_workflow(workflow_of, tmp_path):
    workflow = workflow_of(tmp_path, **MERGED)
    workflow.initialize()
    assert workflow.check_properties() == []
    assert len(workflow.dataset) == 8 and workflow.bundle_root == str(BUNDLE)
    assert isinstance(workflow.network_def, GeneratorEnsemble)
    assert isinstance(workflow.inferer, AggregationInferer)


def test_each_reference_has_an_image_and_a_row_of_its_name(styled, merged, training):
    ids = [row["id"] for row in training.rows]
    for folder in (styled, merged):
        assert {path.name for path in folder.glob("*.nii.gz")} == {f"{name.partition('/')[2]}.nii.gz" for name in ids}
        assert [row["reference"] for row in read_manifest(folder)] == ids
    (row, *_), (merged_row, *_) = read_manifest(styled), read_manifest(merged)
    assert list(merged_row) == ["reference", "generators", "seeds", "scores"]
    assert row["iterations"] == "2" and merged_row.items() <= row.items()


def test_the_seeds_of_the_manifest_make_the_images_again(merged, ensemble):
    rows = read_manifest(merged)
    assert len({row["seeds"] for row in rows}) > 1
    for row in rows:
        seeds = [int(seed) for seed in row["seeds"].split("+")]
        columns = [ensemble.names.index(name) for name in row["generators"].split("+")]
        made = [make_pool(ensemble, seeds=range(seed, seed + 1))[0, c] for seed, c in zip(seeds, columns, strict=True)]
        candidates, scores = torch.stack(made)[None], torch.tensor([[float(s) for s in row["scores"].split("+")]])
        expected = weighted_sum(candidates, merging_weights(candidates, scores))[0]
        torch.testing.assert_close(image_of(merged, row["reference"]), expected, rtol=0, atol=1e-5)


def test_other_seeds_make_other_pools(workflow_of, merged, ensemble, training, tmp_path):
    infer(workflow_of(tmp_path, first_seed=100, images=2, **MERGED))
    rows = read_manifest(tmp_path)
    assert len(rows) == 2
    assert all(100 <= int(seed) < 112 for row in rows for seed in row["seeds"].split("+"))
    expected = AggregationInferer(pool_size=12, first_seed=100)(training.images[:2], ensemble)
    for image, row in zip(expected, rows, strict=True):
        assert torch.equal(image_of(tmp_path, row["reference"]), image)


def test_the_whole_method_restyles_what_was_merged(workflow_of, styled, merged, training, tmp_path):
    infer(workflow_of(tmp_path, style_iterations=0))
    for row in training.rows:
        before, after = image_of(merged, row["id"]), image_of(styled, row["id"])
        assert torch.equal(image_of(tmp_path, row["id"]), before)  # where it starts from
        assert after.min() >= 0 and after.max() <= 1 and not torch.equal(before, after)
    assert all(float(row["final_loss"]) < float(row["initial_loss"]) for row in read_manifest(styled))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_images_do_not_depend_on_the_batch(workflow_of, merged, tmp_path, batch_size):
    infer(workflow_of(tmp_path, batch_size=batch_size, **MERGED))
    assert read_manifest(tmp_path) == read_manifest(merged)
    for row in read_manifest(merged):
        assert torch.equal(image_of(tmp_path, row["reference"]), image_of(merged, row["reference"]))


def test_a_unique_matching_uses_no_image_twice(workflow_of, merged, tmp_path):
    def used(folder: Path) -> list[tuple[str, str]]:
        rows = read_manifest(folder)
        return [p for row in rows for p in zip(row["generators"].split("+"), row["seeds"].split("+"), strict=True)]

    infer(workflow_of(tmp_path, matching="unique", batch_size=2, **MERGED))
    assert len({*used(tmp_path)}) == len(used(tmp_path)) == 16
    assert len({*used(merged)}) < 16


def test_without_style_transfer_no_vgg_is_loaded(workflow_of, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("VGG-19 was asked for")

    monkeypatch.setattr(monai_aggrgan.networks, "load_vgg19", refuse)
    infer(workflow_of(tmp_path / "merged", images=1, **MERGED))
    assert len(read_manifest(tmp_path / "merged")) == 1
    with pytest.raises(RuntimeError) as caught:  # with it the same would be noticed
        infer(workflow_of(tmp_path / "styled", images=1))
    assert "VGG-19 was asked for" in str(caught.value.__cause__)


def test_nifti_files_lie_as_those_of_a_study(merged, training, tmp_path):
    for row in training.rows[:3]:
        image = image_of(merged, row["id"])
        ours = nibabel.load(merged / f"{row['id'].partition('/')[2]}.nii.gz")
        studys = nibabel.load(tmp_path / write_image_files(tmp_path, "image", image)["file"])
        np.testing.assert_array_equal(ours.affine, studys.affine)
        assert ours.shape == studys.shape and ours.get_data_dtype() == studys.get_data_dtype() == np.float32
        np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(studys.dataobj))


def test_images_are_upright(merged, ensemble, training):
    expected = AggregationInferer(pool_size=12)(training.images, ensemble)
    for image, row in zip(expected, training.rows, strict=True):
        torch.testing.assert_close(image_of(merged, row["id"]), image, rtol=0, atol=1e-5)
        assert (image - image.mT).abs().max() > 0.01  # or the test could not tell


def test_png_files_show_the_same_upright(workflow_of, merged, tmp_path):
    infer(workflow_of(tmp_path, output_ext=".png", **MERGED))
    for row in read_manifest(merged):
        with Image.open(tmp_path / f"{row['reference'].partition('/')[2]}.png") as png:
            assert png.mode == "L"
            difference = np.asarray(png) - image_of(merged, row["reference"])[0].numpy() * 255
        assert np.abs(difference).max() <= 1


def test_metrics_are_of_an_image_and_its_reference(styled, training):
    told = {row["filename"]: float(row["mean"]) for row in read_manifest(styled, name="ssim_raw.csv")}
    assert list(told) == [row["id"] for row in training.rows]
    for image, row in zip(training.images, training.rows, strict=True):
        expected = SSIMMetric(spatial_dims=2, data_range=1.0)(image_of(styled, row["id"])[None], image[None]).item()
        assert told[row["id"]] == pytest.approx(expected, abs=1e-5)
    summary = dict(line.split(",") for line in (styled / "metrics.csv").read_text().split())
    assert set(summary) == {"ssim", "psnr", "kl", "sd"}
    assert float(summary["ssim"]) == pytest.approx(sum(told.values()) / len(told), abs=1e-6)


def test_held_out_slices_can_be_answered_too(workflow_of, finished, tmp_path):
    infer(workflow_of(tmp_path, section="held_out", images=None, **MERGED))
    held_out = PreparedSlices(finished / "prepare", class_name="disc", section="held_out")
    assert [row["reference"] for row in read_manifest(tmp_path)] == [row["id"] for row in held_out.rows]


def test_tensorboard_shows_how_the_first_images_were_made(styled):
    events = EventAccumulator(str(styled / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert [event.step for event in events.Images("disc")] == [0, 1, 2, 3]
