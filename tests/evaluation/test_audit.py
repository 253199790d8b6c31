"""What the audit calls copies, and what it does not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from monai_aggrgan.data import phantom_slice
from monai_aggrgan.evaluation.audit import AUDIT_RULE, FEW, Audit, Judged, RealImages
from monai_aggrgan.exceptions import InputError

LEVELS = (-0.4, 0.0, 0.4)


def heads(seeds: range, *, size: int) -> RealImages:
    slices = [phantom_slice("ring", seed=seed, size=size, level=level) for seed in seeds for level in LEVELS]
    patients = [f"p-{seed}" for seed in seeds for _ in LEVELS]
    ids = [f"head-{seed}-{level}" for seed in seeds for level in LEVELS]
    return RealImages(torch.from_numpy(np.stack(slices))[:, None], ids, patients)


def features(images: Tensor) -> dict[str, Tensor]:
    """Pixels, and local contrasts, which stand for a network here."""
    small = F.interpolate(images, size=(16, 16), mode="area")
    edges = F.max_pool2d((images[..., 1:] - images[..., :-1]).abs(), 4)
    return {"pixels": small.flatten(1), "edges": edges.flatten(1)}


def audit_of(training: RealImages, held_out: RealImages) -> Audit:
    known, control = features(training.images), features(held_out.images)
    return Audit(training, held_out, {space: (known[space], control[space]) for space in known})


def judge(audit: Audit, images: Tensor) -> Judged:
    return audit.judge(images, features(images), patients=[""] * len(images))


def measure(judged: Judged, name: str, column: str = "value") -> str:
    (row,) = (row for row in judged.measures if row["measure"] == name)
    return row[column]


def verdict(judged: Judged) -> str:
    return measure(judged, "flagged", "verdict")


def flagged(judged: Judged) -> float:
    return np.mean([row["flagged"] == "yes" for row in judged.images])


TRAINING = {size: heads(range(40), size=size) for size in (32, 64)}
HELD_OUT = {size: heads(range(40, 60), size=size) for size in (32, 64)}
NEW = {size: heads(range(60, 80), size=size).images for size in (32, 64)}


@pytest.fixture(scope="module", params=[32, 64])
def size(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def audit(size) -> Audit:
    return audit_of(TRAINING[size], HELD_OUT[size])


def noise(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_generator_that_copies_fails(audit, size):
    judged = judge(audit, TRAINING[size].images)
    assert verdict(judged) == "fail" and flagged(judged) == 1
    assert measure(judged, "copies") == "120"
    assert [row["ssim_training"] for row in judged.images] == TRAINING[size].ids
    assert float(measure(judged, "edges_distance_ratio", "p")) == 0.001
    assert float(measure(judged, "membership_auc_edges", "low")) > 0.9
    assert float(measure(judged, "edges_authenticity")) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda x: (x + 0.02 * noise(x.shape)).clamp(0, 1),
        lambda x: x.roll((1, -1), (2, 3)),
        lambda x: x.flip(-1),
        lambda x: 0.8 * x,
    ],
    ids=["noisy", "moved", "mirrored", "fainter"],
)
def test_altered_copies_are_flagged_and_fail(audit, size, change):
    judged = judge(audit, change(TRAINING[size].images[::3]))
    assert verdict(judged) == "fail"
    assert flagged(judged) > (0.95 if size == 64 else 0.5)
    if size == 64:
        likeness = np.array([float(row["likeness"]) for row in judged.images])
        assert measure(judged, "copies") == str((likeness > 0.75).sum()) != "0"


def test_held_out_images_pass(audit):
    judged = audit.judge_held_out()
    assert verdict(judged) == "pass" and flagged(judged) <= 0.1
    assert measure(judged, "copies") == "0"
    assert {row["held_out"] for row in judged.measures} == {""}
    assert not [row for row in judged.measures if "ratio" in row["measure"] or "auc" in row["measure"]]


def test_new_real_images_pass(audit, size):
    judged = judge(audit, NEW[size])
    assert verdict(judged) == "pass" and flagged(judged) <= 0.1
    assert float(measure(judged, "flagged", "held_out")) == flagged(audit.judge_held_out())


def test_noise_and_averages_pass(audit, size):
    uniform = torch.rand(40, 1, size, size, generator=torch.Generator().manual_seed(0))
    lots = torch.rand(40, 120, generator=torch.Generator().manual_seed(1)).argsort(dim=1)[:, :4]
    for images in (uniform, TRAINING[size].images[lots].mean(dim=1)):
        judged = judge(audit, images)
        assert verdict(judged) == "pass"
        assert flagged(judged) <= 0.1


@pytest.mark.parametrize("mirrored", [False, True])
def test_one_copy_among_many_is_enough(audit, size, mirrored):
    copy = TRAINING[size].images[7].flip(-1) if mirrored else TRAINING[size].images[7]
    judged = judge(audit, torch.cat([NEW[size].repeat(5, 1, 1, 1)[:299], copy[None]]))
    assert verdict(judged) == "fail" and measure(judged, "copies") == "1"
    assert "1 of 300 images is a copy" in measure(judged, "flagged", "detail")
    assert judged.images[-1]["ssim_training"] == TRAINING[size].ids[7]
    assert judged.images[-1]["mirrored"] == ("yes" if mirrored else "")
    assert judged.images[-1]["why"].startswith("a copy once aligned")


@pytest.mark.parametrize("count", [30, 120])
def test_the_rule_does_not_depend_on_the_number_of_training_images(count):
    training = RealImages(*(column[:count] for column in TRAINING[64]))
    audit = audit_of(training, HELD_OUT[64])
    assert verdict(judge(audit, training.images[:20])) == "fail"
    assert verdict(judge(audit, NEW[64])) == "pass"
    assert verdict(audit.judge_held_out()) == "pass"


@pytest.mark.parametrize("count", [1, 6])
def test_few_held_out_images_are_said_to_be_few_and_copies_are_still_found(size, count):
    audit = audit_of(TRAINING[size], RealImages(*(column[:count] for column in HELD_OUT[size])))
    assert audit.weak and count < FEW
    judged = judge(audit, TRAINING[size].images[:10])
    assert verdict(judged) == "fail" and flagged(judged) == 1
    assert f"a weak test: only {count} held-out images" in measure(judged, "flagged", "detail")
    for judged in (judge(audit, NEW[size]), audit.judge_held_out()):
        assert verdict(judged) == "pass"


def test_held_out_images_that_are_training_images_fail_and_hide_nothing(size):
    leaked = RealImages(*(column[:3] for column in TRAINING[size]))
    mixed = torch.cat([HELD_OUT[size].images, leaked.images])
    ids, patients = [*HELD_OUT[size].ids, *leaked.ids], [*HELD_OUT[size].patients, *leaked.patients]
    audit = audit_of(TRAINING[size], RealImages(mixed, ids, patients))
    assert verdict(audit.judge_held_out()) == "fail"
    assert measure(audit.judge_held_out(), "copies") == "3"
    judged = judge(audit, TRAINING[size].images[50:60])
    assert measure(judged, "copies") == "10"


def test_many_flagged_images_fail_without_a_copy():
    audit = audit_of(TRAINING[64], HELD_OUT[64])
    known, control = features(TRAINING[64].images), features(NEW[64])
    near = {space: torch.cat([known[space][:20], control[space][20:]]) for space in known}
    judged = audit.judge(NEW[64], near, patients=[f"p-{row // 3}" for row in range(60)])
    assert measure(judged, "copies") == "0" and measure(judged, "edges_memorised") == measure(judged, "flagged")
    assert flagged(judged) >= 1 / 3
    assert verdict(judged) == "fail" and "more than the limit" in measure(judged, "flagged", "detail")
    few = {space: torch.cat([known[space][:3], control[space][3:]]) for space in known}
    assert verdict(audit.judge(NEW[64], few, patients=[""] * 60)) == "pass"


def test_columns_are_those_of_the_files(audit, size):
    judged = judge(audit, NEW[size][:4])
    spaces = [f"{s}_{c}" for s in ("pixels", "edges") for c in ("distance", "training", "closeness", "authentic")]
    expected = ["ssim", "ssim_training", "mirrored", "shift", "likeness", *spaces, "flagged", "why"]
    assert [list(row) for row in judged.images] == [expected] * 4
    assert all(isinstance(value, str) for row in [*judged.images, *judged.measures] for value in row.values())
    columns = ["measure", "value", "low", "high", "p", "held_out", "n", "verdict", "detail"]
    assert all(list(row) == columns for row in judged.measures)
    measures = ["memorised", "authenticity"]
    assert [row["measure"] for row in judged.measures] == [
        *("flagged", "copies", "ssim"),
        *(f"{space}_{name}" for space in ("pixels", "edges") for name in measures),
        *("pixels_distance_ratio", "membership_auc_pixels", "edges_distance_ratio", "membership_auc_edges"),
    ]
    down, right = map(int, judged.images[0]["shift"].split())
    assert max(abs(down), abs(right)) <= size // 32
    assert (judged.images[0]["likeness"] == "") == (size == 32)


def test_the_same_twice_is_the_same(audit, size):
    assert judge(audit, NEW[size]) == judge(audit, NEW[size])


def test_a_class_of_few_training_images_is_audited():
    for count in (1, 3):
        training = RealImages(*(column[:count] for column in TRAINING[32]))
        judged = judge(audit_of(training, HELD_OUT[32]), torch.cat([NEW[32], training.images]))
        assert verdict(judged) == "fail" and measure(judged, "copies") == str(count)


def test_the_rule_tells_its_numbers():
    assert all(number in AUDIT_RULE for number in ("0.75", "0.6", "15%", "2%", "64 pixels"))


def test_bad_input_is_refused():
    nobody = RealImages(torch.empty(0, 1, 32, 32), [], [])
    with pytest.raises(InputError, match="got no held-out images"):
        Audit(TRAINING[32], nobody, {})
    with pytest.raises(ValueError, match=r"training images, ids and patients must be as many, got \(120, 119, 120\)"):
        Audit(TRAINING[32]._replace(ids=TRAINING[32].ids[1:]), HELD_OUT[32], {})
    audit = audit_of(TRAINING[32], HELD_OUT[32])
    with pytest.raises(ValueError, match=r"features in \['edges', 'pixels'\] .* got \['pixels'\] and 60 patients"):
        audit.judge(NEW[32], {"pixels": features(NEW[32])["pixels"]}, patients=[""] * 60)


def test_on_slices_of_the_figshare_set(shared: Path):
    with open(shared / "data/figshare/slices.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "meningioma"]
    folder = shared / "data/figshare_128/meningioma"

    def read(fold: str, count: int) -> RealImages:
        numbers = [row["number"] for row in rows if row["fold"] == fold][:count]
        arrays = np.stack([np.asarray(Image.open(folder / f"{number}.png"), dtype=np.float32) for number in numbers])
        return RealImages(torch.from_numpy(arrays)[:, None] / 255, numbers, [""] * len(numbers))

    training, held_out, new = read("2", 160), read("3", 100), read("1", 60).images
    audit = audit_of(training, held_out)
    copy = 0.9 * training.images[5].flip(-1).roll((2, -1), (1, 2))
    assert verdict(audit.judge_held_out()) == verdict(judge(audit, new)) == "pass"
    judged = judge(audit, torch.cat([new, copy[None]]))
    assert verdict(judged) == "fail" and measure(judged, "copies") == "1"
    assert judged.images[-1]["ssim_training"] == training.ids[5]
    assert (judged.images[-1]["mirrored"], judged.images[-1]["shift"]) == ("yes", "2 -1")


def test_there_is_no_p_value_where_patients_are_unknown():
    unknown = RealImages(TRAINING[64].images, TRAINING[64].ids, [""] * len(TRAINING[64].ids))
    told, silent = (judge(audit_of(training, HELD_OUT[64]), NEW[64]) for training in (TRAINING[64], unknown))
    assert 0 < float(measure(told, "pixels_distance_ratio", "p")) <= 1
    assert measure(silent, "pixels_distance_ratio", "p") == ""
    assert "p needs known patients" in measure(silent, "pixels_distance_ratio", "detail")
    assert "known" not in measure(told, "pixels_distance_ratio", "detail")
