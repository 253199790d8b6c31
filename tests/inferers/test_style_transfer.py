from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import PrepareBatchExtraInput, SupervisedEvaluator
from monai.networks.layers import GaussianFilter
from PIL import Image

from monai_aggrgan.inferers.style_transfer import StyleTransferInferer
from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features, load_vgg19, measured_scales

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def smooth(batch: int, size: int, seed: int) -> torch.Tensor:
    """Random images without the finest detail, 8-bit grey levels in [0, 1]."""
    noise = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))
    blurred = GaussianFilter(2, sigma=1.5)(noise)
    return ((blurred - 0.3) / 0.4 * 255).round().clamp(0, 255) / 255


@pytest.fixture(scope="module")
def styles() -> torch.Tensor:
    return smooth(2, 24, seed=0)


@pytest.fixture(scope="module")
def contents() -> torch.Tensor:
    return smooth(2, 16, seed=1)


@pytest.fixture(scope="module")
def network(styles: torch.Tensor) -> VGG19Features:
    return load_vgg19("random", scales=measured_scales(load_vgg19("random"), styles))


def literal_objective(network: VGG19Features, image: torch.Tensor, style: torch.Tensor, content: torch.Tensor):
    """Eq. 16 on a 0..255 image, nothing precomputed."""
    maps, style_maps, content_maps = network(image / 255), network(style), network(content)
    total = 5 * content_loss(maps[CONTENT_LAYER], content_maps[CONTENT_LAYER]) + 1e-3 * total_variation(image)
    for layer in STYLE_LAYERS:
        sizes = {"map_size": maps[layer][0, 0].numel(), "style_map_size": style_maps[layer][0, 0].numel()}
        total = total + 100 / 5 * style_loss(gram_matrix(maps[layer]), gram_matrix(style_maps[layer]), **sizes)
    return total.sum()


def test_no_iterations_return_the_content(network, styles, contents):
    contents = contents * 0.7  # grey levels that 255 * x / 255 would not give back
    inferer = StyleTransferInferer(max_iterations=0)
    assert torch.equal(inferer(styles, network, content=contents), contents)
    assert [report.iterations for report in inferer.reports] == [0, 0]
    assert inferer.reports[0].initial_loss == inferer.reports[0].final_loss
    assert inferer.reports[0].stopped_by == "max_iterations"


def test_follows_torchs_lbfgs_on_the_sum_of_losses(network, styles, contents):
    style, content = styles[:1], contents[:1]
    image = (255 * content).requires_grad_()
    optimizer = torch.optim.LBFGS([image], max_iter=6, tolerance_grad=0, tolerance_change=0, history_size=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = literal_objective(network, image, style, content)
        loss.backward()
        return loss

    optimizer.step(closure)
    inferer = StyleTransferInferer(
        max_iterations=6, patience=4, history_size=3, relative_tolerance=0
    )  # steps of 4 and 2
    restyled = inferer(style, network, content=content)
    (report,) = inferer.reports
    initial = literal_objective(network, 255 * content, style, content).item()
    final = literal_objective(network, image.detach(), style, content).item()
    assert report.iterations == 6
    assert report.initial_loss == pytest.approx(initial, rel=1e-5)
    assert report.final_loss == pytest.approx(final, rel=1e-3) and final < 0.8 * initial
    torch.testing.assert_close(restyled, (image.detach() / 255).clamp(0, 1), rtol=0, atol=1e-3)


def test_a_long_patience_is_not_cut_short(network, styles, contents):
    inferer = StyleTransferInferer(max_iterations=30, patience=30, relative_tolerance=0)
    inferer(styles[:1], network, content=contents[:1])
    assert (inferer.reports[0].iterations, inferer.reports[0].stopped_by) == (30, "max_iterations")


def test_the_batch_equals_its_images_one_by_one(network, styles, contents):
    inferer = StyleTransferInferer(max_iterations=6)
    together = inferer(styles, network, content=contents)
    assert len(inferer.reports) == 2
    alone = torch.cat([inferer(styles[i : i + 1], network, content=contents[i : i + 1]) for i in range(2)])
    assert torch.equal(together, alone)
    assert len(inferer.reports) == 1


def test_an_image_in_its_own_style_has_only_its_variation_to_lose(network, contents):
    inferer = StyleTransferInferer(max_iterations=0)
    inferer(contents, network, content=contents)
    variation = 1e-3 * total_variation(255 * contents)
    assert [report.initial_loss for report in inferer.reports] == pytest.approx(variation.tolist(), rel=1e-3)


def test_nothing_to_gain_is_converged_at_once(network, contents):
    inferer = StyleTransferInferer(total_variation_weight=0, relative_tolerance=0)
    assert torch.equal(inferer(contents, network, content=contents), contents)
    assert {(report.iterations, report.final_loss, report.stopped_by) for report in inferer.reports} == {
        (0, 0.0, "converged")
    }


def test_stops_when_too_little_is_gained(network, styles, contents):
    patient = StyleTransferInferer(patience=4, relative_tolerance=0.2, max_iterations=60)
    patient(styles[:1], network, content=contents[:1])
    (report,) = patient.reports
    assert report.stopped_by == "converged"
    assert 4 < report.iterations < 60 and report.iterations % 4 == 0
    losses = []
    for iterations in (report.iterations - 8, report.iterations - 4, report.iterations):
        exact = StyleTransferInferer(max_iterations=iterations, relative_tolerance=0)
        exact(styles[:1], network, content=contents[:1])
        assert (exact.reports[0].iterations, exact.reports[0].stopped_by) == (iterations, "max_iterations")
        losses.append(exact.reports[0].final_loss)
    assert losses[1] <= 0.8 * losses[0] and losses[2] > 0.8 * losses[1]


def test_a_loss_that_overflows_keeps_the_best_image(network, styles, contents):
    calls = []

    def breaks(images: torch.Tensor) -> dict[str, torch.Tensor]:
        calls.append(images)
        maps = network(images)
        return {name: value * float("inf") for name, value in maps.items()} if len(calls) == 9 else maps

    inferer = StyleTransferInferer(relative_tolerance=0)
    restyled = inferer(styles[:1], breaks, content=contents[:1])
    (report,) = inferer.reports
    assert (report.iterations, report.stopped_by) == (6, "not finite")  # two calls measure the targets, one the content
    assert report.final_loss < report.initial_loss
    assert any(torch.equal(restyled, images.detach().clamp(0, 1)) for images in calls[2:8])


def test_a_content_without_a_finite_loss_is_returned(network, styles, contents):
    broken = contents[:1].clone()
    broken[0, 0, 0, 0] = float("nan")
    inferer = StyleTransferInferer()
    assert torch.equal(inferer(styles[:1], network, content=broken).isnan(), broken.isnan())
    assert (inferer.reports[0].iterations, inferer.reports[0].stopped_by) == (0, "not finite")


def test_runs_in_an_evaluator_under_autocast_and_gives_plain_tensors(network, styles, contents):
    items = [
        {"image": MetaTensor(style), "content": MetaTensor(content)}
        for style, content in zip(styles, contents, strict=True)
    ]
    inferer = StyleTransferInferer(max_iterations=3)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items), batch_size=2),
        network=network,
        inferer=inferer,
        prepare_batch=PrepareBatchExtraInput({"content": "content"}),
        decollate=False,
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        evaluator.run()
    restyled = evaluator.state.output["pred"]
    assert type(restyled) is torch.Tensor and not restyled.requires_grad
    assert torch.equal(restyled, inferer(styles, network, content=contents))
    assert not torch.equal(restyled, contents)
    assert restyled.min() >= 0 and restyled.max() <= 1


def test_progress_counts_images(network, styles, contents, capsys):
    StyleTransferInferer(max_iterations=0, progress=True)(styles, network, content=contents)
    assert "2/2" in capsys.readouterr().err
    StyleTransferInferer(max_iterations=0)(styles, network, content=contents)
    assert not capsys.readouterr().err


def test_missing_or_unmatched_content_is_refused(network, styles, contents):
    inferer = StyleTransferInferer()
    with pytest.raises(ValueError, match="content is missing"):
        inferer(styles, network)
    with pytest.raises(ValueError, match=r"content must be \(B, 1, H, W\), B = 2 as in inputs, got \(1, 1, 16, 16\)"):
        inferer(styles, network, content=contents[:1])
    with pytest.raises(ValueError, match=r"inputs must be \(B, 1, H, W\)"):
        inferer(styles.expand(-1, 3, -1, -1), network, content=contents)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"style_weight": -1.0}, "must be 0 or more"),
        ({"content_weight": float("nan")}, "must be 0 or more"),
        ({"max_iterations": -1}, "got -1, 50 and 20"),
        ({"patience": 0}, "got 2000, 0 and 20"),
        ({"history_size": 0}, "got 2000, 50 and 0"),
        ({"relative_tolerance": 1.0}, r"in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_options_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        StyleTransferInferer(**option)


def test_the_papers_weights_sharpen_a_blurred_slice(tmp_path):
    unpack, slices = SHARED / "tools" / "unpack_vgg19.py", SHARED / "data" / "figshare_128" / "glioma"
    if not (unpack.exists() and slices.exists()):
        pytest.skip("needs the VGG-19 weights and Figshare slices of the shared folder")
    subprocess.run([sys.executable, unpack, tmp_path / "vgg19.pth"], check=True, capture_output=True)
    path = sorted(slices.glob("*.png"))[100]
    pixels = np.array(Image.open(path).convert("L").resize((64, 64), Image.Resampling.BOX))
    real = torch.from_numpy(pixels)[None, None] / 255
    blurred = GaussianFilter(2, sigma=1.5)(real)
    inferer = StyleTransferInferer(max_iterations=30)
    restyled = inferer(real, load_vgg19(tmp_path / "vgg19.pth"), content=blurred)
    assert inferer.reports[0].final_loss < 0.5 * inferer.reports[0].initial_loss
    assert total_variation(restyled) > 1.2 * total_variation(blurred)
