"""Readers of images: any bytes are an image, or refused in a sentence."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_aggrgan.data import GreyImage, read_grey_image, read_segmentation
from monai_aggrgan.data.mat_reader import read_mat_header, read_mat_vector
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.cut_slices import CutSlices
from tests.fuzz.properties import cut, damaged, value_or_sentence
from tests.mat_files import cjdata, write_matlab_v73, write_v5, write_v73

SIDE = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
VOLUME = np.random.default_rng(1).integers(0, 999, (SIDE, SIDE, 6), dtype=np.int16)


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format=kind)
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, PIXELS)
    return buffer.getvalue()


def nifti() -> bytes:
    return nibabel.Nifti1Image(VOLUME, np.eye(4)).to_bytes()


def written(write: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{suffix}")
        write(path)
        return path.read_bytes()


def with_itk(suffix: str) -> bytes:
    itk = pytest.importorskip("itk")
    return written(lambda path: itk.imwrite(itk.image_from_array(VOLUME), str(path)), suffix)


def dicom() -> bytes:
    itk = pytest.importorskip("itk")
    return written(lambda path: itk.imwrite(itk.image_from_array(VOLUME[..., :1].T.copy()), str(path)), ".dcm")


CONTENT = {"cjdata": cjdata()}
VALID: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png": (".png", lambda: picture("PNG")),
    "jpeg": (".jpg", lambda: picture("JPEG")),
    "tiff": (".tif", lambda: picture("TIFF")),
    "bmp": (".bmp", lambda: picture("BMP")),
    "npy": (".npy", array),
    "nifti": (".nii", nifti),
    "mat 5": (".mat", lambda: written(lambda path: write_v5(path, CONTENT), ".mat")),
    "mat 7.3": (".mat", lambda: written(lambda path: write_v73(path, CONTENT), ".mat")),
    "mat 7.3 by MATLAB": (".mat", lambda: written(lambda path: write_matlab_v73(path, CONTENT), ".mat")),
    "nrrd": (".nrrd", lambda: with_itk(".nrrd")),
    "mha": (".mha", lambda: with_itk(".mha")),
    "dicom": (".dcm", dicom),
}


@cache
def valid(kind: str) -> bytes:
    return VALID[kind][1]()


def read_and_cut(path: Path) -> None:
    image = value_or_sentence(lambda: read_grey_image(path), GreyImage)
    if image is not None:
        placed = {"a": (image.pixels, image.affine)}
        value_or_sentence(lambda: CutSlices(size=SIDE).cut(placed), list)
    value_or_sentence(lambda: read_segmentation(path), GreyImage)


@pytest.mark.parametrize("kind", VALID)
@given(data=st.data())
def test_any_bytes_are_an_image_or_refused(kind, data):
    content = data.draw((cut if kind == "dicom" else damaged)(valid(kind)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{VALID[kind][0]}")
        path.write_bytes(content)
        read_and_cut(path)
        assert [*Path(folder).iterdir()] == [path]


@pytest.mark.parametrize("kind", VALID)
def test_what_is_damaged_was_an_image(kind, tmp_path):
    path = tmp_path / f"a{VALID[kind][0]}"
    path.write_bytes(valid(kind))
    assert read_grey_image(path).pixels.size >= SIDE * SIDE


def test_a_picture_as_thin_as_a_hair(tmp_path):
    Image.fromarray(np.arange(2**17, dtype=np.uint32).astype(np.uint8).reshape(2, 2**16)).save(tmp_path / "a.png")
    placed = {"a": (read_grey_image(tmp_path / "a.png").pixels, None)}
    with pytest.raises(InputError, match=r"Slices of 2x65536 pixels would have more than 16384 a side"):
        CutSlices(size=SIDE).cut(placed)


@given(content=damaged(nifti()), end=st.integers(0, 40))
def test_compressed_nifti(content, end):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.nii.gz")
        packed = gzip.compress(content, 1, mtime=0)
        path.write_bytes(packed[: len(packed) - end] if end > 30 else packed)
        read_and_cut(path)


@given(
    text=damaged(b"ObjectType = Image\nNDims = 2\nDimSize = 16 16\nElementType = MET_UCHAR\nElementDataFile = a.raw\n")
)
def test_a_header_with_its_pixels_beside_it(text):
    pytest.importorskip("itk")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.mhd")
        path.write_bytes(text)
        path.with_suffix(".raw").write_bytes(PIXELS.tobytes())
        read_and_cut(path)


@pytest.mark.parametrize("kind", ["mat 5", "mat 7.3"])
@given(data=st.data())
def test_folds_and_headers_of_the_figshare_set(kind, data):
    content = data.draw(damaged(valid(kind)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.mat")
        path.write_bytes(content)
        value_or_sentence(lambda: read_mat_header(path), dict)
        value_or_sentence(lambda: read_mat_vector(path, key="cjdata/tumorBorder"), np.ndarray)
