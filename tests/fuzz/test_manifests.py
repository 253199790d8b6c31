"""Manifests, arrays and records of a study, also another's: read, or refused in a sentence."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from monai_aggrgan.data import (
    PreparedSlices,
    map_image_array,
    read_image_array,
    read_image_folder,
    read_images_by_class,
    read_manifest,
    write_image_array,
    write_image_files,
    write_manifest,
)
from monai_aggrgan.stages.task import read_record
from tests.fuzz.properties import NAMES, damaged, nested, value_or_sentence

ROWS = [
    {"class_name": "a", "id": "a/0", "section": "training"},
    {"class_name": "a", "id": "a/1", "section": "held_out"},
]


def files_of(write: object) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


ARRAY = files_of(lambda folder: write_image_array(folder, torch.rand(2, 1, 16, 16), ROWS))
IMAGE = files_of(
    lambda folder: write_manifest(
        folder, [{"class_name": "a", **write_image_files(folder, "0", torch.rand(1, 16, 16))}]
    )
)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def folder_of(folder: str, **files: bytes) -> Path:
    for name, content in files.items():
        Path(folder, name).write_bytes(content)
    return Path(folder)


@given(content=damaged(ARRAY["manifest.csv"]))
@example(content=b"file,index,class_name,id\nimages.npy,0,a,a/0\nimages.npy,1,a,a/1\n")
@example(content=b"\xff")
@example(content=b"file,index\n1\n")
@example(content=b"file\n1,2\n")
@example(content=b"")
@example(content=b'"' + b"a" * 200_000 + b'"\n')
def test_any_manifest(content):
    with tempfile.TemporaryDirectory() as place:
        folder = folder_of(place, **{**ARRAY, "manifest.csv": content})
        rows = value_or_sentence(lambda: read_manifest(folder), list)
        assert all(isinstance(text, str) for row in rows or () for item in row.items() for text in item)
        value_or_sentence(lambda: read_image_array(folder), tuple)
        value_or_sentence(lambda: PreparedSlices(folder.parent, class_name=folder.name), PreparedSlices)


@given(content=damaged(ARRAY["images.npy"]))
@example(content=npy(np.zeros(())))
@example(content=npy(np.zeros((2, 1, 16, 16), np.complex64)))
@example(content=npy(np.zeros((2, 1, 16, 16), ">f4")))
@example(content=npy(np.array(["a", "b"])))
@example(content=npy(np.zeros(2, [("a", "f4")])))
@example(content=b"PK\x05\x06" + bytes(18))
@example(content=npy(np.zeros((2, 1, 16, 16), np.float16)).replace(b"(2, 1, 16, 16)", b"(2, 1, 99999999999, 16)"))
def test_any_array(content):
    with tempfile.TemporaryDirectory() as place:
        folder = folder_of(place, **{**ARRAY, "images.npy": content})
        mapped = value_or_sentence(lambda: map_image_array(folder), tuple)
        assert mapped is None or (isinstance(mapped[0], Tensor) and len(mapped[0]) == len(mapped[1]))
        value_or_sentence(lambda: PreparedSlices(folder.parent, class_name=folder.name), PreparedSlices)


@given(name=NAMES, class_name=NAMES, content=damaged(IMAGE["0.nii.gz"]))
@example(name="0.nii.gz", class_name="a", content=IMAGE["0.nii.gz"])
def test_any_folder_of_images(name, class_name, content):
    with tempfile.TemporaryDirectory() as place:
        folder = folder_of(place, **{"0.nii.gz": content})
        write_manifest(folder, [{"file": "0.nii.gz", "class_name": class_name}, {"file": name, "class_name": "a"}])
        value_or_sentence(lambda: read_image_folder(folder), tuple)
        value_or_sentence(lambda: read_images_by_class(folder), dict)


@pytest.mark.parametrize("up", ["../{}", "x/../../{}", "/{}", "..\\{}", "C:\\{}", ""])
def test_no_image_outside_the_folder_is_read(tmp_path, up):
    (tmp_path / "inside").mkdir()
    write_image_files(tmp_path, "0", torch.rand(1, 16, 16))
    write_manifest(tmp_path / "inside", [{"file": up.format(f"{tmp_path}/0.nii.gz" if up == "/{}" else "0.nii.gz")}])
    with pytest.raises(ValueError, match="which is not in it: replace the folder"):
        read_image_folder(tmp_path / "inside")


RECORD = b'{"name": "prepare", "settings": {"seed": 0, "inputs": {}}, "finished": true, "seconds": 1.0}'


@given(content=st.one_of(damaged(RECORD), nested().map(repr).map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(content=b"[" * 100_000)
@example(content=b"[]")
@example(content=b"1" * 5000)
@example(content=b"{}")
def test_any_record(content):
    with tempfile.TemporaryDirectory() as place:
        record = value_or_sentence(lambda: read_record(folder_of(place, **{"stage.json": content})), dict)
        assert record is None or isinstance(record["settings"], dict)
