from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_aggrgan.data.manifest import (
    map_image_array,
    read_image_array,
    read_manifest,
    sha256_of,
    whole_file,
    write_image_array,
    write_manifest,
)
from monai_aggrgan.exceptions import InputError


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_appears_only_when_its_block_ends(tmp_path):
    with whole_file(tmp_path / "report.txt") as partial:
        partial.write_text("half")
        assert not (tmp_path / "report.txt").exists()
        assert partial.parent == tmp_path
    assert _names(tmp_path) == ["report.txt"]
    assert (tmp_path / "report.txt").read_text() == "half"


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "report.txt").write_text("old")
    with pytest.raises(KeyError), whole_file(tmp_path / "report.txt") as partial:
        partial.write_text("ne")
        raise KeyError
    assert _names(tmp_path) == ["report.txt"]
    assert (tmp_path / "report.txt").read_text() == "old"


def test_a_killed_block_leaves_no_file_where_there_was_none(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "report.txt") as partial:
        partial.write_text("ne")
        raise KeyboardInterrupt
    assert _names(tmp_path) == []


@pytest.mark.parametrize("name", ["a.csv", "a.nii.gz", "1.2.840.nii.gz", "a.png", "bare"])
def test_the_partial_name_ends_as_the_final_one(tmp_path, name):
    with whole_file(tmp_path / name) as partial:
        assert partial.name != name
        for suffix in (".csv", ".nii.gz", ".png"):
            assert partial.name.endswith(suffix) == name.endswith(suffix)
    assert _names(tmp_path) == [name]


def test_a_whole_file_can_be_read_by_others(tmp_path):
    with whole_file(tmp_path / "a.csv"):
        pass
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o644


def test_sha256_is_that_of_the_standard():
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_manifest_has_the_shared_columns_first_and_the_stages_own_behind(tmp_path):
    rows = [{"score": 0.5, "seed": 1, "file": "a.png"}, {"file": "b.png", "class_name": "glioma", "comment": "x"}]
    path = write_manifest(tmp_path, rows)
    assert path == tmp_path / "manifest.csv"
    header = next(csv.reader(path.open(newline="")))
    assert header == ["file", "class_name", "seed", "score", "comment"]


def test_a_manifest_comes_back_as_text_in_order(tmp_path):
    rows = [{"file": f"{index}.png", "comment": text} for index, text in enumerate(['a,"b"', "two\nlines", "é", ""])]
    write_manifest(tmp_path, rows, name="other.csv")
    assert read_manifest(tmp_path, name="other.csv") == rows
    write_manifest(tmp_path, [{"seed": 3}, {"file": "b"}])
    assert read_manifest(tmp_path) == [{"file": "", "seed": "3"}, {"file": "b", "seed": ""}]


def test_a_manifest_of_no_rows_is_read_as_none(tmp_path):
    write_manifest(tmp_path, [])
    assert read_manifest(tmp_path) == []


def test_a_folder_without_manifest_is_an_unfinished_stage(tmp_path):
    with pytest.raises(InputError, match=r"no manifest\.csv in .*run the stage that writes"):
        read_manifest(tmp_path)


def test_all_256_grey_values_survive_the_array(tmp_path):
    grey = torch.arange(256).reshape(1, 1, 16, 16)
    write_image_array(tmp_path, grey / 255, [{}])
    images, _ = read_image_array(tmp_path)
    assert images.dtype == torch.float32
    assert torch.equal((images * 255).round().long(), grey)
    assert images.min() == 0
    assert images.max() == 1


def test_an_array_comes_back_with_its_rows_numbered(tmp_path):
    images = torch.rand(3, 1, 4, 5)
    folder = tmp_path / "deeper" / "folder"
    write_image_array(folder, images, [{"seed": seed} for seed in (7, 8, 9)])
    found, rows = read_image_array(folder)
    assert torch.allclose(found, images, atol=2.5e-4)
    assert [(row["file"], row["index"], row["seed"]) for row in rows] == [
        ("images.npy", "0", "7"),
        ("images.npy", "1", "8"),
        ("images.npy", "2", "9"),
    ]


def test_images_and_rows_must_be_as_many(tmp_path):
    with pytest.raises(ValueError, match="2 images need as many manifest rows, got 1"):
        write_image_array(tmp_path, torch.rand(2, 1, 4, 4), [{}])
    assert _names(tmp_path) == []


def test_a_mapped_array_has_the_values_of_the_one_that_is_read(tmp_path):
    write_image_array(tmp_path, torch.rand(3, 1, 4, 5), [{"seed": seed} for seed in (7, 8, 9)])
    mapped, rows = map_image_array(tmp_path)
    read, read_rows = read_image_array(tmp_path)
    assert (mapped.dtype, read.dtype) == (torch.float16, torch.float32)
    assert torch.equal(mapped.float(), read) and rows == read_rows
    assert torch.equal(mapped[1].float(), read[1]) and torch.equal(mapped[[2, 0]].float(), read[[2, 0]])


def test_a_mapped_array_takes_no_memory_until_it_is_looked_at(tmp_path):
    shape = (4, 1, 2048, 2048)  # 32 MiB, of which the disk keeps none
    np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.float16, shape=shape)
    write_manifest(tmp_path, [{"index": index} for index in range(4)])

    def taken(read) -> int:
        tracemalloc.start()
        images, _ = read(tmp_path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert images.shape == shape and not images[:, :, 0, 0].any()
        return most

    assert taken(map_image_array) < 2**20
    assert taken(lambda folder: (torch.from_numpy(np.load(folder / "images.npy")), [])) > 2**25  # it would be seen


def test_what_is_written_to_a_mapped_array_does_not_reach_the_file(tmp_path):
    write_image_array(tmp_path, torch.rand(2, 1, 4, 4), [{}, {}])
    before = (tmp_path / "images.npy").read_bytes()
    mapped, _ = map_image_array(tmp_path)
    mapped.fill_(0.5)
    assert (mapped == 0.5).all()
    del mapped
    assert (tmp_path / "images.npy").read_bytes() == before
    assert not (map_image_array(tmp_path)[0] == 0.5).all()


def test_a_mapped_array_outlives_the_file_that_replaces_it(tmp_path):
    images = torch.rand(2, 1, 4, 4).half().float()
    write_image_array(tmp_path, images, [{}, {}])
    mapped, _ = map_image_array(tmp_path)
    write_image_array(tmp_path, torch.zeros(2, 1, 4, 4), [{}, {}])
    assert torch.equal(mapped.float(), images)


@pytest.mark.parametrize("read", [read_image_array, map_image_array])
@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x03\x04 no archive", None])
def test_a_damaged_array_is_named(tmp_path, content, read):
    write_image_array(tmp_path, torch.rand(2, 1, 4, 4), [{}, {}])
    path = tmp_path / "images.npy"
    path.write_bytes(path.read_bytes()[:-5] if content is None else content)
    with pytest.raises(InputError, match=r"images\.npy cannot be read .*run its stage again"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_image_array, map_image_array])
def test_an_absent_array_is_named(tmp_path, read):
    write_manifest(tmp_path, [{"file": "images.npy"}])
    with pytest.raises(InputError, match=r"images\.npy cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_image_array, map_image_array])
def test_an_array_that_does_not_fit_its_manifest_is_refused(tmp_path, read):
    write_image_array(tmp_path, torch.rand(2, 1, 4, 4), [{}, {}])
    np.save(tmp_path / "images.npy", np.zeros((3, 1, 4, 4), np.float16))
    with pytest.raises(InputError, match="holds 3 images and its manifest 2 rows"):
        read(tmp_path)
