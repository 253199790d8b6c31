"""The paper's printed values: spot values, and what its text says of them."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.paper import (
    PRINTED,
    TABLE5,
    TABLE_NUMBERS,
    paper_class,
    paper_dataset,
    printed_cases,
    printed_value,
)

FIGSHARE, BRATS = PRINTED["figshare"], PRINTED["brats"]
LABELS = {
    "dcgan1": "DCGAN-1",
    "dcgan2": "DCGAN-2",
    "wgan_div": "WGAN",
    "aggrgan_ssim": "AGGrGAN (SSIM)",
    "aggrgan_psnr": "AGGrGAN (PSNR)",
    "lsgan": "LSGAN",
    "infogan": "InfoGAN",
}


def best(methods: dict[str, dict[str, str]], metric: str) -> str:
    order = min if metric == "kl" else max
    return order(methods, key=lambda method: float(methods[method][metric]))


def test_rows_columns_and_tables() -> None:
    assert {dataset: list(tables) for dataset, tables in PRINTED.items()} == {"figshare": [1, 3], "brats": [2, 4]}
    assert [list(numbers.values()) for numbers in TABLE_NUMBERS.values()] == [[1, 3], [2, 4]]
    counts = [[len(methods) for methods in table.values()] for t in PRINTED.values() for table in t.values()]
    assert counts == [[8] * 3, [3] * 3, [8] * 4, [3] * 4]
    assert list(FIGSHARE[1]) == ["glioma", "meningioma", "pituitary"] and list(BRATS[4]) == [
        "t1",
        "t1ce",
        "t2",
        "flair",
    ]
    cells = [
        row for t in PRINTED.values() for table in t.values() for methods in table.values() for row in methods.values()
    ]
    assert all(list(row) == ["ssim", "psnr", "kl", "sd"] for row in cells)
    for low, high, metric in ((0.3, 0.9, "ssim"), (15, 24, "psnr"), (0.1, 5.1, "kl"), (27, 30, "sd")):
        assert all(low < float(row[metric]) < high for row in cells)


def test_spot_values_digit_for_digit() -> None:
    assert FIGSHARE[1]["meningioma"]["wgan_div+style"] == {"ssim": "0.48", "psnr": "17.59", "kl": "0.48", "sd": "29.09"}
    assert BRATS[2]["t1"]["dcgan1"] == {"ssim": "0.47", "psnr": "17.9", "kl": "5.05", "sd": "28.52"}
    assert BRATS[2]["flair"]["wgan_div+style"]["sd"] == "29"
    assert FIGSHARE[3]["pituitary"]["infogan"]["kl"] == "0.24" and BRATS[4]["t2"]["lsgan"]["sd"] == "27.60"


def test_the_best_are_those_that_the_text_names() -> None:
    table = FIGSHARE[1]
    assert [best(methods, "ssim") for methods in table.values()] == ["aggrgan_ssim"] * 3
    assert [best(table[name], "psnr") for name in ("glioma", "pituitary")] == ["aggrgan_psnr"] * 2
    assert best(table["meningioma"], "psnr") == "wgan_div"
    assert best(table["glioma"], "kl") == best(table["meningioma"], "kl") == "dcgan1"
    assert best(table["pituitary"], "kl") == "aggrgan_psnr"
    assert [best(methods, "sd") for methods in table.values()] == ["aggrgan_ssim"] * 3
    assert [best(methods, "kl") for methods in BRATS[2].values()] == ["aggrgan_psnr"] * 4
    # the text names InfoGAN for meningioma and LSGAN for pituitary: it contradicts its own table, which we keep
    assert [best(methods, "kl") for methods in FIGSHARE[3].values()] == ["lsgan", "lsgan", "infogan"]
    assert {
        best(BRATS[4][name], metric) for name in ("t1ce", "t2", "flair") for metric in ("ssim", "psnr", "kl", "sd")
    } == {"aggrgan_ssim"}
    assert best(BRATS[4]["t1"], "psnr") == "infogan" and best(BRATS[4]["t1"], "kl") == "lsgan"


def test_aggrgan_is_the_same_in_both_tables_of_a_data_set() -> None:
    for tables in PRINTED.values():
        methods, baselines = tables.values()
        for name in methods:
            assert baselines[name]["aggrgan_ssim"] == methods[name]["aggrgan_ssim"]


def test_every_value_is_in_the_papers_text(shared: Path) -> None:
    """The text's table lines, in order, hold exactly our rows."""
    text = (shared / "paper" / "aggrgan-scirep-2022.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^.*\t(.+)\t([\d.]+)\t([\d.]+)\t([\d.]+)\t([\d.]+)$", text, flags=re.MULTILINE)
    ours = []
    for dataset, table in (("figshare", 1), ("brats", 2), ("figshare", 3), ("brats", 4)):
        for methods in PRINTED[dataset][table].values():
            for method, values in methods.items():
                name, _, styled = method.partition("+")
                label = LABELS[name] if table < 3 or name != "aggrgan_ssim" else "AGGrGAN"
                ours.append((label + ("+style transfer" if styled else ""), *values.values()))
    assert lines[: len(ours)] == ours


@pytest.mark.parametrize(
    ("names", "dataset"),
    [
        (["glioma", "meningioma", "pituitary"], "figshare"),
        (["Glioma"], "figshare"),
        (["T1", "T1ce", "T2", "T2-FLAIR"], "brats"),
        (["flair", "t2"], "brats"),
        (["glioma", "t1"], None),
        (["glioma", "no_tumour"], None),
        ([], None),
    ],
)
def test_the_data_set_is_told_by_its_classes(names: list[str], dataset: str | None) -> None:
    assert paper_dataset(iter(names)) == dataset


def test_values_are_found_by_the_users_class_names_and_absent_ones_are_empty() -> None:
    assert paper_class(" T2-Flair ") == "flair"
    assert printed_value("brats", 2, "T2-FLAIR", "dcgan1", "psnr") == "17.81"
    for dataset, table, method in product(("figshare", None), (1, None), ("dcgan1", "mine")):
        expected = "0.39" if (dataset, table, method) == ("figshare", 1, "dcgan1") else ""
        assert printed_value(dataset, table, "Glioma", method, "ssim") == expected


def test_table_5_is_found_by_data_set_case_and_network() -> None:
    assert TABLE5["figshare"]["1"]["VGG19"] == "77.12" and TABLE5["brats"]["3c"]["InceptionResNetV2"] == "90.20"
    for cases in TABLE5.values():
        assert list(cases) == ["1", "2", "3a", "3b", "3c"]
        assert all(list(row) == ["InceptionResNetV2", "VGG19", "ResNet152V2"] for row in cases.values())


def test_table_5_is_as_the_text_describes_it() -> None:
    """3b beats 3c but for VGG19 on the tumours and InceptionResNetV2 on BraTS; case 2 beats case 1 throughout."""
    worse = set()
    for dataset, cases in TABLE5.items():
        for network in cases["1"]:
            assert float(cases["2"][network]) > float(cases["1"][network])
            if float(cases["3b"][network]) < float(cases["3c"][network]):
                worse.add((dataset, network))
    assert worse == {("figshare", "VGG19"), ("brats", "InceptionResNetV2")}


def test_every_value_of_table_5_is_in_the_papers_text(shared: Path) -> None:
    text = (shared / "paper" / "aggrgan-scirep-2022.txt").read_text(encoding="utf-8")
    lines = re.findall(r"Case-(\d)(?: \((\w)\))?\t([\d.]+)\t([\d.]+)\t([\d.]+)$", text, flags=re.MULTILINE)
    ours = [(case[0], case[1:], *row.values()) for cases in TABLE5.values() for case, row in cases.items()]
    assert lines == ours


def test_table_5_stands_beside_the_same_classes_alone() -> None:
    assert printed_cases(iter(["Pituitary", "glioma", "meningioma"])) == TABLE5["figshare"]
    assert printed_cases(["T1", "T1ce", "T2", "T2-FLAIR"]) == TABLE5["brats"]
    for names in (["glioma", "pituitary"], ["glioma", "meningioma", "pituitary", "none"], []):
        assert printed_cases(names) == {}
