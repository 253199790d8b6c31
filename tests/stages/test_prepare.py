"""The stage `prepare` on volumes, series and trees of cases; single pictures are in tests/test_bad_input.py."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image
from scipy.io import savemat

from monai_aggrgan import InputError, Study
from monai_aggrgan.data import map_image_array, read_grey_image, read_manifest
from monai_aggrgan.stages import case_slices
from tests.dicom_files import write_dicom_series

CONFIGS = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_aggrgan" / "configs"
AFFINE = np.diag([-1.0, -1, 3, 1])
DEPTH = 15


def head(seed: int) -> np.ndarray:
    """(X, Y, Z) int16: an ellipsoid of random size and structure; no two seeds alike."""
    random = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (20, 24, DEPTH)), indexing="ij")
    a, b = random.uniform(0.6, 0.9, 2)
    inside = (x / a) ** 2 + (y / b) ** 2 + (z / 0.95) ** 2 < 1
    waves = np.sin(random.uniform(2, 6) * x + seed) * np.cos(random.uniform(2, 6) * y)
    return (inside * (500 + 200 * waves + 20 * random.standard_normal(x.shape))).astype(np.int16)


def nifti(path: Path, volume: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(volume, affine), path)
    return path


@pytest.fixture
def volumes(tmp_path) -> Path:
    """Two classes of five patients, two volumes each; the second one of the same patients in the other class."""
    for number, class_name in enumerate(("t1", "t2")):
        for patient in range(5):
            for visit in range(2):
                seed = 100 * number + 10 * patient + visit
                nifti(tmp_path / "data" / class_name / f"Jané Doe {patient}" / f"visit{visit}.nii.gz", head(seed))
    return tmp_path / "data"


def study(data: Path | None, **options: object) -> Study:
    folder = options.pop("output_dir", None) or data.parent / "study"
    return Study(**{"config_dir": CONFIGS, "dataset_dir": data, "output_dir": folder, "image_size": 16, **options})


def prepared(data: Path, **options: object) -> list[dict[str, str]]:
    study(data, **options).run("prepare")
    return read_manifest(data.parent / "study" / "prepare")


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    read = case_slices.read_grey_image

    def counted(files, **options):
        names.append("/".join(Path(files[0]).parts[-3:]))
        return read(files, **options)

    monkeypatch.setattr(case_slices, "read_grey_image", counted)
    return names


def test_volumes_become_slices_and_the_manifest_says_which(volumes):
    rows = prepared(volumes)
    assert Counter(row["class_name"] for row in rows) == {"t1": 30, "t2": 30}
    assert len({row["id"] for row in rows}) == 60
    first = rows[0]
    assert (first["source"], first["height"], first["width"]) == ("Jané Doe 0/visit0.nii.gz", "24", "20")
    assert first["spacing"] == "1x1"
    assert [row["slice"] for row in rows[:3]] == ["6", "7", "8"]
    assert (float(first["low"]), float(first["high"])) == pytest.approx(np.percentile(head(0), (0.5, 99.5)), rel=1e-4)
    assert all(len(row["sha256"]) == 64 for row in rows)


def test_a_patient_folder_stands_on_one_side_in_all_classes_under_a_pseudonym(volumes):
    rows = prepared(volumes)
    sides = {}
    for row in rows:
        sides.setdefault(row["patient"], set()).add(row["section"])
    assert len(sides) == 5 and all(len(met) == 1 for met in sides.values())
    assert sorted(sides) == [f"p-{number:03d}" for number in range(1, 6)]


def test_the_arrays_hold_the_slices_in_the_manifests_order(volumes):
    rows = prepared(volumes)
    for name, seed in (("t1", 0), ("t2", 100)):
        images, mine = map_image_array(volumes.parent / "study" / "prepare" / name)
        assert images.shape == (30, 1, 16, 16) and images.dtype == torch.float16
        assert [row["id"] for row in mine] == [row["id"] for row in rows if row["class_name"] == name]
        expected = study(volumes).settings.cut_slices.cut({name: (head(seed), AFFINE)})
        assert torch.equal(images[:3], torch.stack([slice_.image for slice_ in expected]).half())


def test_processes_prepare_what_one_process_does(volumes):
    prepared(volumes, num_workers=0)
    alone = {path.name: path.read_bytes() for path in (volumes.parent / "study" / "prepare").rglob("*.npy")}
    manifest = (volumes.parent / "study" / "prepare" / "manifest.csv").read_bytes()
    shutil.rmtree(volumes.parent / "study")
    prepared(volumes, num_workers=2)
    assert {p.name: p.read_bytes() for p in (volumes.parent / "study" / "prepare").rglob("*.npy")} == alone
    assert (volumes.parent / "study" / "prepare" / "manifest.csv").read_bytes() == manifest


def test_an_interrupted_run_goes_on_with_what_it_has(volumes, reads, monkeypatch):
    read = case_slices.read_grey_image

    def interrupted(files, **options):
        if len(reads) == 7:
            raise KeyboardInterrupt
        return read(files, **options)

    with monkeypatch.context() as patch:
        patch.setattr(case_slices, "read_grey_image", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study(volumes, num_workers=0).run("prepare")
    assert not (volumes.parent / "study" / "prepare" / "manifest.csv").exists()
    before = list(reads)
    prepared(volumes, num_workers=0)
    assert len(before) == 7 and len(reads) == 20 and len(set(reads)) == 20
    reads.clear()
    whole = (volumes.parent / "study" / "prepare" / "manifest.csv").read_bytes()
    shutil.rmtree(volumes.parent / "study")
    prepared(volumes, num_workers=0)
    assert (volumes.parent / "study" / "prepare" / "manifest.csv").read_bytes() == whole


def test_only_changed_files_are_read_again(volumes, reads):
    prepared(volumes)
    assert len(reads) == 20
    reads.clear()
    prepared(volumes)
    assert reads == []
    nifti(volumes / "t1" / "Jané Doe 3" / "visit1.nii.gz", head(77))
    nifti(volumes / "t1" / "Jané Doe 3" / "visit2.nii.gz", head(78))
    (volumes / "t2" / "Jané Doe 0" / "visit0.nii.gz").unlink()
    rows = prepared(volumes)
    assert sorted(reads) == ["t1/Jané Doe 3/visit1.nii.gz", "t1/Jané Doe 3/visit2.nii.gz"]
    assert Counter(row["class_name"] for row in rows) == {"t1": 33, "t2": 27}
    rows = prepared(volumes, slices="every", slice_step=20)
    kept = list((volumes.parent / "study" / "prepare_cache").iterdir())
    assert sum(len(np.load(path)) for path in kept) == len(rows)  # nothing of what is gone


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 32},
        {"plane": "coronal"},
        {"slices": "every"},
        {"intensity": [0, 900]},
        {"percentiles": [1, 99]},
        {"slice_positions": [0.5]},
    ],
)
def test_other_options_make_other_slices(volumes, reads, options):
    before = [row["sha256"] for row in prepared(volumes)]
    assert before != [row["sha256"] for row in prepared(volumes, **options)]
    assert len(reads) == 40


def test_another_split_reads_nothing_again(volumes, reads):
    sides = [row["section"] for row in prepared(volumes)]
    assert any([row["section"] for row in prepared(volumes, seed=seed)] != sides for seed in range(1, 5))
    assert len(reads) == 20


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, "visit1.nii.gz cannot be read as an image"),
    "nan": (lambda path: nifti(path, np.where(head(1) > 0, head(1), np.nan)), "visit1.nii.gz has pixels that are NaN"),
    "constant": (lambda path: nifti(path, head(1) * 0 + 5), "visit1.nii.gz is constant, every pixel is 5"),
    "4-D": (lambda path: nifti(path, np.stack([head(1)] * 2, axis=-1)), r"has 4 dimensions \(20x24x15x2\)"),
    "nothing in the window": (lambda path: nifti(path, head(1) - 5000), "visit1.nii.gz: No pixel is brighter|constant"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_volume_is_refused_or_left_out_and_listed(volumes, kind, num_workers, caplog):
    damage, message = BAD[kind]
    damage(volumes / "t1" / "Jané Doe 2" / "visit1.nii.gz")
    options = {"num_workers": num_workers, "intensity": [0, 900]}
    with pytest.raises(InputError, match=message) as caught:
        study(volumes, **options).run("prepare")
    assert str(caught.value).endswith("(Or leave such files out with --on_error skip.)")
    assert "\n" not in str(caught.value)
    rows = prepared(volumes, on_error="skip", **options)
    assert Counter(row["class_name"] for row in rows) == {"t1": 27, "t2": 30}
    (left_out,) = read_manifest(volumes.parent / "study" / "prepare", name="left_out.csv")
    assert (left_out["class_name"], left_out["source"]) == ("t1", "Jané Doe 2/visit1.nii.gz")
    assert left_out["reason"] in str(caught.value)
    assert any(message.startswith("left out: ") for message in caplog.messages)
    assert any("1 cases were left out" in message or "1 case was left out" in message for message in caplog.messages)


def test_nothing_is_said_to_be_left_out_where_nothing_is(volumes, caplog):
    prepared(volumes, on_error="skip")
    assert not (volumes.parent / "study" / "prepare" / "left_out.csv").exists()
    assert "left out" not in caplog.text


@pytest.fixture
def brats(tmp_path) -> Path:
    """Six cases of four modalities, small; the segmentation lies in the upper half."""
    for number in range(6):
        case = f"BraTS2021_{number:05d}"
        for index, modality in enumerate(("t1", "t1ce", "t2", "flair")):
            nifti(tmp_path / "data" / case / f"{case}_{modality}.nii.gz", head(number) * (index + 1))
        seg = np.zeros(head(0).shape, np.uint8)
        seg[8:12, 8:12, 7:11] = 1
        seg[6:14, 6:14, 8] = 4
        nifti(tmp_path / "data" / case / f"{case}_seg.nii.gz", seg)
    return tmp_path / "data"


def test_brats_cases_give_the_same_slices_of_every_modality(brats):
    rows = prepared(brats)
    assert Counter(row["class_name"] for row in rows) == dict.fromkeys(("t1", "t1ce", "t2", "flair"), 18)
    assert (
        {row["slice"] for row in rows} == {"7", "8", "9"}
        or {row["slice"] for row in rows} == {"7", "8", "10"}
        or {row["slice"] for row in rows} == {"8", "9", "10"}
    )
    by_slice = Counter((row["patient"], row["slice"]) for row in rows)
    assert set(by_slice.values()) == {4} and len(by_slice) == 18
    sides = {(row["patient"], row["section"]) for row in rows}
    assert len(sides) == 6


def test_a_case_that_lacks_a_modality(brats):
    (brats / "BraTS2021_00003" / "BraTS2021_00003_t2.nii.gz").unlink()
    with pytest.raises(InputError, match=r"Case BraTS2021_00003 lacks t2, .*_t2.nii.gz is not there: add the file"):
        study(brats).run("prepare")
    rows = prepared(brats, on_error="skip")
    assert Counter(row["class_name"] for row in rows) == dict.fromkeys(("t1", "t1ce", "t2", "flair"), 15)
    assert len(prepared(brats, classes=["t1", "flair"])) == 36  # without it, nothing is lacking


@pytest.mark.parametrize("name", ["t2", "seg"])
def test_grids_that_differ_in_a_case(brats, name):
    path = brats / "BraTS2021_00002" / f"BraTS2021_00002_{name}.nii.gz"
    shifted = AFFINE.copy()
    shifted[2, 3] = 3
    nifti(path, head(2), shifted)
    with pytest.raises(InputError, match=rf"_{name}.nii.gz lies elsewhere than .*_t1.nii.gz by its affine"):
        study(brats).run("prepare")
    nifti(path, head(2)[:-1])
    with pytest.raises(InputError, match=rf"_{name}.nii.gz is 19x24x15 and .*_t1.nii.gz 20x24x15: .* on one grid"):
        study(brats).run("prepare")


NAME = "Mustermann^Erika"


@pytest.fixture
def dicom(tmp_path) -> Path:
    """A class of six patients' series, whose headers tell their names."""
    for number in range(6):
        volume = head(number).T
        write_dicom_series(
            tmp_path / "data" / "mr" / f"scan{number}" / "s",
            volume,
            patient_id=f"MUSTERMANN-{number // 2}",
            patient_name=NAME,
            spacing=(3, 1, 1.5),
            series=number,
        )
    return tmp_path / "data"


def test_dicom_series_become_slices_and_no_name_of_a_patient_gets_out(dicom, caplog):
    caplog.set_level(logging.DEBUG)
    rows = prepared(dicom)
    assert len(rows) == 18 and rows[0]["spacing"] == "1x1.5"
    written = [path for path in (dicom.parent / "study").rglob("*") if path.is_file()]
    assert len(written) > 8
    for text in [*(path.read_bytes() for path in written), caplog.text.encode(), *(str(p).encode() for p in written)]:
        assert b"ustermann" not in text and b"MUSTERMANN" not in text


def test_the_headers_patient_counts_where_the_layout_tells_none(dicom):
    for number in range(6):
        for path in (dicom / "mr" / f"scan{number}" / "s").iterdir():
            path.rename(dicom / "mr" / f"{number}_{path.name}")
        shutil.rmtree(dicom / "mr" / f"scan{number}")
    rows = prepared(dicom)
    assert len(rows) == 18
    assert len({row["patient"] for row in rows}) == 3
    assert len({(row["patient"], row["section"]) for row in rows}) == 3


def test_scans_of_a_patient_in_several_folders_stand_on_one_side(tmp_path):
    """The folders are scans, not patients; the headers tell who is who."""
    for name, start in (("a", 0), ("b", 6)):
        for number in range(6):
            folder = tmp_path / "data" / name / f"scan{number}"
            write_dicom_series(folder, head(start + number).T, patient_id=f"{name}{number // 2}", series=number)
    for seed in range(4):
        rows = prepared(tmp_path / "data", held_out_fraction=0.4, seed=seed)
        assert len({row["patient"] for row in rows}) == len({(row["patient"], row["section"]) for row in rows})
        scans = {}
        for row in rows:
            scans.setdefault((row["class_name"], row["source"]), row["section"])
        for name in ("a", "b"):
            pairs = [(scans[name, f"scan{n}"], scans[name, f"scan{n + 1}"]) for n in (0, 2, 4)]
            assert all(one == other for one, other in pairs)


def test_a_series_that_lacks_a_slice(dicom):
    sorted((dicom / "mr" / "scan1" / "s").iterdir())[5].unlink()
    with pytest.raises(InputError, match=r"scan1/s lacks slices of its series, or they lie unevenly \(14 files"):
        study(dicom).run("prepare")
    assert len(prepared(dicom, on_error="skip")) == 15


def test_pictures_of_several_sizes_are_refused_and_volumes_taken(volumes):
    nifti(volumes / "t1" / "Jané Doe 0" / "visit0.nii.gz", head(0)[:-3, :-5])
    assert {row["width"] for row in prepared(volumes)} == {"17", "20"}


def test_a_prepared_folder_is_taken_without_its_sources(volumes, tmp_path, caplog):
    prepared(volumes)
    shutil.copytree(volumes.parent / "study" / "prepare", tmp_path / "node" / "prepare")
    caplog.set_level(logging.INFO)
    copied = {"output_dir": tmp_path / "node", "image_size": 16}
    study(None, **copied).run("prepare")
    assert "prepare: taken as it is, for no --dataset_dir was given" in caplog.messages
    with pytest.raises(InputError, match="was prepared at 16x16: give --image_size 16, or --dataset_dir to prepare it"):
        study(None, **{**copied, "image_size": 32}).run("prepare")
    with pytest.raises(InputError, match=r"prepared with --slices auto, not every: omit the option, or give --dataset"):
        study(None, **copied, slices="every").run("prepare")
    with pytest.raises(InputError, match="--dataset_dir is missing"):
        study(None, output_dir=tmp_path / "other")
    array = tmp_path / "node" / "prepare" / "t2" / "images.npy"
    array.write_bytes(array.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"t2/images.npy cannot be read"):
        study(None, **copied).run("prepare")


def test_mat_files_of_any_struct(tmp_path):
    (tmp_path / "data" / "mr").mkdir(parents=True)
    for number in range(10):
        savemat(tmp_path / "data" / "mr" / f"scan{number}.mat", {"scan": {"pixels": head(number)[:, :, 7]}})
    with pytest.raises(InputError, match=r"scan0.mat has no 'cjdata/image': it holds 'scan'"):
        study(tmp_path / "data").run("prepare")
    assert len(prepared(tmp_path / "data", mat_key="scan/pixels")) == 10


def test_a_decathlon_list_with_patients_and_folds(volumes):
    items = [
        {"image": f"{name}/Jané Doe {patient}/visit0.nii.gz", "class": name, "patient": f"P{patient}", "fold": patient}
        for name in ("t1", "t2")
        for patient in range(5)
    ]
    (volumes / "list.json").write_text(json.dumps({"training": items}), encoding="utf-8")
    rows = prepared(volumes, datalist=volumes / "list.json", held_out_fold=3)
    assert len(rows) == 30
    assert {row["fold"] for row in rows if row["section"] == "held_out"} == {"3"}
    assert len({row["patient"] for row in rows}) == 5


def test_other_patients_in_the_list_read_nothing_again(volumes, reads):
    def listed(patients: int) -> dict[str, str]:
        paths = sorted((volumes / "t1").rglob("*.nii.gz"))
        lines = [f"{path.relative_to(volumes)},t1,P{number % patients}" for number, path in enumerate(paths)]
        (volumes / "list.csv").write_text("\n".join(["image,class,patient_id", *lines]), encoding="utf-8")
        rows = prepared(volumes, datalist=volumes / "list.csv")
        return {row["id"]: row["patient"] for row in rows}

    before, after = listed(5), listed(4)
    assert before != after and len({*before.values()}) == 5 and len({*after.values()}) == 4
    assert len(reads) == 10


def test_what_is_kept_and_damaged_is_read_again(volumes, reads):
    rows = prepared(volumes)
    for path in (volumes.parent / "study" / "prepare_cache").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    shutil.rmtree(volumes.parent / "study" / "prepare")
    assert prepared(volumes) == rows
    assert len(reads) == 40


def test_pixels_beside_a_header_count_to_its_file(tmp_path):
    (tmp_path / "data" / "mr").mkdir(parents=True)
    for number in range(6):
        itk.imwrite(itk.image_from_array(head(number).T.copy()), str(tmp_path / "data" / "mr" / f"{number}.mhd"))
    before = [row["sha256"] for row in prepared(tmp_path / "data")]
    assert len(before) == 18
    raw = tmp_path / "data" / "mr" / "2.raw"
    raw.write_bytes(head(9).T.tobytes())
    after = [row["sha256"] for row in prepared(tmp_path / "data")]
    assert [one != other for one, other in zip(before, after, strict=True)] == [6 <= n < 9 for n in range(18)]


def test_what_was_left_out_and_is_mended_is_taken_by_the_next_run(volumes, monkeypatch):
    def denied(files, **options):
        if "Doe 2" in files[0]:
            raise InputError("denied.")
        return read_grey_image(files, **options)

    with monkeypatch.context() as patch:
        patch.setattr(case_slices, "read_grey_image", denied)
        assert len(prepared(volumes, on_error="skip")) == 48
        assert len(prepared(volumes, on_error="skip")) == 48
    trained = volumes.parent / "study" / "train" / "t1" / "dcgan1" / "stage.json"
    trained.parent.mkdir(parents=True)
    trained.write_text("{}", encoding="utf-8")
    assert len(prepared(volumes, on_error="skip")) == 48  # what was trained on stays as it was
    shutil.rmtree(volumes.parent / "study" / "train")
    assert len(prepared(volumes, on_error="skip")) == 60
    assert not (volumes.parent / "study" / "prepare" / "left_out.csv").exists()


def test_a_rerun_that_is_refused_loses_nothing(volumes):
    rows = prepared(volumes)
    with pytest.raises(InputError, match="There is no segmentation to choose slices by"):
        study(volumes, slices="label").run("prepare")
    assert read_manifest(volumes.parent / "study" / "prepare") == rows
    assert not list(volumes.parent.glob("study/.*"))


def test_again_reads_all_again(volumes, reads):
    prepared(volumes)
    study(volumes).run("prepare", again=True)
    assert len(reads) == 40


def test_a_class_of_which_nothing_can_be_used(volumes):
    for path in (volumes / "t2").rglob("*.nii.gz"):
        truncate(path)
    with pytest.raises(InputError, match="None of the 10 cases of class 't2' can be used: replace them, or name"):
        study(volumes, on_error="skip").run("prepare")


def test_names_that_are_not_utf_8(volumes):
    folder = os.fsencode(volumes / "t1" / "Jané Doe 1")
    os.rename(folder, os.path.join(os.path.dirname(folder), b"M\xfcller"))
    rows = prepared(volumes)
    assert len(rows) == 60 and r"M\udcfcller/visit0.nii.gz" in {row["source"] for row in rows}


def test_what_the_data_are_is_told_before_the_training(volumes, caplog):
    caplog.set_level(logging.INFO)
    prepared(volumes)
    folder = volumes.parent / "study" / "prepare"
    assert any("what the data are" in message and "t1" in message for message in caplog.messages)
    assert {"summary.txt", "summary.csv", "contact_sheet.png"} <= {path.name for path in folder.iterdir()}
    assert Image.open(folder / "contact_sheet.png").size[0] > 200


def test_a_damaged_mat_file_of_the_figshare_tree(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(1, 13):
        path = tmp_path / "data" / f"{number}.mat"
        savemat(path, {"cjdata": {"image": head(number)[:, :, 7], "label": 1 + number % 2, "PID": f"P{number}"}})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"12.mat cannot be read"):
        study(tmp_path / "data", held_out_fraction=0.4).run("prepare")
    rows = prepared(tmp_path / "data", on_error="skip", held_out_fraction=0.4)
    assert Counter(row["class_name"] for row in rows) == {"glioma": 6, "meningioma": 5}
    (left_out,) = read_manifest(tmp_path / "study" / "prepare", name="left_out.csv")
    assert left_out["source"] == "12.mat" and left_out["reason"].startswith("12.mat cannot be read")


def config(name: str, **given: object) -> dict[str, object]:
    """The options that a data_<name>.yaml behind study.yaml makes."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "study.yaml"), str(CONFIGS / f"data_{name}.yaml")])
    parser.update({"bundle_root": str(CONFIGS.parent), **given})
    return parser.get_parsed_content("options")


def test_data_brats_prepares_the_real_cases(shared, tmp_path):
    options = config("brats", dataset_dir=str(shared / "data" / "brats2021"), output_dir=str(tmp_path), image_size=32)
    Study(**options).run("prepare")
    rows = read_manifest(tmp_path / "prepare")
    assert Counter(row["class_name"] for row in rows) == dict.fromkeys(("t1", "t1ce", "t2", "flair"), 24)
    assert len({(row["patient"], row["section"]) for row in rows}) == 8


def test_data_figshare_prepares_the_real_slices_by_their_folds(shared, tmp_path):
    few = tmp_path / "figshare"
    (few / "images").mkdir(parents=True)
    lines = (shared / "data" / "figshare" / "slices.csv").read_text().splitlines()
    kept = [line for number, line in enumerate(lines[1:]) if number % 40 == 0]
    (few / "slices.csv").write_text("\n".join([lines[0], *kept]))
    for line in kept:
        image = line.split(",")[2]
        (few / image).parent.mkdir(exist_ok=True)
        shutil.copyfile(shared / "data" / "figshare" / image, few / image)
    Study(**config("figshare", dataset_dir=str(few), output_dir=str(tmp_path / "study"), image_size=32)).run("prepare")
    rows = read_manifest(tmp_path / "study" / "prepare")
    assert len(rows) == len(kept)
    assert {(row["fold"] == "1", row["section"] == "held_out") for row in rows} == {(True, True), (False, False)}
