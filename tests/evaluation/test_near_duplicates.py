"""Which pairs across the split are taken for copies, and which are not."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from monai_aggrgan.data.phantoms import phantom_slice
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.near_duplicates import THRESHOLD, find_near_duplicates, structure
from monai_aggrgan.exceptions import InputError

Write = Callable[..., Path]


def head(seed: int, *, size: int = 128) -> Tensor:
    """An image (1, S, S) of a phantom head, 8-bit greys."""
    return (torch.from_numpy(phantom_slice("ring", seed=seed, size=size))[None] * 255).round() / 255


def jpeg(image: Tensor) -> Tensor:
    file = io.BytesIO()
    Image.fromarray((image[0] * 255).round().byte().numpy()).save(file, "JPEG", quality=75)
    return torch.from_numpy(np.asarray(Image.open(file), dtype=np.float32))[None] / 255


def halved(image: Tensor) -> Tensor:
    small = F.interpolate(image[None], scale_factor=0.5, mode="bilinear", antialias=True)
    return F.interpolate(small, scale_factor=2, mode="bilinear")[0].clamp(0, 1)


COPIES: dict[str, Callable[[Tensor], Tensor]] = {
    "jpeg": jpeg,
    "halved": halved,
    "darker": lambda image: 0.9 * image,
    "brighter": lambda image: (1.1 * image + 0.05).clamp(0, 1),
    "mirrored": lambda image: image.flip(-1),
}


def test_structure_is_that_of_the_formula() -> None:
    image = head(0, size=64).double().numpy()[0]

    def mean(values: np.ndarray, sigma: float) -> np.ndarray:
        inside = gaussian_filter(np.ones_like(values), sigma, mode="constant", truncate=12)
        return gaussian_filter(values, sigma, mode="constant", truncate=12) / inside

    band = mean(image, 0.5) - mean(image, 1)
    cells = (band / np.sqrt(mean(band**2, 1) + 0.01**2)).ravel()
    cells -= cells.mean()
    expected = cells / np.sqrt((cells**2).sum() + 200)
    np.testing.assert_allclose(structure(head(0, size=64)[None])[0].numpy(), expected, atol=1e-5)


def test_structure_is_of_the_same_cells_at_any_size() -> None:
    large = head(0, size=192)
    small = F.interpolate(large[None], size=(96, 96), mode="area")
    product = (structure(large[None]) * structure(small)).sum()
    assert product > 0.95 * structure(large[None]).square().sum()


def test_an_image_of_nothing_is_like_nothing() -> None:
    nothing = torch.full((1, 1, 64, 64), 0.3)
    faint = torch.zeros(1, 1, 64, 64)
    faint[..., 20:24, 20:24] = 1  # a few cells of structure: the same in two images proves little
    assert structure(nothing).abs().max() < 1e-4
    assert structure(faint).square().sum() < THRESHOLD < structure(head(0)[None]).square().sum() < 1


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_training_is_found(write_prepared: Write, copy: str) -> None:
    others = [("ring", TRAINING, head(seed)) for seed in range(5)]
    folder = write_prepared([*others, ("ring", HELD_OUT, COPIES[copy](head(3))), ("ring", HELD_OUT, head(9))])
    (pair,) = find_near_duplicates(folder)
    assert (pair.class_name, pair.held_out, pair.training) == ("ring", "ring/5", "ring/3")
    assert pair.mirrored == (copy == "mirrored")
    assert THRESHOLD < pair.similarity < 1


def test_different_heads_are_not_near(write_prepared: Write) -> None:
    sections = [TRAINING] * 30 + [HELD_OUT] * 10
    folder = write_prepared([("ring", section, head(seed)) for seed, section in enumerate(sections)])
    assert find_near_duplicates(folder) == []


def test_only_training_images_of_the_same_class_are_looked_at(write_prepared: Write) -> None:
    copies = [
        ("a", HELD_OUT, head(0)),
        ("a", HELD_OUT, jpeg(head(0))),
        ("b", TRAINING, halved(head(0))),
        ("a", TRAINING, head(1)),
        ("c", HELD_OUT, head(0)),
    ]
    assert find_near_duplicates(write_prepared(copies)) == []


def test_images_of_the_same_pixels_are_left_to_the_hashes(write_prepared: Write) -> None:
    pairs = [("a", side, head(seed)) for seed in (0, 1) for side in (TRAINING, HELD_OUT)]
    assert find_near_duplicates(write_prepared(pairs)) == []


def test_the_most_alike_come_first(write_prepared: Write) -> None:
    held_out = [halved(head(0)), 0.9 * head(1), jpeg(head(2))]
    images = [("a", TRAINING, head(seed)) for seed in range(3)] + [("a", HELD_OUT, image) for image in held_out]
    found = find_near_duplicates(write_prepared(images))
    similarities = [pair.similarity for pair in found]
    assert len(found) == 3 and found[0].training == "a/1" and similarities == sorted(similarities, reverse=True)


def test_blocks_change_nothing(write_prepared: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [("a", TRAINING, head(seed)) for seed in range(7)]
    images += [("a", HELD_OUT, copy(head(seed))) for seed, copy in enumerate(COPIES.values())]
    folder = write_prepared(images)
    whole = find_near_duplicates(folder)
    module = import_module(find_near_duplicates.__module__)
    monkeypatch.setattr(module, "BLOCK", 2)
    monkeypatch.setattr(module, "CHUNK", 3)
    in_blocks = find_near_duplicates(folder)
    assert len(whole) == len(COPIES)
    assert [(p.held_out, p.training, p.mirrored) for p in in_blocks] == [
        (p.held_out, p.training, p.mirrored) for p in whole
    ]
    assert [p.similarity for p in in_blocks] == pytest.approx([p.similarity for p in whole], abs=1e-5)


def test_images_too_small_to_tell_are_passed_over(write_prepared: Write) -> None:
    image = head(0, size=32)
    assert find_near_duplicates(write_prepared([("a", TRAINING, image), ("a", HELD_OUT, 0.9 * image)])) == []


def test_a_damaged_array_is_refused(write_prepared: Write) -> None:
    folder = write_prepared([("a", TRAINING, head(0)), ("a", HELD_OUT, head(1))])
    (folder / "a" / "images.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"images\.npy cannot be read"):
        find_near_duplicates(folder)


def test_real_patients_are_kept_apart_and_copies_found(shared: Path, write_prepared: Write) -> None:
    """A quarter of the gliomas: no alarm but for JPEG copies, and for the patient who is in two folds."""
    listed = shared / "data" / "figshare" / "slices.csv"
    with listed.open(newline="", encoding="utf-8") as file:
        gliomas = [row for row in csv.DictReader(file) if row["class"] == "glioma"]
    kept = [row for row in gliomas if row["number"] in ("2750", "3039") or int(row["number"]) % 4 == 0]
    images, numbers = [], []
    for row in kept:
        pixels = np.asarray(Image.open(shared / "data" / "figshare_128" / "glioma" / f"{row['number']}.png"))
        image = torch.from_numpy(pixels.astype(np.float32))[None] / 255
        images.append(("glioma", HELD_OUT if row["fold"] == "3" else TRAINING, image))
        numbers.append(row["number"])
        if row["fold"] == "3" and row["number"] != "2750" and len(images) % 3 == 0:
            images.append(("glioma", TRAINING, jpeg(image)))
            numbers.append(f"copy of {row['number']}")
    found = find_near_duplicates(write_prepared(images))
    pairs = {tuple(numbers[int(name.split("/")[1])] for name in (pair.held_out, pair.training)) for pair in found}
    copies = {(name.removeprefix("copy of "), name) for name in numbers if name.startswith("copy of ")}
    assert len(copies) > 10
    assert pairs == copies | {("2750", "3039")}
