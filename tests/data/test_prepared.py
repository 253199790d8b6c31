from __future__ import annotations

from itertools import chain
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from monai_aggrgan.data.image_folder import write_image_files
from monai_aggrgan.data.manifest import write_image_array
from monai_aggrgan.data.prepared import PreparedSlices, ShuffledBatches, shuffled_loader
from monai_aggrgan.exceptions import InputError

SECTIONS = ["training", "held_out", "training", "training", "held_out", "training", "training"]
GREY = torch.arange(7) / 255


@pytest.fixture
def folder(tmp_path) -> Path:
    """Seven slices of the class glioma, each of one grey value by its place."""
    images = GREY.half().float()[:, None, None, None].expand(-1, 1, 4, 4)
    write_image_array(tmp_path / "glioma", images, [{"id": str(i), "section": s} for i, s in enumerate(SECTIONS)])
    return tmp_path


@pytest.mark.parametrize(("section", "places"), [("training", [0, 2, 3, 5, 6]), ("held_out", [1, 4])])
def test_a_section_holds_its_own_slices_and_rows(folder, section, places):
    slices = PreparedSlices(folder, class_name="glioma", section=section)
    assert len(slices) == len(places)
    assert slices.images.shape == (len(places), 1, 4, 4)
    assert torch.allclose(slices.images[:, 0, 0, 0], GREY[places], atol=1e-5)
    assert [row["id"] for row in slices.rows] == [str(place) for place in places]


def test_training_is_the_section_unless_another_is_named(folder):
    assert len(PreparedSlices(folder, class_name="glioma")) == 5


def test_a_list_of_indices_is_the_batch_of_its_items(folder):
    slices = PreparedSlices(folder, class_name="glioma")
    batch = slices[[3, 0, 3]]["image"]
    assert batch.shape == (3, 1, 4, 4)
    assert torch.equal(batch, torch.stack([slices[index]["image"] for index in (3, 0, 3)]))
    assert slices[1]["image"].shape == (1, 4, 4)


@pytest.mark.parametrize(("count", "length"), [(None, 5), (0, 0), (2, 2), (5, 5), (99, 5)])
def test_samples_are_the_first_slices_each_with_its_id(folder, count, length):
    slices = PreparedSlices(folder, class_name="glioma")
    samples = slices.samples(count) if count is not None else slices.samples()
    assert len(samples) == length
    for index, sample in enumerate(samples):
        assert torch.equal(sample["image"], slices.images[index])
        assert sample["image_meta_dict"]["filename_or_obj"] == slices.rows[index]["id"]


def test_samples_of_a_side_are_that_sides(folder):
    samples = PreparedSlices(folder, class_name="glioma", section="held_out").samples()
    assert [sample["image_meta_dict"]["filename_or_obj"] for sample in samples] == ["1", "4"]


def test_samples_tell_the_place_of_an_image_whose_axes_are_exchanged(tmp_path):
    write_image_array(tmp_path / "wide", torch.rand(1, 1, 4, 6), [{"id": "wide/1", "section": "training"}])
    (sample,) = PreparedSlices(tmp_path, class_name="wide").samples()
    written = nibabel.load(tmp_path / write_image_files(tmp_path, "1", sample["image"])["file"])
    assert sample["image"].shape == (1, 4, 6)
    assert sample["image_meta_dict"]["spatial_shape"].tolist() == list(written.shape[:2]) == [6, 4]
    np.testing.assert_array_equal(sample["image_meta_dict"]["affine"].numpy(), written.affine)


def test_slices_move_to_a_device(folder):
    slices = PreparedSlices(folder, class_name="glioma")
    assert slices.to("meta") is slices
    assert slices[[0, 1]]["image"].device.type == "meta"


def test_a_class_that_was_not_prepared(folder):
    with pytest.raises(InputError, match=r"There is no manifest\.csv in .*pituitary: run the stage"):
        PreparedSlices(folder, class_name="pituitary")


def test_a_side_with_nothing_on_it(folder):
    write_image_array(folder / "other", torch.rand(1, 1, 4, 4), [{"section": "training"}])
    with pytest.raises(InputError, match=r"Class 'other' has no held_out images in .*: prepare it again"):
        PreparedSlices(folder, class_name="other", section="held_out")


def test_a_section_that_does_not_exist(folder):
    with pytest.raises(ValueError, match="held-out"):
        PreparedSlices(folder, class_name="glioma", section="held-out")


def _epoch(batches: ShuffledBatches, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return [batch.tolist() for batch in batches]


def test_every_index_comes_once_an_epoch():
    batches = ShuffledBatches(12, batch_size=4)
    assert len(batches) == 3
    for epoch in range(5):
        found = _epoch(batches, epoch)
        assert [len(batch) for batch in found] == [4, 4, 4]
        assert sorted(chain(*found)) == list(range(12))


def test_what_fills_no_batch_is_another_part_each_epoch():
    batches = ShuffledBatches(10, batch_size=4)
    assert len(batches) == 2
    left_out = [set(range(10)) - set(chain(*_epoch(batches, epoch))) for epoch in range(20)]
    assert {len(part) for part in left_out} == {2}
    assert set.union(*left_out) == set(range(10))


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = [_epoch(ShuffledBatches(50, batch_size=7, seed=3), epoch) for epoch in range(4)]
    torch.manual_seed(2)
    backwards = [_epoch(ShuffledBatches(50, batch_size=7, seed=3), epoch) for epoch in (3, 2, 1, 0)]
    assert first == backwards[::-1]
    assert len({str(order) for order in first}) == 4
    assert _epoch(ShuffledBatches(50, batch_size=7, seed=4), 0) != first[0]


def test_an_order_lasts_until_another_epoch_is_set():
    batches = ShuffledBatches(20, batch_size=5)
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in batches] == _epoch(batches, 0)


def test_a_data_set_smaller_than_a_batch_is_one_batch():
    batches = ShuffledBatches(3, batch_size=64)
    assert len(batches) == 1
    assert [sorted(batch.tolist()) for batch in batches] == [[0, 1, 2]]


@pytest.mark.parametrize(("length", "batch_size"), [(0, 4), (4, 0)])
def test_batches_need_samples(length, batch_size):
    with pytest.raises(ValueError, match=f"must be at least 1, got {length} and {batch_size}"):
        ShuffledBatches(length, batch_size=batch_size)


@pytest.mark.parametrize(("length", "batch_size"), [(12, 4), (13, 5), (3, 64)])
def test_processes_share_every_batch(length, batch_size):
    parts = [ShuffledBatches(length, batch_size=batch_size, seed=1, rank=rank, world_size=2) for rank in (0, 1)]
    assert len({len(part) for part in parts}) == 1
    for first, second in zip(*(_epoch(part, 3) for part in parts), strict=True):
        assert len(first) == len(second) == min(batch_size, length) // 2
        assert not {*first} & {*second}
    if batch_size == 4:
        together = [first + second for first, second in zip(*(_epoch(part, 3) for part in parts), strict=True)]
        assert together == _epoch(ShuffledBatches(length, batch_size=batch_size, seed=1), 3)


def test_more_processes_than_samples_of_a_batch_are_refused():
    with pytest.raises(ValueError, match="4 processes cannot share batches of 3"):
        ShuffledBatches(3, batch_size=64, world_size=4)


def test_the_loader_gives_the_samplers_batches(folder):
    slices = PreparedSlices(folder, class_name="glioma")
    loader = shuffled_loader(slices, batch_size=2, seed=5)
    assert len(loader) == 2
    for epoch in (1, 2):
        loader.sampler.set_epoch(epoch)
        expected = _epoch(ShuffledBatches(5, batch_size=2, seed=5), epoch)
        found = [batch["image"] for batch in loader]
        assert [batch.shape for batch in found] == [(2, 1, 4, 4)] * 2
        assert torch.equal(torch.cat(found), slices.images[list(chain(*expected))])


def test_the_loader_leaves_the_global_generator_alone(folder):
    loader = shuffled_loader(PreparedSlices(folder, class_name="glioma"), batch_size=2)
    before = torch.get_rng_state()
    assert len(list(loader)) == 2
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(2, 1, 16), (2, 1, 4, 4, 4)])
def test_signals_and_volumes_are_no_slices(folder, shape):
    write_image_array(folder / "other", torch.rand(shape), [{"section": "training"}] * 2)
    with pytest.raises(InputError, match=r"other must hold slices \(N, 1, H, W\), got .*: a study is of slices"):
        PreparedSlices(folder, class_name="other")
