"""Which samples are answered, and what the set says of them; see also tests/test_inference.py."""

from __future__ import annotations

import json

import pytest
import torch

from monai_aggrgan.data import PreparedSlices, read_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages import RECORD, SyntheticSetSaver, repeated_references
from monai_aggrgan.stages.export import TRAINED_ON
from tests.bundle_trainings import write_prepared


@pytest.fixture
def prepared(tmp_path):
    """Four training slices and two held-out ones."""
    return write_prepared(tmp_path / "prepare")


@pytest.mark.parametrize(
    ("images", "rounds"), [(None, [0] * 4), (3, [0] * 3), (4, [0] * 4), (9, [0] * 4 + [1] * 4 + [2])]
)
def test_references_are_repeated_until_there_are_enough(prepared, images, rounds):
    samples = repeated_references(prepared, class_name="glioma", images=images)
    slices = PreparedSlices(prepared, class_name="glioma")
    assert [sample["round"] for sample in samples] == rounds
    for place, sample in enumerate(samples):  # three of four: the first three
        reference = slices.rows[place % 4]["id"]
        assert torch.equal(sample["image"], slices.images[place % 4])
        assert sample["image_meta_dict"]["reference"] == reference
        assert sample["name"] == reference + (f"-{place // 4}" if place >= 4 else "")
        assert sample["image_meta_dict"]["filename_or_obj"] == sample["name"]
    assert len({sample["name"] for sample in samples}) == len(samples)


def test_fewer_images_than_slices_are_spread_over_them(tmp_path):
    slices = write_prepared(tmp_path, training=10)
    names = [sample["name"] for sample in repeated_references(slices, class_name="glioma", images=4)]
    assert names == ["glioma/0", "glioma/2", "glioma/5", "glioma/7"]


def test_held_out_slices_are_repeated_too_and_absent_classes_refused(prepared):
    samples = repeated_references(prepared, class_name="glioma", section="held_out", images=3)
    assert [sample["name"] for sample in samples] == ["glioma/4", "glioma/5", "glioma/4-1"]
    with pytest.raises(InputError, match="pituitary"):
        repeated_references(prepared, class_name="pituitary")


@pytest.mark.parametrize("select_best", [False, True])
def test_images_by_which_a_generator_was_chosen_count_as_seen(prepared, tmp_path, select_best):
    (prepared / "manifest.csv").write_bytes((prepared / "glioma" / "manifest.csv").read_bytes())
    folder = tmp_path / "train" / "glioma" / "dcgan2"
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(json.dumps({"settings": {"select_best": select_best}}), encoding="utf-8")
    saver = SyntheticSetSaver(
        tmp_path / "set",
        list,
        study_dir=tmp_path,
        dataset_dir=prepared,
        class_name="glioma",
        generators=["dcgan1", "dcgan2"],
    )
    saver._write()
    assert len(read_manifest(tmp_path / "set", name=TRAINED_ON)) == (6 if select_best else 4)
