from __future__ import annotations

import csv
import logging
import warnings
from pathlib import Path

import h5py
import monai.data
import numpy as np
import pytest
import torch
from monai.transforms import LoadImage, LoadImaged
from monai.transforms.io.array import SUPPORTED_READERS
from PIL import Image
from scipy.sparse import csc_matrix

from monai_aggrgan.data.mat_reader import MatReader, read_mat_header, read_mat_vector
from monai_aggrgan.exceptions import InputError
from tests.mat_files import BORDER, PATIENT, WRITERS, cjdata, filled, picture, write_matlab_v73, write_v5, write_v73

each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def read(path: Path, **options: str) -> tuple[np.ndarray, dict[str, object]]:
    reader = MatReader(**options)
    return reader.get_data(reader.read(path))


@each_writer
def test_an_image_comes_back_as_matlab_shows_it(tmp_path, write):
    pixels, metadata = read(write(tmp_path / "1.mat", {"cjdata": cjdata()}))
    assert pixels.shape == (24, 40) and pixels.dtype == np.int16
    np.testing.assert_array_equal(pixels, picture())
    assert list(metadata["spatial_shape"]) == [24, 40] and np.isnan(metadata["original_channel_dim"])


@each_writer
def test_what_stands_beside_the_image_is_metadata(tmp_path, write):
    _, metadata = read(write(tmp_path / "1.mat", {"cjdata": cjdata()}))
    assert metadata["label"] == 2 and type(metadata["label"]) is int
    assert metadata["PID"] == PATIENT and type(metadata["PID"]) is str
    np.testing.assert_array_equal(metadata["border"], BORDER)
    np.testing.assert_array_equal(metadata["mask"], filled(BORDER, (24, 40)))
    assert metadata["border"].dtype == np.float64 and metadata["mask"].dtype == np.uint8


@each_writer
def test_what_does_not_stand_there_is_no_metadata(tmp_path, write):
    _, metadata = read(write(tmp_path / "1.mat", {"cjdata": {"image": picture()}}))
    assert not {"label", "PID", "border", "mask"} & set(metadata)
    metadata = read(write(tmp_path / "2.mat", {"cjdata": cjdata(tumorMask=None)}))[1]
    assert {"label", "PID", "border"} <= set(metadata) and "mask" not in metadata


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64", "bool"])
@pytest.mark.parametrize("write", [write_v73, write_matlab_v73])
def test_versions_agree(tmp_path, write, dtype):
    content = {"cjdata": cjdata(image=(picture() > 300) if dtype == "bool" else picture().clip(0, 200).astype(dtype))}
    old, new = read(write_v5(tmp_path / "5.mat", content)), read(write(tmp_path / "73.mat", content))
    assert old[0].dtype == new[0].dtype and old[0].any() and set(old[1]) == set(new[1])
    np.testing.assert_array_equal(old[0], new[0])
    for name, value in old[1].items():
        np.testing.assert_array_equal(value, new[1][name])


def test_pixels_are_in_the_byte_order_of_this_computer(tmp_path):
    path = write_v73(tmp_path / "1.mat", {"cjdata": cjdata(image=picture().astype(">i2"))})
    assert read(path)[0].dtype == np.dtype("int16")
    np.testing.assert_array_equal(LoadImage(dtype=None)(path), picture())  # torch takes no other order


def test_numbers_that_old_files_store_in_fewer_bytes_are_of_their_class(tmp_path):
    path = write_v5(tmp_path / "1.mat", {"picture": picture().clip(0, 200).astype(np.uint8)})
    content = bytearray(path.read_bytes())
    assert content[144] == 9  # uint8; 6 is double, which MATLAB stores as bytes where that is exact
    content[144] = 6
    path.write_bytes(content)
    pixels, _ = read(path, key="picture")
    assert pixels.dtype == np.float64
    np.testing.assert_array_equal(pixels, picture().clip(0, 200))


@pytest.mark.filterwarnings("error")
@each_writer
def test_complex_numbers_elsewhere_do_no_harm(tmp_path, write):
    path = write(tmp_path / "1.mat", {"cjdata": {**cjdata(), "more": np.ones((2, 3)) * 1j}})
    np.testing.assert_array_equal(read(path)[0], picture())


@pytest.mark.parametrize("shape", [(-1, 1), (1, -1), (-1, 2)], ids=["column", "row", "matrix"])
@each_writer
def test_borders_of_any_layout(tmp_path, write, shape):
    _, metadata = read(write(tmp_path / "1.mat", {"cjdata": cjdata(tumorBorder=BORDER.reshape(shape))}))
    np.testing.assert_array_equal(metadata["border"], BORDER)


@pytest.mark.parametrize(
    ("value", "text"),
    [("100360", "100360"), ("  7 \0", "7"), (np.array([[100360.0]]), "100360"), (" ", None), (np.zeros((0, 0)), None)],
)
@each_writer
def test_patients_of_any_writing(tmp_path, write, value, text):
    _, metadata = read(write(tmp_path / "1.mat", {"cjdata": cjdata(PID=value)}))
    assert metadata.get("PID") == text


def test_empty_variables_of_matlab_are_none(tmp_path):
    path = write_matlab_v73(tmp_path / "1.mat", {"cjdata": cjdata()})
    with h5py.File(path, "r+") as file:
        for name in ("PID", "tumorMask"):  # for empty ones MATLAB stores the shape
            del file["cjdata"][name]
            file["cjdata"][name] = np.zeros(2, np.uint64)
            file["cjdata"][name].attrs["MATLAB_empty"] = 1
    assert {"PID", "mask"} & set(read(path)[1]) == set()


KEYS = {"picture": {}, "a/picture": {"a": {}}, "a/b/picture": {"a": {"b": {}}}}


@pytest.mark.parametrize("key", KEYS)
@each_writer
def test_any_path_of_structs(tmp_path, write, key):
    content: dict = {"other": np.ones((3, 4))}
    struct = content
    for name in key.split("/")[:-1]:
        struct = struct.setdefault(name, {"more": np.ones((2, 2))})
    struct.update({**cjdata(image=None), "picture": picture()})
    pixels, metadata = read(write(tmp_path / "1.mat", content), key=key)
    np.testing.assert_array_equal(pixels, picture())
    assert metadata["label"] == 2 and metadata["PID"] == PATIENT and len(metadata["border"]) == 4


READERS = [MatReader(), MatReader, "MatReader", "monai_aggrgan.data.MatReader", None]


@pytest.mark.parametrize("reader", READERS, ids=["instance", "class", "name", "dotted name", "none"])
@each_writer
def test_monai_finds_the_reader(tmp_path, write, reader):
    path = write(tmp_path / "1.mat", {"cjdata": cjdata()})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        image = LoadImage(reader=reader, ensure_channel_first=True)(path)
    assert isinstance(image, monai.data.MetaTensor) and image.dtype == torch.float32
    np.testing.assert_array_equal(image, picture()[None])
    np.testing.assert_array_equal(image.affine, np.eye(4))
    assert image.meta["label"] == 2 and image.meta["PID"] == PATIENT
    np.testing.assert_array_equal(image.meta["mask"], filled(BORDER, (24, 40)))


def test_a_dictionary_is_loaded_with_options(tmp_path):
    path = write_v73(tmp_path / "1.mat", {"a": cjdata()})
    loaded = LoadImaged("image", reader="MatReader", key="a/image")({"image": path})
    np.testing.assert_array_equal(loaded["image"], picture())


def test_the_reader_is_registered_once_and_harms_no_other(tmp_path):
    assert list(SUPPORTED_READERS.values()).count(MatReader) == 1
    Image.fromarray(picture().clip(0, 255).astype(np.uint8)).save(tmp_path / "1.png")
    for reader in (None, "PILReader"):
        image = LoadImage(reader=reader, reverse_indexing=False)(tmp_path / "1.png")
        np.testing.assert_array_equal(image, picture().clip(0, 255))


@pytest.mark.parametrize(
    ("name", "is_mat"),
    [
        ("1.mat", True),
        ("1.MAT", True),
        (Path("a.b") / "1.mat", True),
        (["1.mat", "2.mat"], True),
        ("1.mat.png", False),
        ("1.math", False),
        ("mat", False),
        ("1.nii.gz", False),
        (["1.mat", "2.png"], False),
    ],
)
def test_the_suffix_tells(name, is_mat):
    assert MatReader().verify_suffix(name) is is_mat


def test_several_files_are_stacked_as_other_readers_do(tmp_path):
    paths = [write_v73(tmp_path / f"{n}.mat", {"cjdata": cjdata(image=picture(n), label=[[n]])}) for n in (1, 2, 3)]
    image = LoadImage(ensure_channel_first=True)(paths)
    np.testing.assert_array_equal(image, np.stack([picture(n) for n in (1, 2, 3)]))
    pixels, metadata = read(paths)
    assert pixels.shape == (3, 24, 40) and metadata["original_channel_dim"] == 0
    assert metadata["label"] == 1 and list(metadata["spatial_shape"]) == [24, 40]


def test_files_of_two_sizes_are_not_stacked(tmp_path):
    write_v73(tmp_path / "1.mat", {"cjdata": cjdata()})
    write_v73(tmp_path / "2.mat", {"cjdata": {"image": picture()[:20]}})
    with pytest.raises(InputError, match=r"2\.mat is 20x40 and .*1\.mat 24x40: images that are read as one must be of"):
        read([tmp_path / "1.mat", tmp_path / "2.mat"])


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_worker_processes_read_the_same(tmp_path, method, workers):
    write = list(WRITERS.values())
    paths = [write[n % 3](tmp_path / f"{n}.mat", {"cjdata": cjdata(image=picture(n))}) for n in range(4)]
    dataset = monai.data.Dataset(paths, LoadImage(reader=MatReader()))
    dataset[0]  # HDF5 has been in use before the processes start
    loader = monai.data.DataLoader(dataset, batch_size=2, num_workers=workers, multiprocessing_context=method)
    batches = list(loader)
    np.testing.assert_array_equal(torch.cat(batches), np.stack([picture(n) for n in range(4)]))
    assert batches[0].meta["PID"] == [PATIENT, PATIENT] and batches[1].meta["border"].shape == (2, 4, 2)


@each_writer
def test_files_are_closed(tmp_path, write):
    path = write(tmp_path / "1.mat", {"cjdata": cjdata(label=[[0.5]])})
    with pytest.raises(InputError):
        read(path)
    write(path, {"cjdata": cjdata()})
    image = MatReader().read(path)
    assert path not in {link.resolve() for link in Path("/proc/self/fd").iterdir()}
    h5py.File(path, "w").close()  # refused by HDF5 while it is open
    np.testing.assert_array_equal(MatReader().get_data(image)[0], picture())


@each_writer
def test_the_header_is_the_same_as_the_metadata(tmp_path, write):
    path = write(tmp_path / "1.mat", {"cjdata": cjdata()})
    assert read_mat_header(path) == {"label": 2, "PID": PATIENT}
    path = write(tmp_path / "2.mat", {"a": {"b": cjdata(PID=None)}})
    assert read_mat_header(path, key="a/b/image") == {"label": 2}


def test_the_header_is_read_without_the_pixels(tmp_path):
    path = write_v73(tmp_path / "1.mat", {"cjdata": cjdata(image=None)})
    with h5py.File(path, "r+") as file:
        dataset = file["cjdata"].create_dataset("image", data=picture().T, chunks=(40, 24), compression="gzip")
        place = dataset.id.get_chunk_info(0)
    with open(path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\0" * place.size)
    assert read_mat_header(path)["label"] == 2
    with pytest.raises(InputError, match=r"1\.mat cannot be read as a MATLAB file \(.*\): replace or remove it"):
        read(path)


NO_IMAGE = r"1\.mat has no 'cjdata/image': it holds 'cvind'; leave the file out, or say with --mat_key "


@pytest.mark.parametrize("function", [read, read_mat_header])
@each_writer
def test_a_file_without_the_struct_is_told_by_what_it_holds(tmp_path, write, function):
    path = write(tmp_path / "1.mat", {"cvind": np.ones((3064, 1))})
    with pytest.raises(InputError, match=NO_IMAGE):
        function(path)
    write(path, {"cjdata": cjdata(image=None)})
    with pytest.raises(InputError, match=r"has no 'cjdata/image': 'cjdata' holds '(label|PID)', '(PID|label|image)'"):
        function(path)
    write(path, {"cjdata": np.ones((3, 4))})
    with pytest.raises(InputError, match="has no 'cjdata/image': 'cjdata' is numbers of shape 3x4"):
        function(path)
    write(path, {f"v{n:02d}": np.ones((2, 2)) for n in range(20)})
    with pytest.raises(InputError, match=r"it holds 'v00', .*'v07' and more; leave"):
        function(path)


def _cell() -> np.ndarray:
    cell = np.empty((2, 2), object)
    cell[:] = [[np.ones(2), np.ones(3)], [np.ones(4), np.ones(5)]]
    return cell


UNUSABLE = {
    "3-D": (np.ones((4, 5, 3)), "numbers of shape 4x5x3"),
    "row": (np.ones((1, 9)), "numbers of shape 1x9"),
    "one": (np.ones((1, 1)), "numbers of shape 1x1"),
    "empty": (np.ones((0, 5)), "numbers of shape 0x5"),
    "complex": (np.ones((4, 5)) * 1j, "complex numbers"),
    "struct": ({"a": np.ones((4, 5))}, "a struct"),
}
OLD_ONLY = {
    "text": ("no image", "text"),
    "cell": (_cell(), "a cell array"),
    "sparse": (csc_matrix(np.eye(5)), "a sparse matrix"),
    "structs": (np.zeros((2, 2), [("a", "f8"), ("b", "f8")]), "a struct array"),
}


@pytest.mark.parametrize("kind", [*UNUSABLE, *OLD_ONLY])
def test_what_is_no_image_is_refused_in_old_files(tmp_path, kind):
    value, said = {**UNUSABLE, **OLD_ONLY}[kind]
    _refuses(write_v5(tmp_path / "1.mat", {"cjdata": cjdata(image=value)}), said)


@pytest.mark.parametrize("kind", [*UNUSABLE, "text", "cell", "sparse", "strings", "complex of MATLAB"])
def test_what_is_no_image_is_refused_in_new_files(tmp_path, kind):
    value, said = UNUSABLE.get(kind, (None, kind))
    path = write_matlab_v73(tmp_path / "1.mat", {"cjdata": cjdata(image=value)})
    with h5py.File(path, "r+") as file:
        group = file["cjdata"]
        if kind == "text":
            group["image"] = np.ones((5, 4), np.uint16)
            group["image"].attrs["MATLAB_class"] = np.bytes_("char")
        elif kind == "cell":
            group.create_dataset("image", (5, 4), h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
            said = "a cell array"
        elif kind == "sparse":
            group.create_group("image").attrs["MATLAB_sparse"] = 5
            said = "a sparse matrix"
        elif kind == "strings":
            group["image"] = np.full((5, 4), "a", h5py.string_dtype())
            said = "text"
        elif kind == "complex of MATLAB":
            group["image"] = np.zeros((5, 4), [("real", "f8"), ("imag", "f8")])
            said = "complex numbers"
    _refuses(path, said)


def _refuses(path: Path, said: str) -> None:
    for function in (read, read_mat_header):
        with pytest.raises(InputError) as caught:
            function(path)
        message = str(caught.value)
        assert message.startswith(f"{path} has {said} at 'cjdata/image'; a 2-D image of real numbers is wanted: save")
        assert "\n" not in message and PATIENT not in message


WRONG = [
    ({"label": np.array([[1.5]])}, "a label that is no single whole number"),
    ({"label": np.array([[1.0, 2.0]])}, "a label that is no single whole number"),
    ({"label": np.array([[np.nan]])}, "a label that is no single whole number"),
    ({"label": {"a": 1}}, "a struct at 'cjdata/label'; numbers is wanted"),
    ({"PID": {"a": 1}}, "a struct at 'cjdata/PID'; text is wanted"),
    ({"tumorBorder": np.ones((7, 1))}, "a border of 7x1 numbers; x1, y1, x2, y2"),
    ({"tumorBorder": np.ones((4, 3))}, "a border of 4x3 numbers; x1, y1, x2, y2"),
    ({"tumorMask": np.ones((40, 24), np.uint8)}, "a mask of 40x24 pixels and an image of 24x40"),
    ({"tumorMask": {"a": 1}}, "a struct at 'cjdata/tumorMask'; numbers is wanted"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
@each_writer
def test_what_is_wrong_beside_the_image_is_told_without_the_patient(tmp_path, caplog, write, changed, said):
    path = write(tmp_path / "1.mat", {"cjdata": cjdata(**changed)})
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError) as caught:
        LoadImage()(path)
    assert str(caught.value).startswith(f"{path} has {said}")
    assert PATIENT not in str(caught.value) and PATIENT not in caplog.text


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "zeros", "header alone"])
@each_writer
def test_damaged_files_are_named_in_one_line(tmp_path, write, kind):
    path = write(tmp_path / "1.mat", {"cjdata": cjdata()})
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"no image\nno image\n" * 99,
        "zeros": b"\0" * 5000,
        "header alone": whole[:512],
    }
    path.write_bytes(damaged[kind])
    for function in (read, read_mat_header):
        with pytest.raises(
            InputError, match=r"1\.mat (cannot be read as a MATLAB file|has no 'cjdata/image')"
        ) as caught:
            function(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_absent_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"1\.mat is not there: put the file back"):
        read(tmp_path / "1.mat")


def test_options_are_refused():
    with pytest.raises(TypeError, match="has no options, got mmap_mode"):
        MatReader().read("1.mat", mmap_mode="c")
    for key in ("", "a//b", "/a"):
        with pytest.raises(InputError, match="must be names separated by '/', such as cjdata/image, got"):
            MatReader(key=key)


@pytest.mark.parametrize("shape", [(6, 1), (1, 6), (1, 1)])
@each_writer
def test_vectors_of_any_direction(tmp_path, write, shape):
    numbers = np.arange(1.0, 1 + np.prod(shape))
    path = write(tmp_path / "cvind.mat", {"cvind": numbers.reshape(shape)})
    np.testing.assert_array_equal(read_mat_vector(path, key="cvind"), numbers)


@each_writer
def test_what_is_no_vector_is_refused(tmp_path, write):
    path = write(tmp_path / "cvind.mat", {"cvind": np.ones((2, 3)), "other": "text"})
    with pytest.raises(InputError, match=r"has numbers of shape 2x3 at 'cvind'; a row or column of numbers is wanted"):
        read_mat_vector(path, key="cvind")
    with pytest.raises(InputError, match=r"has no 'folds': it holds 'cvind', 'other'"):
        read_mat_vector(path, key="folds")


@pytest.mark.parametrize("number", [1, 900, 1500, 2800])
@each_writer
def test_borders_of_real_slices_lie_where_their_masks_do(tmp_path, shared, write, number):
    with open(shared / "data" / "figshare" / "slices.csv", newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["number"] == str(number))
    pixels = np.asarray(Image.open(shared / "data" / "figshare" / row["image"]))[:, 40:].astype(np.int16)
    border = np.array([point.split(",") for point in row["tumor_border_xy"].split()], float) - [40, 0]
    content = cjdata(image=pixels, tumorBorder=border.reshape(-1, 1), tumorMask=filled(border, pixels.shape))
    image, metadata = read(write(tmp_path / "1.mat", {"cjdata": content}))
    np.testing.assert_array_equal(image, pixels)
    assert _dice(filled(metadata["border"], image.shape), metadata["mask"]) > 0.99
    assert _dice(filled(metadata["border"][:, ::-1], image.shape), metadata["mask"]) < 0.9


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
