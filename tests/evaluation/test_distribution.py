from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from monai_aggrgan.evaluation.distribution import COLUMNS, HEADINGS, IMAGES, METRIC_NOTES, Distribution, ImageSet
from monai_aggrgan.metrics.diversity import ms_ssim_diversity
from monai_aggrgan.metrics.fidelity import frechet_distance, precision_recall
from monai_aggrgan.metrics.whitening import Whitening
from monai_aggrgan.networks.feature_space import FeatureSpace, pixel_space


def moments(images: Tensor) -> Tensor:
    """Six numbers of an image: grey levels of its quarters, its contrast, and what a step to the right changes."""
    quarters = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
    steps = images.diff(dim=-1).abs().mean(dim=(1, 2, 3))
    return torch.cat([quarters, images.flatten(1).std(dim=1, keepdim=True), steps[:, None]], dim=1)


SPACES = [FeatureSpace("moments", "six numbers", moments), pixel_space(4)]


def blobs(count: int, *, seed: int, size: int = 16) -> Tensor:
    """Bright discs of random place, size and grey, with some texture, on black."""
    generator = torch.Generator().manual_seed(seed)
    x, y, radius, grey = torch.rand(4, count, 1, 1, generator=generator)
    axis = torch.linspace(-1, 1, size)
    distance = torch.hypot(axis - 0.4 * (x - 0.5), axis[:, None] - 0.4 * (y - 0.5))
    texture = 1 - 0.3 * torch.rand(count, size, size, generator=generator)
    return ((0.4 + 0.6 * grey) * texture * torch.sigmoid(12 * (0.4 + 0.3 * radius - distance)))[:, None]


def image_set(images: Tensor, *, patients: list[str] | None = None) -> ImageSet:
    features = {space.name: space(images) if len(images) else torch.zeros(0, 6) for space in SPACES}
    return ImageSet(images, features, patients or [""] * len(images))


@pytest.fixture(scope="module")
def held_out() -> ImageSet:
    return image_set(blobs(60, seed=1), patients=[f"h{index // 3}" for index in range(60)])


@pytest.fixture(scope="module")
def training() -> ImageSet:
    return image_set(blobs(150, seed=2), patients=[f"t{index // 3}" for index in range(150)])


@pytest.fixture(scope="module")
def distribution(held_out, training) -> Distribution:
    return Distribution("disc", held_out=held_out, training=training, count=50, spaces=SPACES, seed=3)


def by_metric(rows: list[dict[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["space"], row["metric"]): row for row in rows}


def value(rows: list[dict[str, str]], space: str, metric: str, column: str = "value") -> float:
    return float(by_metric(rows)[space, metric][column])


def test_rows_have_the_columns_and_the_same_n_in_every_method(distribution):
    real, judged = distribution.judge_real(), distribution.judge("dcgan1", image_set(blobs(70, seed=4)))
    for rows, method in ((real, "real"), (judged, "dcgan1")):
        assert len(rows) == 7 + 7 + 2
        for row in rows:
            assert tuple(row) == COLUMNS and all(isinstance(text, str) for text in row.values())
            assert (row["class_name"], row["method"], row["n"], row["reference_n"]) == ("disc", method, "50", "60")
            assert row["extractor"] and row["value"]
    extractors = {row["metric"]: row["extractor"] for row in judged if row["space"] == "moments"}
    assert extractors["kid"] == "six numbers, whitened to 6 components of 150 training images"
    assert extractors["recall"] == "six numbers"
    assert by_metric(judged)[IMAGES, "ms_ssim"]["extractor"] == "mean of 300 pairs, 1 scale"


def test_every_metric_has_a_heading_and_a_sentence(distribution):
    metrics = list(dict.fromkeys(row["metric"] for row in distribution.judge_real()))
    assert metrics == list(HEADINGS) == list(METRIC_NOTES)


def test_intervals_hold_their_values(distribution):
    rows = distribution.judge("dcgan1", image_set(blobs(50, seed=4)))
    without = {"frechet", "distinct"}
    for row in rows:
        if row["metric"] in without:
            assert row["low"] == row["high"] == ""
        else:
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_values_are_the_metrics_own(distribution, held_out, training):
    judged = image_set(blobs(50, seed=4))
    rows = distribution.judge("dcgan1", judged)
    whiten = Whitening(training.features["moments"])
    expected = frechet_distance(whiten(judged.features["moments"]), whiten(held_out.features["moments"]))
    assert value(rows, "moments", "frechet") == pytest.approx(expected.item(), rel=1e-5)
    plain = frechet_distance(judged.features["pixels"], held_out.features["pixels"])
    assert value(rows, "pixels", "frechet") == pytest.approx(plain.item(), rel=1e-5)
    precision, recall = precision_recall(judged.features["pixels"], held_out.features["pixels"])
    assert value(rows, "pixels", "precision") == pytest.approx(precision.item(), rel=1e-5)
    assert value(rows, "pixels", "recall") == pytest.approx(recall.item(), rel=1e-5)
    similarities = ms_ssim_diversity(judged.images, seed=3).values
    assert value(rows, IMAGES, "ms_ssim") == pytest.approx(similarities.mean().item(), rel=1e-5)


def test_real_images_pass_and_copies_of_held_out_images_do_no_worse(distribution, held_out):
    real = distribution.judge_real()
    copies = distribution.judge("copies", held_out)
    for space in ("moments", "pixels"):
        assert value(real, space, "kid", "low") < 0 < value(real, space, "kid", "high")
        assert value(real, space, "frechet_ratio") == 1
        assert value(copies, space, "kid") < value(real, space, "kid", "high")
        assert value(copies, space, "frechet_ratio") < 1
        assert value(copies, space, "precision") == 1
        for metric in ("recall", "density", "coverage"):
            assert value(copies, space, metric) >= value(real, space, metric)
    assert value(real, IMAGES, "distinct") == 50


def test_noise_fails_every_row_of_fidelity(distribution):
    real = distribution.judge_real()
    noise = distribution.judge(
        "noise", image_set(torch.rand(50, 1, 16, 16, generator=torch.Generator().manual_seed(5)))
    )
    for space in ("moments", "pixels"):
        assert value(noise, space, "kid", "low") > value(real, space, "kid", "high")
        assert value(noise, space, "frechet_ratio", "low") > 2
        for metric in ("precision", "recall", "density", "coverage"):
            assert value(noise, space, metric) == 0


def test_a_collapsed_generator_fails_the_rows_of_variety(distribution):
    real = distribution.judge_real()
    images = blobs(3, seed=6).repeat(17, 1, 1, 1)[:50]
    images = (images + 0.002 * torch.randn(images.shape, generator=torch.Generator().manual_seed(7))).clamp(0, 1)
    collapsed = distribution.judge("collapsed", image_set(images))
    for metric in ("recall", "coverage"):
        assert value(collapsed, "pixels", metric, "high") < value(real, "pixels", metric, "low")
    assert value(collapsed, IMAGES, "distinct") == 3
    assert value(collapsed, IMAGES, "ms_ssim", "low") > value(real, IMAGES, "ms_ssim", "high")


def test_the_order_of_images_changes_no_value(distribution):
    """But that of MS-SSIM, whose pairs are drawn by place."""
    images = blobs(50, seed=4)
    rows, again = (distribution.judge("x", image_set(given)) for given in (images, images.flip(0)))
    for row, other in zip(rows, again, strict=True):
        if row["metric"] != "ms_ssim":
            assert float(row["value"]) == pytest.approx(float(other["value"]), rel=1e-5)


def test_images_that_are_drawn_keep_their_features_and_patients():
    images = torch.arange(30.0).view(-1, 1, 1, 1)
    whole = ImageSet(images, {"x": 2 * images.flatten(1)}, [str(index) for index in range(30)])
    drawn = whole.drawn(12, seed=1)
    assert drawn.images.flatten().tolist() == [float(patient) for patient in drawn.patients] != list(range(12))
    assert torch.equal(drawn.features["x"], 2 * drawn.images.flatten(1)) and len(set(drawn.patients)) == 12
    assert whole.drawn(12, seed=1).patients == drawn.patients != whole.drawn(12, seed=2).patients
    assert whole.drawn(30, seed=1) is whole


def test_methods_do_not_depend_on_each_other_and_draws_on_the_seed_alone(held_out, training):
    judged = image_set(blobs(70, seed=4))
    made = [
        Distribution("disc", held_out=held_out, training=training, count=50, spaces=SPACES, seed=seed)
        for seed in (3, 3, 4)
    ]
    made[1].judge("other", image_set(blobs(50, seed=9)))
    rows = [each.judge("x", judged) for each in made]
    assert rows[0] == rows[1] != rows[2]
    assert made[0].judge_real() == made[1].judge_real() != made[2].judge_real()


def test_images_of_one_patient_widen_intervals(held_out, training):
    """Five slices a patient that are nearly the same are ten facts, not fifty."""
    images = blobs(10, seed=4).repeat_interleave(5, dim=0)
    images = images + 0.01 * torch.rand(images.shape, generator=torch.Generator().manual_seed(8))
    distribution = Distribution("disc", held_out=held_out, training=training, count=50, spaces=SPACES)
    unknown, known = (
        distribution.judge("x", image_set(images, patients=patients))
        for patients in (None, [f"t{index // 5}" for index in range(50)])
    )
    for space, metric in (("moments", "kid"), ("moments", "frechet_ratio"), ("pixels", "density"), (IMAGES, "ms_ssim")):
        narrow, wide = (
            value(rows, space, metric, "high") - value(rows, space, metric, "low") for rows in (unknown, known)
        )
        assert wide > 1.2 * narrow


@pytest.mark.parametrize(("count", "references"), list(itertools.product((0, 1, 2, 3, 4, 6), (0, 1, 2, 4, 6))))
def test_few_images_leave_cells_empty(count, references):
    distribution = Distribution(
        "disc",
        held_out=image_set(blobs(references, seed=1)),
        training=image_set(blobs(count, seed=2)),
        count=count,
        spaces=SPACES,
    )
    rows = by_metric(distribution.judge("x", image_set(blobs(count, seed=3))))
    assert {(row["n"], row["reference_n"]) for row in rows.values()} == {(str(count), str(references))}
    there = {key for key, row in rows.items() if row["value"]}
    for space in ("moments", "pixels"):
        needed = {"precision": (4, 4), "recall": (4, 4), "density": (1, 6), "coverage": (1, 6)}
        needed |= dict.fromkeys(("kid", "frechet", "frechet_ratio"), (2, 2))
        for metric, (own, others) in needed.items():
            assert ((space, metric) in there) == (count >= own and references >= others), metric
    assert ((IMAGES, "ms_ssim") in there) == (count >= 2)
    assert rows[IMAGES, "distinct"]["value"] == str(count)
    assert len(distribution.judge_real()) == 16


def test_equal_images_leave_cells_empty_where_nothing_can_be_said():
    grey = image_set(torch.full((8, 1, 16, 16), 0.5))
    distribution = Distribution("disc", held_out=grey, training=grey, count=8, spaces=SPACES)
    rows = by_metric(distribution.judge("x", image_set(blobs(8, seed=1))))
    assert rows["moments", "kid"]["value"] == "" and rows["pixels", "kid"]["value"]
    assert rows["pixels", "frechet_ratio"]["value"] == ""
    assert rows["moments", "precision"]["value"] == "0"


def test_images_smaller_than_the_window_have_no_ms_ssim(held_out, training):
    reals = [
        side._replace(images=blobs(len(side.images), seed=seed, size=8))
        for seed, side in ((1, held_out), (2, training))
    ]
    distribution = Distribution("disc", held_out=reals[0], training=reals[1], count=5, spaces=[])
    rows = by_metric(distribution.judge("x", image_set(blobs(5, seed=4, size=8))))
    assert rows[IMAGES, "ms_ssim"]["value"] == "" and rows[IMAGES, "distinct"]["value"] == "5"


def test_what_does_not_fit_is_refused(distribution, held_out, training):
    with pytest.raises(ValueError, match=r"at least 50, got .*'images': 49"):
        distribution.judge("x", image_set(blobs(49, seed=4)))
    with pytest.raises(ValueError, match=r"must be as many.*'pixels': 0"):
        distribution.judge("x", held_out._replace(features={"moments": held_out.features["moments"]}))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got values from 2 to 2"):
        distribution.judge("x", held_out._replace(images=held_out.images.clone().clamp(min=2)))
    with pytest.raises(ValueError, match=r"of the size of the held-out ones, got \("):
        distribution.judge("x", held_out._replace(images=held_out.images[..., 1:]))
    with pytest.raises(ValueError, match="'patients': 2"):
        distribution.judge("x", held_out._replace(patients=["", ""]))
    with pytest.raises(ValueError, match="count must be 0 to 150, the training images, got 151"):
        Distribution("disc", held_out=held_out, training=training, count=151, spaces=SPACES)
