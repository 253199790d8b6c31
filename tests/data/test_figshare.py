from __future__ import annotations

import csv
import hashlib
import inspect
import io
import itertools
import logging
import os
import shutil
import socket
import tarfile
import time
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.apps import MedNISTDataset
from monai.data import DataLoader
from monai.transforms import Transform
from PIL import Image

from monai_aggrgan.data import figshare_archives
from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.csv_datalist import read_csv_datalist
from monai_aggrgan.data.figshare import FIGSHARE_COUNTS, is_figshare, list_figshare
from monai_aggrgan.data.figshare_archives import FIGSHARE_FOLDER, download_figshare, unpack_figshare
from monai_aggrgan.data.figshare_dataset import FigshareBrainTumorDataset
from monai_aggrgan.exceptions import InputError
from tests.mat_files import WRITERS, cjdata, picture, write_matlab_v73, write_v5, write_v73

each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)

COUNTS = {"meningioma": 5, "glioma": 6, "pituitary": 5}
CLASSES = [name for name, count in COUNTS.items() for _ in range(count)]
"""Class of slice 1, 2 ... 16."""
FOLDS = [3, 1, 5, 2, 4, 4, 4, 1, 3, 2, 5, 5, 3, 1, 2, 4]
"""Slices 6 and 7, and 11 and 12, are of one patient each."""
PATIENTS = [f"patient{min(n, {7: 6, 12: 11}.get(n, n))}" for n in range(1, 17)]


def write_slices(folder: Path, numbers: range, write: Callable[..., Path] = write_v73, **changed: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        label = np.array([[1.0 + list(COUNTS).index(CLASSES[n - 1])]])
        border = np.ones((2 * n + 4, 1))  # each of another length
        fields = cjdata(label=label, PID=PATIENTS[n - 1], image=picture(n), tumorBorder=border, **changed)
        write(folder / f"{n}.mat", {"cjdata": fields})


def write_folds(folder: Path, write: Callable[..., Path] = write_v73, folds: list[int] = FOLDS) -> Path:
    return write(folder / "cvind.mat", {"cvind": np.array(folds, float)[:, None]})


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    """As if the set had 16 slices; a test of the real ones takes it back."""
    for name, count in COUNTS.items():
        monkeypatch.setitem(FIGSHARE_COUNTS, name, count)


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    """All 16 slices and the folds in one folder."""
    folder = tmp_path_factory.mktemp("written") / "mats"
    write_slices(folder, range(1, 17))
    write_folds(folder)
    return folder


@pytest.fixture
def mats(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "mats"))


@pytest.fixture
def jpegs(tmp_path) -> Path:
    folder = tmp_path / "jpegs"
    rows = []
    for n, (name, fold) in enumerate(zip(CLASSES, FOLDS, strict=True), 1):
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture(n) // 5).clip(0, 255).astype(np.uint8)).save(folder / f"images/{name}/{n}.jpg")
        known = PATIENTS[n - 1] if n % 2 else ""
        row = {"number": n, "class": name, "image": f"images/{name}/{n}.jpg", "fold": fold, "patient_id": known}
        rows.append(row)
    write_rows(folder / "slices.csv", rows[::-1])
    return folder


def write_rows(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told(cases: list[Case]) -> list[tuple]:
    return [(case["name"], *case["images"], case["patient"], case["fold"]) for case in cases]


EXPECTED = [
    (str(n), *rest) for n, rest in enumerate(zip(CLASSES, PATIENTS, map(str, FOLDS), strict=True), 1)
]  # in order of the number: 2 comes before 10


@each_writer
def test_slices_are_listed_with_class_patient_and_fold(tmp_path, write):
    write_slices(tmp_path / "mats", range(1, 17), write)
    write_folds(tmp_path / "mats", write)
    cases = list_figshare(tmp_path / "mats")
    assert told(cases) == EXPECTED
    assert all(
        case["images"] == {name: [str(tmp_path / "mats" / f"{case['name']}.mat")]}
        for case in cases
        for name in case["images"]
    )
    assert {case["label"] for case in cases} == {None}


def _in_parts(mats: Path) -> None:
    for n in range(1, 17):
        part = mats / f"brainTumorDataPublic_{1 if n < 9 else 9}-16"
        part.mkdir(exist_ok=True)
        (mats / f"{n}.mat").rename(part / f"{n}.mat")


def _in_an_article(mats: Path) -> None:
    _in_parts(mats)
    (mats / "1512427").mkdir()
    for path in [path for path in mats.iterdir() if path.name != "1512427"]:
        path.rename(mats / "1512427" / path.name)


def _folds_in_a_folder(mats: Path) -> None:
    (mats / "folds").mkdir()
    (mats / "cvind.mat").rename(mats / "folds" / "cvind.mat")


def _from_a_mac(mats: Path) -> None:
    _in_parts(mats)
    for folder in (mats / "__MACOSX" / "brainTumorDataPublic_1-16", mats, mats / "brainTumorDataPublic_1-16"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("._1.mat", "._cvind.mat", ".DS_Store"):
            (folder / name).write_bytes(b"Mac OS X")
    (mats / "__MACOSX" / "3.mat").write_bytes(b"Mac OS X")


def _in_capitals(mats: Path) -> None:
    for path in list(mats.iterdir()):
        path.rename(path.with_suffix(".MAT"))


def _with_others(mats: Path) -> None:
    for name in ("README.txt", "0.mat", "017.mat", "3065.mat", "a1.mat", "1.mat.txt", "1.png", "label.mat"):
        (mats / name).write_bytes(b"something else")


LAYOUTS = [_in_parts, _in_an_article, _folds_in_a_folder, _from_a_mac, _in_capitals, _with_others]


@pytest.mark.parametrize("arrange", LAYOUTS, ids=lambda arrange: arrange.__name__)
def test_slices_are_found_in_any_layout(mats, arrange):
    arrange(mats)
    assert is_figshare(mats)
    assert told(list_figshare(mats, progress=False)) == EXPECTED


@pytest.mark.parametrize("write", [write_v5, write_matlab_v73])
def test_folds_of_either_version_and_direction(mats, write):
    write(mats / "cvind.mat", {"cvind": np.array(FOLDS, float)[None]})
    assert told(list_figshare(mats)) == EXPECTED


def test_folds_go_by_number_where_slices_are_missing(mats):
    for n in (1, 2, 9):
        (mats / f"{n}.mat").unlink()
    assert told(list_figshare(mats)) == [row for row in EXPECTED if row[0] not in ("1", "2", "9")]


def test_without_folds_the_log_says_so(mats, caplog):
    (mats / "cvind.mat").unlink()
    with caplog.at_level(logging.WARNING):
        cases = list_figshare(mats)
    assert told(cases) == [(*row[:3], None) for row in EXPECTED]
    assert "has no cvind.mat: the official folds of the Figshare set are not known" in caplog.text


def test_a_patient_in_two_folds_is_counted_and_not_named(mats, caplog):
    write_folds(mats, folds=[*FOLDS[:5], 1, *FOLDS[6:]])
    with caplog.at_level(logging.DEBUG):
        list_figshare(mats)
    assert "1 of 14 patients have slices in more than one fold" in caplog.text
    assert "patient6" not in caplog.text
    caplog.clear()
    write_folds(mats)
    list_figshare(mats)
    assert "more than one fold" not in caplog.text


def test_a_bar_is_shown_if_asked(mats, capsys):
    list_figshare(mats)
    assert "figshare: 100%" in capsys.readouterr().err
    list_figshare(mats, progress=False)
    assert capsys.readouterr().err == ""


def test_the_jpeg_tree_is_listed_alike(jpegs):
    cases = list_figshare(jpegs)
    expected = [(number, name, patient if int(number) % 2 else None, fold) for number, name, patient, fold in EXPECTED]
    assert told(cases) == expected
    assert cases[6]["images"] == {"glioma": [str(jpegs / "images/glioma/7.jpg")]}


def test_mat_files_come_before_jpeg_in_one_folder(jpegs, mats):
    shutil.copytree(mats, jpegs / "mats")
    assert told(list_figshare(jpegs)) == EXPECTED


def test_an_image_that_is_not_there_is_listed_all_the_same(jpegs):
    (jpegs / "images/glioma/7.jpg").unlink()
    assert len(list_figshare(jpegs)) == 16


@pytest.mark.parametrize(
    "places",
    [
        ["1.mat"],
        ["brainTumorDataPublic_2299-3064/3064.mat"],
        ["1512427/brainTumorDataPublic_1-766/7.MAT", "x.txt"],
        ["cvind.mat", "b/12.mat"],
        ["a/cvind.mat", "a/b/12.mat"],
    ],
)
def test_numbered_files_are_the_set_by_their_names(tmp_path, places):
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")  # nothing is read
    assert is_figshare(tmp_path) and is_figshare(str(tmp_path))


@pytest.mark.parametrize(
    "places",
    [
        [],
        ["cvind.mat"],
        ["0.mat", "3065.mat", "01.mat", "a1.mat", "1.mat.png"],
        ["__MACOSX/1.mat", "._1.mat", ".hidden/1.mat"],
        ["1.mat/a.png"],
        ["glioma/1.jpg", "meningioma/2.jpg", "pituitary/3.jpg"],
        ["slices.csv", "images/glioma/1.jpg", "images/meningioma/2.jpg"],
        ["images/glioma/1.jpg", "images/meningioma/2.jpg", "images/pituitary/3.jpg"],
    ],
)
def test_other_folders_are_not_the_set(tmp_path, places):
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    assert not is_figshare(tmp_path) and not is_figshare(tmp_path / "absent")
    with pytest.raises(InputError, match=r"has no slice of the Figshare set in it: neither 1\.mat to 3064\.mat"):
        list_figshare(tmp_path)


@pytest.mark.parametrize("places", [["glioma/1.mat", "mine/1.mat"], ["a/3064.mat"], ["a/b/c/1.mat"]])
def test_folders_of_classes_with_numbered_files_are_not_the_set(tmp_path, places):
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    assert not is_figshare(tmp_path)


def test_the_jpeg_tree_is_the_set(jpegs):
    assert is_figshare(jpegs)
    shutil.rmtree(jpegs / "images/glioma")
    assert not is_figshare(jpegs)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="absent is not a folder: --dataset_dir must name the folder of the Figshare"):
        list_figshare(tmp_path / "absent")


def test_a_number_that_is_there_twice_is_refused(mats):
    (mats / "copy").mkdir()
    shutil.copy(mats / "7.mat", mats / "copy")
    with pytest.raises(InputError, match=r"7\.mat and .*copy.7\.mat would both be slice 7: remove one of them"):
        list_figshare(mats)


@pytest.mark.parametrize(("label", "said"), [(0, "the label 0"), (4, "the label 4"), (None, "no label")])
def test_labels_that_are_not_known_are_refused(mats, label, said):
    write_v73(mats / "7.mat", {"cjdata": cjdata(label=None if label is None else [[label]])})
    with pytest.raises(InputError, match=rf"7\.mat has {said}; known are 1 meningioma, 2 glioma, 3 pituitary"):
        list_figshare(mats)


def test_damaged_files_are_counted_and_the_first_is_named(mats):
    (mats / "3.mat").write_bytes((mats / "3.mat").read_bytes()[:999])
    with pytest.raises(InputError, match=r"3\.mat cannot be read as a MATLAB file \(.*\): replace or remove it\.$"):
        list_figshare(mats)
    (mats / "11.mat").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"3\.mat cannot be .*: replace or remove it\. \(It is the first of 2 such fil"
    ):
        list_figshare(mats)


@pytest.mark.parametrize("fold", [0, 6, 1.5, np.nan])
def test_other_folds_are_refused(mats, fold):
    write_folds(mats, folds=[fold, *FOLDS[1:]])
    with pytest.raises(InputError, match=r"cvind\.mat has other folds than 1, 2, 3, 4, 5: replace it, or remove it"):
        list_figshare(mats)


def test_too_few_folds_are_refused(mats):
    write_folds(mats, folds=FOLDS[:9])
    with pytest.raises(InputError, match=r"cvind\.mat has 9 folds and 16\.mat is there: replace it"):
        list_figshare(mats)


WRONG_ROWS = [
    ({"number": "a"}, "has a row with number 'a', class 'glioma' and image 'images/glioma/7.jpg'; a whole number, one"),
    ({"class": "cyst"}, "has a row with number '7', class 'cyst' and image"),
    ({"image": ""}, "has a row with number '7', class 'glioma' and image ''"),
    ({"number": "8"}, "has number 8 twice: keep one of the rows"),
    ({"fold": "6"}, "has fold '6' for number 7; folds are 1, 2, 3, 4, 5"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG_ROWS)
def test_wrong_rows_are_refused(jpegs, changed, said):
    rows = [{**row, **changed} if row["number"] == "7" else row for row in read_rows(jpegs / "slices.csv")]
    write_rows(jpegs / "slices.csv", rows)
    with pytest.raises(InputError) as caught:
        list_figshare(jpegs)
    assert str(caught.value).startswith(f"{jpegs / 'slices.csv'} {said}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column number, class, image; wanted are"),
        (b"number,class\n1,glioma\n", "has no column image; wanted are number, class, image"),
        (b"number,class,image\n", "lists no slice"),
        (b"\xff\xfe\0\0", "cannot be read as a CSV file"),
    ],
)
def test_wrong_lists_are_refused(jpegs, content, said):
    (jpegs / "slices.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        list_figshare(jpegs)


def test_the_real_jpeg_tree_is_the_whole_set(shared, monkeypatch):
    monkeypatch.undo()
    root = shared / "data" / "figshare"
    assert is_figshare(root)
    cases = list_figshare(root)
    assert [case["name"] for case in cases] == [str(n) for n in range(1, 3065)]
    assert Counter(name for case in cases for name in case["images"]) == FIGSHARE_COUNTS
    by_name = {case["name"]: case for case in read_csv_datalist(root / "slices.csv")}
    assert all(by_name[case["name"]] == case for case in cases)
    dataset = FigshareBrainTumorDataset(root, "test", cache_rate=0.0)
    assert Counter(item["class_name"] for item in dataset.data) == {"glioma": 264, "pituitary": 163, "meningioma": 143}
    assert dataset[0]["image"].shape == (512, 512)


def items(root: Path, section: str, **options: object) -> list[dict]:
    return FigshareBrainTumorDataset(root, section, cache_rate=0.0, **options).data


def numbers(found: list[dict]) -> list[int]:
    return [int(Path(item["image"]).stem) for item in found]


@pytest.mark.parametrize("tree", ["mats", "jpegs"])
@pytest.mark.parametrize(("test_fold", "val_fold"), [(1, 2), (5, 3)])
def test_sections_are_the_official_folds(request, tree, test_fold, val_fold):
    root = request.getfixturevalue(tree)
    sections = {
        section: items(root, section, test_fold=test_fold, val_fold=val_fold)
        for section in ("training", "validation", "test")
    }
    for section, folds in {"test": {test_fold}, "validation": {val_fold}}.items():
        assert sorted(numbers(sections[section])) == [n for n in range(1, 17) if FOLDS[n - 1] in folds]
    assert sorted(n for found in sections.values() for n in numbers(found)) == list(range(1, 17))
    patients = [{PATIENTS[n - 1] for n in numbers(found)} for found in sections.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 14


def test_the_default_folds_are_1_and_2(mats):
    assert items(mats, "test") == items(mats, "test", test_fold=1, val_fold=2)
    assert {item["fold"] for item in items(mats, "training")} == {3, 4, 5}
    assert {item["fold"] for item in items(mats, "validation")} == {2}


def test_items_say_all_that_is_known(mats, jpegs):
    item = next(item for item in items(mats, "training") if item["image"].endswith("12.mat"))
    path = str(mats / "12.mat")
    assert item == {"image": path, "label": 2, "class_name": "pituitary", "patient": "patient11", "fold": 5}
    item = next(item for item in items(jpegs, "training") if item["image"].endswith("12.jpg"))
    assert item["patient"] == "" and item["label"] == 2


def test_items_are_shuffled_by_the_seed(mats):
    assert items(mats, "training") == items(mats, "training", seed=0)
    assert numbers(items(mats, "training")) != sorted(numbers(items(mats, "training")))
    assert numbers(items(mats, "training", seed=1)) != numbers(items(mats, "training"))


def test_images_are_loaded_rows_first_from_either_tree(mats, jpegs):
    for root, scale in ((mats, 1), (jpegs, 5)):
        dataset = FigshareBrainTumorDataset(root, "validation", progress=False)
        assert len(dataset) == 3 and dataset.get_num_classes() == 3
        for item, source in zip(dataset, dataset.data, strict=True):
            assert item["image"].shape == (24, 40) and item["image"].dtype == torch.float32
            np.testing.assert_allclose(
                item["image"] * scale, picture(*numbers([source])), atol=0 if scale == 1 else 250
            )


def test_batches_can_be_made_of_it(mats):
    dataset = FigshareBrainTumorDataset(mats, "training")
    batch = next(iter(DataLoader(dataset, batch_size=8)))
    assert batch["image"].shape == (8, 24, 40)
    assert batch["label"].tolist() == [item["label"] for item in dataset.data[:8]]
    assert batch["image"].meta["PID"] == batch["patient"]


def test_another_transform_is_taken(mats):
    dataset = FigshareBrainTumorDataset(mats, "test", transform=lambda item: item["fold"])
    assert list(dataset) == [1, 1, 1]


def test_the_cache_is_that_of_monai(mats):
    ours, theirs = (inspect.signature(of).parameters for of in (FigshareBrainTumorDataset, MedNISTDataset))
    names = list(theirs)[list(theirs).index("cache_num") :]
    assert list(ours)[-len(names) :] == names
    assert [ours[name].default for name in names] == [theirs[name].default for name in names]
    counting = Counting()
    dataset = FigshareBrainTumorDataset(mats, "training", transform=counting, cache_num=2)
    assert counting.calls == 2 and len(dataset) == 10
    assert (
        FigshareBrainTumorDataset(mats, "test", transform=counting, runtime_cache=True)[0] == 1 and counting.calls == 3
    )


class Counting(Transform):
    """The fold of an item; MONAI caches what such a transform gives."""

    calls = 0

    def __call__(self, item: dict) -> int:
        self.calls += 1
        return item["fold"]


def test_what_is_missing_is_refused_and_may_be_allowed(mats):
    for n in (4, 9):
        (mats / f"{n}.mat").unlink()
    with pytest.raises(
        InputError, match=r"mats lacks 2 of the 16 slices of the Figshare set, the first is 4: add them"
    ):
        items(mats, "test")
    assert sorted(numbers(items(mats, "validation", check=False))) == [10, 15]


def test_other_numbers_a_class_are_refused(mats):
    write_v73(mats / "1.mat", {"cjdata": cjdata(label=[[3]])})
    with pytest.raises(
        InputError,
        match="has slices of 4 meningioma, 6 glioma, 6 pituitary; the Figshare set has 5 meningioma, 6 glioma, 5 pitu",
    ):
        items(mats, "test")
    items(mats, "test", check=False)


def test_damaged_pictures_are_counted_and_the_first_is_named(jpegs, capsys):
    items(jpegs, "test")
    assert "check: 100%" in capsys.readouterr().err
    path = jpegs / "images/glioma/7.jpg"
    path.write_bytes(path.read_bytes()[:-200])  # its beginning is whole
    with pytest.raises(InputError, match=r"1 of 16 files cannot be read, the first is .*7\.jpg \(.*truncated.*\): get"):
        items(jpegs, "test")
    (jpegs / "images/meningioma/2.jpg").unlink()
    with pytest.raises(InputError, match=r"2 of 16 files cannot be read, the first is .*2\.jpg \(No such file or dir"):
        items(jpegs, "test")
    assert len(items(jpegs, "test", check=False)) == 3


def test_folds_are_needed(mats, jpegs):
    (mats / "cvind.mat").unlink()
    with pytest.raises(
        InputError, match=r"mats has no cvind\.mat with the official folds, or .*: add it, or give downl"
    ):
        items(mats, "test")
    write_rows(jpegs / "slices.csv", [{**row, "fold": ""} for row in read_rows(jpegs / "slices.csv")])
    with pytest.raises(InputError, match="or no fold in its list for some slices"):
        items(jpegs, "test")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"section": "train"}, "section must be one of training, validation, test, got 'train'"),
        ({"test_fold": 0}, "test_fold must be a whole number from 1 to 5, got 0"),
        ({"val_fold": "2"}, "val_fold must be a whole number from 1 to 5, got '2'"),
        ({"test_fold": 2}, "test_fold and val_fold must be two different folds, got 2 for both"),
        ({"root_dir": "absent"}, "absent is not a folder: root_dir must name one, into which the set was or will be"),
    ],
)
def test_arguments_are_checked(mats, options, said):
    with pytest.raises(InputError, match=said):
        FigshareBrainTumorDataset(**{"root_dir": mats, "section": "test", **options})


# Archives


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], **kind: object) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith(".gz") else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in kind.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return path


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def parts(written) -> dict[str, bytes]:
    """What the article has, in two parts of eight slices."""
    content = {path.name: path.read_bytes() for path in written.iterdir()}
    halves = {f"brainTumorDataPublic_{first}-{first + 7}.zip": range(first, first + 8) for first in (1, 9)}
    zips = {
        name: zip_bytes({"__MACOSX/._1.mat": b"Mac OS X"} | {f"{n}.mat": content[f"{n}.mat"] for n in half})
        for name, half in halves.items()
    }
    return {**zips, "cvind.mat": content["cvind.mat"], "README.txt": b"read me"}


def put_parts(root: Path, parts: dict[str, bytes]) -> None:
    for name, content in parts.items():
        (root / name).write_bytes(content)


ARTICLES = {
    "parts": put_parts,
    "article": lambda root, parts: make_zip(root / "1512427.zip", parts),
    "article of any name": lambda root, parts: make_zip(root / "archive (1).zip", parts),
    "article with a folder": lambda root, parts: make_zip(
        root / "1512427.zip", {f"brain_tumor/{name}": content for name, content in parts.items()}
    ),
    "tar": lambda root, parts: make_tar(root / "1512427.tar", parts),
    "tar.gz": lambda root, parts: make_tar(root / "brain_tumor_dataset.tar.gz", parts),
}


@pytest.fixture
def no_network(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    for module, name in ((socket, "socket"), (socket, "getaddrinfo"), (urllib.request, "urlopen")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(figshare_archives, "download_url", refuse)


def slices_of(root: Path) -> list[str]:
    return sorted(path.name for path in (root / FIGSHARE_FOLDER).iterdir())


WHOLE = sorted([*(f"{n}.mat" for n in range(1, 17)), "cvind.mat"])


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("put", ARTICLES.values(), ids=ARTICLES)
def test_archives_put_there_by_hand_are_unpacked_without_a_network(tmp_path, written, parts, put):
    put(tmp_path, parts)
    before = {path.name for path in tmp_path.iterdir()}
    dataset = FigshareBrainTumorDataset(tmp_path, "test", progress=False)
    assert sorted(numbers(dataset.data)) == [2, 8, 14]
    assert set(slices_of(tmp_path)) | {"cvind.mat"} == set(WHOLE)
    assert {path.name for path in tmp_path.iterdir()} == before | {FIGSHARE_FOLDER}
    assert (tmp_path / FIGSHARE_FOLDER / "7.mat").read_bytes() == (written / "7.mat").read_bytes()


def test_what_is_unpacked_is_not_unpacked_again(tmp_path, parts, monkeypatch):
    make_zip(tmp_path / "1512427.zip", parts)
    unpack_figshare(tmp_path)
    monkeypatch.setattr(figshare_archives, "extractall", lambda *_, **__: pytest.fail("unpacked again"))
    unpack_figshare(tmp_path)
    (tmp_path / FIGSHARE_FOLDER).rename(tmp_path / "by hand")
    unpack_figshare(tmp_path)
    assert not (tmp_path / FIGSHARE_FOLDER).exists() and (tmp_path / "by hand" / "7.mat").is_file()


def test_slices_that_are_there_stay_and_missing_ones_are_added(tmp_path, written, parts):
    (tmp_path / "mine").mkdir()
    for n in (1, 2, 16):
        (tmp_path / "mine" / f"{n}.mat").write_bytes((written / f"{n}.mat").read_bytes())
    (tmp_path / FIGSHARE_FOLDER).mkdir()  # as after a kill while files were moved
    shutil.copy(written / "5.mat", tmp_path / FIGSHARE_FOLDER)
    put_parts(tmp_path, parts)
    unpack_figshare(tmp_path)
    assert told(list_figshare(tmp_path)) == EXPECTED
    assert "1.mat" not in slices_of(tmp_path)


def test_a_kill_leaves_nothing_half_done(tmp_path, parts, monkeypatch):
    make_zip(tmp_path / "1512427.zip", parts)
    whole, calls = figshare_archives.extractall, []

    def killed(archive: Path, folder: Path, **options: object) -> None:
        whole(archive, folder, **options)
        calls.append(archive)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(figshare_archives, "extractall", killed)
    with pytest.raises(KeyboardInterrupt):
        unpack_figshare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1512427.zip"]
    unpack_figshare(tmp_path)
    assert slices_of(tmp_path) == WHOLE


def test_what_a_kill_left_behind_is_not_taken_and_is_removed_in_time(tmp_path, parts):
    left = tmp_path / f"{figshare_archives.PARTIAL}abc" / "outer"
    left.mkdir(parents=True)
    (left / "1.mat").write_bytes(b"half")
    assert not is_figshare(tmp_path)
    put_parts(tmp_path, parts)
    unpack_figshare(tmp_path)
    assert left.exists()  # it may be another process, at work
    os.utime(left.parent, (0, time.time() - 2 * 86400))
    unpack_figshare(tmp_path)
    assert not left.parent.exists()
    assert told(list_figshare(tmp_path)) == EXPECTED


def test_other_archives_are_left_alone(tmp_path, mats):
    make_zip(tmp_path / "pictures.zip", {"a.png": b"a", "1.mat.txt": b"b", "__MACOSX/1.mat": b"c"})
    make_tar(tmp_path / "other.tar", {"1.mat": b"not looked into"})
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    unpack_figshare(tmp_path)
    assert not (tmp_path / FIGSHARE_FOLDER).exists()


@pytest.mark.parametrize("name", ["1512427.zip", "brainTumorDataPublic_1-8.zip", "1512427.tar.gz"])
def test_damaged_archives_are_named(tmp_path, parts, name):
    content = make_tar(tmp_path / name, parts) if name.endswith("gz") else make_zip(tmp_path / name, parts)
    content.write_bytes(content.read_bytes()[:-3000])
    with pytest.raises(InputError, match=rf"{name} cannot be opened \(.*\): download it again, or remove it"):
        unpack_figshare(tmp_path)


def test_a_damaged_archive_in_an_archive_is_named(tmp_path, parts):
    name = "brainTumorDataPublic_9-16.zip"
    make_zip(tmp_path / "1512427.zip", {**parts, name: parts[name][:-3000]})
    with pytest.raises(InputError, match=rf"{name} cannot be unpacked \(.*\): see to that, or download it again"):
        unpack_figshare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1512427.zip"]


def test_content_that_changed_on_the_way_is_refused(tmp_path, parts):
    name = "brainTumorDataPublic_1-8.zip"
    content = bytearray(parts[name])
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} cannot be unpacked \(Bad CRC-32 for file '\d\.mat'\)"):
        unpack_figshare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def _zip_link(path: Path) -> None:
    link = zipfile.ZipInfo("2.mat")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.mat", b"1")
        archive.writestr(link, "/etc/passwd")


UNSAFE = {
    "zip upwards": ("zip", lambda path: make_zip(path, {"1.mat": b"1", "../evil.mat": b"evil"})),
    "zip far upwards": ("zip", lambda path: make_zip(path, {"1.mat": b"1", "a/../../../../evil.mat": b"evil"})),
    "zip absolute": ("zip", lambda path: make_zip(path, {"1.mat": b"1", f"{path.parent.parent}/evil.mat": b"evil"})),
    "zip link": ("zip", _zip_link),
    "tar upwards": ("tar", lambda path: make_tar(path, {"1.mat": b"1", "../evil.mat": b"evil"})),
    "tar absolute": ("tar.gz", lambda path: make_tar(path, {"1.mat": b"1", f"{path.parent.parent}/evil.mat": b"e"})),
    "tar link": ("tar", lambda path: make_tar(path, {"1.mat": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "tar hard link": ("tar.gz", lambda path: make_tar(path, {"1.mat": b""}, type=tarfile.LNKTYPE, linkname="../evil")),
}


@pytest.mark.parametrize("is_inner", [False, True])
@pytest.mark.parametrize("kind", UNSAFE)
def test_archives_that_lead_out_are_refused_and_write_nothing(tmp_path, kind, is_inner):
    suffix, make = UNSAFE[kind]
    root = tmp_path / "a" / "b" / "root"
    root.mkdir(parents=True)
    name = f"brainTumorDataPublic_1-2.{suffix}"
    make(root / name)
    if is_inner and suffix == "zip":
        make_zip(root / "1512427.zip", {name: (root / name).read_bytes()})
        (root / name).unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"{name} cannot be unpacked \((Unsafe path|Symbolic link|Hard link)"):
        unpack_figshare(root)
    assert sorted(tmp_path.rglob("*")) == before


# Downloads, from files: the addresses are of Figshare, and this is not


@pytest.fixture
def published(tmp_path, parts, monkeypatch) -> Path:
    """A folder that stands for Figshare's server."""
    server = tmp_path / "server"
    server.mkdir()
    files = {}
    for number, (name, content) in enumerate(parts.items()):
        if name != "README.txt":
            (server / str(number)).write_bytes(content)
            files[name] = (str(number), hashlib.md5(content).hexdigest())
    monkeypatch.setattr(figshare_archives, "FILES", files)
    monkeypatch.setattr(figshare_archives, "RESOURCE", server.as_uri())
    return server


def test_the_set_is_downloaded_once(tmp_path, published):
    root = tmp_path / "root"
    root.mkdir()
    assert sorted(numbers(items(root, "test", download=True))) == [2, 8, 14]
    assert slices_of(root) == [name for name in WHOLE if name != "cvind.mat"] and (root / "cvind.mat").exists()
    shutil.rmtree(published)
    assert len(items(root, "test", download=True)) == 3
    for path in root.glob("*.zip"):
        path.unlink()
    assert len(items(root, "test", download=True)) == 3


def test_only_what_is_missing_is_downloaded(tmp_path, published, written):
    root = tmp_path / "root"
    shutil.copytree(written, root)
    (root / "12.mat").unlink()
    (published / "0").unlink()  # the first part is not asked for
    (published / "2").unlink()  # nor are the folds
    assert len(items(root, "test", download=True)) == 3
    assert sorted(path.name for path in root.glob("*.zip")) == ["brainTumorDataPublic_9-16.zip"]
    assert slices_of(root) == ["12.mat"]


@pytest.mark.usefixtures("published", "no_network")
def test_nothing_is_downloaded_where_jpeg_are(jpegs):
    assert len(items(jpegs, "test", download=True)) == 3


@pytest.mark.usefixtures("published", "no_network")
def test_nothing_is_downloaded_without_being_asked(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match="root has no slice of the Figshare set in it: give download=True, or put its"):
        items(tmp_path / "root", "test")


@pytest.mark.parametrize("content", [b"", b"<html>blocked</html>", None], ids=["empty", "page", "absent"])
def test_a_download_that_fails_says_what_to_do(tmp_path, published, content):
    root = tmp_path / "root"
    root.mkdir()
    if content is None:
        (published / "1").unlink()
    else:
        (published / "1").write_bytes(content)
    with pytest.raises(
        InputError,
        match=r"brainTumorDataPublic_9-16\.zip cannot be had from file.*/1 \(.*\): download it from https://figshare"
        r"\.com/articles/dataset/brain_tumor_dataset/1512427 with a browser and put it into .*root as it is",
    ):
        download_figshare(root, progress=False)
    assert [path.name for path in root.iterdir()] == ["brainTumorDataPublic_1-8.zip"]


def test_the_addresses_cover_all_slices():
    names = [name for name in figshare_archives.FILES if name.endswith(".zip")]
    ranges = sorted(tuple(map(int, name[:-4].rpartition("_")[2].split("-"))) for name in names)
    assert ranges[0][0] == 1 and ranges[-1][1] == 3064
    assert all(end + 1 == begin for (_, end), (begin, _) in itertools.pairwise(ranges))
    assert "cvind.mat" in figshare_archives.FILES
