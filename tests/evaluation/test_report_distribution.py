"""Tables and charts of distributions."""

from __future__ import annotations

from monai_aggrgan.evaluation.distribution import HEADINGS, METRIC_NOTES
from monai_aggrgan.evaluation.report_blocks import Charts, Heading, Note, Table
from monai_aggrgan.evaluation.report_distribution import IMAGES_NOTE, distribution_blocks

LABELS = {"mine": "My GAN"}


def row(metric: str, value: str, *, method: str = "mine", space: str = "vgg19", **more: str) -> dict[str, str]:
    place = {"class_name": "a", "method": method, "space": space, "metric": metric, "value": value}
    return {**place, "low": "", "high": "", "n": "30", "reference_n": "40", "extractor": f"{space}!", **more}


ROWS = [
    row("distinct", "29", space="images"),
    row("recall", "0.456", low="0.4", high="0.5"),
    row("kid", "0.012345", low="0.01", high="0.02"),
    row("kid", "0.001", method="real"),
    row("kid", "0.2", method="steps_000"),
]


def test_a_space_after_the_other_images_last_metrics_in_one_order() -> None:
    blocks = distribution_blocks(ROWS, labels=LABELS)
    assert [block.text for block in blocks if isinstance(block, Heading)] == [
        "In the feature space vgg19",
        "Within a set",
    ]
    meanings, whole, parts, images = (block for block in blocks if isinstance(block, Table))
    assert [line.heading for line in meanings.groups[0][1]] == ["KID", "Recall", "Different images"]
    assert [line.cells[0].text for line in meanings.groups[0][1]] == [
        METRIC_NOTES[name] for name in ("kid", "recall", "distinct")
    ]
    assert blocks[-1] == Note(IMAGES_NOTE)
    assert [column.heading for column in whole.columns] == ["KID", "Recall"]
    assert [[(cell.text, cell.interval) for cell in line.cells] for line in whole.groups[0][1]] == [
        [("0.0123", "[0.01, 0.02]"), ("0.46", "[0.40, 0.50]")],
        [("0.001", ""), ("", "")],
    ]
    assert [line.real for line in whole.groups[0][1]] == [False, True]
    assert [line.heading for line in parts.groups[0][1]] == ["Real (training patients against held-out)", "steps_000"]
    assert images.groups[0][1][0].cells[0].text == "29 of 30"


def test_charts_show_methods_and_the_real_row_but_no_parts() -> None:
    charts = [block for block in distribution_blocks(ROWS, labels=LABELS) if isinstance(block, Charts)]
    assert [chart.caption.split(",")[0] for chart in charts] == ["KID", "Recall"]
    assert [dot.label for dot in charts[0].items[0].dots] == ["My GAN", "Real against real"]  # type: ignore[union-attr]


def test_arrows_stand_only_where_more_or_less_is_better_whatever_real_images_have() -> None:
    rows = [row(metric, "0.5") for metric in HEADINGS]
    blocks = distribution_blocks(rows, labels=LABELS)
    better = {column.heading: column.better for column in [b for b in blocks if isinstance(b, Table)][1].columns}
    assert list(better) == list(HEADINGS.values())
    assert {heading for heading, direction in better.items() if not direction} == {
        "Precision",
        "Density",
        "MS-SSIM between images",
    }
    assert (better["KID"], better["Recall"], better["Different images"]) == ("lower", "higher", "higher")
    captions = [block.caption for block in blocks if isinstance(block, Charts)]
    assert any(text.startswith("MS-SSIM between images, nearest to the real row is better.") for text in captions)


def test_numbers_and_extractors_are_named() -> None:
    notes = [block.text for block in distribution_blocks(ROWS, labels=LABELS) if isinstance(block, Note)]
    assert "n, judged against held-out images: a 30 against 40. Extractor: vgg19!." in notes


def test_long_tables_are_folded_and_short_ones_are_not() -> None:
    many = [row("kid", "1", method=f"m{n}") for n in range(13)]
    folded = [
        [block.folded for block in distribution_blocks(rows, labels={}) if isinstance(block, Table)][1]
        for rows in (many[:12], many)
    ]
    assert folded == ["", "All numbers, in the feature space vgg19 (13 rows)"]
    assert distribution_blocks([], labels={}) == []
