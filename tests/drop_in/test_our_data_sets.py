"""Our data sets in MONAI's caches and loaders: the same images, in their order, with their labels."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import (
    CacheDataset,
    DataLoader,
    PersistentDataset,
    SmartCacheDataset,
    ThreadDataLoader,
    partition_dataset,
)
from monai.data.utils import pickle_hashing
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Resized, ScaleIntensityd, Transform
from torch import Tensor

from monai_aggrgan.data import (
    PHANTOM_CLASSES,
    CaseImages,
    FigshareBrainTumorDataset,
    LabelledImages,
    PreparedSlices,
    ShuffledBatches,
    hash_by_content,
    shuffled_loader,
)
from tests.data.test_figshare import COUNTS, FIGSHARE_COUNTS, write_folds, write_slices

ITEM_BYTES = 32 * 32 * 4


@pytest.fixture(scope="session")
def figshare(tmp_path_factory) -> Path:
    """The Figshare set's files, 16 of them."""
    folder = tmp_path_factory.mktemp("figshare")
    write_slices(folder, range(1, 17))
    write_folds(folder)
    return folder


def labelled(prepared: Path) -> LabelledImages:
    """The training slices of all classes."""
    parts = [PreparedSlices(prepared, class_name=name).images for name in PHANTOM_CLASSES]
    labels = torch.tensor([label for label, images in enumerate(parts) for _ in images])
    return LabelledImages(torch.cat(parts), labels)


DATA: dict[str, Callable[[Path], Any]] = {
    "prepared": lambda prepared: PreparedSlices(prepared, class_name="blob"),
    "samples": lambda prepared: PreparedSlices(prepared, class_name="blob").samples(),
    "labelled": labelled,
    "case": lambda prepared: CaseImages(labelled(prepared), labelled(prepared), {}).training,
}
each_data = pytest.mark.parametrize("name", DATA)


class Counting(Transform):
    """Doubles an image, and counts."""

    calls = 0

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        type(self).calls += 1
        return {**item, "image": item["image"] * 2}


@pytest.fixture(autouse=True)
def counted(monkeypatch) -> None:
    monkeypatch.setattr(Counting, "calls", 0)
    for name, count in COUNTS.items():
        monkeypatch.setitem(FIGSHARE_COUNTS, name, count)


def _same(item: dict[str, Any], source: dict[str, Any], factor: float = 1) -> bool:
    labels = "label" not in source or int(item["label"]) == int(source["label"])
    return item.keys() == source.keys() and labels and torch.equal(item["image"], factor * source["image"])


@each_data
def test_a_cache_holds_the_same_images_and_labels(prepared, name):
    data = DATA[name](prepared)
    cached = CacheDataset(data, Counting(), num_workers=2, progress=False)
    assert len(cached) == len(data) == Counting.calls
    for _ in range(2):
        assert all(_same(cached[index], data[index], 2) for index in range(len(data)))
    assert Counting.calls == len(data)


@each_data
def test_a_cache_on_disk_is_found_again_by_another_run(prepared, tmp_path, name):
    data = DATA[name](prepared)
    first = PersistentDataset(data, Counting(), cache_dir=tmp_path, hash_func=hash_by_content)
    assert all(_same(first[index], data[index], 2) for index in range(len(data)))
    files = list(tmp_path.glob("*.pt"))
    assert len(files) == len(data) == Counting.calls
    assert max(file.stat().st_size for file in files) < ITEM_BYTES + 4000  # each holds its own image and no other
    again = DATA[name](prepared)  # elsewhere in memory
    second = PersistentDataset(again, Counting(), cache_dir=tmp_path, hash_func=hash_by_content)
    assert all(_same(second[index], again[index], 2) for index in range(len(again)))
    assert Counting.calls == len(data)


@each_data
def test_an_item_is_a_copy_and_holds_nothing_else(prepared, name):
    data = DATA[name](prepared)
    before = data[0]["image"].clone()
    for item in (data[0], copy.deepcopy(data[0])):
        assert item["image"].untyped_storage().nbytes() == ITEM_BYTES
    saved = io.BytesIO()
    torch.save(data[0]["image"], saved)
    assert len(saved.getvalue()) < ITEM_BYTES + 4000
    if name != "samples":  # a list keeps its items
        data[0]["image"].zero_()
        assert torch.equal(data[0]["image"], before)
        data[:2]["image"].zero_()
        assert torch.equal(data[0]["image"], before)


def test_samples_are_not_the_slices_themselves(slices):
    before = slices.images.clone()
    for sample in slices.samples():
        sample["image"].zero_()
    assert torch.equal(slices.images, before)


LOADERS = {
    "loader": lambda data: DataLoader(data, batch_size=4),
    "workers": lambda data: DataLoader(data, batch_size=4, num_workers=2),
    "thread": lambda data: ThreadDataLoader(data, batch_size=4),
    "threads": lambda data: ThreadDataLoader(data, batch_size=4, num_workers=2, use_thread_workers=True),
    "torch": lambda data: torch.utils.data.DataLoader(data, batch_size=4, num_workers=1),
}


@each_data
@pytest.mark.parametrize("loader", LOADERS)
def test_loaders_give_the_images_in_their_order(prepared, name, loader):
    data = DATA[name](prepared)
    batches = list(LOADERS[loader](data))
    assert torch.equal(torch.cat([batch["image"] for batch in batches]), torch.stack([item["image"] for item in data]))
    if "label" in data[0]:
        assert torch.cat([batch["label"] for batch in batches]).tolist() == data.labels.tolist()


def test_a_sampler_of_batches_in_a_loader_with_workers_gives_our_loaders_batches(slices):
    sampler = ShuffledBatches(len(slices), batch_size=2, seed=3)
    loader = DataLoader(slices, batch_sampler=sampler, num_workers=1)
    for epoch in (1, 2):
        ours = shuffled_loader(slices, batch_size=2, seed=3)
        for of in (sampler, ours.sampler):
            of.set_epoch(epoch)
        pairs = list(zip(loader, ours, strict=True))
        assert len(pairs) == 3
        assert all(torch.equal(batch["image"], own["image"]) for batch, own in pairs)


def test_a_smart_cache_goes_through_all_slices(slices):
    cache = SmartCacheDataset(
        slices, Counting(), replace_rate=0.5, cache_num=4, num_init_workers=1, progress=False, shuffle=False
    )
    cache.start()
    try:
        seen = [cache[index]["image"] for index in range(4)]
        cache.update_cache()
        seen += [cache[index]["image"] for index in range(4)]
    finally:
        cache.shutdown()
    found = {image.numpy().tobytes() for image in seen}
    assert found == {(2 * image).numpy().tobytes() for image in slices.images}


def test_a_part_of_a_data_set_is_a_data_set(slices):
    parts = partition_dataset(slices, num_partitions=2)
    assert sum(map(len, parts)) == len(slices)
    cached = CacheDataset(parts[1], Counting(), progress=False)
    assert all(_same(cached[index], slices[2 * index + 1], 2) for index in range(3))


def _figshare(folder: Path, transform: Any = ()) -> FigshareBrainTumorDataset:
    return FigshareBrainTumorDataset(folder, "training", transform, progress=False)


def test_the_figshare_set_in_loaders(figshare):
    dataset = _figshare(figshare)
    expected = torch.stack([item["image"].as_tensor() for item in dataset])
    for loader in LOADERS.values():
        if loader is not LOADERS["torch"]:  # which cannot collate MONAI's metadata
            batches = list(loader(dataset))
            assert torch.equal(torch.cat([batch["image"].as_tensor() for batch in batches]), expected)
            labels = [label for batch in batches for label in batch["label"].tolist()]
            assert labels == [item["label"] for item in dataset.data]


@pytest.mark.parametrize("hashed_by", [pickle_hashing, hash_by_content])
@pytest.mark.parametrize("options", [{}, {"track_meta": True, "weights_only": False}], ids=["plain", "with metadata"])
def test_the_figshare_sets_items_in_a_cache_on_disk(figshare, tmp_path, hashed_by, options):
    """Of NumPy's numbers in the metadata MONAI's readers make pickles, which MONAI reads only when it is told to."""
    loading = _figshare(figshare).transform.transforms  # a Compose within one counts as random: MONAI caches nothing
    chain = Compose([*loading, Counting(), EnsureChannelFirstd("image", channel_dim="no_channel")])
    for _ in range(2):
        found = _figshare(figshare)
        cached = PersistentDataset(found.data, chain, tmp_path, hash_func=hashed_by, **options)
        for item, source in zip(cached, found, strict=True):
            assert torch.equal(torch.as_tensor(item["image"]), 2 * source["image"].as_tensor()[None])
            assert (item["label"], item["patient"]) == (source["label"], source["patient"])
        assert [item["image"].shape for item in cached] == [(1, 24, 40)] * 10
    assert Counting.calls == 10
    assert len(list(tmp_path.glob("*.pt"))) == 10


def test_files_by_monais_own_reader_are_the_slices_that_a_study_prepares(phantoms, prepared):
    """Phantoms are square and unscaled, so that MONAI's chain without ours ends in nearly the same pixels."""
    slices = PreparedSlices(prepared, class_name="ring")
    chain = [LoadImaged("image"), EnsureChannelFirstd("image"), Resized("image", (32, 32)), ScaleIntensityd("image")]
    files = [{"image": str(phantoms / "ring" / row["source"])} for row in slices.rows]
    theirs = torch.stack([item["image"].as_tensor().mT for item in CacheDataset(files, chain, progress=False)])
    assert _correlation(theirs, slices.images) > 0.99


def _correlation(first: Tensor, second: Tensor) -> float:
    return torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1].item()
