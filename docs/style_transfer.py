"""Draw the pictures of `style_transfer.md` and print its numbers: `python docs/style_transfer.py --weights vgg19.pth`.

Everything is made from phantoms, drawings from formulas; no patient's image is needed or used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter
from torch import Tensor

from monai_aggrgan.data.phantoms import phantom_slice
from monai_aggrgan.inferers import StyleTransferInferer
from monai_aggrgan.inferers.style_objective import StyleObjective
from monai_aggrgan.networks import load_vgg19
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.optimizers import BatchedAdam, BatchedLBFGS, BatchedOptimizer

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

WEIGHTS = {"content_weight": 5.0, "style_weight": 100.0, "total_variation_weight": 1e-3}  # the paper's
STYLE_WEIGHTS = (0.0, 1.0, 10.0, 100.0, 1000.0)
HEADS = ((3, 12, "ring"), (21, 31, "blob"), (22, 32, "sellar"))  # seeds of content and style, class
TOLERANCE, PATIENCE = 2e-3, 50  # the relative stop of StyleTransferInferer

Array = NDArray[np.float32]


def blurred(image: Tensor) -> Tensor:
    """The image (1, 1, size, size) without its finest detail: sigma of one pixel at 128x128."""
    size = image.shape[3]
    return torch.from_numpy(gaussian_filter(image[0, 0].numpy(), size / 128))[None, None]


def merge(class_name: str, *, seed: int, size: int = 128) -> Tensor:
    """Mean of two slices of a head, (1, 1, size, size); blurred, it resembles an aggregated synthetic image."""
    slices = [phantom_slice(class_name, seed=seed, size=size, level=level) for level in (-0.4, 0.4)]
    return torch.from_numpy((slices[0] + slices[1]) / 2)[None, None]


def style_image(class_name: str, *, seed: int, size: int = 128) -> Tensor:
    """Slice of another head, (1, 1, size, size)."""
    return torch.from_numpy(phantom_slice(class_name, seed=seed, size=size))[None, None]


def pairs(size: int) -> tuple[Tensor, Tensor]:
    """Contents and styles, a pair of each class."""
    contents = [blurred(merge(class_name, seed=seed, size=size)) for seed, _, class_name in HEADS]
    styles = [style_image(class_name, seed=seed, size=size) for _, seed, class_name in HEADS]
    return torch.cat(contents), torch.cat(styles)


def terms(network: VGG19Features, contents: Tensor, styles: Tensor, images: Tensor) -> tuple[float, float, float]:
    """Content, style and total variation loss of the first image, each with weight 1."""
    values = []
    for chosen in WEIGHTS:
        alone = {name: float(name == chosen) for name in WEIGHTS}
        objective = StyleObjective(network, contents, styles, rows=1, **alone)
        values.append(float(objective(255 * (images - contents))[0]))
    return values[0], values[1], values[2]


def distance_from_head(image: Array) -> NDArray[np.float64]:
    """Pixels from each pixel to the head, 0 inside."""
    return np.asarray(distance_transform_edt(~binary_fill_holes(gaussian_filter(image, 1) > 0.15)))


def air(image: Array, head: Array) -> str:
    """Grey levels more than four pixels outside a head; the greatest also without eight pixels at the border."""
    outside = distance_from_head(head) > 4
    levels, inner = 255 * image[outside], 255 * image[8:-8, 8:-8][outside[8:-8, 8:-8]]
    shares = f"mean {levels.mean():.1f}, 99 % below {np.percentile(levels, 99):.1f}"
    return f"{shares}, max {levels.max():.1f} ({inner.max():.1f} off the border)"


def draw(path: Path, images: dict[str, tuple[Array, float, float]], *, columns: int) -> None:
    """Save images under their titles, each in its grey window."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.3 * columns, 2.7 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, (image, low, high)) in zip(axes.flat, images.items(), strict=False):
        axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(title, fontsize=9)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write the figure, without a date, so that the same picture is the same file."""
    figure.savefig(path, dpi=110, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(figure)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def restyling(network: VGG19Features, folder: Path, iterations: int) -> None:
    """Figure 1: content, style, result, what changed, and the air in a narrow window; noisy air, then black air."""
    noisy = [merge("ring", seed=3), style_image("ring", seed=12)]
    black = [image * torch.from_numpy(distance_from_head(image[0, 0].numpy()) < 1) for image in noisy]
    contents = torch.cat([blurred(noisy[0]), blurred(black[0])])
    styles = torch.cat([noisy[1], black[1]])
    inferer = StyleTransferInferer(max_iterations=iterations)
    restyled = inferer(styles, network, content=contents)
    images: dict[str, tuple[Array, float, float]] = {}
    for row, name in enumerate(("noisy air", "black air")):
        before, after, reference = (batch[row, 0].numpy() for batch in (contents, restyled, styles))
        print(f"{name}: {inferer.reports[row]}")
        print(f"  content: {air(before, before)}; style: {air(reference, reference)}; result: {air(after, before)}")
        print(f"  change: {255 * np.sqrt(np.square(after - before).mean()):.1f} grey levels rms")
        at = slice(row, row + 1)
        print(f"  terms before {terms(network, contents[at], styles[at], contents[at])}")
        print(f"  terms after  {terms(network, contents[at], styles[at], restyled[at])}")
        images |= {
            f"{name}: content": (before, 0.0, 1.0),
            f"{name}: style": (reference, 0.0, 1.0),
            f"{name}: result": (after, 0.0, 1.0),
            f"{name}: result - content\nwindow -0.4..0.4": (after - before, -0.4, 0.4),
            f"{name}: result\nwindow 0..0.2": (after, 0.0, 0.2),
        }
    draw(folder / "style_transfer_1_example.png", images, columns=5)


def sweep(network: VGG19Features, folder: Path, iterations: int) -> None:
    """Figure 2: the same images for several style weights."""
    contents, styles = (images[:2] for images in pairs(128))
    rows: list[dict[str, tuple[Array, float, float]]] = [{}, {}]
    for weight in STYLE_WEIGHTS:
        inferer = StyleTransferInferer(style_weight=weight, max_iterations=iterations)
        restyled = inferer(styles, network, content=contents)
        for row, (_, _, class_name) in enumerate(HEADS[:2]):
            at = slice(row, row + 1)
            content_term, style_term, _ = terms(network, contents[at], styles[at], restyled[at])
            title = f"{class_name}, style weight {weight:g}\ncontent {content_term:.1e}\nstyle {style_term:.1e}"
            print(title.replace("\n", ", "), inferer.reports[row])
            rows[row][title] = (restyled[row, 0].numpy(), 0.0, 1.0)
    draw(folder / "style_transfer_2_weights.png", rows[0] | rows[1], columns=len(STYLE_WEIGHTS))


def losses(objective: StyleObjective, optimizer: BatchedOptimizer, iterations: int) -> NDArray[np.float64]:
    """Least loss after 0, 1, ... iterations, (iterations + 1, B)."""
    curve = []
    for _ in range(iterations + 1):
        optimizer.step(objective)
        curve.append(optimizer.best_losses.double().numpy().copy())
    return np.stack(curve)


def stop(curve: NDArray[np.float64]) -> int:
    """Iteration at which the relative stop ends an image of these losses; the last one when it never does."""
    checks = range(PATIENCE, len(curve), PATIENCE)
    return next((k for k in checks if curve[k] > (1 - TOLERANCE) * curve[k - PATIENCE]), len(curve) - 1)


def curves(network: VGG19Features, folder: Path, iterations: int) -> None:
    """Figure 3: loss against iterations of L-BFGS and, for the first 300, of Adam."""
    contents, styles = pairs(64)
    rows = len(contents)
    lbfgs = losses(
        StyleObjective(network, contents, styles, rows=rows, **WEIGHTS),
        BatchedLBFGS(torch.zeros_like(contents)),
        iterations,
    )
    adam = losses(
        StyleObjective(network, contents, styles, rows=rows, **WEIGHTS),
        BatchedAdam(torch.zeros_like(contents), lr=1.0),
        300,
    )
    figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    for row, (_, _, class_name) in enumerate(HEADS):
        end = stop(lbfgs[:, row])
        (line,) = axis.semilogy(lbfgs[:, row] / lbfgs[0, row], label=f"{class_name}, L-BFGS")
        axis.semilogy(adam[:, row] / adam[0, row], ":", color=line.get_color(), label=f"{class_name}, Adam")
        axis.semilogy(end, lbfgs[end, row] / lbfgs[0, row], "o", color=line.get_color())
        beyond = lbfgs[end, row] / lbfgs[-1, row] - 1
        print(f"{class_name}: stop at {end}, {beyond:.1%} above the loss at {iterations}")
        for count in (50, 100, 300):
            print(f"  after {count}: L-BFGS {lbfgs[count, row]:.3e}, Adam {adam[count, row]:.3e}")
    axis.set(xlabel="iterations", ylabel="loss / loss of the content")
    axis.legend(fontsize=8)
    axis.grid(which="both", alpha=0.3)
    save(figure, folder / "style_transfer_3_iterations.png")


def scales(weights: Path, folder: Path, iterations: int) -> None:
    """Figure 4: the same transfer with all feature maps a factor too small."""
    content, style = blurred(merge("ring", seed=3)), style_image("ring", seed=12)
    scales_of = {name: load_vgg19(weights, scale=name).scales for name in ("oxford", "torchvision")}
    own, paper = scales_of["torchvision"], scales_of["oxford"]
    print(f"the file's own scale over Oxford's: { {name: round(own[name] / paper[name], 4) for name in own} }")
    images: dict[str, tuple[Array, float, float]] = {}
    for divisor in (1, 10, 100):
        network = load_vgg19(weights, scale={name: paper[name] / own[name] / divisor for name in own})
        inferer = StyleTransferInferer(max_iterations=iterations)
        restyled = inferer(style, network, content=content)
        title = "oxford" if divisor == 1 else f"oxford / {divisor}"
        rms = 255 * float((restyled - content).square().mean().sqrt())
        print(title, inferer.reports, terms(network, content, style, content))
        images[f"scale {title}:\nchanged by {rms:.2f} levels (rms)"] = (restyled[0, 0].numpy(), 0.0, 1.0)
    draw(folder / "style_transfer_4_scale.png", {"content\n": (content[0, 0].numpy(), 0.0, 1.0)} | images, columns=4)


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="VGG-19 state dict with torchvision's names")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--iterations", type=int, default=120, help="most iterations of an image at 128x128")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    network = load_vgg19(options.weights)
    restyling(network, options.output, options.iterations)
    curves(network, options.output, 600)
    scales(options.weights, options.output, options.iterations)
    sweep(network, options.output, options.iterations)


if __name__ == "__main__":
    main()
