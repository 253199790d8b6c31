"""Makes the pictures and prints the tables of selection_and_aggregation.md, from phantoms; needs no file.

Two imagined generators: one whose images are smooth, one whose images are sharp and noisy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.transforms import GaussianSmooth
from torch import Tensor

from monai_aggrgan.data import write_png
from monai_aggrgan.data.phantoms import phantom_slice
from monai_aggrgan.evaluation import similarity
from monai_aggrgan.inferers import MERGINGS, AggregationInferer
from monai_aggrgan.metrics import sharpness_difference

IMAGES = Path(__file__).parent / "images"
SIZE, POOL, REFERENCES = 64, 256, 48


def phantoms(seeds: range) -> Tensor:
    """Heads with a ring-like lesion, (N, 1, 64, 64) in [0, 1]."""
    return torch.from_numpy(np.stack([phantom_slice("ring", seed=seed, size=SIZE) for seed in seeds]))[:, None]


def pools() -> dict[str, Tensor]:
    """What two generators make of phantoms that are not among the references."""
    smooth = torch.stack([GaussianSmooth(sigma=1.0)(image) for image in phantoms(range(1000, 1000 + POOL))])
    noise = torch.randn(POOL, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) / 20
    return {"smooth": smooth, "noisy": (phantoms(range(2000, 2000 + POOL)) + noise).clamp(0, 1)}


def main() -> None:
    """Draw and print."""
    references, made = phantoms(range(REFERENCES)), pools()
    print(f"{REFERENCES} references, pools of {POOL}, {SIZE}x{SIZE} phantoms\n")
    print("| matching | metric | smooth: different images | noisy: different images | mean SSIM of the best |")
    print("| --- | --- | ---: | ---: | ---: |")
    for matching in ("best", "unique"):
        for metric in ("ssim", "psnr"):
            inferer = AggregationInferer(
                pools=made, references=references, matching=matching, metric=metric, merging="best-single"
            )
            best = similarity(inferer(references, None), references)["ssim"].mean()  # type: ignore[arg-type]
            used = {name: set() for name in made}
            for report in inferer.reports:
                for generator, seed, _ in report.parts():
                    used[generator].add(seed)
            print(f"| {matching} | {metric} | {len(used['smooth'])} | {len(used['noisy'])} | {best:.3f} |")
    print("\n| merging | SSIM | PSNR | sharpness difference |")
    print("| --- | ---: | ---: | ---: |")
    for merging in MERGINGS:
        inferer = AggregationInferer(pools=made, references=references, merging=merging)
        merged = inferer(references, None)  # type: ignore[arg-type]
        judged = similarity(merged, references)
        sharpness = sharpness_difference(merged, references).mean()
        print(f"| {merging} | {judged['ssim'].mean():.3f} | {judged['psnr'].mean():.2f} | {sharpness:.2f} |")
        if merging == "edge-weighted":
            write_png(IMAGES / "aggregation_1_method.png", next(inferer.pictures()))


if __name__ == "__main__":
    main()
