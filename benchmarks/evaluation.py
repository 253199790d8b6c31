"""The whole evaluation of a study, against calling scikit-image and MONAI's metrics image by image.

Ours: the stage `evaluate` of a study whose folders are filled with phantoms: every image against all training and
held-out images, four metrics in four pairings, distribution metrics in two feature spaces, the memorisation audit. The
reference does less: for each image scikit-image's SSIM to every training and held-out image, MONAI's SSIM and PSNR and
our KL and sharpness in four pairings, VGG-19's features one by one, and MONAI's MS-SSIM of as many pairs; no audit
with flips and shifts, no intervals. It is measured on some images and taken times their number.

Three classes, 300 images a method, the eight methods of Table 1, both aggregates before style transfer and the real
row, at 128x128; 300 training and 100 held-out images a class. On a CPU the peak memory of the stage is told.

Ends with one JSON line; its `ratio` is reference / ours: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.metrics.regression import MultiScaleSSIMMetric, PSNRMetric, SSIMMetric
from skimage.metrics import structural_similarity
from torch import Tensor

from monai_aggrgan import Study
from monai_aggrgan.data.image_folder import write_image_files
from monai_aggrgan.data.manifest import write_image_array, write_manifest
from monai_aggrgan.data.phantoms import PHANTOM_CLASSES, phantom_slice
from monai_aggrgan.metrics import histogram_kl_divergence, sharpness_difference
from monai_aggrgan.networks import load_vgg19, vgg19_space

CONFIGS = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan" / "configs"
GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
METHODS = {
    "aggregate": (*GENERATORS, "aggregate_ssim", "aggregate_psnr", "real"),
    "stylise": (*(f"{name}+style" for name in GENERATORS), "aggrgan_ssim", "aggrgan_psnr"),
}


def heads(class_name: str, count: int, *, size: int) -> Tensor:
    """Phantoms (count, 1, size, size), four slices a patient."""
    slices = [phantom_slice(class_name, seed=i // 4, size=size, level=(i % 4 - 1.5) / 2) for i in range(count)]
    return torch.from_numpy(np.stack(slices)).float()[:, None]


def fill(study: Path, class_name: str, *, images: int, training: int, held_out: int, size: int) -> list[dict[str, str]]:
    """Write a class's prepared images and those of every method: noisy, smoothed mixtures of two training images."""
    real = heads(class_name, training + held_out, size=size)
    rows = [
        {
            "id": f"{class_name}/{i:04d}",
            "class_name": class_name,
            "section": "training" if i < training else "held_out",
            "patient": f"{class_name}-{i // 4:03d}",
        }
        for i in range(len(real))
    ]
    write_image_array(study / "prepare" / class_name, real, rows)
    draw = torch.Generator().manual_seed(len(class_name))
    for stage, methods in METHODS.items():
        for method in methods:
            folder = study / stage / class_name / method
            folder.mkdir(parents=True)
            one, other = torch.randint(training, (2, images), generator=draw)
            noise = torch.randn(images, 1, size, size, generator=draw)
            mixed = (0.5 * (real[one] + real[other]) + 0.02 * noise).clamp(0, 1)
            extra = {"method": method, "class_name": class_name, "image_of": rows[training]["id"]}
            listed = [
                {
                    **write_image_files(folder, f"{i:04d}", image),
                    **extra,
                    "reference": rows[i % training]["id"],
                    "seed": i,
                }
                for i, image in enumerate(mixed)
            ]
            write_manifest(folder, listed)
    return rows


def ours(study: Path, rows: list[dict[str, str]], *, size: int, weights: str, device: str) -> float:
    """Seconds that the stage takes."""
    write_manifest(study / "prepare", rows)
    record = {"name": "prepare", "settings": {"size": size, "inputs": {}}, "finished": True, "seconds": 0.0}
    (study / "prepare" / "stage.json").write_text(json.dumps(record))
    options = {"config_dir": CONFIGS, "output_dir": study, "image_size": size, "vgg_weights": weights, "device": device}
    start = time.perf_counter()
    Study(**options, ablation=False).run("evaluate")
    return time.perf_counter() - start


def image_by_image(judged: Tensor, training: Tensor, held_out: Tensor, *, space: object) -> float:
    """Seconds an image that the reference takes."""
    window = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim, psnr = SSIMMetric(spatial_dims=2, data_range=1.0, reduction="none"), PSNRMetric(max_val=1.0, reduction="none")
    scales = [0.0448, 0.2856, 0.3001, 0.2363][: max(1, (judged.shape[-1] // 11).bit_length())]
    multi = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0, reduction="none", weights=scales)
    start = time.perf_counter()
    for image in judged:
        nearest = []
        for reals in (training, held_out):
            scores = [structural_similarity(image[0].numpy(), real[0].numpy(), **window) for real in reals]
            nearest.append(reals[int(np.argmax(scores))])
        for partner in (training[0], nearest[0], training[-1], nearest[1]):
            pair = image[None], partner[None]
            for metric in (ssim, psnr, histogram_kl_divergence, sharpness_difference):
                metric(*pair)
        space(image[None])  # type: ignore[operator]
        multi(image[None], judged[:1])
    return (time.perf_counter() - start) / len(judged)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one class, 40 images: under a minute on two cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=300, help="of a method")
    parser.add_argument("--training", type=int, default=300, help="images a class")
    parser.add_argument("--held-out", type=int, default=100, help="images a class")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--sample", type=int, default=6, help="images on which the reference is measured")
    parser.add_argument("--vgg-weights", default="random", help="path; the time does not depend on it")
    options = parser.parse_args()
    classes = PHANTOM_CLASSES
    if options.quick:
        classes, options.images, options.training, options.held_out, options.sample = classes[:1], 40, 80, 30, 3
    parts = {"images": options.images, "training": options.training, "held_out": options.held_out, "size": options.size}
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        print(f"writing {len(classes)} classes ...", file=sys.stderr)
        rows = [row for name in classes for row in fill(study, name, **parts)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = ours(study, rows, size=options.size, weights=options.vgg_weights, device=options.device)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = len(classes) * sum(map(len, METHODS.values())) * options.images
    real = heads(classes[0], options.training + options.held_out, size=options.size)
    judged = (0.5 * (real[: options.sample] + real[1 : options.sample + 1])).clamp(0, 1)
    space = vgg19_space(load_vgg19(options.vgg_weights), weights_name=options.vgg_weights)
    each = image_by_image(judged, real[: options.training], real[options.training :], space=space)
    print(f"{count} images of {options.size}x{options.size}, {platform.machine()}, {torch.get_num_threads()} threads")
    print(f"ours: {seconds:.1f} s, {1000 * seconds / count:.1f} ms an image; peak {peak / 1024:.0f} MiB,")
    print(f"  of which {before / 1024:.0f} MiB before the stage began")
    print(f"image by image: {1000 * each:.0f} ms an image (measured on {options.sample}), {each * count:.0f} s in all")
    told = {"seconds": round(seconds, 1), "images": count, "size": options.size, "peak_mib": round(peak / 1024)}
    told |= {"device": options.device, "reference_seconds": round(each * count), "quick": options.quick}
    print(json.dumps({"benchmark": "evaluation", "ratio": round(each * count / seconds, 2), **told}))


if __name__ == "__main__":
    main()
