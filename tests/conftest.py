"""What every test file may use."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_aggrgan import Study

torch.set_num_threads(1)

CLASSES = ("disc", "square")
PATIENTS = ("Jane Doe", "John Smith", "Max Mustermann", "Erika Mustermann", "Jean Dupont", "Maria Rossi")
OPTIONS = {
    "config_dir": Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan" / "configs",
    "image_size": 16,
    "held_out_fraction": 0.34,
    "max_epochs": 2,
    "recipe": "paper",
    "training": {
        "base_width": 4,
        "batch_size": 2,
        "log_interval": 1,
        "image_interval": 1,
        "val_interval": 1,
        "checkpoint_interval": 1,
    },
    "device": "cpu",
    "pool_size": 16,
    "references": 3,
    "vgg_weights": "random",
    "style_iterations": 2,
    "note": "These are drawings.",
}


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of downloaded data and weights beside the checkout; a test that needs it is skipped without it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder {folder}")
    return folder


def draw(class_name: str, seed: int) -> np.ndarray:
    """A bright disc or square of random size, place and grey on black, with a little noise inside, 20x20, 8 bits."""
    random = np.random.default_rng([seed, CLASSES.index(class_name)])
    (row, column), radius = random.uniform(8, 12, 2), random.uniform(4, 7)
    rows, columns = np.abs(np.mgrid[:20, :20] - np.array([row, column])[:, None, None])
    inside = np.hypot(rows, columns) < radius if class_name == "disc" else np.maximum(rows, columns) < radius
    return (inside * (random.uniform(90, 230) + random.normal(0, 8, (20, 20)))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory) -> Path:
    """Two classes of six patients with two slices each, as PNG files, and a datalist that names the patients."""
    folder = tmp_path_factory.mktemp("drawings")
    rows = []
    for class_name in CLASSES:
        (folder / class_name).mkdir()
        for number in range(12):
            image = f"{class_name}/{class_name}_{number:02d}.png"
            Image.fromarray(draw(class_name, number)).save(folder / image)
            rows.append({"image": image, "class": class_name, "patient_id": PATIENTS[number // 2]})
    with open(folder / "datalist.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def study_of(drawings) -> Callable[..., Study]:
    """Makes a quick study of the drawings in a folder: all three generators, 3 references a class, pools of 16."""

    def make(output_dir: Path, **options: object) -> Study:
        given = {"dataset_dir": drawings, "datalist": drawings / "datalist.csv", "output_dir": output_dir}
        return Study(**{**OPTIONS, **given, **options})

    return make


@pytest.fixture(scope="session")
def messages() -> list[str]:
    """What the package logged during the run of `finished`."""
    return []


class Messages(logging.Handler):
    """Keeps the text of what is logged."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__()
        self.kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record.getMessage())


@pytest.fixture(scope="session")
def finished(study_of, tmp_path_factory, messages) -> Path:
    """Folder of a study that ran to its end; tests only read it."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    handler = Messages(messages)
    logging.getLogger("monai_aggrgan").addHandler(handler)
    try:
        report = study_of(folder).run()
    finally:
        logging.getLogger("monai_aggrgan").removeHandler(handler)
    assert report == folder / "report" / "report.html"
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A copy of the finished study, for tests that change it."""
    return Path(shutil.copytree(finished, tmp_path / "study"))
