"""Pixels of the aggregation figure: each part whole and in its place, strengths on one scale, text around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.visualize.aggregation_figure import aggregation_figure

SCALE, CELL = 8, 264  # images of 32 pixels are shown 256 wide, in 4 pixels of border

Grey = NDArray[np.uint8]


def noise(*shape: int, seed: int) -> Tensor:
    """Greys that 8 bits hold exactly, none of them white."""
    return torch.randint(0, 240, shape, generator=torch.Generator().manual_seed(seed)) / 255


def speck(value: float, *shape: int) -> Tensor:
    """Zeros, but for one pixel."""
    image = torch.zeros(shape)
    image.view(-1)[7] = value
    return image


def parts(count: int, *, size: int = 32, styled: bool = False) -> dict[str, Any]:
    """Noise for each part; the last candidate has the strongest edges."""
    names = ("candidates", "edges", "smoothed", "weights")
    made: dict[str, Any] = {name: noise(count, 1, size, size, seed=seed) for seed, name in enumerate(names)}
    rising = torch.arange(1, count + 1).view(-1, 1, 1, 1)
    made |= {"edges": 3 * rising * made["edges"], "smoothed": 0.1 * rising * made["smoothed"]}
    ends = ("result", "reference", *(["styled"] if styled else []))
    made |= {name: noise(1, size, size, seed=10 + seed) for seed, name in enumerate(ends)}
    return made | {"labels": [f"DCGAN-{index}, seed 17, SSIM 0.432" for index in range(count)]}


def drawn(made: dict[str, Any], **changes: Any) -> Grey:
    picture = aggregation_figure(**(made | changes))
    assert picture.dtype == np.uint8 and picture.shape[2:] == (3,)
    return picture[..., 0]


def shown(image: Tensor, *, white: float = 1) -> Grey:
    """An image (1, H, W) as the figure should show it."""
    greys = np.rint(255 * (image[0] / white).numpy()).astype(np.uint8)
    return np.kron(greys, np.ones((SCALE, SCALE), dtype=np.uint8))


def place(picture: Grey, tile: Grey) -> tuple[int, int]:
    """Row and column of the only place at which a tile stands, pixel for pixel."""
    height, width = tile.shape
    corners = (picture[: 1 - height, : 1 - width] == tile[0, 0]) & (picture[height - 1 :, width - 1 :] == tile[-1, -1])
    found = [(y, x) for y, x in np.argwhere(corners) if np.array_equal(picture[y : y + height, x : x + width], tile)]
    assert len(found) == 1
    return int(found[0][0]), int(found[0][1])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_part_of_each_candidate_stands_whole_in_its_row_and_column(count: int) -> None:
    made = parts(count)
    picture = drawn(made)
    whites = {"candidates": 1, "edges": made["edges"].max(), "smoothed": made["smoothed"].max(), "weights": 1}
    top, left = place(picture, shown(made["candidates"][0]))
    for column, (name, white) in enumerate(whites.items()):
        for row, image in enumerate(made[name]):
            assert place(picture, shown(image, white=white)) == (top + row * CELL, left + column * CELL)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("ends", [["result", "reference"], ["result", "styled", "reference"]])
def test_merged_styled_and_reference_stand_at_the_right_half_way_down(count: int, ends: list[str]) -> None:
    made = parts(count, styled="styled" in ends)
    picture = drawn(made)
    first, last = (place(picture, shown(made["weights"][row])) for row in (0, -1))
    places = [place(picture, shown(made[name])) for name in ends]
    assert {top for top, _ in places} == {(first[0] + last[0]) // 2}
    steps = np.diff([first[1], *(left for _, left in places)])
    assert len(set(steps)) == 1 and steps[0] > CELL


def test_a_map_that_is_zero_everywhere_stays_black() -> None:
    made = parts(2)
    nothing = torch.zeros_like(made["edges"])
    for edges in (nothing, nothing - 1e-9):  # what a convolution may leave of zeros
        picture = drawn(made, edges=edges)
        top, left = place(picture, shown(made["candidates"][0]))
        assert not picture[top : top + 256, left + CELL : left + CELL + 256].any()


def test_a_white_weight_is_told_from_the_paper_by_a_line_around_it() -> None:
    made = parts(1)
    picture = drawn(made, weights=torch.ones_like(made["weights"]))
    top, left = place(picture, shown(made["candidates"][0]))
    left += 3 * CELL
    assert picture[top - 1, left : left + 256].max() < 200 and picture[top : top + 256, left - 1].max() < 200
    assert picture[top : top + 256, left : left + 256].min() == 255


def test_a_label_stands_beside_its_candidate() -> None:
    made = parts(2)
    other = [made["labels"][0], made["labels"][1].replace("17", "18")]
    one, two = drawn(made), drawn(made, labels=other)
    top, left = place(one, shown(made["candidates"][1]))
    rows, columns = np.nonzero(one != two)
    assert top <= rows.min() and rows.max() < top + 256
    assert columns.max() < left


def test_headings_stand_above_the_columns_and_a_title_above_them() -> None:
    made = parts(2, styled=True)
    picture = drawn(made)
    for name in ("candidates", "edges", "smoothed", "weights", "result", "styled", "reference"):
        image = made[name] if made[name].ndim == 3 else made[name][0]
        top, left = place(picture, shown(image, white=made[name].max() if name in ("edges", "smoothed") else 1))
        assert picture[top - 40 : top - 4, left : left + 256].min() < 100
    titled = drawn(made, title="A title")
    assert np.array_equal(titled[-600:], picture[-600:])
    assert titled[: len(titled) - len(picture)].min() < 100


def test_the_value_that_is_white_stands_below_the_edges() -> None:
    made = parts(2)
    one, two = drawn(made), drawn(made, edges=2 * made["edges"])
    top, left = place(one, shown(made["edges"][1], white=made["edges"].max()))
    rows, columns = np.nonzero(one != two)
    assert rows.min() > top + 256
    assert left <= columns.min() and columns.max() < left + 256


@pytest.mark.parametrize("size", [64, 128, 300])
@pytest.mark.parametrize("label", ["", "WWWWWWWWWWWWWW, 1", "A generator with a very long name, seed 12"])
def test_nothing_is_cut_off(label: str, size: int) -> None:
    picture = drawn(parts(1, size=size), labels=[label], title="A title")
    edge = np.concatenate([picture[:4].ravel(), picture[-4:].ravel(), picture[:, :4].ravel(), picture[:, -4:].ravel()])
    assert edge.min() == 255


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("candidates", torch.zeros(2, 32, 32), r"candidates must be \(K, 1, H, W\) .* got shape \(2, 32, 32\)"),
        ("candidates", torch.zeros(0, 1, 32, 32), r"K at least 1, got shape \(0, 1, 32, 32\)"),
        ("candidates", speck(255, 2, 1, 32, 32), r"candidates must be in \[0, 1\], got values from 0 to 255"),
        ("edges", torch.zeros(1, 1, 32, 32), r"edges must be \(2, 1, 32, 32\).* got shape \(1, 1, 32, 32\)"),
        ("edges", speck(-1, 2, 1, 32, 32), "edges must be finite and at least 0, got values from -1 to 0"),
        ("smoothed", speck(torch.inf, 2, 1, 32, 32), "smoothed must be finite .* from 0 to inf"),
        ("weights", speck(torch.nan, 2, 1, 32, 32), r"weights must be in \[0, 1\], got values from nan to nan"),
        ("result", torch.zeros(1, 1, 32, 32), r"result must be \(1, 32, 32\).* got shape \(1, 1, 32, 32\)"),
        ("styled", speck(2, 1, 32, 32), r"styled must be in \[0, 1\], got values from 0 to 2"),
        ("reference", torch.zeros(1, 16, 32), r"reference must be \(1, 32, 32\).* got shape \(1, 16, 32\)"),
        ("labels", ["one"], "labels must be one a candidate, 2, got 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        aggregation_figure(**(parts(2) | {name: value}))
    assert "\n" not in str(caught.value)
