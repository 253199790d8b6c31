"""What a person may give wrongly: one sentence names it and the remedy, before hours are spent."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from monai_aggrgan import InputError, Study
from monai_aggrgan.data import read_manifest
from monai_aggrgan.study import STAGES, UTILITY, main, refuse_unknown_options

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "brain_mri_aggrgan"
CONFIGS = BUNDLE / "configs"
MAIN = "/somewhere/monai/bundle/__main__.py"


def grey(seed: int = 0, size: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Two classes of ten good images."""
    for class_name in ("a", "b"):
        for number in range(10):
            save(tmp_path / "slices" / class_name / f"{number}.png", grey(number))
    return tmp_path / "slices"


def study(dataset_dir: Path, **options: object) -> Study:
    """A study of all stages that would be quick if it were not refused."""
    given = {"config_dir": CONFIGS, "dataset_dir": dataset_dir, "output_dir": dataset_dir.parent / "study"}
    quick = {"image_size": 16, "max_epochs": 1, "pool_size": 2, "references": 1, "style_iterations": 0}
    return Study(**{**given, **quick, "vgg_weights": "random", **options})


def refused(run: Callable[[], object], message: str) -> str:
    """The sentence with which `run` is refused; it must match `message`, stand on one line and end as sentences do."""
    with pytest.raises(InputError, match=message) as caught:
        run()
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", ".)", "?", "only")), sentence
    return sentence


def test_the_good_images_are_taken(slices):
    study(slices).run("prepare")
    assert (slices.parent / "study" / "prepare" / "manifest.csv").is_file()


def test_no_folder_at_all(tmp_path):
    refused(study(tmp_path / "nowhere").run, "nowhere is not a folder: --dataset_dir must name a folder")


def test_an_empty_folder(tmp_path):
    (tmp_path / "slices").mkdir()
    refused(study(tmp_path / "slices").run, "slices has no folders in it: put each class's images into a folder")


def test_images_without_class_folders(tmp_path):
    save(tmp_path / "slices" / "1.png", grey())
    refused(study(tmp_path / "slices").run, "slices has no folders in it")


def test_a_class_folder_without_images(slices):
    (slices / "c").mkdir()
    (slices / "c" / "notes.txt").write_text("none yet")
    refused(study(slices).run, r"c has no image in it: images end in \.png")


def test_one_image(tmp_path):
    save(tmp_path / "slices" / "only" / "1.png", grey())
    sentence = refused(study(tmp_path / "slices").run, r"Class 'only' has [01] (training|held-out) images and needs 2")
    assert "add images" in sentence and "--classes" in sentence


def write_datalist(slices: Path, fold_of: Callable[[str, int], str], patient_of: Callable[[str, int], str]) -> Path:
    with open(slices / "list.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "patient_id", "fold"])
        for name in ("a", "b"):
            for n in range(10):
                writer.writerow([f"{name}/{n}.png", name, patient_of(name, n), fold_of(name, n)])
    return slices / "list.csv"


def test_a_class_missing_on_one_side_of_the_folds(slices):
    datalist = write_datalist(slices, lambda name, n: "1" if name == "a" else str(2 + n % 2), lambda name, n: "")
    run = study(slices, datalist=datalist, held_out_fold=2).run
    refused(run, "Class 'a' has 0 held-out images and needs 2: add images")
    refused(study(slices, datalist=datalist, held_out_fold=1).run, "Class 'a' has 0 training images")
    refused(study(slices, datalist=datalist, held_out_fold=7).run, "--held_out_fold 7 is not among .* folds 1, 2, 3")


def test_a_class_of_one_patient(slices):
    datalist = write_datalist(slices, lambda name, n: "", lambda name, n: "p" if name == "a" else f"q{n}")
    refused(
        study(slices, datalist=datalist).run, r"Class 'a' has 0 training images and needs 2: add .*\(and patients\)"
    )


def test_a_patient_torn_between_folds(slices):
    datalist = write_datalist(slices, lambda name, n: str(n % 2), lambda name, n: f"{name}{n // 2}")
    sentence = refused(
        study(slices, datalist=datalist, held_out_fold=1).run, "10 patients have slices in fold 1 and in"
    )
    assert "a0" not in sentence  # a patient's name has no business in a message


def test_a_datalist_that_cannot_be_used(slices):
    refused(study(slices, datalist=slices / "none.csv").run, "none.csv is not a file: --datalist must name a CSV")
    (slices / "empty.csv").write_text("")
    refused(study(slices, datalist=slices / "empty.csv").run, "empty.csv lists no image")
    (slices / "wrong.csv").write_text("file,label\n1.png,a\n")
    refused(study(slices, datalist=slices / "wrong.csv").run, "wrong.csv has no column class, image")
    (slices / "gone.csv").write_text("image,class\na/99.png,a\n")
    refused(study(slices, datalist=slices / "gone.csv").run, r"gone.csv names a/99.png, which is not in .*: correct")


COLOURS = np.random.default_rng(0).integers(0, 256, (24, 24, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("x.png", COLOURS[..., :3], "x.png is a colour image .mode RGB.; grey is wanted: convert it"),
        ("x.jpg", COLOURS[..., :3], "x.jpg is a colour image"),
        ("x.png", COLOURS, "x.png is a colour image .mode RGBA."),
        ("x.npy", np.zeros((24, 24, 3), np.float32), "x.npy has shape 24x24x3; a 2-D grey slice is wanted"),
        ("x.npy", np.full((24, 24), np.nan, np.float32), "x.npy has pixels that are NaN or infinite: replace them"),
        (
            "x.nii.gz",
            np.zeros((24, 24, 5, 2), np.float32),
            r"has 4 dimensions \(24x24x5x2\); .*: split it into",
        ),
        ("x.nii", np.zeros((24, 24), np.float32), "x.nii is constant, every pixel is 0.0: replace or remove it"),
        ("x.png", np.full((24, 24), 7, np.uint8), "x.png is constant, every pixel is 7: replace or remove it"),
    ],
)
def test_images_that_cannot_be_trained_on(slices, name, pixels, message):
    path = slices / "b" / name
    if name.endswith(".npy"):
        np.save(path, pixels)
    elif ".nii" in name:
        nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), path)
    else:
        save(path, pixels)
    sentence = refused(study(slices).run, message)
    assert str(path) in sentence and "--on_error skip" in sentence


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_png(slices, share):
    path = slices / "a" / "3.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    sentence = refused(study(slices).run, r"3.png cannot be read as an image \(.*\): replace or remove it")
    assert str(path) in sentence


@pytest.mark.parametrize("name", ["x.nii.gz", "x.npy", "x.jpg", "x.tif"])
def test_a_file_of_another_kind_than_its_name_says(slices, name):
    (slices / "a" / name).write_bytes(b"this is no image, whatever its name says" * 20)
    refused(study(slices).run, f"{name} cannot be read as an image")


def test_bad_files_are_left_out_when_asked_and_named(slices, caplog):
    (slices / "a" / "3.png").write_bytes(b"")
    study(slices, on_error="skip").run("prepare")
    assert [message for message in caplog.messages if message.startswith("left out: ") and "3.png" in message]
    kept = [(row["class_name"], row["source"]) for row in read_manifest(slices.parent / "study" / "prepare")]
    assert sorted(kept) == sorted((name, f"{i}.png") for name in "ab" for i in range(10) if (name, i) != ("a", 3))


def test_too_few_good_files_are_left(slices):
    for number in range(9):
        (slices / "a" / f"{number}.png").write_bytes(b"")
    refused(study(slices, on_error="skip").run, r"Class 'a' has \d (training|held-out) images and needs 2")


def test_16_bit_png_is_taken_with_all_its_bits(slices):
    for number in range(10):
        save(slices / "b" / f"{number}.png", grey(number).astype(np.uint16) * 16)
    study(slices).run("prepare")
    rows = read_manifest(slices.parent / "study" / "prepare")
    assert {row["high"] for row in rows if row["class_name"] == "a"} == {"255.0"}
    assert {float(row["high"]) > 3900 for row in rows if row["class_name"] == "b"} == {True}


def test_paths_with_spaces_and_other_letters(slices):
    (slices / "a").rename(slices / "Größe 脳")
    (slices / "Größe 脳" / "3.png").rename(slices / "Größe 脳" / "Ärzte é 3.png")
    study(slices).run("prepare")
    sources = [row["source"] for row in read_manifest(slices.parent / "study" / "prepare")]
    assert "Ärzte é 3.png" in sources


def test_a_file_that_may_not_be_read(slices, monkeypatch):
    """Root may read everything, so the operating system's answer is made here."""
    from monai_aggrgan.data import grey_image

    def denied(self, path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(grey_image.PILReader, "read", denied)
    sentence = refused(
        study(slices).run, r"0.png cannot be read as an image \(Permission denied\): replace or remove it"
    )
    assert sentence.count("0.png") == 1


def test_a_file_that_is_closed_to_the_user(slices, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "3.png")
    refused(
        study(slices).run, r"a/3.png cannot be read \(Permission denied\): get the right to read it, or leave it out"
    )


def test_a_list_is_looked_for_in_the_data_sets_folder_too(slices):
    write_datalist(slices, lambda name, n: "", lambda name, n: f"{name}{n}")
    study(slices, datalist="list.csv").run("prepare")
    assert {row["patient"] for row in read_manifest(slices.parent / "study" / "prepare")} >= {"p-001", "p-020"}


def test_a_folder_that_may_not_be_read(slices, monkeypatch):
    """Root may read everything, so the operating system's answer is made here."""
    save(slices / "a" / "Doe" / "0.png", grey())
    scan = os.scandir

    def denied(folder):
        if not isinstance(folder, int) and Path(folder).name == "Doe":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", denied)
    refused(study(slices).run, r"a/Doe cannot be read \(Permission denied\): get the right to read it, or leave it out")
    study(slices, on_error="skip").run("prepare")
    (left_out,) = read_manifest(slices.parent / "study" / "prepare", name="left_out.csv")
    assert left_out["source"] == "a/Doe" and left_out["reason"].startswith("a/Doe cannot be read")


def test_folds_that_class_folders_do_not_have(slices):
    refused(study(slices, held_out_fold=1).run, "a/0 has no fold: fill the fold column of --datalist .*, or omit")


def test_mixed_sizes(slices):
    save(slices / "b" / "7.png", grey(size=30))
    sentence = refused(study(slices).run, r"7.png is 30x30 and .*0.png 24x24: bring them to one size")
    assert "--mixed_sizes resize" in sentence
    study(slices, mixed_sizes="resize").run("prepare")


def test_two_files_of_one_name(slices):
    save(slices / "a" / "0.bmp", grey())
    refused(study(slices).run, r"0.bmp and .*0.png would both be image a/0: rename or remove one of them")


def test_a_class_name_that_no_folder_can_have(slices):
    (slices / "list.csv").write_text("image,class\na/1.png,../a\n")
    refused(study(slices, datalist=slices / "list.csv").run, "'../a' cannot be the name of a class")


@pytest.mark.parametrize("name", ["$print('run by a folder name')", "@dataset_dir", "%train.yaml"])
def test_a_class_name_that_a_config_would_evaluate(slices, name):
    (slices / "a").rename(slices / name)
    refused(study(slices).run, re.escape(f"'{name}' cannot be the name of a class") + ".*rename it")


def test_an_output_folder_that_cannot_be_written(slices, tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = study(slices, output_dir=tmp_path / "file" / "study").run
    refused(run, r"--output_dir .*study cannot be written \(.+\): choose another folder")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission(slices, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(study(slices, output_dir=tmp_path / "locked").run, "--output_dir .*locked cannot be written")


def test_a_wrong_class(slices):
    refused(study(slices, classes=["a", "glioma"]).run, "no class 'glioma' in the data set: its classes are a, b")


def test_a_wrong_gan(slices):
    refused(
        lambda: study(slices, generators=["dcgan3"]), "no generator 'dcgan3': .* knows dcgan1, dcgan2, infogan, lsgan"
    )


def test_an_unknown_option_in_python(slices):
    refused(lambda: study(slices, epochs=3), "no option 'epochs': there are .*max_epochs")


def test_a_wrong_stage(slices):
    refused(lambda: study(slices).run("trian"), "no stage 'trian': the stages are prepare, train, generate")


def test_an_unknown_training_setting_before_anything_runs(slices):
    sentence = refused(
        lambda: study(slices, training={"batchsize": 8}),
        r"--training has 'batchsize', which train_dcgan1.yaml does not: it has .*batch_size",
    )
    assert "learning_rate" in sentence


def test_missing_vgg_weights_are_noticed_before_the_training(slices, tmp_path, monkeypatch):
    run = study(slices, vgg_weights=tmp_path / "none.pth").run
    sentence = refused(lambda: run("prepare", "stylise"), "VGG-19 weights not found at .*none.pth")
    assert "'download'" in sentence and "'random'" in sentence
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "empty"))
    refused(study(slices, vgg_weights="cache").run, "VGG-19 weights not found at .*empty.*vgg19-dcbb9e9d.pth")
    assert not (slices.parent / "study" / "prepare").exists()
    study(slices, vgg_weights=tmp_path / "none.pth").run("prepare")  # which does not need them


def options(**given: str) -> list[str]:
    """Arguments as `python -m monai.bundle run evaluate --name value ...` has them."""
    pairs = {"bundle_root": str(BUNDLE), "config_file": str(CONFIGS / "study.yaml"), **given}
    return [MAIN, "run", "evaluate", *(part for name, value in pairs.items() for part in (f"--{name}", value))]


def test_an_unknown_option_on_the_command_line_is_told_with_the_nearest():
    refused(lambda: refuse_unknown_options(options(max_epoch="3")), "no option --max_epoch: did you mean --max_epochs")
    equals = [*options(), "--colour=red"]
    refused(lambda: refuse_unknown_options(equals), "no option --colour: did you mean --")
    both = f"['{CONFIGS / 'study.yaml'}','{CONFIGS / 'quickstart.yaml'}']"
    refused(
        lambda: refuse_unknown_options(options(config_file=both, patient="3")), "--patient: did you mean --patients"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        options(dataset_dir="x", output_dir="y", max_epochs="3", training="{'base_width': 8}"),
        [*options(), "--training#base_width", "8", "--training::batch_size=4", "--image_size=64"],
        options(logging_file="False", meta_file="metadata.json", run_id="evaluate"),
        options(config_file=f"['{CONFIGS / 'study.yaml'}','{CONFIGS / 'quickstart.yaml'}']", patients="3"),
        [MAIN, "run", "--args_file", "arguments.json", "--dataset_dir", "x"],
        ["/usr/bin/pytest", "--colour", "red"],
        [MAIN],
    ],
)
def test_known_options_pass(arguments):
    assert refuse_unknown_options(arguments) is None


def test_main_says_one_sentence_and_exits_with_2(slices, capsys):
    given = {"config_dir": CONFIGS, "dataset_dir": slices, "output_dir": slices.parent / "study", "classes": "c"}
    with pytest.raises(SystemExit) as caught:
        main(given, "prepare")
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("There is no class 'c' in the data set")


def test_main_names_neither_curves_nor_report_that_it_did_not_write(slices, capsys):
    given = {"config_dir": CONFIGS, "dataset_dir": slices, "output_dir": slices.parent / "study", "image_size": 16}
    main(given, "prepare")
    assert capsys.readouterr().out == ""
    (slices.parent / "study" / "train").mkdir()
    main(given, "prepare")
    assert capsys.readouterr().out == f"Curves:  tensorboard --logdir {slices.parent / 'study'}\n"


@pytest.mark.parametrize("stage", [*STAGES][2:])
def test_networks_are_not_judged_by_another_split_than_theirs(slices, stage):
    study(slices).run("prepare")
    manifest = (slices.parent / "study" / "prepare" / "a" / "manifest.csv").read_bytes()
    record = {"settings": {"inputs": {"manifest.csv": hashlib.sha256(manifest).hexdigest()}}}
    trained = slices.parent / "study" / "train" / "a" / "dcgan1"
    trained.mkdir(parents=True)
    (trained / "stage.json").write_text(json.dumps(record), encoding="utf-8")
    unfinished = "The study in .* is not finished"  # what tells whether images help says so before it looks further
    begins = unfinished if stage in UTILITY else "is missing|There is no"  # the split is theirs: the stage begins
    refused(lambda: study(slices).run(stage), begins)
    (slices.parent / "study" / "prepare" / "stage.json").unlink()
    study(slices, seed=7).run("prepare")
    another = unfinished if stage in UTILITY else "dcgan1 was trained on other images or another split"
    refused(lambda: study(slices, seed=7).run(stage), another)


def test_a_split_is_not_changed_under_what_was_trained_on_it(slices):
    first = study(slices)
    first.run("prepare")
    manifest = (slices.parent / "study" / "prepare" / "manifest.csv").read_bytes()
    trained = slices.parent / "study" / "train" / "a" / "dcgan1"
    trained.mkdir(parents=True)
    (trained / "stage.json").write_text("{}", encoding="utf-8")
    refused(study(slices, seed=7).run, "prepare with other settings .*seed 0 before and 7 now")
    assert (slices.parent / "study" / "prepare" / "manifest.csv").read_bytes() == manifest


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("empty")


COMMANDS = {
    "unknown option": (["--max_epoch", "3"], "There is no option --max_epoch: did you mean --max_epochs"),
    "wrong generator": (["--generators", "dcgan3"], "There is no generator 'dcgan3'"),
    "empty folder": ([], "has no folders in it: put each class's images into a folder named after the class."),
}


@pytest.fixture(scope="module")
def commands(empty, tmp_path_factory) -> dict[str, subprocess.CompletedProcess[str]]:
    """Three real command lines side by side, for MONAI takes seconds to import."""
    output = tmp_path_factory.mktemp("output")
    common = [sys.executable, "-m", "monai.bundle", "run", "prepare", "--bundle_root", str(BUNDLE)]
    common += ["--config_file", str(CONFIGS / "study.yaml"), "--dataset_dir", str(empty), "--output_dir", str(output)]
    started = {
        name: subprocess.Popen(
            [*common, *extra], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        for name, (extra, _) in COMMANDS.items()
    }
    ended = {}
    for name, process in started.items():
        out, err = process.communicate(timeout=300)
        ended[name] = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    return ended


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_ends_with_the_sentence_status_2_and_no_traceback(commands, name):
    ended = commands[name]
    assert ended.returncode == 2, ended.stderr
    assert COMMANDS[name][1] in ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr + ended.stdout
