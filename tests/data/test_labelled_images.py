from __future__ import annotations

from itertools import chain

import pytest
import torch

from monai_aggrgan.data.labelled_images import (
    CaseImages,
    LabelledImages,
    SteppedBatches,
    ordered_loader,
    stepped_loader,
)


def labelled(count: int) -> LabelledImages:
    """Images whose grey level and label tell their number."""
    return LabelledImages(torch.arange(count).view(-1, 1, 1, 1).expand(-1, 1, 4, 4) / count, torch.arange(count))


def epoch_of(batches: SteppedBatches, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return [batch.tolist() for batch in batches]


def test_an_index_gives_an_image_and_indices_a_batch():
    images = labelled(5)
    assert len(images) == 5
    assert images[3]["image"].shape == (1, 4, 4)
    assert images[3]["label"] == 3
    batch = images[torch.tensor([4, 0])]
    assert batch["label"].tolist() == [4, 0]
    assert batch["image"][:, 0, 0, 0].tolist() == pytest.approx([0.8, 0.0])


def test_images_and_labels_move_together():
    images = labelled(2)
    assert images.device == torch.device("cpu")
    assert images.to("meta") is images
    assert images.device == images.images.device == images.labels.device == torch.device("meta")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.rand(2, 4, 4), torch.zeros(2, dtype=torch.int64), r"images must be float .* \(2, 4, 4\)"),
        (torch.rand(0, 1, 4, 4), torch.zeros(0, dtype=torch.int64), "N at least 1"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "got torch.uint8"),
        (torch.rand(2, 1, 4, 4), torch.zeros(3, dtype=torch.int64), r"int64 \(2,\), one an image, got .* \(3,\)"),
        (torch.rand(2, 1, 4, 4), torch.zeros(2), "got torch.float32"),
    ],
)
def test_what_is_no_labelled_images_is_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        LabelledImages(images, labels)


@pytest.mark.parametrize("length", [1, 3, 7, 8, 20, 50, 1000])
def test_every_epoch_has_the_same_steps_whatever_the_number_of_images(length):
    batches = SteppedBatches(length, batch_size=8, steps=5)
    assert len(batches) == 5
    for epoch in (1, 2, 9):
        assert [len(batch) for batch in epoch_of(batches, epoch)] == [min(8, length)] * 5


@pytest.mark.parametrize(("length", "steps"), [(7, 5), (50, 3), (16, 2), (1000, 4)])
def test_epochs_are_consecutive_parts_of_shuffled_passes(length, steps):
    batches = SteppedBatches(length, batch_size=8, steps=steps, seed=3)
    row = list(chain.from_iterable(chain.from_iterable(epoch_of(batches, epoch) for epoch in range(1, 71))))
    passes = [row[start : start + length] for start in range(0, len(row) - length + 1, length)]
    assert len(passes) >= 2
    assert all(sorted(part) == list(range(length)) for part in passes)
    assert len({tuple(part) for part in passes}) > 0.8 * len(passes)
    counts = torch.bincount(torch.tensor(row), minlength=length)
    assert counts.max() - counts.min() <= 1


def test_the_row_does_not_depend_on_how_it_is_cut_into_epochs():
    long = SteppedBatches(13, batch_size=4, steps=6, seed=1)
    short = SteppedBatches(13, batch_size=4, steps=2, seed=1)
    assert epoch_of(long, 2) == [*epoch_of(short, 4), *epoch_of(short, 5), *epoch_of(short, 6)]


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = [epoch_of(SteppedBatches(50, batch_size=7, steps=4, seed=3), epoch) for epoch in (1, 2, 3)]
    before = torch.manual_seed(2).get_state()
    backwards = [epoch_of(SteppedBatches(50, batch_size=7, steps=4, seed=3), epoch) for epoch in (3, 2, 1)]
    assert first == backwards[::-1]
    assert torch.equal(torch.get_rng_state(), before)
    assert epoch_of(SteppedBatches(50, batch_size=7, steps=4, seed=4), 1) != first[0]


@pytest.mark.parametrize("numbers", [(0, 4, 1), (4, 0, 1), (4, 4, 0)])
def test_numbers_that_are_too_small(numbers):
    length, batch_size, steps = numbers
    with pytest.raises(ValueError, match=f"at least 1, got {length}, {batch_size} and {steps}"):
        SteppedBatches(length, batch_size=batch_size, steps=steps)


def test_epochs_begin_with_one():
    with pytest.raises(ValueError, match="epoch must be at least 1, got 0"):
        SteppedBatches(4, batch_size=2, steps=1).set_epoch(0)


def test_the_stepped_loader_gives_the_samplers_batches():
    images = labelled(10)
    loader = stepped_loader(images, batch_size=4, steps=3, seed=5)
    loader.sampler.set_epoch(2)
    assert len(loader) == 3
    expected = epoch_of(SteppedBatches(10, batch_size=4, steps=3, seed=5), 2)
    assert [batch["label"].tolist() for batch in loader] == expected
    assert all(torch.equal(batch["image"], images.images[batch["label"]]) for batch in loader)


def test_the_ordered_loader_gives_each_once_in_order():
    loader = ordered_loader(labelled(10), batch_size=4)
    assert len(loader) == 3
    assert [batch["label"].tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        ordered_loader(labelled(2), batch_size=0)


def test_a_case_names_its_parts():
    case = CaseImages(labelled(3), labelled(2), {"real": labelled(1)})
    assert [len(case.training), len(case.validation), len(case.tests["real"])] == [3, 2, 1]
