from __future__ import annotations

import json
import locale
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.data import load_decathlon_datalist

from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.data.decathlon import read_decathlon_datalist
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.export import _datalist
from tests.dicom_files import write_dicom_series
from tests.touched_files import touch


def write(root: Path, training: Any, **properties: Any) -> Path:
    path = root / "datalist.json"
    path.write_text(json.dumps({**properties, "training": training}, ensure_ascii=False), encoding="utf-8")
    return path


def classes(path: Path) -> list[str]:
    return [name for case in read_decathlon_datalist(path) for name in case["images"]]


def test_a_list_of_the_segmentation_decathlon(tmp_path):
    touch(tmp_path, "imagesTr/liver ü.nii.gz", "labelsTr/liver ü.nii.gz")
    training = [{"image": "./imagesTr/liver ü.nii.gz", "label": "./labelsTr/liver ü.nii.gz"}]
    labels = {"0": "background", "1": "liver"}
    path = write(tmp_path, training, modality={"0": "CT"}, labels=labels, numTraining=1, test=["./imagesTs/1.nii.gz"])
    assert read_decathlon_datalist(path) == [
        {
            "name": "imagesTr/liver ü",
            "images": {"CT": [str(tmp_path / "imagesTr/liver ü.nii.gz")]},
            "label": str(tmp_path / "labelsTr/liver ü.nii.gz"),
            "patient": None,
            "fold": None,
        }
    ]


def test_paths_are_those_that_monai_makes(tmp_path):
    touch(tmp_path, "data/a/1.png", "data/a/2.png", "else/3.png", "seg/1.png", "lists/x")
    written = ["a/1.png", "./a/../a/2.png", "../else/3.png"]
    training = [{"image": image, "label": "../seg/1.png"} for image in [*written, str(tmp_path / "else" / "4.png")]]
    touch(tmp_path, "else/4.png")
    path, root = write(tmp_path / "lists", training), tmp_path / "data"
    ours = [(*case["images"]["image"], case["label"]) for case in read_decathlon_datalist(path, root=root)]
    assert ours == [(item["image"], item["label"]) for item in load_decathlon_datalist(path, True, base_dir=root)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_list_is_utf8_with_or_without_a_mark_whatever_the_machines_encoding(tmp_path, encoding):
    touch(tmp_path, "Zoë Ü.png")
    (tmp_path / "datalist.json").write_text('{"training": [{"image": "Zoë Ü.png"}]}', encoding=encoding)
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C")  # MONAI would read ASCII
        assert read_decathlon_datalist(tmp_path / "datalist.json")[0]["name"] == "Zoë Ü"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def test_paths_count_from_a_relative_root_as_well(tmp_path, monkeypatch):
    touch(tmp_path, "data/a/p/1.png")
    write(tmp_path / "data", [{"image": "a/p/1.png", "class": "a"}])
    monkeypatch.chdir(tmp_path)
    case = read_decathlon_datalist("data/datalist.json")[0]
    assert (case["name"], case["images"]) == ("p/1", {"a": [os.path.join("data", "a", "p", "1.png")]})


def test_what_export_writes_is_read(tmp_path):
    touch(tmp_path, "square/2.nii.gz", "disc/1.nii.gz", "disc/2.nii.gz")
    manifest = [
        {"class_name": Path(n).parent.name, "file": n} for n in ("square/2.nii.gz", "disc/1.nii.gz", "disc/2.nii.gz")
    ]
    (tmp_path / "datalist.json").write_text(json.dumps(_datalist(manifest, ["square", "disc"])), encoding="utf-8")
    cases = read_decathlon_datalist(tmp_path / "datalist.json")
    assert [list(case["images"]) for case in cases] == [["square"], ["disc"], ["disc"]]
    assert sorted(cases, key=lambda case: str(case["images"])) == list_class_folders(tmp_path)


def test_the_class_of_a_single_image(tmp_path):
    touch(tmp_path, "1.png", "a/1", "seg.png")

    def of(modality: Any = None, labels: Any = None, **entry: Any) -> list[str]:
        return classes(write(tmp_path, [{"image": "1.png", **entry}], modality=modality, labels=labels))

    everything = {"label": 1, "modality": {"0": "T1"}, "labels": {"1": "glioma"}}
    assert of(**everything, **{"class": "a"}) == of(**everything, class_name="a") == ["a"]  # though there is a folder a
    assert of(**everything) == ["glioma"]
    assert of(**{**everything, "label": "seg.png"}) == of(modality={"0": "T1"}) == of(modality=["T1"]) == ["T1"]
    assert of(modality="MRI") == of(label=None, modality={"0": "MRI"}, labels={"1": "glioma"}) == ["MRI"]
    assert of() == of(modality={"0": "T1", "1": "T2"}) == of(label="seg.png", labels={"1": "a"}) == ["image"]
    assert of(label=0, labels={"0": "none"}) == of(image=["1.png"], label=0, labels={"0": "none"}) == ["none"]


def test_several_images_are_a_case_of_the_modalities(tmp_path):
    numbers = [str(number) for number in range(11)]
    touch(tmp_path, *(f"p/{number}.nii.gz" for number in numbers), "seg.nii.gz")
    training = [{"image": [f"p/{number}.nii.gz" for number in numbers], "label": "seg.nii.gz", "patient": 7}]
    modality = {number: f"m{number}" for number in sorted(numbers)}  # "10" before "2", as files may have it
    cases = read_decathlon_datalist(write(tmp_path, training, modality=modality))
    expected = {f"m{number}": [str(tmp_path / f"p/{number}.nii.gz")] for number in numbers}
    assert [(case["name"], case["images"]) for case in cases] == [("p/0", expected)]
    assert (cases[0]["label"], cases[0]["patient"]) == (str(tmp_path / "seg.nii.gz"), "7")


def test_images_may_be_given_by_class(tmp_path):
    touch(tmp_path, "T2/1.png", "T1/1.png")
    cases = read_decathlon_datalist(write(tmp_path, [{"image": {"T2": "T2/1.png", "T1": "./T1/1.png"}, "label": 3}]))
    assert [case["images"] for case in cases] == [
        {"T2": [str(tmp_path / "T2/1.png")], "T1": [str(tmp_path / "T1/1.png")]}
    ]
    assert (cases[0]["name"], cases[0]["label"]) == ("1", None)


def test_a_folder_is_the_dicom_series_in_it(tmp_path):
    written = write_dicom_series(tmp_path / "Zoë Ü", np.zeros((2, 3, 4), np.int16), names=["2", "1"])
    case = read_decathlon_datalist(write(tmp_path, [{"image": "Zoë Ü"}]))[0]
    assert (case["name"], case["images"]) == ("Zoë Ü", {"image": [str(path) for path in written]})
    touch(tmp_path, "empty/notes.txt")
    with pytest.raises(InputError, match="empty is a folder without DICOM files: name a file, or the folder"):
        read_decathlon_datalist(write(tmp_path, [{"image": "empty"}]))


def test_patients_and_folds_where_they_are_known(tmp_path):
    touch(tmp_path, *(f"{number}.png" for number in range(5)), "p7/1", "0/1")
    entries = [
        {"patient": "p7", "fold": 0},  # each also the name of a folder beside the list
        {"patient_id": 0, "fold": "b"},
        {"patient": "", "fold": None},
        {},
    ]
    numbered = [{"image": f"{number}.png", **entry} for number, entry in enumerate(entries)]
    cases = read_decathlon_datalist(write(tmp_path, numbered))
    assert [(case["patient"], case["fold"]) for case in cases] == [("p7", "0"), ("0", "b"), (None, None), (None, None)]
    path = write(tmp_path, numbered, validation=[{"image": "4.png"}])
    assert [case["fold"] for case in read_decathlon_datalist(path)] == ["0", "b", "training", "training", "validation"]
    path = write(tmp_path, [], validation=[{"image": "4.png"}])
    assert [case["fold"] for case in read_decathlon_datalist(path)] == [None]


def test_the_test_list_is_not_read_and_that_is_said(tmp_path, caplog):
    touch(tmp_path, "1.png")
    assert len(read_decathlon_datalist(write(tmp_path, [{"image": "1.png"}], test=["2.png", "3.png"]))) == 1
    assert "the 2 images of its list 'test' are not read" in caplog.text


def test_a_file_twice_for_a_class_also_on_two_sides(tmp_path):
    touch(tmp_path, "1.png")
    path = write(tmp_path, [{"image": "1.png"}], validation=[{"image": "./1.png"}])
    with pytest.raises(InputError, match=r"names .*1\.png twice for class 'image': keep one of the two"):
        read_decathlon_datalist(path)


ENTRY = r"datalist\.json, entry 2 of 'training', "


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "has no image: give it a path, a list of paths, or paths by class"),
        ({"image": ""}, "has no image"),
        ({"image": []}, "has no image"),
        ({"image": {}}, "has no image"),
        ({"image": 3}, "has no image"),
        ({"image": [1, 2]}, "has no image"),
        ({"image": {"T1": 1}}, "has no image"),
        ({"image": "2.png"}, "names .*2.png, which is not there: correct the list or --dataset_dir"),
        ({"image": {"T1": "2.png"}}, "names .*2.png, which is not there"),
        ({"image": "../1.png"}, "names .*1.png, which is not there"),
        ({"image": "/nowhere/1.png"}, "names /nowhere/1.png, which is not there"),
        (
            {"image": ["1.png", "2.png"]},
            "has 2 images and the file's 'modality' is T1, T1, T2: give each image a modality",
        ),
        ({"image": ["1.png", "2.png", "3.png"]}, "has 3 images and the file's 'modality' is T1, T1, T2"),
        ({"image": {"T1": "1.png"}, "class": "a"}, "has images of several classes and the class 'a': leave that out"),
        ({"image": ["1.png", "2.png"], "class": "a"}, "has images of several classes and the class 'a'"),
        ({"image": "1.png", "label": 4}, "has the label 4, which the file's 'labels' do not name: add it there"),
        (
            {"image": "1.png", "label": "a"},
            "has the label 'a', which is neither a file in .* nor a whole number: correct",
        ),
        ({"image": "1.png", "label": True}, "has the label True, which is neither"),
        ({"image": "1.png", "label": 1.0}, "has the label 1.0, which is neither"),
        ({"image": "1.png", "label": ["1.png"]}, r"has the label \['1.png'\], which is neither"),
    ],
)
def test_an_entry_that_cannot_be_used(tmp_path, entry, message):
    touch(tmp_path, "0.png", "1.png", "a/1")
    path = write(tmp_path, [{"image": "0.png"}, entry], labels={"1": "x"}, modality={"0": "T1", "1": "T1", "2": "T2"})
    with pytest.raises(InputError, match=ENTRY + message) as caught:
        read_decathlon_datalist(path)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot be read as JSON \(Expecting value.*\): correct it or write it anew"),
        (b'{"training": [', "cannot be read as JSON"),
        (b"\xff\xfe{", "cannot be read as JSON .*can't decode"),
        (b"[]", "holds no datalist: it must be a JSON object with a list 'training'"),
        (b"{}", "lists no image: it needs a list 'training' with one entry an image"),
        (b'{"training": []}', "lists no image"),
        (b'{"training": ["1.png"]}', r"has a 'training' that is no list of objects: write {\"image\": path} an entry"),
        (b'{"training": {"image": "1.png"}}', "has a 'training' that is no list of objects"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "datalist.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_decathlon_datalist(tmp_path / "datalist.json")


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"datalist\.json is not a file: --datalist must name a Decathlon datalist"):
        read_decathlon_datalist(tmp_path / "datalist.json")
