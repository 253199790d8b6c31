from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from monai_aggrgan.data import phantoms
from monai_aggrgan.data.phantoms import PHANTOM_CLASSES, phantom_slice, write_phantoms
from monai_aggrgan.exceptions import InputError

SETTINGS = {"patients_per_class": 5, "slices_per_patient": 2, "size": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("parent") / "deeper" / "phantoms", **SETTINGS)


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "datalist.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("class_name", PHANTOM_CLASSES)
@pytest.mark.parametrize("size", [64, 128])
def test_a_slice_is_a_head_on_black(class_name, size):
    image = phantom_slice(class_name, seed=3, size=size)
    assert (image.shape, image.dtype) == ((size, size), np.float32)
    assert 0 <= image.min() < 0.05 < 0.8 < image.max() <= 1
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert border.mean() < 0.06 < 0.35 < image[size // 4 : -size // 4, size // 4 : -size // 4].mean()


@pytest.fixture
def lesion_of(monkeypatch):
    """Difference that the lesion makes: a slice minus the same head with ventricles only."""

    def draw(class_name: str, seed: int) -> np.ndarray:
        image = phantom_slice(class_name, seed=seed, size=96)
        with monkeypatch.context() as patch:
            patch.setattr(phantoms, "_paint_blob", lambda drawing, rng, brain: phantoms._paint_ventricles(drawing, rng))
            return image - phantom_slice("blob", seed=seed, size=96)

    return draw


@pytest.mark.parametrize("seed", range(6))
def test_each_class_has_its_bright_lesion_in_its_place(lesion_of, seed):
    bright = {name: lesion_of(name, seed) > 0.2 for name in PHANTOM_CLASSES}
    x, y = np.meshgrid(np.arange(96) - 47.5, np.arange(96) - 47.5)
    to_centre = {name: np.hypot(x[mask].mean(), y[mask].mean()) for name, mask in bright.items()}
    assert min(mask.sum() for mask in bright.values()) > 30
    assert to_centre["sellar"] < 12 < to_centre["ring"] < 30
    assert to_centre["blob"] > 22


@pytest.mark.parametrize("seed", range(6))
def test_only_the_ring_has_a_dark_centre(lesion_of, seed):
    ring, blob = lesion_of("ring", seed), lesion_of("blob", seed)
    holes = {
        name: binary_fill_holes(lesion > 0.1) & (lesion < -0.1) for name, lesion in (("ring", ring), ("blob", blob))
    }
    assert holes["ring"].sum() > 8
    assert not holes["blob"].any()


def test_a_seed_is_an_image_and_the_global_generator_is_left_alone():
    state = np.random.get_state()[1].copy()
    first, again, other = (phantom_slice("ring", seed=seed, size=64) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.05
    np.testing.assert_array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize("class_name", PHANTOM_CLASSES)
def test_levels_of_a_head_are_closer_than_heads(class_name):
    here, near, far = (phantom_slice(class_name, seed=1, size=64, level=level) for level in (0, 0.3, 1))
    other = phantom_slice(class_name, seed=2, size=64)
    near, far, other = (np.abs(here - image).mean() for image in (near, far, other))
    assert 0 < near < far < other


def test_folds_change_with_the_level():
    above, below = (phantom_slice("ring", seed=1, size=64, level=level) for level in (-0.5, 0.5))  # of equal size
    assert np.corrcoef(above.ravel(), below.ravel())[0, 1] < 0.97


def test_a_size_is_the_same_head_only_finer():
    fine, coarse = (phantom_slice("blob", seed=1, size=size) for size in (128, 64))
    shrunk = fine.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    assert np.corrcoef(shrunk.ravel(), coarse.ravel())[0, 1] > 0.97


def test_files_are_nifti_with_the_slice_turned_into_patient_axes(folder):
    row = _rows(folder)[0]
    nifti = nibabel.load(folder / row["image"])
    assert nibabel.aff2axcodes(nifti.affine)[:2] == ("L", "P")
    assert nifti.get_data_dtype() == np.int16
    stored = np.asanyarray(nifti.dataobj)
    assert stored.shape == (32, 32)
    assert 800 < stored.max() <= 1200
    head_seed = int(np.random.SeedSequence([0, 0]).generate_state(1)[0])
    expected = phantom_slice("ring", seed=head_seed, size=32, level=-0.5)
    np.testing.assert_allclose(stored.T / 1200, expected, atol=1 / 1200)


def test_datalist_names_every_file_once_and_folds_are_by_patient(folder):
    rows = _rows(folder)
    assert list(rows[0]) == ["number", "class", "image", "fold", "patient_id"]
    assert [row["number"] for row in rows] == [str(number) for number in range(1, 31)]
    assert {row["image"] for row in rows} == {p.relative_to(folder).as_posix() for p in folder.rglob("*.nii.gz")}
    assert {(row["class"], row["fold"]) for row in rows} == {(c, str(f)) for c in PHANTOM_CLASSES for f in range(1, 6)}
    assert len({row["patient_id"] for row in rows}) == len({(row["patient_id"], row["fold"]) for row in rows}) == 15
    assert rows[0]["patient_id"] == "phantom000"


def test_readme_says_what_they_are(folder):
    assert "mathematical phantoms, not patients" in (folder / "README.txt").read_text()


def test_a_rerun_leaves_the_folder_alone_and_other_settings_are_refused(folder):
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_phantoms(folder, **SETTINGS) == folder
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(InputError, match="remove it or name another folder"):
        write_phantoms(folder, **SETTINGS, seed=1)


def test_same_settings_write_the_same_bytes_and_other_seeds_other_heads(folder, tmp_path):
    images = [path.relative_to(folder) for path in sorted(folder.rglob("*.nii.gz"))]
    again, other = (write_phantoms(tmp_path / str(seed), **SETTINGS, seed=seed) for seed in (0, 1))
    assert all((again / image).read_bytes() == (folder / image).read_bytes() for image in images)
    assert not any((other / image).read_bytes() == (folder / image).read_bytes() for image in images)


def test_an_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(phantoms, "_write_nifti", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_phantoms(tmp_path / "phantoms", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_faster_process_is_no_error(tmp_path, monkeypatch):
    write_all = phantoms._write_all

    def overtaken(*arguments):
        monkeypatch.setattr(phantoms, "_write_all", write_all)
        monkeypatch.setattr(phantoms.os, "getpid", lambda: 0)
        write_phantoms(tmp_path / "phantoms", **SETTINGS)
        write_all(*arguments)

    monkeypatch.setattr(phantoms, "_write_all", overtaken)
    assert write_phantoms(tmp_path / "phantoms", **SETTINGS) == tmp_path / "phantoms"
    assert [path.name for path in tmp_path.iterdir()] == ["phantoms"]


@pytest.mark.parametrize("setting", [{"patients_per_class": 0}, {"slices_per_patient": 0}, {"size": 8}, {"seed": -1}])
def test_bad_settings_are_refused(tmp_path, setting):
    with pytest.raises(InputError, match="raise the number that is too small"):
        write_phantoms(tmp_path / "phantoms", **setting)


def test_unknown_class_and_level_are_refused():
    with pytest.raises(ValueError, match="did you mean 'ring'"):
        phantom_slice("rnig", seed=0)
    with pytest.raises(ValueError, match=r"\[-1, 1\], got 2"):
        phantom_slice("ring", seed=0, level=2)
