from __future__ import annotations

import builtins
import itertools
import sys
from pathlib import Path

import itk
import numpy as np
import pytest
from monai.data import ITKReader

from monai_aggrgan.data.dicom_series import group_dicom_series, list_dicom_series, single_dicom_series
from monai_aggrgan.exceptions import InputError
from tests.dicom_files import write_dicom_series

SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))


@pytest.fixture
def volume() -> np.ndarray:
    """Three slices of 4 rows and 5 columns, no two alike."""
    return np.random.default_rng(0).integers(-1000, 3000, (3, 4, 5), dtype=np.int16)


def texts(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths]


def test_what_is_written_is_read_by_monai(tmp_path, volume):
    files = write_dicom_series(
        tmp_path / "Zoë", volume, spacing=(3, 2, 1.5), origin=(-10, -20, 30.5), orientation=SAGITTAL, patient_name="Zoë"
    )
    reader = ITKReader()
    pixels, metadata = reader.get_data(reader.read(str(tmp_path / "Zoë")))
    np.testing.assert_array_equal(pixels.T, volume)
    # columns count up to posterior, rows to inferior, slices to the right; MONAI's axes are right, anterior, superior
    expected = [[0, 0, 3, 10], [-1.5, 0, 0, 20], [0, -2, 0, 30.5], [0, 0, 0, 1]]
    np.testing.assert_allclose(metadata["affine"], expected, atol=1e-6)
    assert [path.parent for path in files] == [tmp_path / "Zoë"] * len(volume)


def test_a_written_header_has_one_uid_a_slice_and_one_a_series(tmp_path, volume):
    first = write_dicom_series(tmp_path, volume, patient_id="7", patient_name="Zoë")
    second = write_dicom_series(tmp_path, volume, patient_id="7", series=2)
    tags = [_header(path) for path in first + second]
    assert len({header["0008|0018"] for header in tags}) == 2 * len(volume)
    assert [len({header["0020|000e"] for header in tags[part]}) for part in (slice(3), slice(3, 6))] == [1, 1]
    assert len({header["0020|000e"] for header in tags}) == 2 and len({header["0020|000d"] for header in tags}) == 1
    assert (tags[0]["0010|0010"], tags[0]["0010|0020"], tags[0]["0008|0060"]) == ("Zoë", "7", "MR")


def _header(path: Path) -> dict[str, str]:
    coder = itk.GDCMImageIO.New(FileName=str(path))
    coder.ReadImageInformation()
    dictionary = coder.GetMetaDataDictionary()
    return {key: dictionary[key].strip() for key in dictionary.GetKeys() if "|" in key}


@pytest.mark.parametrize("names", list(itertools.permutations(["a.dcm", "IM 2", "1.2.840.3"])))
def test_a_series_is_in_order_of_position_whatever_the_files_are_called(tmp_path, volume, names):
    written = write_dicom_series(tmp_path, volume, names=names)
    assert list_dicom_series(tmp_path) == [texts(written)]
    assert group_dicom_series(written[::-1]) == [texts(written)]


def test_series_stay_apart_in_order_of_their_first_names(tmp_path, volume):
    scan = write_dicom_series(tmp_path, volume, patient_id="1", series=1, names=["9", "2", "5"])
    localizer = write_dicom_series(tmp_path, volume[:1], patient_id="1", series=2, names=["1"], orientation=SAGITTAL)
    other = write_dicom_series(tmp_path, volume, patient_id="2", series=1, names=["3", "4", "6"])
    assert list_dicom_series(tmp_path) == [texts(localizer), texts(scan), texts(other)]


def test_only_the_given_files_are_grouped(tmp_path, volume):
    written = write_dicom_series(tmp_path, volume)
    write_dicom_series(tmp_path, volume, series=2)
    assert group_dicom_series(written[1:]) == [texts(written[1:])]
    assert group_dicom_series([]) == []


def test_other_files_and_folders_are_not_looked_at(tmp_path, volume):
    written = write_dicom_series(tmp_path, volume)
    write_dicom_series(tmp_path / "inner", volume, series=2)
    (tmp_path / "._series1_001.dcm").write_bytes(written[0].read_bytes())
    (tmp_path / "DICOMDIR").write_bytes(written[0].read_bytes()[:200])
    (tmp_path / "notes.txt").write_bytes(written[0].read_bytes())
    assert list_dicom_series(tmp_path) == [texts(written)]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_damaged_files_are_a_series_of_their_own_at_the_end(tmp_path, volume, share):
    written = write_dicom_series(tmp_path, volume, names=["b.dcm", "c.dcm", "d.dcm"])
    whole = written[0].read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[: int(share * len(whole))])
    (tmp_path / "e.dcm").write_bytes(b"this is no image, whatever its name says" * 20)
    found = list_dicom_series(tmp_path)
    assert found == [texts(written), texts([tmp_path / "a.dcm", tmp_path / "e.dcm"])]
    with pytest.raises(RuntimeError):
        ITKReader().read(found[1])


def test_a_folder_of_damaged_files_alone(tmp_path, capfd):
    (tmp_path / "a.dcm").write_bytes(b"")
    assert list_dicom_series(tmp_path) == [[str(tmp_path / "a.dcm")]]
    assert capfd.readouterr().err == ""  # ITK would warn of it


def test_itk_warns_again_afterwards(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"")
    for shown in (True, False):
        itk.Object.SetGlobalWarningDisplay(shown)
        try:
            list_dicom_series(tmp_path)
            assert itk.Object.GetGlobalWarningDisplay() == shown
        finally:
            itk.Object.SetGlobalWarningDisplay(True)


def test_objects_that_are_no_images_are_left_out_and_counted(tmp_path, volume, caplog):
    written = write_dicom_series(tmp_path, volume)
    for kind in ("11.1", "88.67", "481.3"):
        _write_object(tmp_path / f"{kind}.dcm", f"1.2.840.10008.5.1.4.1.1.{kind}")
    assert list_dicom_series(tmp_path) == [texts(written)]
    assert "3 DICOM files hold no image (reports, outlines and the like) and are left out" in caplog.text
    _write_object(tmp_path / "mr.dcm", "1.2.840.10008.5.1.4.1.1.4")  # an MR image without pixels is damaged
    assert list_dicom_series(tmp_path)[1:] == [[str(tmp_path / "mr.dcm")]]


def _write_object(path: Path, uid: str) -> None:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    path.write_bytes(b"\0" * 128 + b"DICM\x02\x00\x02\x00UI" + len(value).to_bytes(2, "little") + value)


def test_a_link_that_leads_nowhere_is_named_for_others_may_be_lost_with_it(tmp_path, volume):
    write_dicom_series(tmp_path, volume)
    (tmp_path / "series1_000.dcm").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"series1_000\.dcm is a link to a file that is not there: get the file"):
        list_dicom_series(tmp_path)


def test_the_one_series_of_a_folder(tmp_path, volume):
    with pytest.raises(InputError, match="is a folder without DICOM files: name a file, or the folder of a DICOM"):
        single_dicom_series(tmp_path)
    written = write_dicom_series(tmp_path, volume)
    assert single_dicom_series(tmp_path) == texts(written)
    write_dicom_series(tmp_path, volume, series=2)
    with pytest.raises(InputError, match="holds 2 DICOM series: put the files of each into a folder of its own"):
        single_dicom_series(tmp_path)


@pytest.mark.parametrize("missing", ["itk", "itk-io"])
def test_without_itk(tmp_path, volume, monkeypatch, missing):
    write_dicom_series(tmp_path, volume)
    if missing == "itk":
        _forbid(monkeypatch, "itk")
    else:
        monkeypatch.setitem(sys.modules, "itk", type(sys)("itk"))  # itk-core alone reads no files
    with pytest.raises(InputError, match=r"holds DICOM files, which ITK reads: run pip install itk-io\."):
        list_dicom_series(tmp_path)


def _forbid(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    original = builtins.__import__

    def refuse(name, *rest, **given):
        if name == module:
            raise ImportError(name)
        return original(name, *rest, **given)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_a_real_series_is_grouped_as_monai_reads_it(shared):
    folder = shared / "data" / "dicom_t1"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    files = single_dicom_series(folder)
    assert len(files) == len(set(files)) == 30
    reader = ITKReader()
    ours, theirs = (reader.get_data(image) for image in (itk.imread(files), reader.read(str(folder))))
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1]["affine"], theirs[1]["affine"])
