"""Do the images help a classifier? The four stages on tiny drawings, from a finished study to the report."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_aggrgan.data import read_manifest, write_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages import classify, read_record
from monai_aggrgan.study import UTILITY, utility

CLASSES = ("disc", "square")
OPTIONS = {
    "classifier_settings": {"max_epochs": 2, "checkpoint_interval": 1, "batch_size": 4},
    "classifier_seeds": 2,
    "synthetic_counts": [2, 5],
    "minority_class": "square",
}
QUICK = {**OPTIONS, "slice_level": False, "minority_class": "none", "synthetic_counts": [3]}


@pytest.fixture(scope="module")
def useful(study_of, finished, tmp_path_factory) -> Path:
    """A finished study of which it was asked whether its images help; tests only read it."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("useful") / "study"))
    study_of(folder, **OPTIONS).run(*UTILITY, "report")
    return folder


def training(folder: Path, condition: str, seed: int = 0) -> Path:
    return folder / "classify" / "small" / condition / f"seed-{seed}"


def told(folder: Path) -> dict:
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))


def predictions(folder: Path) -> list[dict[str, str]]:
    return read_manifest(folder, name="predictions.csv")


def every_training(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / "classify").rglob("training.json"))


def test_every_condition_is_trained_with_every_seed(useful):
    arms = ("synthetic", "transforms", "oversampling")
    wanted = {"patient/real", "patient/mix", "slice/all", "slice/mix", "slice/real", "minority/real"}
    wanted |= {f"patient/{arm}-{count}" for arm in arms for count in (2, 3, 5)}
    wanted |= {f"slice/{arm}-3" for arm in arms[:2]}
    found = {path.parent.relative_to(useful / "classify" / "small").as_posix() for path in every_training(useful)}
    fills = {name for name in found if name.startswith("minority/") and name != "minority/real"}
    assert {name.rpartition("-")[0] for name in fills} == {f"minority/{arm}" for arm in arms}
    assert len({name.rpartition("-")[2] for name in fills}) == 1
    assert found - fills == wanted
    assert len(every_training(useful)) == 2 * len(found)


def test_tests_by_patient_are_the_held_out_images_and_nothing_else(useful):
    real = read_manifest(useful / "prepare")
    held_out = {row["id"]: row for row in real if row["section"] == "held_out"}
    for folder in every_training(useful):
        if folder.parts[-3] in ("patient", "minority"):
            for test in {row["test"] for row in predictions(folder)} - {"synthetic"}:
                mine = [row for row in predictions(folder) if row["test"] == test]
                tested = [row for row in mine if test == "real" or row["id"] in held_out]
                assert [row["id"] for row in tested] == [*held_out]
                assert all(row["patient"] == held_out[row["id"]]["patient"] for row in tested)
                assert all(row["label"] == held_out[row["id"]]["class_name"] for row in tested)


def test_probabilities_are_shares(useful):
    for folder in every_training(useful):
        for row in predictions(folder):
            shares = [float(row[f"p {name}"]) for name in CLASSES]
            assert sum(shares) == pytest.approx(1, abs=1e-5) and min(shares) >= 0


def test_all_conditions_take_equal_steps_and_equal_numbers_a_class(useful):
    for seed in (0, 1):
        folders = [folder for folder in every_training(useful) if folder.name == f"seed-{seed}"]
        real = sum(told(training(useful, "patient/real", seed))["training"]["real"].values())
        assert {told(folder)["steps"] for folder in folders} == {2 * math.ceil(real / 4)} != {2}
        for folder in folders:
            sources = told(folder)["training"]
            if folder.parts[-3] == "patient":
                assert all(len(set(numbers.values())) == 1 for numbers in sources.values()), folder
            arm, _, count = folder.parts[-2].partition("-")
            if count:
                added = sources["synthetic" if arm == "synthetic" else arm]
                wanted = (
                    {"disc": 0, "square": int(count)}
                    if folder.parts[-3] == "minority"
                    else dict.fromkeys(CLASSES, int(count))
                )
                assert added == wanted, folder


def test_the_minority_has_what_was_kept(useful):
    kept = len(read_manifest(useful / "minority", name="kept.csv"))
    facts = told(training(useful, "minority/real"))
    assert facts["training"]["real"]["square"] + facts["validation"]["square"] == kept
    assert facts["training"]["real"]["square"] < facts["training"]["real"]["disc"]


def test_a_synthetic_image_counts_for_the_patient_of_its_reference(useful):
    patients = {row["id"]: row["patient"] for row in read_manifest(useful / "prepare")}
    references = {
        f"{name}/{Path(row['file']).name.partition('.')[0]}": row["reference"]
        for name in CLASSES
        for row in read_manifest(useful / "stylise" / name / "aggrgan_ssim")
    }
    rows = [row for row in predictions(training(useful, "patient/real")) if row["test"] == "synthetic"]
    assert {row["id"] for row in rows} == set(references)
    assert all(row["patient"] == patients[references[row["id"]]] for row in rows)


def test_networks_and_checkpoints_are_not_kept_and_curves_are(useful):
    folder = training(useful, "patient/real")
    assert not [*folder.glob("*.pt")]
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert len(events.Scalars("validation/loss")) == 2


def test_tables_figures_and_the_report_tell_it(useful):
    folder = useful / "utility"
    names = ["utility.csv", "comparisons.csv", "verdicts.csv", "utility.json", "sources.json"]
    names += [*(f"table5.{suffix}" for suffix in ("csv", "md", "tex")), "cases.png", "curve.png", "minority.png"]
    assert {row["file"] for row in read_manifest(folder)} == {*names}
    cases = {(row["protocol"], row["case"]) for row in read_manifest(folder, name="utility.csv")}
    assert cases >= {(protocol, case) for protocol in ("patient", "slice") for case in ("1", "2", "3a", "3b", "3c")}
    (verdict,) = read_manifest(folder, name="verdicts.csv")
    assert verdict["verdict"] in ("helps", "harms", "cannot tell")
    page = (useful / "report" / "report.html").read_text(encoding="utf-8")
    assert "Do the images help?" in page and verdict["sentence"].split(":")[0] in page
    record = json.loads((useful / "report" / "report.json").read_text(encoding="utf-8"))
    assert record["facts"]["utility"]["seeds"] == 2 and record["tables"]["table5"]
    assert [picture["path"] for picture in record["facts"]["utility_figures"]] == [
        "cases.png",
        "curve.png",
        "minority.png",
    ]


def test_values_in_the_tables_are_those_of_the_predictions(useful):
    rows = read_manifest(useful / "utility", name="utility.csv")
    (row,) = [row for row in rows if (row["protocol"], row["case"], row["metric"]) == ("patient", "3b", "accuracy")]
    shares = []
    for seed in (0, 1):
        mine = predictions(training(useful, "patient/synthetic-3", seed))
        right = [max(CLASSES, key=lambda name: float(row[f"p {name}"])) == row["label"] for row in mine]
        shares.append(sum(right) / len(right))
    assert float(row["value"]) == pytest.approx(sum(shares) / 2, abs=1e-6)
    assert int(row["n"]) == len(mine) and int(row["seeds"]) == 2


def test_what_is_done_is_not_repeated(study_of, useful, tmp_path):
    folder = Path(shutil.copytree(useful, tmp_path / "study"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    study_of(folder, **OPTIONS).run(*UTILITY, "report")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_killed_training_ends_as_if_it_had_not_been(study_of, useful, copied, monkeypatch):
    study = study_of(copied, **QUICK)
    said = classify.class_probabilities

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(classify, "class_probabilities", killed)
    with pytest.raises(KeyboardInterrupt):
        study.run("classify")
    first = training(copied, "patient/real")
    assert [*first.glob("checkpoint_*.pt")] and not (first / "predictions.csv").exists()
    monkeypatch.setattr(classify, "class_probabilities", said)
    study.run("classify")
    assert (first / "predictions.csv").read_bytes() == (
        training(useful, "patient/real") / "predictions.csv"
    ).read_bytes()


def test_weights_to_begin_with_are_named_by_path(study_of, copied, tmp_path, monkeypatch):
    study = study_of(copied, **QUICK)
    network = classify._build(study.settings, "small", classes=2)
    weights = {name: torch.zeros_like(value) for name, value in network.network.state_dict().items()}
    torch.save(weights, tmp_path / "zeros.pt")
    options = {**QUICK, "classifier_settings": {"max_epochs": 1, "learning_rate": 1e-12}, "classifier_seeds": 2}
    study_of(copied, **options, pretrained={"small": str(tmp_path / "zeros.pt")}).run("classify")
    rows = predictions(training(copied, "patient/real"))
    assert {row["p disc"] for row in rows} == {"0.5000000"}


def test_another_set_can_be_asked_about(study_of, copied):
    study = study_of(copied, **{**QUICK, "synthetic_counts": [1, 50]}, synthetic_dir=copied / "synthetic")
    study.run(*UTILITY)
    facts = json.loads((copied / "utility" / "utility.json").read_text(encoding="utf-8"))
    assert facts["counts"] == [1, 3] and facts["synthetic"] == "synthetic" and facts["minority"] is None
    assert any("3 images a class, so that 50 could not be tried" in note for note in facts["notes"])
    assert not (copied / "enlarged").exists()


def test_a_set_made_from_test_patients_is_refused(study_of, copied):
    rows = read_manifest(copied / "synthetic")
    held_out = next(row["id"] for row in read_manifest(copied / "prepare") if row["section"] == "held_out")
    write_manifest(copied / "synthetic", [{**rows[0], "reference": held_out}, *rows[1:]])
    with pytest.raises(InputError, match=r"test patients|held-out"):
        study_of(copied, **QUICK, synthetic_dir=copied / "synthetic").run("classify")
    assert not (copied / "classify").exists()


def test_generators_chosen_by_test_patients_are_refused(study_of, copied):
    path = copied / "train" / "disc" / "dcgan1" / "stage.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["settings"]["select_best"] = True
    path.write_text(json.dumps(record), encoding="utf-8")
    training = {**study_of(copied).settings.training, "select_best": True}
    with pytest.raises(InputError, match="dcgan1 of class 'disc' was chosen by its likeness to held-out patients"):
        classify.refuse_bad_input(study_of(copied, **QUICK, training=training).settings)


def test_one_class_is_nothing_to_tell_apart(study_of, finished):
    with pytest.raises(InputError, match="at least two classes"):
        classify.refuse_bad_input(study_of(finished, **QUICK, classes=["disc"]).settings)


def test_changed_predictions_are_not_believed(study_of, useful, tmp_path):
    folder = Path(shutil.copytree(useful, tmp_path / "study"))
    path = training(folder, "patient/real") / "predictions.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("0.", "1."), encoding="utf-8")
    with pytest.raises(InputError, match="is damaged or was changed since the stage `classify` wrote it"):
        study_of(folder, **OPTIONS).run("compare", again=True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"classifiers": ["lenet"]}, "There is no classifier 'lenet': .* knows .*small"),
        ({"classifiers": []}, "--classifiers names none"),
        (
            {"classifier_settings": {"max_epoch": 1}},
            "--classifier_settings cannot have 'max_epoch': of small it may have .*max_epochs",
        ),
        ({"classifier_settings": {"seed": 3}}, "--classifier_settings cannot have 'seed'"),
        ({"classifier_settings": {"weights": "a.pt"}}, "--classifier_settings cannot have 'weights'"),
        ({"classifier_settings": {"batch_size": 0}}, "batch_size must be a whole number above 0, got 0"),
        ({"classifier_settings": {"learning_rate": "x"}}, "learning_rate must be a number above 0, got 'x'"),
        ({"classifiers": ["small", "small"]}, "--classifiers names small twice"),
        ({"classifier_settings": 3}, "--classifier_settings must be a mapping"),
        ({"pretrained": {"vgg19": "x.pt"}}, r"--pretrained names 'vgg19', which --classifiers \(small\) does not"),
        ({"pretrained": {"small": "nowhere.pt"}}, "--pretrained small: there is no file nowhere.pt"),
        ({"classifier_seeds": 1}, "--classifier_seeds must be a whole number of at least 2, got 1"),
        ({"synthetic_counts": [0]}, "--synthetic_counts must be whole numbers of at least 1, got 0"),
        ({"minority_share": 1.0}, "--minority_share must be a number between 0 and 1"),
        ({"slice_level": "no"}, "--slice_level must be True or False"),
    ],
)
def test_options_that_cannot_be_used_are_refused(study_of, finished, given, told):
    with pytest.raises(InputError, match=told):
        study_of(finished, **given).run("classify")


def test_a_classifier_whose_package_is_missing_is_refused_before_anything_runs(study_of, copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"classifier_inception_resnet_v2\.yaml needs .* pip install timm"):
        study_of(copied, **{**QUICK, "classifiers": ["inception_resnet_v2"], "classifier_settings": {}}).run(*UTILITY)
    assert not (copied / "classify").exists()


def test_the_command_ends_with_its_answer(useful, study_of, tmp_path, capsys):
    folder = Path(shutil.copytree(useful, tmp_path / "study"))
    given = vars(study_of(folder, **OPTIONS).settings)
    utility({name: value for name, value in given.items() if name in study_of(folder).settings.__dataclass_fields__})
    out = capsys.readouterr().out
    (verdict,) = read_manifest(folder / "utility", name="verdicts.csv")
    assert verdict["sentence"] in out and f"Report:  {folder / 'report' / 'report.html'}" in out


def test_a_study_that_was_not_evaluated_is_answered_without_a_report(copied, study_of, capsys):
    for name in ("evaluate", "filtered", "report"):
        shutil.rmtree(copied / name)
    given = vars(study_of(copied, **QUICK).settings)
    utility({name: value for name, value in given.items() if name in study_of(copied).settings.__dataclass_fields__})
    assert "Report:" not in capsys.readouterr().out and (copied / "utility" / "table5.md").is_file()


EVERYTHING = {"patient", "slice", "minority"}
TRAINING = OPTIONS["classifier_settings"]


@pytest.mark.parametrize(
    ("changed", "redone"),
    [
        ({"seed": 7}, EVERYTHING),
        ({"classes": ["disc", "square"]}, set()),
        ({"precision": "bfloat16"}, EVERYTHING),
        ({"classifier_settings": {**TRAINING, "learning_rate": 0.1}}, EVERYTHING),
        ({"classifier_settings": {**TRAINING, "log_interval": 3}}, set()),
        ({"minority_share": 0.6}, {"minority"}),
    ],
)
def test_what_changes_a_training_undoes_it(study_of, useful, changed, redone):
    tasks = [*classify.tasks(study_of(useful, **{**OPTIONS, **changed}).settings)]
    assert {task.folder.parts[-3] for task in tasks if not is_done(task)} == redone


def is_done(task) -> bool:
    wanted = json.loads(json.dumps({**task.settings, "inputs": task._digests()}))
    return (record := read_record(task.folder)) is not None and record["settings"] == wanted


def test_the_report_leaves_out_an_answer_about_other_images(study_of, useful, tmp_path):
    folder = Path(shutil.copytree(useful, tmp_path / "study"))
    study_of(folder).run("report", again=True)  # whatever options of `utility` are given
    assert "Do they help?" in (folder / "report" / "report.html").read_text(encoding="utf-8")
    study_of(folder, style_iterations=3).run("stylise", "evaluate", "report")
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "Do they help?" not in page and "was asked of other images than the study has now" in page


def test_a_set_whose_makers_were_chosen_by_test_patients_says_so(study_of, copied):
    path = copied / "train" / "disc" / "dcgan1" / "stage.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["settings"]["select_best"] = True
    path.write_text(json.dumps(record), encoding="utf-8")
    study_of(copied).run("export", again=True)
    with pytest.raises(InputError, match=r"test patients|held-out"):
        study_of(copied, **QUICK, synthetic_dir=copied / "synthetic").run("classify")
