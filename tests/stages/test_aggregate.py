"""The stage `aggregate` on the finished study of drawings: the images are those of the inferer, run by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from monai_aggrgan.data import PreparedSlices, read_image_array, read_image_folder, read_manifest
from monai_aggrgan.inferers import AggregationInferer, merging_weights
from monai_aggrgan.stages import aggregate

CLASSES = ("disc", "square")
GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
ABLATION = {
    "ablation_best_single": {"merging": "best-single"},
    "ablation_mean": {"merging": "mean"},
    "ablation_metric_weighted": {"merging": "metric-weighted"},
    "ablation_edge_weighted": {"merging": "edge-weighted"},
    "ablation_edge_function": {"merging": "edge-weighted", "gaussian": "function"},
}


def made(study: Path, class_name: str, method: str) -> tuple[Tensor, list[dict[str, str]]]:
    return read_image_folder(study / "aggregate" / class_name / method)


def pools_of(study: Path, class_name: str) -> dict[str, Tensor]:
    return {name: read_image_array(study / "generate" / class_name / name)[0] for name in GENERATORS}


def references_of(study: Path, class_name: str, rows: list[dict[str, str]]) -> Tensor:
    """The training images that a manifest's rows answer."""
    training = PreparedSlices(study / "prepare", class_name=class_name)
    place = {row["id"]: index for index, row in enumerate(training.rows)}
    return training.images[[place[row["reference"]] for row in rows]]


def by_hand(study: Path, class_name: str, method: str, **options: object) -> tuple[Tensor, AggregationInferer]:
    """What the inferer makes of the study's pools for the references of a method, one search for this call alone."""
    _, rows = made(study, class_name, method)
    inferer = AggregationInferer(pools=pools_of(study, class_name), **options)
    return inferer(references_of(study, class_name, rows), nn.Identity()), inferer


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_an_aggregate_is_what_the_inferer_makes_of_the_same_pools(finished, class_name, metric):
    images, rows = made(finished, class_name, f"aggregate_{metric}")
    expected, inferer = by_hand(finished, class_name, f"aggregate_{metric}", metric=metric)
    assert torch.equal(images, expected)
    for row, report in zip(rows, inferer.reports, strict=True):
        assert row["generators"] == "+".join(report.generators)
        assert row["seed"] == "+".join(map(str, report.seeds))
        assert row["scores"] == "+".join(f"{score:.5f}" for score in report.scores)


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("method", ABLATION)
def test_the_ablation_merges_the_same_candidates_by_other_weights(finished, class_name, method):
    images, rows = made(finished, class_name, method)
    _, aggregated = made(finished, class_name, "aggregate_ssim")
    assert [row["seed"] for row in rows] == [row["seed"] for row in aggregated]
    pools = pools_of(finished, class_name)
    for image, row in zip(images, rows, strict=True):
        seeds, scores = row["seed"].split("+"), [float(score) for score in row["scores"].split("+")]
        parts = zip(row["generators"].split("+"), seeds, strict=True)
        candidates = torch.stack([pools[name][int(seed)] for name, seed in parts])
        weights = merging_weights(candidates[None], torch.tensor([scores]), **ABLATION[method])[0]
        torch.testing.assert_close(image, (weights * candidates).sum(dim=0), rtol=0, atol=2e-5)


@pytest.mark.parametrize("class_name", CLASSES)
def test_the_ablation_contains_the_papers_merging_and_the_best_of_the_generators_own(finished, class_name):
    assert torch.equal(
        made(finished, class_name, "ablation_edge_weighted")[0], made(finished, class_name, "aggregate_ssim")[0]
    )
    own = {name: made(finished, class_name, name)[0] for name in GENERATORS}
    images, rows = made(finished, class_name, "ablation_best_single")
    for index, row in enumerate(rows):
        assert torch.equal(images[index], own[row["generators"].split("+")[0]][index])


@pytest.mark.parametrize("class_name", CLASSES)
def test_generators_alone_and_real_slices_are_images_that_were_selected(finished, class_name):
    pools = pools_of(finished, class_name)
    for name in GENERATORS:
        images, rows = made(finished, class_name, name)
        assert torch.equal(images, pools[name][[int(row["seed"]) for row in rows]])
        assert {row["generators"] for row in rows} == {name}
    held_out = PreparedSlices(finished / "prepare", class_name=class_name, section="held_out")
    image_of = {row["id"]: image for row, image in zip(held_out.rows, held_out.images, strict=True)}
    images, rows = made(finished, class_name, "real")
    assert torch.equal(images, torch.stack([image_of[row["image_of"]] for row in rows]))
    found = {
        row["reference"]: row["index"] for row in read_manifest(finished / "select" / class_name / "ssim" / "real")
    }
    assert [row["image_of"] for row in rows] == [held_out.rows[int(found[row["reference"]])]["id"] for row in rows]


def test_another_merging_changes_only_the_aggregates(study_of, copied):
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    mean = {name: made(copied, name, "ablation_mean")[0] for name in CLASSES}
    study_of(copied, merging="mean").run("select", "aggregate")
    after = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    paths = {path for path in {**before, **after} if before.get(path) != after.get(path)}
    merged = ("aggregate_ssim", "aggregate_psnr", "steps_010")
    aggregates = {f"aggregate/{name}/{method}" for name in CLASSES for method in merged}
    assert {path.parent.relative_to(copied).as_posix() for path in paths} == aggregates
    for name in CLASSES:
        assert torch.equal(made(copied, name, "aggregate_ssim")[0], mean[name])
        expected, _ = by_hand(copied, name, "aggregate_psnr", metric="psnr", merging="mean")
        assert torch.equal(made(copied, name, "aggregate_psnr")[0], expected)


def test_without_ablation_its_folders_are_not_made(study_of, finished):
    def folders(**options: object) -> set[str]:
        return {task.folder.name for task in aggregate.tasks(study_of(finished, **options).settings)}

    assert folders() - folders(ablation=False) == {*ABLATION, "steps_000", "steps_010"}
    assert folders(ablation=False) == {*GENERATORS, "aggregate_ssim", "aggregate_psnr", "real"}


def pictures(folder: Path) -> dict[str, list[np.ndarray]]:
    """Pictures by tag that TensorBoard finds in a folder."""
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return {
        tag: [np.asarray(Image.open(io.BytesIO(event.encoded_image_string))) for event in events.Images(tag)]
        for tag in events.Tags()["images"]
    }


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_tensorboard_shows_how_the_first_aggregates_were_made(finished, metric):
    tag = f"disc/aggregate_{metric}"
    shown = pictures(finished / "aggregate" / "disc" / f"aggregate_{metric}")
    assert list(shown) == [tag] and len(shown[tag]) == 3
    selected = read_manifest(finished / "select" / "disc" / metric / "dcgan1")  # in the order of the run
    inferer = AggregationInferer(pools=pools_of(finished, "disc"), metric=metric)
    inferer(references_of(finished, "disc", selected), nn.Identity())
    for picture, expected in zip(shown[tag], inferer.pictures(), strict=True):
        np.testing.assert_array_equal(picture, expected)


def test_tensorboard_has_a_run_for_the_aggregates_and_for_no_other_method(finished):
    runs = {path.parent.relative_to(finished).as_posix() for path in (finished / "aggregate").rglob("*tfevents*")}
    assert runs == {f"aggregate/{name}/aggregate_{metric}" for name in CLASSES for metric in ("ssim", "psnr")}
