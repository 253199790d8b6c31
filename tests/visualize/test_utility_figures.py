"""Pictures of what classifiers reach: that each value leaves its ink where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray

from monai_aggrgan.visualize import utility_figures
from monai_aggrgan.visualize.utility_figures import cases_figure, curve_figure, minority_figure

Rows = list[dict[str, str]]


def row(metric: str, value: float, **more: Any) -> dict[str, str]:
    place = {"classifier": "vgg19", "label": "VGG-19", "protocol": "patient", "case": "", "arm": "real", "count": 0}
    ends = {"low": value - 0.05, "high": value + 0.05}
    return {
        key: str(text)
        for key, text in {**place, "test": "real", "metric": metric, "value": value, **ends, **more}.items()
    }


def of_classes(**more: Any) -> Rows:
    return [row(f"recall {name}", 0.6, **more) for name in ("a", "b", "c")]


CASES = [
    row(metric, value, protocol=protocol, case=case, arm="real" if case == "3a" else "synthetic", count=300)
    for metric, more in (("balanced_accuracy", 0), ("accuracy", 0.01))
    for protocol, value in (("patient", 0.7 + more), ("slice", 0.9 + more))
    for case in ("3a", "3b")
] + of_classes()
CURVE = [row("balanced_accuracy", 0.7)] + [
    row("balanced_accuracy", 0.7 + place / 50, arm=arm, count=count)
    for place, arm in enumerate(("synthetic", "transforms", "oversampling"))
    for count in (1000, 100, 300, 250)
]
MINORITY = [row("balanced_accuracy", 0.8), row("recall b", 0.75)] + [
    row(metric, value, protocol="minority", arm=arm, count=0 if arm == "real" else 90)
    for arm in ("real", "synthetic", "transforms", "oversampling")
    for metric, value in (("balanced_accuracy", 0.6), ("recall b", 0.3))
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Axes]]:
    """The panels of the last picture."""
    last: list[Axes] = []
    render = utility_figures.render

    def watched(figure: Any, panels: list[Axes], *args: Any, **options: Any) -> NDArray[np.uint8]:
        last[:] = panels
        return render(figure, panels, *args, **options)

    monkeypatch.setattr(utility_figures, "render", watched)
    yield last


def points(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Places and values by the label of what was drawn."""
    return {
        str(container.get_label()): [
            (round(float(x), 2), round(float(y), 1)) for x, y in zip(*container[0].get_data(), strict=True)
        ]
        for container in axes.containers
    }


def test_cases_stand_in_order_with_both_splits_side_by_side(drawn: list[Axes]) -> None:
    picture = cases_figure(CASES)
    assert picture is not None and picture.dtype == np.uint8 and picture.ndim == 3
    (axes,) = drawn
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "3a", "3b", "3c"]
    found = points(axes)
    assert found["split by patient: balanced accuracy"] == [(1.76, 70.0), (2.76, 70.0)]
    assert found["split by patient: accuracy"] == [(1.92, 71.0), (2.92, 71.0)]
    assert found["split by slice: balanced accuracy"] == [(2.08, 90.0), (3.08, 90.0)]
    assert found["split by slice: accuracy"] == [(2.24, 91.0), (3.24, 91.0)]
    level = [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]  # type: ignore[index]
    assert level == pytest.approx([100 / 3])


def test_splits_are_told_apart_by_shape_too() -> None:
    looks = [look for _, look in utility_figures.CASE_LOOKS.values()]
    assert len({(look.marker, look.hollow) for look in looks}) == len(looks)
    arms = utility_figures.ARM_LOOKS.values()
    assert len({look.marker for look in arms}) == len({look.line for look in arms}) == len(arms)


def test_cases_without_slices_intervals_or_classes_are_drawn(drawn: list[Axes]) -> None:
    bare = [{**row, "low": "", "high": "nan"} for row in CASES if row["protocol"] == "patient" and row["case"]]
    assert cases_figure(bare) is not None
    assert list(points(drawn[0])) == ["split by patient: balanced accuracy", "split by patient: accuracy"]


def test_each_classifier_has_a_panel_of_its_own(drawn: list[Axes]) -> None:
    names = ["small", "vgg19", "resnet152", "densenet121", "mine"]
    rows = [{**row, "classifier": name, "label": f"{name}!"} for name in names for row in CASES + CURVE + MINORITY]
    for picture in (cases_figure(rows), curve_figure(rows), minority_figure(rows, minority="b")):
        assert picture is not None
        assert [axes.get_title() for axes in drawn] == [f"{name}!" for name in names]
        assert all(points(axes) == points(drawn[0]) for axes in drawn)


def test_the_curve_begins_at_real_alone_and_goes_by_the_number_of_added_images(drawn: list[Axes]) -> None:
    assert curve_figure([*CURVE, row("balanced_accuracy", 0.1, arm="mix", test="mix")]) is not None
    (axes,) = drawn
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "100", "250", "300", "1,000"]
    ticks = np.diff(axes.get_xticks())
    assert (ticks > 0.4).all() and ticks[-1] > ticks[-2]
    found = points(axes)
    assert found["real images alone"] == [(0.0, 70.0)]
    assert [value for _, value in found["flips, shifts, zooms"]] == [72.0] * 4
    places = [place for place, _ in found["synthetic images"]]
    assert places == sorted(places) and len(places) == 4


def test_the_minority_stands_beside_the_full_data(drawn: list[Axes]) -> None:
    assert minority_figure(MINORITY + of_classes(test="synthetic"), minority="b") is not None
    (axes,) = drawn
    recall = points(axes)["recall of b"]
    assert sorted(recall) == [(-0.1, 30.0), (0.9, 30.0), (1.9, 30.0), (2.9, 30.0), (3.9, 75.0)]
    assert (4.1, 80.0) in points(axes)["balanced accuracy"]


def test_nothing_is_drawn_of_what_was_not_tried() -> None:
    assert cases_figure(of_classes()) is None and cases_figure([]) is None
    assert curve_figure(CURVE[:1]) is None
    assert minority_figure(MINORITY[:2], minority="b") is None
    assert minority_figure(CASES, minority=None) is None
