"""The bundle's inference config on the finished study of drawings: real slices in, a synthetic data set out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow, run
from monai.data import Dataset, load_decathlon_datalist
from monai.metrics import SSIMMetric
from monai.transforms import LoadImaged
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import monai_aggrgan
from monai_aggrgan.data import PreparedSlices, read_manifest, read_nifti, sha256_of, write_image_files
from monai_aggrgan.inferers import AggregationInferer, make_pool, merging_weights, weighted_sum
from monai_aggrgan.networks import GeneratorEnsemble
from monai_aggrgan.stages import load_ensemble
from monai_aggrgan.stages.export import TRAINED_ON

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan"
GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
MERGED = {"inferer": "@aggregation"}
CONFIG = str(BUNDLE / "configs" / "inference.yaml")
QUICK = {"class_name": "disc", "images": 8, "pool_size": 12, "vgg_weights": "random", "style_iterations": 2}
CPU = "$torch.device('cpu')"


@pytest.fixture(scope="module")
def workflow_of(finished) -> Callable[..., ConfigWorkflow]:
    """Makes the workflow that answers the discs of the finished study, quickly."""

    def make(output_dir: Path, **options: Any) -> ConfigWorkflow:
        places = {"bundle_root": str(BUNDLE), "study_dir": str(finished), "output_dir": str(output_dir)}
        given = {**QUICK, "device": CPU, **places, **options}
        return ConfigWorkflow(config_file=CONFIG, workflow_type="infer", logging_file=False, **given)

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
def rounds(workflow_of, tmp_path_factory) -> Path:
    """Folder of 19 answers to the 8 references, without style transfer; tests only read it."""
    folder = tmp_path_factory.mktemp("rounds")
    infer(workflow_of(folder, images=19, **MERGED))
    return folder


@pytest.fixture(scope="module")
def training(finished) -> PreparedSlices:
    return PreparedSlices(finished / "prepare", class_name="disc")


@pytest.fixture(scope="module")
def ensemble(finished) -> GeneratorEnsemble:
    return load_ensemble(finished, class_name="disc", generators=GENERATORS, config_dir=BUNDLE / "configs")


def image_of(folder: Path, reference: str) -> Tensor:
    return read_nifti(folder / f"{reference}.nii.gz")


def parts(folder: Path) -> list[tuple[str, int, float]]:
    """Generator, seed and score of everything that the images of a folder were merged from."""
    return [
        (generator, int(seed), float(score))
        for row in read_manifest(folder)
        for generator, seed, score in zip(
            *(row[column].split("+") for column in ("generators", "seed", "scores")), strict=True
        )
    ]


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
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz")} == {
            f"{name}.nii.gz" for name in ids
        }
        assert [row["reference"] for row in read_manifest(folder)] == ids
        assert [row["file"] for row in read_manifest(folder)] == [f"{name}.nii.gz" for name in ids]
    (row, *_), (merged_row, *_) = read_manifest(styled), read_manifest(merged)
    told = ["file", "class_name", "method", "seed", "reference", "style_image", "sha256", "generators", "scores"]
    assert list(merged_row) == told
    assert (row["iterations"], row["method"], merged_row["method"]) == ("2", "aggrgan_ssim", "aggregate_ssim")
    assert (row["style_image"], merged_row["style_image"]) == (row["reference"], "")
    assert all(row[name] == merged_row[name] for name in ("file", "class_name", "seed", "generators", "scores"))
    assert row["sha256"] != merged_row["sha256"]


def test_the_set_is_there_whole_with_what_made_it(styled, finished):
    assert {path.name for path in styled.iterdir()} >= {"disc", "manifest.csv", "datalist.json", TRAINED_ON}
    assert not (styled / "unfinished").exists()
    prepared = [row for row in read_manifest(finished / "prepare") if row["class_name"] == "disc"]
    seen = [row["id"] for row in read_manifest(styled, name=TRAINED_ON)]
    assert seen == [row["id"] for row in prepared if row["section"] == "training"] and len(seen) < len(prepared)
    for row in read_manifest(styled):
        pixels = np.asarray(nibabel.load(styled / row["file"]).dataobj, dtype=np.float32).T
        assert sha256_of(pixels.tobytes()) == row["sha256"]


def test_any_number_of_images_can_be_made(rounds, merged, training):
    rows, ids = read_manifest(rounds), [row["id"] for row in training.rows]
    names = [row["file"].removesuffix(".nii.gz") for row in rows]
    assert names == [*ids, *(f"{name}-1" for name in ids), *(f"{name}-2" for name in ids[:3])]
    assert [row["reference"] for row in rows] == [*ids, *ids, *ids[:3]]
    assert rows[:8] == read_manifest(merged)
    images = [image_of(rounds, name) for name in names]
    assert len({tuple(image.flatten().tolist()) for image in images[:8]}) == len({row["sha256"] for row in rows[:8]})
    for row, image in enumerate(images):  # every answer to a reference is another
        assert not any(torch.equal(image, other) for other in images[row % 8 : row : 8])


def test_a_further_round_draws_on_seeds_that_no_other_has(rounds):
    seeds = [seed // 12 for _, seed, _ in parts(rounds)]
    assert seeds == [0] * 16 + [1] * 16 + [2] * 6


def test_a_further_round_is_the_first_of_other_seeds(workflow_of, rounds, tmp_path):
    infer(workflow_of(tmp_path / "other", first_seed=12, **MERGED))
    for row, second in zip(read_manifest(tmp_path / "other"), read_manifest(rounds)[8:16], strict=True):
        assert row["seed"] == second["seed"] and row["sha256"] == second["sha256"]


def test_the_datalist_is_one_of_monais(rounds, training):
    items = load_decathlon_datalist(rounds / "datalist.json", is_segmentation=False)
    assert len(items) == 19 and {item["label"] for item in items} == {0}
    told = json.loads((rounds / "datalist.json").read_text(encoding="utf-8"))
    assert told["labels"] == {"0": "disc", "1": "square"} and "no audit" in told["description"]
    loaded = Dataset(items, LoadImaged("image", ensure_channel_first=True, image_only=True))
    for item, row in zip(loaded, read_manifest(rounds), strict=True):
        assert torch.equal(item["image"].as_tensor().mT, image_of(rounds, row["file"].removesuffix(".nii.gz")))


def test_rounds_do_not_depend_on_the_batch(workflow_of, rounds, tmp_path):
    infer(workflow_of(tmp_path, images=19, batch_size=5, **MERGED))  # batches of two rounds, too
    assert read_manifest(tmp_path) == read_manifest(rounds)
    assert (tmp_path / "ssim_raw.csv").read_bytes() == (rounds / "ssim_raw.csv").read_bytes()


class Killed(BaseException):
    """What is raised in the middle of a run."""


def test_a_killed_run_goes_on(workflow_of, rounds, tmp_path, monkeypatch):
    def end() -> None:
        raise Killed

    options = {"images": 19, "batch_size": 4, **MERGED}
    workflow = workflow_of(tmp_path, **options)
    workflow.initialize()
    workflow.evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=3), end)
    with pytest.raises((Killed, RuntimeError)):  # as MONAI wraps it
        workflow.run()
    kept = list(tmp_path.rglob("*.pt"))
    assert len(kept) == 12 and not (tmp_path / "manifest.csv").exists() and not (tmp_path / "datalist.json").exists()
    asked: list[int] = []
    answer = AggregationInferer.__call__

    def counted(self: AggregationInferer, inputs: Tensor, *rest: Any, **further: Any) -> Tensor:
        asked.append(len(inputs))
        return answer(self, inputs, *rest, **further)

    monkeypatch.setattr(AggregationInferer, "__call__", counted)
    infer(workflow_of(tmp_path, **options))
    assert sum(asked) == 7
    assert read_manifest(tmp_path) == read_manifest(rounds)
    for name in ("metrics.csv", "ssim_raw.csv", "datalist.json", TRAINED_ON):
        assert (tmp_path / name).read_bytes() == (rounds / name).read_bytes()
    assert not (tmp_path / "unfinished").exists()


def test_monais_run_makes_a_set_in_process_and_by_command_line(finished, merged, tmp_path):
    places = {"bundle_root": str(BUNDLE), "study_dir": str(finished)}
    given = {**QUICK, **places, **MERGED}
    run(config_file=CONFIG, logging_file=False, **given, output_dir=str(tmp_path / "process"), device=CPU)
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", CONFIG, *words]
    asked = [*command, "--output_dir", str(tmp_path / "line"), "--device", CPU]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "disc batches" in ended.stderr
    for name in ("process", "line"):
        assert read_manifest(tmp_path / name) == read_manifest(merged)


def test_the_seeds_of_the_manifest_make_the_images_again(merged, ensemble):
    rows = read_manifest(merged)
    assert len({row["seed"] for row in rows}) > 1
    for row in rows:
        seeds = [int(seed) for seed in row["seed"].split("+")]
        columns = [ensemble.names.index(name) for name in row["generators"].split("+")]
        made = [make_pool(ensemble, seeds=range(seed, seed + 1))[0, c] for seed, c in zip(seeds, columns, strict=True)]
        candidates, scores = torch.stack(made)[None], torch.tensor([[float(s) for s in row["scores"].split("+")]])
        expected = weighted_sum(candidates, merging_weights(candidates, scores))[0]
        torch.testing.assert_close(image_of(merged, row["reference"]), expected, rtol=0, atol=1e-5)


def test_other_seeds_make_other_pools(workflow_of, merged, ensemble, training, tmp_path):
    infer(workflow_of(tmp_path, first_seed=100, images=2, **MERGED))
    rows = read_manifest(tmp_path)
    assert len(rows) == 2
    assert all(100 <= seed < 112 for _, seed, _ in parts(tmp_path))
    expected = AggregationInferer(pool_size=12, first_seed=100)(training.images[[0, 4]], ensemble)
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
    def used(folder: Path) -> list[tuple[str, int]]:
        return [(generator, seed) for generator, seed, _ in parts(folder)]

    infer(workflow_of(tmp_path, matching="unique", batch_size=3, images=13, **MERGED))
    assert len({*used(tmp_path)}) == len(used(tmp_path)) == 26
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
        ours = nibabel.load(merged / f"{row['id']}.nii.gz")
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
    rows = read_manifest(tmp_path)
    assert len(load_decathlon_datalist(tmp_path / "datalist.json", is_segmentation=False)) == len(rows) == 8
    for row in read_manifest(merged):
        assert {**row, "file": row["file"].replace(".nii.gz", ".png")} in rows
        with Image.open(tmp_path / f"{row['reference']}.png") as png:
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
