from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import State
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from torch import Tensor, nn

from monai_aggrgan.data.image_folder import read_image_folder
from monai_aggrgan.data.manifest import read_manifest, write_manifest
from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver

NAMES = ["e", "a", "d", "b", "c"]
IMAGES = torch.rand(5, 1, 6, 8, generator=torch.Generator().manual_seed(0))


def _describe(state: State) -> list[dict[str, Any]]:
    return [{"name": name, "class_name": "glioma", "seed": NAMES.index(name)} for name in state.batch["name"]]


def _run(saver: ImageFolderSaver, *, network: nn.Module | None = None, meta: bool = False) -> None:
    """MONAI's evaluator over those images that the saver does not have, two a batch."""
    done = {row["name"] for row in saver.rows}
    samples = [
        {"image": MetaTensor(image) if meta else image, "name": name}
        for name, image in zip(NAMES, IMAGES, strict=True)
        if name not in done
    ]
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(samples), batch_size=2),
        network=network or nn.Identity(),
        val_handlers=[saver],
        decollate=False,
    ).run()


class _Killed(nn.Module):
    """An identity that is interrupted at its n-th call."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.left = call

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return images


def _interrupted(folder: Path, *, call: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        _run(ImageFolderSaver(folder, describe=_describe), network=_Killed(call))


def _expected() -> Tensor:
    return IMAGES[[NAMES.index(name) for name in sorted(NAMES)]]


@pytest.mark.parametrize("meta", [False, True])
def test_an_evaluators_images_are_saved_with_a_sorted_manifest(tmp_path, meta):
    folder = tmp_path / "deeper" / "folder"
    _run(ImageFolderSaver(folder, describe=_describe), meta=meta)
    images, rows = read_image_folder(folder)
    assert torch.equal(images, _expected())
    assert [row["name"] for row in rows] == sorted(NAMES)
    assert [row["seed"] for row in rows] == [str(NAMES.index(name)) for name in sorted(NAMES)]
    assert rows[0]["file"] == "a.nii.gz"
    assert rows[0]["preview"] == "a.png"
    assert len({row["sha256"] for row in rows}) == 5
    files = {f"{name}.{suffix}" for name in NAMES for suffix in ("png", "nii.gz")} | {"manifest.csv"}
    assert {path.name for path in folder.iterdir()} == files


def test_an_interrupted_run_leaves_its_rows_but_no_manifest(tmp_path):
    _interrupted(tmp_path, call=3)
    assert not (tmp_path / "manifest.csv").exists()
    assert [row["name"] for row in read_manifest(tmp_path, name="manifest.partial.csv")] == NAMES[:4]
    assert not list(tmp_path.glob("c.*"))


def test_a_second_saver_takes_up_what_is_there_and_ends_as_an_uninterrupted_one(tmp_path):
    (tmp_path / "whole").mkdir()
    _run(ImageFolderSaver(tmp_path / "whole", describe=_describe))
    parts = tmp_path / "parts"
    _interrupted(parts, call=2)
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.nii.gz")}
    assert set(before) == {"e.nii.gz", "a.nii.gz"}
    saver = ImageFolderSaver(parts, describe=_describe)
    assert [row["name"] for row in saver.rows] == ["e", "a"]
    _run(saver)
    assert read_manifest(parts) == read_manifest(tmp_path / "whole")
    assert torch.equal(read_image_folder(parts)[0], _expected())
    assert {name: (parts / name).stat().st_mtime_ns for name in before} == before
    assert not (parts / "manifest.partial.csv").exists()


def test_it_may_be_interrupted_twice(tmp_path):
    _interrupted(tmp_path, call=2)
    _interrupted(tmp_path, call=2)
    _run(ImageFolderSaver(tmp_path, describe=_describe))
    assert [row["name"] for row in read_manifest(tmp_path)] == sorted(NAMES)


def test_a_row_whose_file_is_gone_is_not_taken_up(tmp_path):
    _interrupted(tmp_path, call=2)
    (tmp_path / "a.nii.gz").unlink()
    assert [row["name"] for row in ImageFolderSaver(tmp_path, describe=_describe).rows] == ["e"]


def test_all_that_is_there_can_be_completed_without_a_run(tmp_path):
    for name in "ba":
        (tmp_path / f"{name}.nii.gz").touch()
    rows = [{"file": f"{name}.nii.gz", "name": name} for name in "ba"]
    write_manifest(tmp_path, rows, name="manifest.partial.csv")
    ImageFolderSaver(tmp_path, describe=_describe).complete()
    assert [row["name"] for row in read_manifest(tmp_path)] == ["a", "b"]


def test_images_are_taken_from_where_the_caller_says(tmp_path):
    saver = ImageFolderSaver(tmp_path, describe=_describe, output_transform=lambda output: 1 - output["pred"])
    _run(saver)
    assert torch.equal(read_image_folder(tmp_path)[0], 1 - _expected())


@pytest.mark.parametrize("count", [1, 3])
def test_each_image_needs_a_row(tmp_path, count):
    saver = ImageFolderSaver(tmp_path, describe=lambda state: [{"name": str(n)} for n in range(count)])
    with pytest.raises(ValueError, match=f"describe gave {count} rows for 2 images"):
        _run(saver)
    assert list(tmp_path.iterdir()) == []
