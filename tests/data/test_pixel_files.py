from __future__ import annotations

from pathlib import Path

import pytest

from monai_aggrgan.data import read_grey_image
from monai_aggrgan.data.pixel_files import leads_out, refuse_pixels_elsewhere
from monai_aggrgan.exceptions import InputError

METAIMAGE = "NDims = 2\nDimSize = 16 16\nElementType = MET_UCHAR\nElementDataFile = {}\n"
NRRD = "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 16 16\nencoding: raw\ndata file: {}\n"


def header(folder: Path, kind: str, name: str) -> Path:
    path = folder / f"a{kind}"
    path.write_text((METAIMAGE if kind in (".mhd", ".mha") else NRRD).format(name), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../b.raw", "x/../../b.raw", "..\\b.raw", "C:\\b.raw", "LIST\n../b.raw"]
)
@pytest.mark.parametrize("kind", [".mhd", ".mha", ".nhdr", ".nrrd"])
def test_pixels_outside_the_folder_are_refused(tmp_path, kind, name):
    with pytest.raises(InputError, match="names a file outside its folder for its pixels"):
        refuse_pixels_elsewhere(header(tmp_path, kind, name))


@pytest.mark.parametrize("name", ["a.raw", "./a.raw", "sub/a.raw", "LOCAL", "LIST\na.raw\nb.raw"])
@pytest.mark.parametrize("kind", [".mhd", ".nrrd"])
def test_pixels_beside_the_header_are_taken(tmp_path, kind, name):
    refuse_pixels_elsewhere(header(tmp_path, kind, name))


def test_other_files_are_not_looked_at(tmp_path):
    refuse_pixels_elsewhere(tmp_path / "absent.png")


def test_a_secret_is_not_read_as_an_image(tmp_path):
    pytest.importorskip("itk")
    (tmp_path / "secret").write_bytes(bytes(range(256)))
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="outside its folder"):
        read_grey_image(header(tmp_path / "data", ".mhd", "../secret"))


@pytest.mark.parametrize(("name", "out"), [("a", False), ("a/b", False), ("../a", True), ("/a", True), ("c:a", True)])
def test_leads_out(name, out):
    assert leads_out(name) is out
