"""The table of what an inferer reports: a row an image, named by its reference, whatever the batch looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from torch import Tensor, nn

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.handlers.report_saver import ReportSaver, names_of_batch

NAMES = ["disc/e", "disc/a", "disc/d", "disc/b", "disc/c"]


@dataclass(frozen=True)
class Report:
    """As the inferers' reports are."""

    generators: tuple[str, ...]
    scores: tuple[float, ...]
    iterations: int


class Reporter:
    """An inferer that reports on its images: the grey of each, and its place in the batch."""

    def __init__(self, report: Callable[[float, int], Any]) -> None:
        self.report, self.reports = report, []

    def __call__(self, inputs: Tensor, network: nn.Module) -> Tensor:
        self.reports = [self.report(round(image.mean().item() * 8) / 8, place) for place, image in enumerate(inputs)]
        return network(inputs)


def as_data_class(grey: float, place: int) -> Report:
    return Report(generators=("a", "b"), scores=(grey, -grey), iterations=place)


def as_mapping(grey: float, place: int) -> dict[str, Any]:
    return {"generators": ["a", "b"], "scores": (grey, -grey), "iterations": place}


def evaluator(reporter: Reporter, saver: ReportSaver, *, decollate: bool) -> SupervisedEvaluator:
    """MONAI's evaluator over five images of grey 1/8, 2/8, ..., two a batch."""
    samples = [
        {"image": torch.full((1, 4, 4), (index + 1) / 8), "image_meta_dict": {"filename_or_obj": name}}
        for index, name in enumerate(NAMES)
    ]
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(samples), batch_size=2),
        network=nn.Identity(),
        inferer=reporter,
        val_handlers=[saver],
        decollate=decollate,
    )


@pytest.mark.parametrize("decollate", [True, False])
@pytest.mark.parametrize("report", [as_data_class, as_mapping])
def test_an_evaluators_images_have_a_row_each_in_their_order(tmp_path, report, decollate):
    reporter, folder = Reporter(report), tmp_path / "deeper" / "folder"
    evaluator(reporter, ReportSaver(folder, lambda: reporter.reports), decollate=decollate).run()
    assert [path.name for path in folder.iterdir()] == ["manifest.csv"]
    assert read_manifest(folder) == [
        {
            "reference": name,
            "generators": "a+b",
            "scores": f"{index / 8}+{-index / 8}",
            "iterations": str(1 - index % 2),
        }
        for index, name in enumerate(NAMES, 1)
    ]


def test_a_second_run_starts_anew(tmp_path):
    reporter = Reporter(as_data_class)
    run = evaluator(reporter, ReportSaver(tmp_path, lambda: reporter.reports), decollate=True).run
    run()
    first = read_manifest(tmp_path)
    run()
    assert read_manifest(tmp_path) == first and len(first) == 5


def test_an_interrupted_run_leaves_no_table(tmp_path):
    def interrupt(grey: float, place: int) -> Report:
        if grey > 0.3:
            raise KeyboardInterrupt
        return as_data_class(grey, place)

    reporter = Reporter(interrupt)
    saver = ReportSaver(tmp_path, lambda: reporter.reports)
    with pytest.raises(KeyboardInterrupt):
        evaluator(reporter, saver, decollate=True).run()
    assert list(tmp_path.iterdir()) == [] and len(saver.rows) == 2


def run_on(batch: Any, saver: ReportSaver) -> None:
    engine = Engine(lambda engine, batch: batch)
    saver.attach(engine)
    engine.run([batch])


def test_other_batches_tell_their_names_by_a_function(tmp_path):
    saver = ReportSaver(tmp_path, lambda: [{"seed": 4}, {"seed": 2}], batch_transform=lambda batch: batch["id"])
    run_on({"id": ["x", "y"]}, saver)
    assert read_manifest(tmp_path) == [{"reference": "x", "seed": "4"}, {"reference": "y", "seed": "2"}]


@pytest.mark.parametrize(
    ("batch", "names"),
    [
        ({"image_meta_dict": {"filename_or_obj": ["a", "b"]}}, ["a", "b"]),
        ({"image_meta_dict": {"filename_or_obj": "ab"}}, ["ab"]),
        ([{"image_meta_dict": {"filename_or_obj": name}} for name in ("a", Path("b/c"))], ["a", "b/c"]),
        ([], []),
    ],
)
def test_names_of_collated_and_decollated_batches(batch, names):
    assert names_of_batch(batch) == names


@pytest.mark.parametrize("reports", [[], [{"seed": 1}], [{"seed": 1}] * 3])
def test_each_image_needs_a_report(tmp_path, reports: Iterable[Any]):
    saver = ReportSaver(tmp_path, lambda: reports, batch_transform=lambda batch: batch)
    with pytest.raises(ValueError, match="zip"):
        run_on(["x", "y"], saver)
    assert list(tmp_path.iterdir()) == []
