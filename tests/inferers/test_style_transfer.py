from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import PrepareBatchExtraInput, SupervisedEvaluator
from monai.networks.layers import GaussianFilter
from PIL import Image

from monai_aggrgan.inferers.style_transfer import StyleTransferInferer, StyleTransferReport
from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features, load_vgg19, measured_scales

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def smooth(batch: int, size: int, seed: int) -> torch.Tensor:
    """Random images without the finest detail, 8-bit grey levels in [0, 1]."""
    noise = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))
    blurred = GaussianFilter(2, sigma=1.5)(noise)
    return ((blurred - 0.3) / 0.4 * 255).round().clamp(0, 255) / 255


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads sum in an order of their own, and L-BFGS amplifies the rounding."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def styles() -> torch.Tensor:
    return smooth(2, 24, seed=0)


@pytest.fixture(scope="module")
def contents() -> torch.Tensor:
    return smooth(2, 16, seed=1)


@pytest.fixture(scope="module")
def network(styles: torch.Tensor) -> VGG19Features:
    return load_vgg19("random", scales=measured_scales(load_vgg19("random"), styles))


@pytest.fixture(scope="module")
def precise_network(network: VGG19Features) -> VGG19Features:
    """For comparisons of one sum with another: in float32 they part by grey levels within ten iterations."""
    return copy.deepcopy(network).double()


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


def test_follows_torchs_lbfgs_on_the_sum_of_losses(precise_network, styles, contents):
    network, style, content = precise_network, styles[:1].double(), contents[:1].double()
    image = (255 * content).requires_grad_()
    optimizer = torch.optim.LBFGS([image], max_iter=9, tolerance_grad=0, tolerance_change=0, history_size=5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = literal_objective(network, image, style, content)
        loss.backward()
        return loss

    optimizer.step(closure)
    inferer = StyleTransferInferer(max_iterations=9, patience=4, history_size=5, relative_tolerance=0)  # 4, 4 and 1
    restyled = inferer(style, network, content=content)
    (report,) = inferer.reports
    initial = literal_objective(network, 255 * content, style, content).item()
    final = literal_objective(network, image.detach(), style, content).item()
    assert report.iterations == 9
    assert report.initial_loss == pytest.approx(initial, rel=1e-9)
    assert report.final_loss == pytest.approx(final, rel=1e-9) and final < 0.7 * initial
    torch.testing.assert_close(restyled, (image.detach() / 255).clamp(0, 1), rtol=0, atol=1e-8)


def test_a_long_patience_is_not_cut_short(network, styles, contents):
    inferer = StyleTransferInferer(max_iterations=30, patience=30, relative_tolerance=0)
    inferer(styles[:1], network, content=contents[:1])
    assert (inferer.reports[0].iterations, inferer.reports[0].stopped_by) == (30, "max_iterations")


def test_a_small_objective_is_no_reason_to_stop(network, styles, contents):
    weights = {"content_weight": 5e-20, "style_weight": 1e-18, "total_variation_weight": 1e-23}
    inferer = StyleTransferInferer(max_iterations=3, relative_tolerance=0, **weights)
    inferer(styles[:1], network, content=contents[:1])
    assert inferer.reports[0].iterations == 3


def test_the_batch_equals_its_images_one_by_one(precise_network, styles, contents):
    inferer = StyleTransferInferer(max_iterations=4)
    together = inferer(styles, precise_network, content=contents)
    assert len(inferer.reports) == 2
    for i in range(2):
        alone = inferer(styles[i : i + 1], precise_network, content=contents[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-8)
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


def test_stops_when_patience_iterations_gain_too_little(network, styles, contents):
    def report(**options: float) -> StyleTransferReport:
        inferer = StyleTransferInferer(patience=4, **options)
        inferer(styles[:1], network, content=contents[:1])
        return inferer.reports[0]

    four = report(max_iterations=4, relative_tolerance=0)
    gain = 1 - four.final_loss / four.initial_loss
    assert 0.05 < gain < 0.95
    stopped = report(max_iterations=6, relative_tolerance=1.02 * gain)
    assert (stopped.iterations, stopped.stopped_by) == (4, "converged")
    assert stopped.final_loss == pytest.approx(four.final_loss, rel=1e-3)
    continued = report(max_iterations=6, relative_tolerance=0.98 * gain)
    assert (continued.iterations, continued.stopped_by) == (6, "max_iterations")


@pytest.mark.parametrize(("factor", "stopped_by"), [(torch.inf, "not finite"), (10.0, "max_iterations")])
def test_the_best_image_survives_a_bad_last_step(factor, stopped_by, network, styles, contents):
    class Breaking(VGG19Features):
        """Its ninth maps are spoilt: after two calls for the targets and one for the content, the sixth iteration."""

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            seen.append(images.detach())
            return {name: maps * (factor if len(seen) == 9 else 1) for name, maps in super().forward(images).items()}

    seen: list[torch.Tensor] = []
    inferer = StyleTransferInferer(max_iterations=6)
    restyled = inferer(styles[:1], Breaking(scales=network.scales), content=contents[:1])
    (report,) = inferer.reports
    assert (report.iterations, report.stopped_by) == (6, stopped_by)
    assert report.final_loss < report.initial_loss
    assert any(torch.equal(restyled, images.clamp(0, 1)) for images in seen[3:8])


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
    torch.testing.assert_close(restyled, inferer(styles, network, content=contents), rtol=0, atol=1e-3)
    assert (restyled - contents).abs().max() > 0.05
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
