"""Answers are kept by their names, given again without asking, and are those that were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monai_aggrgan.inferers import AggregationReport, KeptAnswersInferer

NETWORK = nn.Identity()


class Darkener:
    """Halves images, `times` times, and tells so as a data class or a mapping."""

    def __init__(self, *, mapping: bool = False) -> None:
        self.mapping, self.asked, self.reports = mapping, 0, list[Any]()

    def __call__(self, inputs: Tensor, network: nn.Module, times: Any = None) -> Tensor:
        self.asked += len(inputs)
        counts = [1] * len(inputs) if times is None else [int(count) for count in times]
        told = [AggregationReport(("a",), (count,), (0.5,)) for count in counts]
        self.reports = [vars(report) for report in told] if self.mapping else told
        return torch.stack([image * 0.5**count for image, count in zip(inputs, counts, strict=True)])

    def pictures(self) -> Any:
        return iter([np.zeros((2, 2, 3), np.uint8)] * len(self.reports))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mapping", [False, True])
def test_answers_and_reports_are_the_inferers(images, tmp_path, mapping):
    kept = KeptAnswersInferer(Darkener(mapping=mapping), tmp_path / "new")
    times = torch.tensor([1, 2, 3, 1])
    assert torch.equal(kept(images, NETWORK, names="abcd", times=times), Darkener()(images, NETWORK, times))
    assert [report["seeds"] for report in kept.reports] == [(1,), (2,), (3,), (1,)]
    assert kept.reports[0] == {"generators": ("a",), "seeds": (1,), "scores": (0.5,)}


def test_only_what_is_not_kept_is_asked_for_also_by_another_process(images, tmp_path):
    whole = KeptAnswersInferer(Darkener(), tmp_path / "whole")(images, NETWORK, names="abcd", times=[1, 2, 3, 4])
    KeptAnswersInferer(Darkener(), tmp_path)(images[[1, 2]], NETWORK, names="bc", times=[2, 3])
    inferer = Darkener()
    kept = KeptAnswersInferer(inferer, tmp_path)
    assert torch.equal(kept(images, NETWORK, names="abcd", times=[1, 2, 3, 4]), whole)
    assert inferer.asked == 2 and [report["seeds"] for report in kept.reports] == [(1,), (2,), (3,), (4,)]
    assert torch.equal(kept(images[:2], NETWORK, names="ab", times=[1, 2]), whole[:2])
    assert inferer.asked == 2


def test_pictures_are_of_what_was_made_now(images, tmp_path):
    kept = KeptAnswersInferer(Darkener(), tmp_path)
    assert not list(kept.pictures())
    kept(images, NETWORK, names="abcd")
    assert len(list(kept.pictures())) == 4
    kept(images[:3], NETWORK, names="abc")
    assert not list(kept.pictures())


def test_names_may_be_any_text_and_stay_in_the_folder(images, tmp_path):
    names = ["a/b", "../../out", "ü" * 300, "a\\b"]
    KeptAnswersInferer(Darkener(), tmp_path / "kept")(images, NETWORK, names=names)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4 and {path.parent for path in files} == {tmp_path / "kept" / "Darkener"}


def test_inferers_of_other_classes_keep_theirs_apart(images, tmp_path):
    class Other(Darkener):
        pass

    KeptAnswersInferer(Darkener(), tmp_path)(images, NETWORK, names="abcd")
    other = Other()
    KeptAnswersInferer(other, tmp_path)(images, NETWORK, names="abcd")
    assert other.asked == 4


def test_nothing_is_left_of_an_answer_that_could_not_be_kept(images, tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        KeptAnswersInferer(Darkener(), tmp_path)(images, NETWORK, names="abcd")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
