"""Table 5: rows by split and case, a column a classifier, the paper's values, and what the notes say."""

from __future__ import annotations

from itertools import product

import pytest

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.evaluation.conditions import CASES, MINORITY, PATIENT, SLICE
from monai_aggrgan.evaluation.table5 import FEW_SEEDS, FLATTERS, UNKNOWN, table5_records, write_table5

FIGSHARE = ("Glioma", "meningioma", "pituitary")
LABELS = {"small": "Small CNN", "vgg19": "VGG-19"}
PAPER = [f"{network} (paper)" for network in ("InceptionResNetV2", "VGG19", "ResNet152V2")]


def row(protocol: str = PATIENT, case: str = "3a", classifier: str = "small", **more: str) -> dict[str, str]:
    """One of utility.csv."""
    values = {"value": "0.8125", "low": "0.75", "high": "0.875", "n": "90", "patients": "30", "seeds": "5"}
    place = {"classifier": classifier, "label": LABELS[classifier], "protocol": protocol, "case": case}
    return {**place, "metric": "balanced_accuracy", **values, **more}


WHOLE = [row(*keys) for keys in product((SLICE, PATIENT), reversed(CASES), LABELS)]


def test_rows_are_the_papers_cases_by_patient_then_by_slice() -> None:
    records = table5_records(WHOLE, classes=FIGSHARE, labels=LABELS)
    methods = [f"{case}: {words}" for case, words in CASES.items()]
    assert [record["Method"] for record in records] == methods * 2
    splits = ["Split by patient"] * 5 + ["Split by slice (the paper's)"] * 5
    assert [record["Category"] for record in records] == splits
    columns = [*LABELS.values(), *(f"{label} {end}" for label in LABELS.values() for end in ("low", "high"))]
    assert all({*record} == {"Category", "Method", *columns, *PAPER, "n"} for record in records)
    assert (records[0]["VGG-19"], records[0]["VGG-19 low"], records[0]["VGG-19 high"]) == ("81.2", "75.0", "87.5")


def test_what_the_paper_prints_stands_at_its_own_split() -> None:
    records = table5_records(WHOLE, classes=FIGSHARE, labels=LABELS)
    assert all(record[column] == "" for record in records[:5] for column in PAPER)
    assert [records[8][column] for column in PAPER] == ["90.35", "92.70", "93.88"]
    by_patient = [its for its in WHOLE if its["protocol"] == PATIENT]
    alone = table5_records(by_patient, classes=FIGSHARE, labels=LABELS)
    assert [alone[0][column] for column in PAPER] == ["44.43", "77.12", "58.45"]


@pytest.mark.parametrize("classes", [FIGSHARE[:2], ("disc", "ring"), (*FIGSHARE, "none")])
def test_other_classes_have_no_column_of_the_papers(classes: tuple[str, ...], tmp_path) -> None:
    """Nor have two of its three, which are easier to tell apart."""
    assert not {*PAPER} & {*table5_records(WHOLE, classes=classes, labels=LABELS)[0]}
    write_table5(tmp_path, WHOLE, classes=classes, labels=LABELS)
    assert "(paper)" not in (tmp_path / "table5.md").read_text(encoding="utf-8")


def test_only_cases_and_only_balanced_accuracy_are_in_it() -> None:
    others = [row(case=""), row(protocol=MINORITY, case=""), row(metric="accuracy", value="0.1")]
    records = table5_records([row(), *others], classes=FIGSHARE, labels=LABELS)
    assert len(records) == 1 and records[0]["Small CNN"] == "81.2"
    assert records[0]["VGG-19"] == records[0]["VGG-19 low"] == ""


def test_gaps_and_numbers_that_differ() -> None:
    rows = [row(low="", high=""), row(classifier="vgg19", n="88")]
    (record,) = table5_records(rows, classes=("a", "b"), labels=LABELS)
    assert record["Small CNN low"] == "" and record["n"] == "90/88"


def test_files_read_well(tmp_path) -> None:
    write_table5(tmp_path, WHOLE, classes=FIGSHARE, labels=LABELS, notes=["More to know."])
    text, latex = ((tmp_path / f"table5.{suffix}").read_text(encoding="utf-8") for suffix in ("md", "tex"))
    header = f"| Category | Method | Small CNN | VGG-19 | {' | '.join(PAPER)} | n |"
    assert header in text and text.endswith("More to know.\n")
    assert "| Split by patient | 1: real to synthetic | 81.2 [75.0, 87.5] | 81.2 [75.0, 87.5] |  |  |  | 90 |" in text
    assert "|  | 3b: real + synthetic | 81.2 [75.0, 87.5] | 81.2 [75.0, 87.5] | 90.35 | 92.70 | 93.88 | 90 |" in text
    assert "mean of 5 trainings" in text and FLATTERS in text and "Scientific Reports" in text
    assert FEW_SEEDS not in text and UNKNOWN not in text
    caption = next(line for line in latex.splitlines() if line.startswith(r"\caption"))
    assert "More to know." in caption and "?." not in caption and ".." not in caption
    assert len(read_manifest(tmp_path, name="table5.csv")) == 10


@pytest.mark.parametrize(
    ("changed", "note"), [({"seeds": "4"}, FEW_SEEDS), ({"patients": ""}, UNKNOWN), ({"protocol": SLICE}, FLATTERS)]
)
def test_what_a_reader_must_know_is_noted(changed: dict[str, str], note: str, tmp_path) -> None:
    for name, rows in (("without", [row()]), ("with", [row(), row(**changed)])):
        (tmp_path / name).mkdir()
        write_table5(tmp_path / name, rows, classes=FIGSHARE, labels=LABELS)
        assert (note in (tmp_path / name / "table5.md").read_text(encoding="utf-8")) == (name == "with")
