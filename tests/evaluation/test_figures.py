"""Pixels of the pictures: where images stand, that they are not blurred, and that files are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_aggrgan.evaluation.figures import ORIGINAL, contact_sheet, method_figure


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def flat(*greys: float) -> torch.Tensor:
    """Images (N, 1, 32, 32), each of one grey: fractions of 255, so that 8 bits hold them exactly."""
    return torch.tensor(greys).view(-1, 1, 1, 1).expand(-1, 1, 32, 32) / 255


def places(picture: np.ndarray, grey: int) -> tuple[int, int, int]:
    """Top, left and size of the square of this grey; stray pixels of smooth letters are passed over."""
    found = picture == grey
    rows, columns = (np.nonzero(found.sum(axis=axis) > 100)[0] for axis in (1, 0))
    return int(rows[0]), int(columns[0]), len(rows)


def test_contact_sheet_shows_images_row_by_row_enlarged_by_a_whole_number(tmp_path: Path) -> None:
    contact_sheet(flat(10, 20, 30), path=tmp_path / "sheet.png", columns=2)
    first, second, third = (places(pixels(tmp_path / "sheet.png"), grey) for grey in (10, 20, 30))
    assert first[2] == second[2] == third[2] == 128
    assert (second[0] - first[0], second[1] - first[1]) == (0, 136)
    assert (third[0] - first[0], third[1] - first[1]) == (136, 0)


def test_pixels_are_not_blurred(tmp_path: Path) -> None:
    noise = torch.randint(0, 200, (1, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 255
    contact_sheet(noise, path=tmp_path / "sheet.png")
    picture = pixels(tmp_path / "sheet.png")
    top, left = (int(index.min()) for index in np.nonzero(picture < 255))
    shown = picture[top : top + 128 : 4, left : left + 128 : 4]
    assert np.array_equal(shown, (noise[0, 0] * 255).round().numpy())


def test_method_figure_has_classes_as_rows_and_the_original_rightmost(tmp_path: Path) -> None:
    a = dict(zip((ORIGINAL, "DCGAN-1", "AGGrGAN (SSIM)"), flat(10, 20, 30), strict=True))
    b = dict(zip((ORIGINAL, "DCGAN-1"), flat(40, 50), strict=True))
    method_figure({"a": a, "b": b}, path=tmp_path / "figure.png")
    where = {grey: places(pixels(tmp_path / "figure.png"), grey)[:2] for grey in (10, 20, 30, 40, 50)}
    assert where[20][1] < where[30][1] < where[10][1]
    assert where[50][1] == where[20][1] and where[40][1] == where[10][1]
    assert where[10][0] == where[20][0] == where[30][0] < where[40][0] == where[50][0]


def test_labels_and_title_are_written(tmp_path: Path) -> None:
    images = {r"no $\formula$": {"DCGAN-1 + style transfer": flat(200)[0]}}
    method_figure(images, path=tmp_path / "figure.png", title="A title")
    picture = pixels(tmp_path / "figure.png")
    top, left, _ = places(picture, 200)
    title, header = picture[: top // 2], picture[top // 2 : top]
    assert max(title.min(), header.min(), picture[top:, :left].min()) < 100


def test_the_same_images_give_the_same_file(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        contact_sheet(flat(10, 20), path=tmp_path / name, title="A title")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"first.png", "second.png"}


def test_pictures_that_cannot_be_made_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    with pytest.raises(ValueError, match="no image"):
        contact_sheet(flat(), path=path)
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        contact_sheet(flat(10), path=path, columns=0)
    with pytest.raises(ValueError, match="one shape"):
        method_figure({"a": {"DCGAN-1": flat(10)[0], ORIGINAL: flat(10)[0, :, :16]}}, path=path)
    assert not path.exists()
