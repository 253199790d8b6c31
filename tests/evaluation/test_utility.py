"""utility.csv and the other tables, from made-up predictions to files."""

from __future__ import annotations

import pytest

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.evaluation.classification import MEASURES
from monai_aggrgan.evaluation.conditions import PATIENT, SLICE, Condition, conditions
from monai_aggrgan.evaluation.utility import utility_rows, write_utility
from monai_aggrgan.evaluation.utility_runs import JudgedRuns
from tests.evaluation.predicted_runs import CLASSES, predicted_runs

LABELS = {"small": "Small CNN", "vgg19": "VGG-19"}
ALL = conditions(base=30, counts=(10,), minority=7)
COLUMNS = ["classifier", "label", "protocol", "case", "arm", "count", "test", "metric", "value", "low", "high"]
COLUMNS += ["n", "patients", "seeds"]


@pytest.fixture(scope="module")
def runs():
    return [run for name in LABELS for run in predicted_runs(ALL, {"synthetic": 1.3}, classifier=name, seeds=2)]


def test_every_measure_of_every_test_is_a_row(runs) -> None:
    judged = JudgedRuns(runs, classes=CLASSES)
    rows = utility_rows(judged, labels=LABELS, base=30)
    assert len(rows) == len(judged.tests) * (len(MEASURES) + len(CLASSES))
    assert all(list(row) == COLUMNS for row in rows)
    assert {row["metric"] for row in rows} == {*MEASURES, *(f"recall {name}" for name in CLASSES)}
    cases = {(row["protocol"], row["case"]) for row in rows if row["case"]}
    assert cases == {(protocol, case) for protocol in (PATIENT, SLICE) for case in ("1", "2", "3a", "3b", "3c")}
    assert {row["arm"] for row in rows if row["count"] == "10"} == {"synthetic", "transforms", "oversampling"}
    assert all(row["case"] == "" for row in rows if row["count"] == "10" or row["protocol"] == "minority")


def test_a_row_is_the_estimate(runs) -> None:
    judged = JudgedRuns(runs, classes=CLASSES)
    added = Condition(PATIENT, "synthetic", 30)
    (row,) = (
        row
        for row in utility_rows(judged, labels=LABELS, base=30)
        if (row["classifier"], row["protocol"], row["case"], row["metric"]) == ("vgg19", PATIENT, "3b", "macro_f1")
    )
    expected = judged.estimate("vgg19", added, "real", "macro_f1")[:3]
    assert [float(row[name]) for name in ("value", "low", "high")] == pytest.approx(expected, abs=1e-6)
    assert (row["label"], row["n"], row["patients"], row["seeds"]) == ("VGG-19", "90", "30", "2")


def test_intervals_stay_among_shares_and_what_is_unknown_is_empty() -> None:
    real = Condition(PATIENT, "real")
    patients = ["", *(f"p-{image // 3}" for image in range(1, 90))]
    sure = JudgedRuns(predicted_runs([real], {"real": 2.5}, seeds=2, patients=patients), classes=CLASSES)
    rows = utility_rows(sure, labels=LABELS, base=30)
    assert sure.estimate("small", real, "real", "auc").high > 1
    assert {row["high"] for row in rows if row["metric"] == "auc"} == {"1.000000"}
    assert {row["patients"] for row in rows} == {""}
    once = JudgedRuns(predicted_runs([real], {}, seeds=1), classes=CLASSES)
    row = utility_rows(once, labels=LABELS, base=30)[0]
    assert row["value"] and (row["low"], row["high"]) == ("", "")
    assert utility_rows(once, labels={"vgg19": "VGG-19"}, base=30) == []


def test_all_tables_are_written(runs, tmp_path) -> None:
    options = {"classes": CLASSES, "labels": LABELS, "base": 30, "minority_class": "ring"}
    write_utility(tmp_path, runs, notes=["A further note."], **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("comparisons.csv", "table5.csv", "table5.md", "table5.tex", "utility.csv", "verdicts.csv")
    ]
    assert len(read_manifest(tmp_path, name="utility.csv")) == len(LABELS) * (len(ALL) + 1) * 8
    compared = read_manifest(tmp_path, name="comparisons.csv")
    assert {row["part"] for row in compared} == {"cases", "curve", "minority"}
    verdicts = read_manifest(tmp_path, name="verdicts.csv")
    assert [(row["classifier"], row["label"]) for row in verdicts] == [*LABELS.items()]
    assert "A further note." in (tmp_path / "table5.md").read_text(encoding="utf-8")


def test_the_seed_deals_the_patients_and_the_rest_is_the_same_again(runs, tmp_path) -> None:
    texts = []
    for number, seed in enumerate((0, 0, 1)):
        (tmp_path / str(number)).mkdir()
        write_utility(tmp_path / str(number), runs, classes=CLASSES, labels=LABELS, base=30, seed=seed)
        texts.append((tmp_path / str(number) / "utility.csv").read_bytes())
    assert texts[0] == texts[1] != texts[2]


def test_classifiers_of_one_label_are_told_apart(runs, tmp_path) -> None:
    write_utility(tmp_path, runs, classes=CLASSES, labels=dict.fromkeys(LABELS, "CNN"), base=30)
    record = read_manifest(tmp_path, name="table5.csv")[0]
    assert record["CNN (small)"] and record["CNN (vgg19)"]
    assert [row["label"] for row in read_manifest(tmp_path, name="verdicts.csv")] == ["CNN (small)", "CNN (vgg19)"]


@pytest.mark.parametrize("label", ["n", "Method", "Category", "Big low", "VGG19 (paper)"])
def test_a_label_that_is_a_column_already_has_its_name_behind_it(runs, tmp_path, label: str) -> None:
    write_utility(tmp_path, runs, classes=CLASSES, labels={"small": label, "vgg19": "Big"}, base=30)
    record = read_manifest(tmp_path, name="table5.csv")[0]
    assert float(record[f"{label} (small)"]) and float(record["Big"]) and record["n"] == "90"
    assert record["Method"] == "1: real to synthetic"
