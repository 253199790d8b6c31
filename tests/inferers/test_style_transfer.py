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

from monai_aggrgan.inferers import style_transfer
from monai_aggrgan.inferers.style_objective import StyleObjective
from monai_aggrgan.inferers.style_transfer import StyleTransferInferer, StyleTransferReport
from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features
from monai_aggrgan.networks.vgg19_weights import load_vgg19

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
def network() -> VGG19Features:
    return load_vgg19("random")


@pytest.fixture(scope="module")
def precise_network(network: VGG19Features) -> VGG19Features:
    """For comparisons of one sum with another: in float32 they part by grey levels within ten iterations."""
    return copy.deepcopy(network).double()


def literal_objective(network: VGG19Features, image: torch.Tensor, style: torch.Tensor, content: torch.Tensor):
    """Eq. 16 on a 0..255 image, nothing precomputed."""
    pictures = (image / 255, style, content)
    scaled = [{name: layer * network.scales[name] for name, layer in network(one).items()} for one in pictures]
    maps, style_maps, content_maps = scaled
    total = 5 * content_loss(maps[CONTENT_LAYER], content_maps[CONTENT_LAYER]) + 1e-3 * total_variation(image)
    for layer in STYLE_LAYERS:
        style_gram, size = gram_matrix(style_maps[layer]), style_maps[layer][0, 0].numel()
        total = total + 100 / 5 * style_loss(maps[layer], style_gram, style_map_size=size)
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
    assert report.final_loss == pytest.approx(final, rel=1e-9) and final < 0.9 * initial
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


def test_an_image_in_its_own_style_stays_as_it_is(network, contents):
    """Its loss is nothing but rounding: 0 on some CPUs, 1e-9 on others, where that of noise is 1e8."""
    inferer = StyleTransferInferer(total_variation_weight=0, relative_tolerance=0, max_iterations=20)
    torch.testing.assert_close(inferer(contents, network, content=contents), contents, rtol=0, atol=1e-3)
    for report in inferer.reports:
        assert report.final_loss <= report.initial_loss < 1e-6
        assert report.final_loss > 0 or (report.iterations, report.stopped_by) == (0, "converged")


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


class Breaking(VGG19Features):
    """Its maps are spoilt from the ninth on: after two calls for the targets and one for the content, iteration 6."""

    def __init__(self, factor: float, last: float) -> None:
        super().__init__()
        self.factor, self.last = factor, last
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen.append(images.detach())
        spoilt = 9 <= len(self.seen) <= self.last
        return {name: maps * (self.factor if spoilt else 1) for name, maps in super().forward(images).items()}


def test_the_best_image_survives_a_bad_last_step(styles, contents):
    inferer, network = StyleTransferInferer(max_iterations=6), Breaking(10.0, last=9)
    restyled = inferer(styles[:1], network, content=contents[:1])
    (report,) = inferer.reports
    assert (report.iterations, report.stopped_by) == (6, "max_iterations")
    assert report.final_loss < report.initial_loss
    assert any(torch.equal(restyled, images.clamp(0, 1)) for images in network.seen[3:8])


def test_a_step_that_is_not_finite_is_shortened(styles, contents):
    inferer, network = StyleTransferInferer(max_iterations=9, relative_tolerance=0), Breaking(torch.inf, last=9)
    inferer(styles[:1], network, content=contents[:1])
    assert inferer.reports[0].stopped_by == "max_iterations"
    whole, half = (images - network.seen[7] for images in network.seen[8:10])
    torch.testing.assert_close(half, whole / 2, rtol=0, atol=1e-6)
    assert inferer.reports[0].final_loss < inferer.reports[0].initial_loss


def test_a_loss_that_stays_not_finite_ends_the_image(styles, contents):
    inferer, network = StyleTransferInferer(max_iterations=90), Breaking(torch.inf, last=99)
    restyled = inferer(styles[:1], network, content=contents[:1])
    (report,) = inferer.reports
    assert (report.iterations, report.stopped_by) == (25, "not finite")
    assert any(torch.equal(restyled, images.clamp(0, 1)) for images in network.seen[3:8])


def test_a_content_without_a_finite_loss_is_returned(network, styles, contents, caplog):
    broken = contents[:1].clone()
    broken[0, 0, 0, 0] = float("nan")
    inferer = StyleTransferInferer()
    assert torch.equal(inferer(styles[:1], network, content=broken).isnan(), broken.isnan())
    assert (inferer.reports[0].iterations, inferer.reports[0].stopped_by) == (0, "not finite")
    assert "the loss of image 0 of 1 was not finite" in caplog.text


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_images_take_turns_in_the_batch(batch_size, precise_network):
    styles, contents = smooth(5, 24, seed=2), smooth(5, 16, seed=3)
    contents[3] = torch.nan
    whole = StyleTransferInferer(max_iterations=4, batch_size=5)
    expected = whole(styles, precise_network, content=contents)
    inferer = StyleTransferInferer(max_iterations=4, batch_size=batch_size)
    torch.testing.assert_close(
        inferer(styles, precise_network, content=contents), expected, rtol=0, atol=1e-8, equal_nan=True
    )
    for report, other in zip(inferer.reports, whole.reports, strict=True):
        assert (report.iterations, report.stopped_by) == (other.iterations, other.stopped_by)
        assert report.final_loss == pytest.approx(other.final_loss, rel=1e-9)
    assert [report.stopped_by for report in inferer.reports].index("not finite") == 3


def test_nothing_comes_of_the_styles_pixels_but_by_their_grams(precise_network):
    """Mirrored styles have the same Grams under mirrored filters; here the pixels leave by no other way."""

    class Blind(VGG19Features):
        """Sees a style image, known by its size, as one whose pixels are in another place."""

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            maps = super().forward(images)
            if images.shape[-1] == 24:
                order = {name: torch.randperm(layer[0, 0].numel(), generator=chance) for name, layer in maps.items()}
                maps = {name: layer.flatten(2)[..., order[name]].view_as(layer) for name, layer in maps.items()}
            return maps

    chance = torch.Generator().manual_seed(0)
    styles, contents = smooth(1, 24, seed=0).double(), smooth(1, 16, seed=1).double()
    blind = Blind().double()
    blind.load_state_dict(precise_network.state_dict())
    blind.scales = precise_network.scales
    inferer = StyleTransferInferer(max_iterations=5)
    seen, rearranged = (inferer(styles, network, content=contents) for network in (precise_network, blind))
    assert (seen - contents).abs().max() > 0.01
    torch.testing.assert_close(rearranged, seen, rtol=0, atol=1e-9)


def test_a_style_with_its_pixels_elsewhere_and_equal_grams_gives_the_same_image(tmp_path):
    """A network of 1x1 filters has Grams that do not see where pixels are: any arrangement of them is one style."""
    pointwise = VGG19Features()
    for layer in pointwise.features:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    torch.save(pointwise.state_dict(), tmp_path / "pointwise.pth")
    network = load_vgg19(tmp_path / "pointwise.pth").double()
    blocks = torch.rand(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    style, shuffled = (
        one.view(1, 1, 3, 3).repeat_interleave(16, 2).repeat_interleave(16, 3)  # whole blocks survive the poolings
        for one in (blocks, blocks[torch.randperm(9, generator=torch.Generator().manual_seed(1))])
    )
    assert not torch.equal(style, shuffled)
    inferer = StyleTransferInferer(max_iterations=8, relative_tolerance=0)
    contents = smooth(1, 48, seed=1).double()  # as large as the styles, which could be the start
    first, second = (inferer(one, network, content=contents) for one in (style, shuffled))
    assert (first - contents).abs().max() > 0.01
    torch.testing.assert_close(second, first, rtol=0, atol=1e-9)


def test_adam_comes_to_a_lower_loss_too(network, styles, contents):
    inferer = StyleTransferInferer(optimizer="adam", learning_rate=4.0, max_iterations=12, relative_tolerance=0)
    inferer(styles, network, content=contents)
    for report in inferer.reports:
        assert report.final_loss < 0.8 * report.initial_loss and report.iterations == 12


def test_the_learning_rate_is_the_optimisers(network, styles, contents):
    def change(**options: object) -> float:
        inferer = StyleTransferInferer(max_iterations=1, **options)
        return float((inferer(styles, network, content=contents) - contents).abs().max())

    grey_level = change(optimizer="adam", learning_rate=2.0) * 255
    assert grey_level == pytest.approx(2.0, rel=1e-2)  # Adam's first step has the length of its rate
    assert change(learning_rate=1.0) == pytest.approx(2 * change(learning_rate=0.5), rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_trunk_in_half_precision_ends_at_nearly_the_same_loss(dtype, network, styles, contents):
    inferer = StyleTransferInferer(max_iterations=8, relative_tolerance=0)
    inferer(styles, network, content=contents)
    expected = [report.final_loss for report in inferer.reports]
    restyled = inferer(styles, copy.deepcopy(network).to(dtype), content=contents)
    assert restyled.dtype == torch.float32
    assert [report.final_loss for report in inferer.reports] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("size", [64, 512])
def test_sizes_from_64_to_512(size, network):
    inferer = StyleTransferInferer(max_iterations=1)
    content, style = smooth(1, size, seed=0), smooth(1, 64, seed=1)
    restyled = inferer(style, network, content=content)
    assert restyled.shape == content.shape and not torch.equal(restyled, content)
    assert inferer.reports[0].final_loss < inferer.reports[0].initial_loss


def test_no_images_give_no_images(network):
    nothing = torch.zeros(0, 1, 16, 16)
    assert StyleTransferInferer()(nothing, network, content=nothing).shape == (0, 1, 16, 16)


def test_works_under_inference_mode(network, styles, contents):
    inferer = StyleTransferInferer(max_iterations=2)
    with torch.inference_mode():
        restyled = inferer(styles.clone(), network, content=contents.clone())
    assert torch.equal(restyled, inferer(styles, network, content=contents))


@pytest.mark.parametrize(("free", "expected"), [(10**12, 5), (51 * 64**2 * 400, 3), (1, 1)])
def test_the_batch_fits_the_free_memory_in_even_shares(free, expected, network, monkeypatch):
    rows = []

    class Noting(StyleObjective):
        def __init__(self, *arguments: object, **options: object) -> None:
            rows.append(options["rows"])
            super().__init__(*arguments, **options)

    monkeypatch.setattr(style_transfer, "StyleObjective", Noting)
    monkeypatch.setattr(style_transfer, "_free_memory", lambda device: free)
    images = smooth(5, 64, seed=0)
    StyleTransferInferer(max_iterations=0)(images, network, content=images)
    assert rows == [expected]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.01), (torch.float16, 0.02), (torch.bfloat16, 0.05)])
def test_cuda_ends_at_the_loss_of_the_cpu(dtype, tolerance, network):
    styles, contents = smooth(5, 64, seed=0), smooth(5, 64, seed=1)
    inferer = StyleTransferInferer(max_iterations=40, relative_tolerance=0, batch_size=2)
    inferer(styles, network, content=contents)
    expected = [report.final_loss for report in inferer.reports]
    trunk = copy.deepcopy(network).to("cuda", dtype)
    restyled = inferer(styles.cuda(), trunk, content=contents.cuda())
    assert restyled.is_cuda
    assert [report.final_loss for report in inferer.reports] == pytest.approx(expected, rel=tolerance)


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
    with pytest.raises(ValueError, match=r"each content needs a style image of its own, got 1 and 2"):
        inferer(styles, network, content=contents[:1])
    with pytest.raises(ValueError, match=r"inputs, the style images, must be grey .*, got \(2, 3, 24, 24\)"):
        inferer(styles.expand(-1, 3, -1, -1), network, content=contents)
    with pytest.raises(ValueError, match="content must be where the network is, on cpu, got images on meta"):
        inferer(styles, network, content=contents.to("meta"))
    with pytest.raises(ValueError, match=r"content must be a tensor \(B, 1, H, W\), got list"):
        inferer(styles, network, content=list(contents))
    with pytest.raises(ValueError, match="network must be VGG-19 as load_vgg19 gives it, got str"):
        inferer(styles, "vgg19.pth", content=contents)


@pytest.mark.parametrize(
    "spoil", [lambda images: 255 * images, lambda images: (255 * images).byte(), lambda x: x - 0.5]
)
def test_images_on_another_scale_are_refused(spoil, network, styles, contents):
    with pytest.raises(ValueError, match=r"content must be in \[0, 1\], got .* to "):
        StyleTransferInferer()(styles, network, content=spoil(contents))
    with pytest.raises(ValueError, match=r"inputs, the style images, must be in \[0, 1\]"):
        StyleTransferInferer()(spoil(styles), network, content=contents)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"style_weight": -1.0}, "must be 0 or more"),
        ({"content_weight": float("nan")}, "must be 0 or more"),
        ({"max_iterations": -1}, "got -1, 50 and 20"),
        ({"patience": 0}, "got 2000, 0 and 20"),
        ({"history_size": 0}, "got 2000, 50 and 0"),
        ({"relative_tolerance": 1.0}, r"in \[0, 1\), got 1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 .*, got 0.0 and None"),
        ({"batch_size": 0}, "batch_size 1 or more, got 1.0 and 0"),
        ({"optimizer": "sgd"}, "sgd"),
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
