"""Images without selection, without merging, without style: how they are drawn and where they lie."""

from __future__ import annotations

import pytest
import torch
from monai.metrics.regression import SSIMMetric

from monai_aggrgan.data import read_manifest
from monai_aggrgan.stages.select import chosen_references, open_pool
from monai_aggrgan.stages.steps import by_turns, unselected

GENERATORS = ("dcgan1", "dcgan2", "wgan_div")


@pytest.fixture
def parts(study_of, finished):
    settings = study_of(finished).settings
    references, _ = chosen_references(settings, "disc")
    pools = {name: open_pool(settings, "disc", name)[0] for name in GENERATORS}
    return settings, references, pools


@pytest.mark.parametrize("count", [1, 2])
def test_gans_answer_by_turns_with_images_drawn_by_the_seed(parts, count):
    settings, references, pools = parts
    selection = unselected(settings, references, pools, count=count)
    assert selection.generators == GENERATORS
    chosen = selection.scores.isfinite()
    for row in range(len(references)):
        assert {*chosen[row].nonzero().flatten().tolist()} == {(row + step) % 3 for step in range(count)}
    ssim = SSIMMetric(spatial_dims=2, data_range=1.0, reduction="none")
    for row, column in chosen.nonzero().tolist():
        image = pools[GENERATORS[column]][selection.indices[row, column]].float()
        expected = ssim(image[None], references[row][None])
        assert selection.scores[row, column] == pytest.approx(expected.item(), abs=1e-5)
    again = unselected(settings, references, pools, count=count)
    assert torch.equal(again.indices, selection.indices)


def test_another_seed_draws_other_images(study_of, finished, parts):
    settings, references, pools = parts
    other = study_of(finished, seed=3).settings
    drawn = [unselected(each, references, pools, count=1).indices for each in (settings, other)]
    assert not torch.equal(*drawn)


def test_drawn_images_are_not_those_that_selection_finds(finished):
    for class_name in ("disc", "square"):
        single, merged = (
            read_manifest(finished / "aggregate" / class_name / name) for name in ("steps_000", "steps_010")
        )
        assert {len(row["generators"].split("+")) for row in single} == {1}
        assert {len(row["generators"].split("+")) for row in merged} == {2}
        assert {row["generators"] for row in single} == {*GENERATORS}  # three references, three turns
        for name in GENERATORS:
            selected = {
                row["reference"]: row["seed"] for row in read_manifest(finished / "aggregate" / class_name / name)
            }
            drawn = {row["reference"]: row["seed"] for row in single if row["generators"] == name}
            assert drawn and drawn.keys() < selected.keys()


@pytest.mark.parametrize(
    ("method", "stage", "suffix"), [("steps_100", "aggregate", ""), ("steps_101", "stylise", "+style")]
)
def test_selected_single_images_lie_where_their_gan_put_them(parts, finished, method, stage, suffix):
    listed = by_turns(parts[0], "disc", method)
    assert {folder for folder, _ in listed} == {finished / stage / "disc" / f"{name}{suffix}" for name in GENERATORS}
    assert len({row["reference"] for _, row in listed}) == 3
    assert all((folder / row["file"]).is_file() for folder, row in listed)


@pytest.mark.parametrize("class_name", ["disc", "square"])
def test_a_reference_has_the_same_gan_with_and_without_selection(study_of, finished, class_name):
    drawn = {
        row["reference"]: row["generators"] for row in read_manifest(finished / "aggregate" / class_name / "steps_000")
    }
    selected = {
        row["reference"]: folder.name for folder, row in by_turns(study_of(finished).settings, class_name, "steps_100")
    }
    assert drawn == selected and len(drawn) == 3
