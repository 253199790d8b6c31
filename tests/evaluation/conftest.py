"""Prepared data sets in a folder, as the stage `prepare` writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from monai_aggrgan.data.manifest import sha256_of, write_image_array, write_manifest


@pytest.fixture
def write_prepared(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set of (class, section, image (1, S, S)): ids are class/0, class/1 ..., patients all different."""

    def write(images: Sequence[tuple[str, str, Tensor]], **columns: Any) -> Path:
        folder = tmp_path / "prepare"
        rows: list[dict[str, Any]] = []
        for index, (class_name, section, image) in enumerate(images):
            number = sum(row["class_name"] == class_name for row in rows)
            rows.append(
                {
                    "id": f"{class_name}/{number}",
                    "class_name": class_name,
                    "section": section,
                    "patient": f"p-{index}",
                    "fold": "",
                    "slice": "",
                    "height": 512,
                    "width": 512,
                    "spacing": "",
                    "low": 0.0,
                    "high": 255.0,
                    "source": f"Jane_Doe_{index}.png",
                    "sha256": sha256_of(image.half().numpy().tobytes()),
                    **columns,
                }
            )
        for name in dict.fromkeys(row["class_name"] for row in rows):
            mine = [index for index, row in enumerate(rows) if row["class_name"] == name]
            write_image_array(folder / name, torch.stack([images[i][2] for i in mine]), [rows[i] for i in mine])
        write_manifest(folder, rows)
        return folder

    return write
