from __future__ import annotations

import pickle
import warnings
import zlib
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from monai_aggrgan.data.grey_image import GreyImage, read_grey_image, read_segmentation, refuse_other_grid
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.intensity import unit_range
from tests.dicom_files import write_dicom_series


def _pixels(dtype: str = "uint8", *, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    """A smooth picture or volume without symmetry."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    picture = sum(share * axis for share, axis in zip((0.5, 0.3, 0.1), axes, strict=False))
    picture[1:5, -8:-2] = 1
    return (picture * (250 if dtype == "uint8" else 4000)).astype(dtype)


def _save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def _nifti(path: Path, pixels: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(pixels, affine), path)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.TIFF", "a.PNG"])
def test_8_bit_grey_files_come_back_as_they_are(tmp_path, name):
    image = read_grey_image(_save(tmp_path / name, _pixels()))
    assert image.pixels.dtype == np.uint8
    np.testing.assert_array_equal(image.pixels, _pixels())
    assert (image.affine, image.patient) == (None, None)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
def test_a_jpeg_comes_back_nearly_as_it_is(tmp_path, name):
    pixels = read_grey_image(_save(tmp_path / name, _pixels(), quality=95)).pixels
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - _pixels()).mean() < 3


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_16_bit_files_keep_their_16_bits(tmp_path, name):
    pixels = read_grey_image(_save(tmp_path / name, _pixels("uint16"))).pixels
    np.testing.assert_array_equal(pixels, _pixels("uint16"))
    assert pixels.max() > 255 and pixels.dtype.itemsize > 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "float64"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 1, 1)])
def test_arrays_are_taken_as_they_are(tmp_path, dtype, shape):
    np.save(tmp_path / "a.npy", _pixels(dtype).reshape(shape))
    np.testing.assert_array_equal(read_grey_image(str(tmp_path / "a.npy")).pixels, _pixels(dtype))


def test_a_black_and_white_png_is_grey(tmp_path):
    pixels = read_grey_image(_save(tmp_path / "a.png", np.eye(8) > 0)).pixels
    np.testing.assert_array_equal(pixels, np.eye(8))
    assert unit_range(pixels) == (0, 1)  # Pillow's ones are bytes of 255


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_grey_saved_in_colour_is_grey(tmp_path, name):
    pixels = read_grey_image(_save(tmp_path / name, np.stack([_pixels()] * 3, axis=-1))).pixels
    assert pixels.shape == (20, 30)
    assert np.abs(pixels.astype(int) - _pixels()).mean() < 3


COS, SIN = np.cos(0.2), np.sin(0.2)
AFFINE = np.array([[-0.9, 0, 0, 90], [0, -0.8 * COS, 2.5 * SIN, 126], [0, 0.8 * SIN, 2.5 * COS, -72], [0, 0, 0, 1]])
"""A slightly oblique scan."""


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_tells_its_place(tmp_path, name):
    image = read_grey_image(_nifti(tmp_path / name, _pixels("int16", shape=(20, 30, 10)), AFFINE))
    np.testing.assert_array_equal(image.pixels, _pixels("int16", shape=(20, 30, 10)))
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)


@pytest.mark.parametrize("trailing", [(), (1,), (1, 1)])
def test_axes_of_length_1_behind_a_volume_are_left_out(tmp_path, trailing):
    image = read_grey_image(_nifti(tmp_path / "a.nii", _pixels("int16").reshape(20, 30, *trailing), AFFINE))
    assert image.pixels.size == 600 and image.pixels.ndim <= 3


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd", "a.nhdr"])
def test_nrrd_and_metaimage_lie_where_nifti_does(tmp_path, name):
    volume = _pixels("int16", shape=(20, 30, 10))
    nifti = read_grey_image(_nifti(tmp_path / "a.nii", volume, AFFINE))
    itk.imwrite(itk.imread(str(tmp_path / "a.nii")), str(tmp_path / name))
    image = read_grey_image(tmp_path / name)
    np.testing.assert_array_equal(image.pixels, volume)
    np.testing.assert_allclose(image.affine, nifti.affine, atol=1e-4)


def test_a_two_dimensional_metaimage_lies_in_an_axial_plane(tmp_path):
    flat = itk.image_from_array(_pixels("int16"))
    flat.SetSpacing((0.5, 0.75))
    itk.imwrite(flat, str(tmp_path / "a.mha"))
    image = read_grey_image(tmp_path / "a.mha")
    np.testing.assert_array_equal(image.pixels, _pixels("int16").T)
    np.testing.assert_allclose(image.affine, np.diag([-0.5, -0.75, 1, 1]))


@pytest.fixture
def series(tmp_path) -> list[Path]:
    """Ten slices of a patient, 2.5 mm apart, pixels of 0.5 mm by 0.75 mm."""
    volume = _pixels("int16", shape=(10, 20, 30))
    return write_dicom_series(
        tmp_path / "series", volume, patient_id="4711", patient_name="Doe^Jane", spacing=(2.5, 0.5, 0.75)
    )


def test_a_dicom_series_is_a_volume_and_tells_its_patients_number(series):
    image = read_grey_image(series)
    np.testing.assert_array_equal(image.pixels, _pixels("int16", shape=(10, 20, 30)).T)
    np.testing.assert_allclose(image.affine, np.diag([-0.75, -0.5, 2.5, 1]), atol=1e-6)
    assert image.patient == "4711"


def test_a_single_dicom_file_is_a_slice(series):
    pixels = read_grey_image(series[3]).pixels
    np.testing.assert_array_equal(pixels.reshape(30, 20), _pixels("int16", shape=(10, 20, 30))[3].T)


def test_a_dicom_file_without_a_patients_number(tmp_path):
    (file,) = write_dicom_series(tmp_path, _pixels("int16")[None], patient_name="Doe^Jane")
    assert read_grey_image(file).patient is None


def test_monochrome1_is_turned_so_that_bright_is_bright(tmp_path):
    (file,) = write_dicom_series(tmp_path, _pixels("int16")[None])
    plain = read_grey_image(file).pixels
    file.write_bytes(file.read_bytes().replace(b"MONOCHROME2 ", b"MONOCHROME1 "))
    turned = read_grey_image(file).pixels
    np.testing.assert_array_equal(turned.max() - turned.astype(int), plain.astype(int) - plain.min())


def test_a_series_that_lacks_a_slice_is_refused(series):
    read_grey_image(series[1:])  # at an end nothing tells
    with pytest.raises(InputError, match=r"series lacks slices of its series, .* \(9 files, up to .* mm off a grid of"):
        read_grey_image(series[:4] + series[5:])


def test_a_localizer_of_three_planes_is_refused(tmp_path):
    planes = [((1, 0, 0), (0, 1, 0)), ((1, 0, 0), (0, 0, -1)), ((0, 1, 0), (0, 0, -1))]
    files = [
        write_dicom_series(tmp_path, _pixels("int16")[None], orientation=plane, names=[f"{number}.dcm"])[0]
        for number, plane in enumerate(planes)
    ]
    with pytest.raises(InputError, match="has a series of 3 slices in several orientations, as localizers do"):
        read_grey_image(files)


def test_a_series_in_time_is_refused(tmp_path):
    slices = _pixels("int16")[None]
    files = [write_dicom_series(tmp_path, slices, names=[f"{number}.dcm"])[0] for number in range(3)]
    with pytest.raises(InputError, match="has a series of 3 slices at 1 places, as series in time do"):
        read_grey_image(files)


def test_a_mat_file_tells_its_patient(tmp_path):
    savemat(tmp_path / "1.mat", {"cjdata": {"image": _pixels("int16"), "label": 2, "PID": "100360"}})
    image = read_grey_image(tmp_path / "1.mat")
    np.testing.assert_array_equal(image.pixels, _pixels("int16"))
    assert image.patient == "100360"


MODES = ["RGB", "RGBA", "P", "LA", "CMYK", "YCbCr", "LAB"]
FORMATS = {"CMYK": "a.tif", "YCbCr": "a.tif", "LAB": "a.tif"}


@pytest.mark.parametrize("mode", MODES)
def test_colour_images_are_refused(tmp_path, mode):
    colours = np.stack([_pixels(), _pixels() // 3, _pixels() // 2], axis=-1)
    image = Image.fromarray(colours)
    image = Image.new("LAB", (30, 20)) if mode == "LAB" else image.convert(mode)
    path = tmp_path / FORMATS.get(mode, "a.png")
    image.save(path)
    said = rf"mode {mode}\); grey is wanted: convert it|2-D grey slice"
    if mode == "YCbCr":
        said += "|image file is truncated"  # of Pillow below 13, which cannot read what it wrote
    with pytest.raises(InputError, match=rf"{path.name} .*({said})"):
        read_grey_image(path)


def test_grey_in_16_bits_a_colour_is_refused_for_half_its_bits_would_go(tmp_path):
    """Written by hand, for Pillow writes no such file: one pixel row of 16-bit RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = b"".join(b"\0" + bytes([0, value] * 3 * 8) for value in range(8))
    header = (8).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(InputError, match=r"a\.png is a colour image \(mode RGB\)"):
        read_grey_image(tmp_path / "a.png")


def test_a_colour_jpeg_is_refused(tmp_path):
    colours = np.stack([_pixels(), _pixels() // 3, _pixels() // 2], axis=-1)
    with pytest.raises(InputError, match=r"a\.jpg is a colour image \(mode RGB\); grey is wanted: convert it"):
        read_grey_image(_save(tmp_path / "a.jpg", colours))


def test_a_dicom_or_nrrd_of_colours_is_refused(tmp_path):
    itk.imwrite(itk.image_from_array(np.zeros((8, 8, 3), np.uint8), is_vector=True), str(tmp_path / "a.nrrd"))
    with pytest.raises(InputError, match=r"a\.nrrd has 3 values a pixel, as colour images do; grey is wanted"):
        read_grey_image(tmp_path / "a.nrrd")


def test_four_dimensions_are_refused(tmp_path):
    path = _nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 6, 2), np.int16), np.eye(4))
    with pytest.raises(InputError, match=r"has 4 dimensions \(4x5x6x2\); a slice has 2 and a volume 3: split it into"):
        read_grey_image(path)


@pytest.mark.parametrize("shape", [(4, 5, 3), (7,), (), (1, 9), (9, 1), (0, 5)])
def test_arrays_that_are_no_pictures_are_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape))
    with pytest.raises(InputError, match=r"a\.npy (has shape .*(a 2-D grey slice|no picture)|cannot be read)"):
        read_grey_image(tmp_path / "a.npy")


def test_a_tiff_of_several_pages_is_refused(tmp_path):
    pages = [Image.fromarray(_pixels() // factor) for factor in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"a\.tif has 3 pages; a 2-D grey slice is wanted: save single slices"):
        read_grey_image(tmp_path / "a.tif")


KINDS = ["a.png", "a.jpg", "a.bmp", "a.tif", "a.npy", "a.nii.gz", "a.nii", "a.mat", "a.nrrd", "a.mha", "a.dcm"]


def _any_kind(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    if path.suffix == ".npy":
        np.save(path, noise)
    elif path.suffix == ".mat":
        savemat(path, {"cjdata": {"image": noise}})
    elif path.suffix == ".dcm":
        write_dicom_series(path.parent, noise[None].astype(np.int16), names=[path.name])
    elif ".nii" in path.name:
        _nifti(path, noise, np.eye(4))
    elif path.suffix in (".nrrd", ".mha"):
        itk.imwrite(itk.image_from_array(noise), str(path))
    else:
        _save(path, noise)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kind", ["truncated", "empty", "text"])
def test_damaged_files_are_named_in_one_line(tmp_path, name, kind):
    path = tmp_path / name
    _any_kind(path)
    read_grey_image(path)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"no image"}[kind])
    with pytest.raises(InputError, match=name) as caught:
        read_grey_image(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("name", KINDS)
def test_absent_files_are_named(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name} is not there, or its folder is closed to you: put the file back"):
        read_grey_image(tmp_path / name)


@pytest.mark.parametrize("name", KINDS)
def test_files_that_may_not_be_read_are_named(tmp_path, name):
    path = tmp_path / name
    _any_kind(path)
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        with pytest.raises(InputError, match=rf"{name} cannot be read as an image \(.*\): replace or remove it"):
            read_grey_image(path)
    else:
        pytest.skip("this user may read everything")


def test_paths_with_spaces_and_other_letters(tmp_path):
    folder = tmp_path / "Größe und Höhe 脳 é"
    folder.mkdir()
    for name in KINDS:
        _any_kind(folder / name)
        assert read_grey_image(folder / name).pixels.size == 64 * 64


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["a.npy", "a.nii.gz"])
def test_pixels_that_are_no_numbers_are_refused(tmp_path, value, name):
    pixels = _pixels("float32")
    pixels[3, 4] = value
    if name == "a.npy":
        np.save(tmp_path / name, pixels)
    else:
        _nifti(tmp_path / name, pixels, np.eye(4))
    with warnings.catch_warnings(), pytest.raises(InputError, match=rf"{name} has pixels that are NaN or infinite"):
        warnings.simplefilter("error")
        read_grey_image(tmp_path / name)


@pytest.mark.parametrize("value", [0, 7])
def test_constant_images_are_refused_and_empty_segmentations_are_not(tmp_path, value):
    path = _nifti(tmp_path / "a.nii.gz", np.full((4, 5, 6), value, np.int16), np.eye(4))
    with pytest.raises(InputError, match=rf"a\.nii\.gz is constant, every pixel is {value}: replace or remove it"):
        read_grey_image(path)
    assert read_segmentation(path).pixels.shape == (4, 5, 6)


@pytest.mark.parametrize("array", [np.array([["a", "b"], ["c", "d"]]), np.ones((4, 4), complex)])
def test_arrays_of_other_things_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=r"a\.npy has pixels of type .*; real numbers are wanted"):
        read_grey_image(tmp_path / "a.npy")


def test_a_nifti_of_colours_is_refused(tmp_path):
    colours = np.zeros((4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(InputError, match=r"a\.nii\.gz (has pixels of type|has shape|cannot be read)"):
        read_grey_image(_nifti(tmp_path / "a.nii.gz", colours, np.eye(4)))


class _Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("bare", [True, False])
def test_pickles_are_refused_unopened(tmp_path, bare):
    content, path = _Trap(tmp_path / "sprung"), tmp_path / "a.npy"
    if bare:
        path.write_bytes(pickle.dumps(content))
    else:
        np.save(path, np.array([[content, content], [0, 0]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_grey_image(path)
    assert not (tmp_path / "sprung").exists()
    np.load(path, allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # the trap works


def test_images_of_a_case_must_lie_on_one_grid():
    volume = np.zeros((4, 5, 6))
    first, moved = GreyImage(volume, np.eye(4)), np.eye(4)
    refuse_other_grid(GreyImage(volume + 1, np.eye(4) + 1e-3), "b", first, "a")
    moved[0, 3] = 0.5
    with pytest.raises(InputError, match=r"b lies elsewhere than a by its affine: .* must lie on one grid"):
        refuse_other_grid(GreyImage(volume, moved), "b", first, "a")
    with pytest.raises(InputError, match="b is 4x5x7 and a 4x5x6: the images of a case must lie on one grid"):
        refuse_other_grid(GreyImage(np.zeros((4, 5, 7)), np.eye(4)), "b", first, "a")
    with pytest.raises(InputError, match="b lies elsewhere than a"):
        refuse_other_grid(GreyImage(volume), "b", first, "a")


def test_real_files_of_every_kind_can_be_read(shared):
    files = sorted((shared / "data" / "dicom_t1").glob("*.dcm"))
    series = read_grey_image(files)
    assert series.pixels.shape == (274, 384, 30) and series.patient
    assert np.linalg.norm(series.affine[:3, :3], axis=0) == pytest.approx((0.7, 0.667, 0.667), abs=0.01)
    for name, shape in {"FLAIR.nrrd": (124, 160, 140), "mha.mha": (64, 64, 37)}.items():
        image = read_grey_image(shared / "data" / "volumes" / name)
        assert image.pixels.shape == shape and image.affine is not None
    with pytest.raises(InputError, match="dicom_t1 lacks slices of its series"):
        read_grey_image(files[:10] + files[11:])
