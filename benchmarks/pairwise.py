"""All-pairs SSIM and PSNR of a pool with reference images, against MONAI's metrics and scikit-image.

Ours: `pairwise_ssim` with both of its filterings, `pairwise_psnr`, and the search for the best of a pool. The
references: `monai.metrics.SSIMMetric` and `PSNRMetric` on expanded batches of pairs (the faster of two batch sizes),
and scikit-image's functions in a loop over pairs, with the same window. The program ends with an error unless all
agree to 1e-5. In one run, on phantoms of `--size` pixels:

- pairs a second of each, the best of several repeats, after a warm-up;
- the floor: operations of a pair (separable window, product, formula) at this machine's speed in float32 matrix
  products, and the share of that speed that ours makes of them;
- seconds and peak memory (resident beyond the imports, or on CUDA what torch has allocated) of `best_matches` on a
  half-precision, memory-mapped pool, and on one four times as long: memory does not follow the pool.

Ends with one JSON line; its `ratio` is ours / SSIMMetric in pairs a second: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from monai.metrics import PSNRMetric, SSIMMetric
from monai.metrics.regression import RegressionMetric
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.data.phantoms import phantom_slice
from monai_aggrgan.metrics import AllPairsSSIM, best_matches, pairwise_psnr

CLASSES = ("ring", "blob", "sellar")
DIFFERENT = 48  # phantoms, of which pools and references are made
WINDOW = 11


def grey_images(count: int, *, size: int, seed: int) -> Tensor:
    """Phantoms (count, 1, size, size) with a little noise, so that no two are alike."""
    phantoms = [phantom_slice(CLASSES[index % 3], seed=index, size=size) for index in range(min(count, DIFFERENT))]
    images = torch.from_numpy(np.stack(phantoms))[torch.arange(count) % DIFFERENT, None]
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) / 50
    return (images + noise).clamp(0, 1)


def seconds(run: Callable[[], object], *, repeats: int) -> float:
    """The shortest time of a run: what disturbs a measurement makes it longer."""
    times = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def gflops_of_products(device: str) -> float:
    """Speed of a float32 matrix product here."""
    side = 4096 if device == "cuda" else 1024
    factors = torch.rand(2, side, side, device=device)
    return 2 * side**3 / seconds(lambda: factors[0] @ factors[1], repeats=5) / 1e9


def mflop_a_pair(size: int) -> float:
    """Product, separable window and formula (12 operations a pixel) of the SSIM of a pair."""
    valid = size - WINDOW + 1
    return (size**2 + 2 * WINDOW * (size * valid + valid**2) + 12 * valid**2) / 1e6


def by_monai(metric: RegressionMetric, judged: Tensor, references: Tensor, *, batch: int) -> Tensor:
    """Matrix (M, N) from a metric of paired batches."""
    rows = []
    for image in judged:
        parts = [metric(image.expand_as(part), part) for part in references.split(batch)]
        rows.append(torch.cat(parts).flatten())
    return torch.stack(rows)


def by_scikit_image(judged: Tensor, references: Tensor) -> Tensor:
    """SSIM (M, N), pair by pair, over the valid region."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "full": True}
    border = slice(WINDOW // 2, -(WINDOW // 2))
    rows = [
        [structural_similarity(x, y, **options)[1][border, border].mean(dtype=float) for y in references[:, 0].numpy()]
        for x in judged[:, 0].numpy()
    ]
    return torch.tensor(rows)


def psnr_by_scikit_image(judged: Tensor, references: Tensor) -> Tensor:
    """PSNR (M, N), pair by pair."""
    pairs = [[(y, x) for y in references[:, 0].double().numpy()] for x in judged[:, 0].double().numpy()]
    return torch.tensor([[peak_signal_noise_ratio(*pair, data_range=1.0) for pair in row] for row in pairs])


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Pairs a second of every way, after a check that all agree."""
    size, device = arguments.size, arguments.device
    judged, references = (grey_images(64, size=size, seed=seed).to(device) for seed in (0, 1))
    few = judged[:2], references[:32]
    ssim, psnr = SSIMMetric(spatial_dims=2, data_range=1.0, reduction="none"), PSNRMetric(max_val=1.0, reduction="none")
    monai_ssim, monai_psnr = (partial(by_monai, metric, *few) for metric in (ssim, psnr))
    ours = {f"ours, SSIM, {way}": AllPairsSSIM(references, filtering=way) for way in ("depthwise", "matrix")}
    default = AllPairsSSIM(references)
    ways: dict[str, tuple[Callable[[], Tensor], int]] = {
        "ours, SSIM": (partial(default, judged), 64 * 64),
        **{name: (partial(compare, judged), 64 * 64) for name, compare in ours.items()},
        "SSIMMetric, 16 pairs at once": (partial(monai_ssim, batch=16), 64),
        "SSIMMetric, 32 pairs at once": (partial(monai_ssim, batch=32), 64),
        "scikit-image, SSIM": (lambda: by_scikit_image(few[0].cpu(), few[1].cpu()), 64),
        "ours, PSNR": (lambda: pairwise_psnr(judged, references), 64 * 64),
        "PSNRMetric, 32 pairs at once": (partial(monai_psnr, batch=32), 64),
        "scikit-image, PSNR": (lambda: psnr_by_scikit_image(few[0].cpu(), few[1].cpu()), 64),
    }
    if device == "cpu" and not torch.backends.mkldnn.is_available():
        del ways["ours, SSIM, depthwise"]
    for metric in ("SSIM", "PSNR"):
        values = [run()[:2, :32].cpu().double() for name, (run, _) in ways.items() if metric in name]
        for value in values[1:]:
            torch.testing.assert_close(value, values[0], rtol=0, atol=1e-5)
    repeats = 3 if arguments.quick else 9
    return {
        name: pairs / seconds(run, repeats=repeats)
        for name, (run, pairs) in tqdm(ways.items(), "measure", unit="way", leave=False)
    }


def search(arguments: argparse.Namespace) -> None:
    """In a process of its own: search a memory-mapped pool; print seconds and the peak memory that it took in MiB."""
    references = grey_images(arguments.references, size=arguments.size, seed=1).to(arguments.device)
    warm = grey_images(64, size=arguments.size, seed=0)
    best_matches(warm, references[:4])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.npy"
        shape = (arguments.search, 1, arguments.size, arguments.size)
        pool = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, len(pool), 64):
            pool[start : start + 64] = warm[: len(pool) - start].numpy()
        del pool
        before = private_memory()
        mapped = torch.from_numpy(np.load(path, mmap_mode="c"))
        start_time = time.perf_counter()
        best_matches(mapped, references, progress=f"search in {len(mapped)}")
        spent = time.perf_counter() - start_time
    on_gpu = arguments.device == "cuda"
    print(spent, torch.cuda.max_memory_allocated() / 2**20 if on_gpu else private_memory(peak=True) - before)


def private_memory(*, peak: bool = False) -> float:
    """MiB of memory of this process, now or at most, that no file backs; Linux only, elsewhere NaN."""
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    told = dict(re.findall(r"(\w+):\s+(\d+) kB", status.read_text()))
    return (int(told["VmHWM"]) - int(told["RssFile"]) if peak else int(told["RssAnon"])) / 1024


def search_in_another_process(arguments: argparse.Namespace, pool: int) -> tuple[float, float]:
    """Seconds and MiB of a search in a pool of so many images."""
    options = {"search": pool, "size": arguments.size, "references": arguments.references, "device": arguments.device}
    command = [sys.executable, "-W", "ignore", __file__, *(f"--{name}={value}" for name, value in options.items())]
    spent, mib = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-2:]
    return float(spent), float(mib)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, a smaller pool: under a minute on 2 cores")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--pool", type=int, help="images of the longer pool that is searched")
    parser.add_argument("--references", type=int, help="for which it is searched")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--search", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.references = arguments.references or (16 if arguments.quick else 100)
    if arguments.search:
        search(arguments)
        return
    pool = arguments.pool or (1024 if arguments.quick else 4096)
    speeds = measure(arguments)
    for name, speed in speeds.items():
        print(f"{name:30s} {speed:12,.0f} pairs/s {1e6 / speed:10.2f} us a pair")
    monai = max(speed for name, speed in speeds.items() if name.startswith("SSIMMetric"))
    gflops, mflop = gflops_of_products(arguments.device), mflop_a_pair(arguments.size)
    share = speeds["ours, SSIM"] * mflop / 1e3 / gflops
    print(f"floor: {mflop:.2f} MFLOP a pair at {gflops:,.0f} GFLOP/s; ours runs at {share:.0%} of that speed")
    searches = [search_in_another_process(arguments, images) for images in (pool // 4, pool)]
    for images, (spent, mib) in zip((pool // 4, pool), searches, strict=True):
        print(f"best of {images} for each of {arguments.references}: {spent:.1f} s, {mib:.0f} MiB")
    summary = {
        "benchmark": "pairwise",
        "ratio": round(speeds["ours, SSIM"] / monai, 1),
        "ratio_to_scikit_image": round(speeds["ours, SSIM"] / speeds["scikit-image, SSIM"], 1),
        "psnr_ratio": round(speeds["ours, PSNR"] / speeds["PSNRMetric, 32 pairs at once"], 1),
        "pairs_per_second": round(speeds["ours, SSIM"]),
        "share_of_floor": round(share, 3),
        "search": {"pool": pool, "references": arguments.references, "seconds": round(searches[1][0], 2)},
        "search_mib": [round(mib) for _, mib in searches],
        "size": arguments.size,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
