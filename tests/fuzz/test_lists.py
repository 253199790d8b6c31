"""Datalists, class folders and archives' lists: any content names cases that are there, or is refused in a sentence."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from monai_aggrgan.data import (
    is_brats,
    is_figshare,
    list_brats,
    list_class_folders,
    list_figshare,
    read_csv_datalist,
    read_decathlon_datalist,
)
from monai_aggrgan.data.class_names import refuse_class_names
from tests.fuzz.properties import NAMES, damaged, nested, value_or_sentence

COLUMNS = st.sampled_from(["image", "class", "patient_id", "patient", "fold", "label", "number", "x", ""])
IMAGES = st.one_of(NAMES, st.sampled_from(["a/0.png", "b/1.png", "0.png", "a", "a/0", "../data/a/0.png"]))


@contextmanager
def two_classes() -> Iterator[Path]:
    """A folder `data` of a picture for each of two classes, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "data")
        for place in ("a/0.png", "b/1.png"):
            (root / place).parent.mkdir(parents=True)
            Image.new("L", (16, 16)).save(root / place)
        yield root


def as_csv(rows: list[list[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode("utf-8", "surrogatepass")


ROWS = st.lists(st.lists(IMAGES, min_size=1, max_size=5), max_size=4)
TABLES = st.builds(lambda head, rows: as_csv([head, *rows]), st.lists(COLUMNS, min_size=1, max_size=5), ROWS)
GOOD = as_csv([["image", "class", "patient_id", "fold", "label"], ["a/0.png", "a", "p", "1", ""]])


@given(content=st.one_of(TABLES, damaged(GOOD)))
@example(content=b"image,class\n" + b"a" * 5000 + b",a\n")
@example(content=b"image,class,label\na/0.png,a," + b"a" * 5000 + b"\n")
@example(content=b'image,class\n"a\0b",a\n')
@example(content=b"image,class\n/,a\n")
@example(content=b"image,class\n.,a\n")
@example(content=b'image,class\n"' + b"a" * 200_000 + b'",a\n')
def test_csv_datalist(content):
    with two_classes() as root:
        path = root / "list.csv"
        path.write_bytes(content)
        cases = value_or_sentence(lambda: read_csv_datalist(path), list)
        for case in cases or ():
            assert all(Path(file).is_file() for files in case["images"].values() for file in files)


ENTRIES = st.dictionaries(
    st.sampled_from(["image", "label", "class", "class_name", "patient", "patient_id", "fold", "x"]),
    st.one_of(IMAGES, nested(2), st.lists(IMAGES, max_size=3), st.dictionaries(NAMES, IMAGES, max_size=2)),
    max_size=4,
)
DATALISTS = st.one_of(
    nested(),
    st.fixed_dictionaries(
        {"training": st.one_of(st.lists(st.one_of(ENTRIES, nested(1)), max_size=3), nested(1))},
        optional={
            "validation": st.lists(ENTRIES, max_size=2),
            "labels": st.one_of(st.dictionaries(st.sampled_from(["0", "1", "x"]), NAMES), nested(2)),
            "modality": st.one_of(st.dictionaries(st.sampled_from(["0", "1", "10"]), NAMES), nested(2)),
            "test": nested(1),
        },
    ),
)
LIST = json.dumps({"labels": {"0": "a"}, "training": [{"image": "a/0.png", "label": 0, "patient": "p"}]}).encode()


@given(content=st.one_of(DATALISTS.map(lambda value: json.dumps(value).encode()), damaged(LIST)))
@example(content=b"[" * 100_000)
@example(content=b'{"training": ' + b"[" * 900 + b"]" * 900 + b"}")
@example(content=b'{"training": [{"image": "a/0.png", "class": ' + b"[" * 900 + b"]" * 900 + b"}]}")
@example(content=b'{"training": [{"image": "a/0.png", "label": ' + b"9" * 5000 + b"}]}")
@example(content=b'{"training": [{"image": "a\\u0000/0.png", "label": 0}]}')
@example(content=b'{"training": [{"image": "\\ud800", "class": "a"}]}')
@example(content=b'{"training": [{"image": {"": "a/0.png"}}]}')
@example(content=b'{"training": [{"image": "a/0.png", "label": "' + b"a" * 5000 + b'"}]}')
def test_decathlon_datalist(content):
    with two_classes() as root:
        path = root / "list.json"
        path.write_bytes(content)
        cases = value_or_sentence(lambda: read_decathlon_datalist(path), list)
        for case in cases or ():
            assert case["patient"] is None or isinstance(case["patient"], str)
            assert all(Path(file).is_file() for files in case["images"].values() for file in files)


FILES = st.sampled_from(
    ["0.png", "0_seg.png", "0.nii.gz", "x.dcm", "1.mat", "cvind.mat", "a.mhd", "a.raw", "noext", "x_t1.nii", ".x.png"]
)
LAYERS = st.one_of(
    NAMES, st.sampled_from(["train", "a", "a_seg", "BraTS20_Training_001", "1512427", "images", "glioma", "1.mat"])
)


@given(places=st.lists(st.tuples(st.lists(LAYERS, max_size=3), st.one_of(FILES, NAMES)), max_size=5))
def test_folders_of_any_names(places):
    with two_classes() as root:
        for layers, name in places:
            folder = root.joinpath(*(_for_a_folder(layer) for layer in layers))
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / _for_a_folder(name)).write_bytes(b"DICM" * 40)
            except (OSError, ValueError):  # this system takes no such name
                continue
        for look in (is_brats, is_figshare):
            value_or_sentence(lambda look=look: look(root), bool)
        for list_all in (list_class_folders, list_brats, lambda place: list_figshare(place, progress=False)):
            value_or_sentence(lambda list_all=list_all: list_all(root), list)


def _for_a_folder(name: str) -> str:
    """A name that stays where it is put."""
    return name.replace("/", "_").replace("..", "_") or "_"


SLICES = as_csv([["number", "class", "image", "fold", "patient_id"], ["1", "glioma", "images/glioma/1.jpg", "1", "p"]])
SLICES_ROWS = st.lists(st.lists(st.one_of(NAMES, st.sampled_from(["1", "2", "glioma", "٣"])), max_size=5), max_size=4)


@given(
    content=st.one_of(
        damaged(SLICES),
        SLICES_ROWS.map(lambda rows: as_csv([["number", "class", "image", "fold", "patient_id"], *rows])),
    )
)
@example(content=as_csv([["number", "class", "image"], ["9" * 5000, "glioma", "1.jpg"]]))
def test_the_list_of_the_figshare_pictures(content):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("meningioma", "glioma", "pituitary"):
            Path(folder, "images", name).mkdir(parents=True)
        Path(folder, "slices.csv").write_bytes(content)
        value_or_sentence(lambda: list_figshare(folder, progress=False), list)


@given(name=NAMES)
def test_a_class_name_that_is_taken_is_a_folder_that_stays_there(name):
    assume(value_or_sentence(lambda: refuse_class_names([name]) or "taken", str))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a", "b", name).mkdir(parents=True)
        assert [path.name for path in Path(folder, "a", "b").iterdir()] == [name]


@pytest.mark.parametrize("name", ["glioma", "T1 + C", "no tumour", "1", "-1", "+0.5", "脳", "Grade-II", "a#b", "100%"])
def test_ordinary_class_names_are_taken(name):
    refuse_class_names([name])
