"""Merging by edges (Algorithm 1) of a batch of pairs, against SciPy and against the algorithm written pixel by pixel.

Ours: `edge_weighted_mean`. The references: Sobel and Gaussian filters of `scipy.ndimage` with NumPy weights, float32,
on the whole batch and pair by pair (a pair stays in the cache), and Algorithm 1 as it is printed, a Python loop over
pixels. SciPy works on one core; a third way, pairs on as many threads as PyTorch has, tells how much of the ratio is
cores. The program ends with an error unless all agree to 1e-5. On phantoms of `--size` pixels:

- microseconds a merge, the best of several rounds in which the ways take turns, after a warm-up;
- the floor: operations and bytes that a merge cannot do without, and how long they take at this machine's speeds of
  float32 matrix products and of copying;
- on CUDA, the peak memory.

Ends with one JSON line; its `ratio` is the faster of SciPy's first two ways / ours: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, gaussian_filter
from torch import Tensor

from monai_aggrgan.data.phantoms import PHANTOM_CLASSES, phantom_slice
from monai_aggrgan.inferers import edge_weighted_mean

SIGMA = 1.0
OPERATIONS = 60  # a candidate's pixel: 2 x 2 x 9 of a separable Gaussian filter, 16 of Sobel, 8 of weights and sum
BYTES_OF_FLOAT = 4
Array = NDArray[np.float32]


def phantoms(batch: int, *, candidates: int, size: int) -> Tensor:
    """Images (batch, candidates, 1, size, size), no two alike."""
    seeds = range(batch * candidates)
    slices = [phantom_slice(PHANTOM_CLASSES[seed % 3], seed=seed, size=size) for seed in seeds]
    return torch.from_numpy(np.stack(slices)).float().view(batch, candidates, 1, size, size)


def by_scipy(candidates: Array, scores: Array) -> Array:
    """Merged images (B, 1, H, W) of (B, K, 1, H, W), all at once."""
    across = correlate1d(candidates, [-1, 0, 1], axis=-1, mode="nearest")
    across = correlate1d(across, [1, 2, 1], axis=-2, mode="nearest")
    down = correlate1d(candidates, [-1, 0, 1], axis=-2, mode="nearest")
    down = correlate1d(down, [1, 2, 1], axis=-1, mode="nearest")
    edges = np.sqrt(np.add(np.square(across, out=across), np.square(down, out=down), out=across), out=across)
    strength = gaussian_filter(edges, SIGMA, mode="constant", axes=(-2, -1))
    shares = (scores / scores.sum(axis=1, keepdims=True))[..., None, None, None]
    weights = np.where((strength > 0).all(axis=1, keepdims=True), strength, shares)
    weights /= weights.sum(axis=1, keepdims=True)
    merged: Array = np.multiply(candidates, weights, out=weights).sum(axis=1)
    return merged


def pair_by_pair(candidates: Array, scores: Array) -> Array:
    """`by_scipy`, one reference after the other."""
    return np.concatenate([by_scipy(candidates[i : i + 1], scores[i : i + 1]) for i in range(len(scores))])


def on_threads(candidates: Array, scores: Array, *, pool: ThreadPoolExecutor) -> Array:
    """`by_scipy`, several references at once."""
    parts = zip(np.split(candidates, len(scores)), np.split(scores, len(scores)), strict=True)
    return np.concatenate(list(pool.map(lambda part: by_scipy(*part), parts)))


def sobel(image: list[list[float]], row: int, column: int) -> float:
    """Edge strength at one pixel, borders repeated."""
    rows, columns = len(image), len(image[0])
    above, below = max(row - 1, 0), min(row + 1, rows - 1)
    left, right = max(column - 1, 0), min(column + 1, columns - 1)
    across = down = 0.0
    for line, weight in ((above, 1), (row, 2), (below, 1)):
        across += weight * (image[line][right] - image[line][left])
    for place, weight in ((left, 1), (column, 2), (right, 1)):
        down += weight * (image[below][place] - image[above][place])
    return math.hypot(across, down)


def gaussian(edges: list[list[float]], row: int, column: int) -> float:
    """Gaussian filter at one pixel, nothing beyond the borders, up to four standard deviations."""
    reach = int(4 * SIGMA + 0.5)
    window = [math.exp(-((distance / SIGMA) ** 2) / 2) for distance in range(-reach, reach + 1)]
    total = 0.0
    for line in range(max(row - reach, 0), min(row + reach + 1, len(edges))):
        for place in range(max(column - reach, 0), min(column + reach + 1, len(edges[0]))):
            total += window[line - row + reach] * window[place - column + reach] * edges[line][place]
    return total / sum(window) ** 2


def by_the_loop(candidates: Array, scores: Array) -> Array:
    """Merged images (B, 1, H, W): Algorithm 1 as it is printed, for K images."""
    merged = np.empty_like(candidates[:, 0])
    places = list(np.ndindex(*candidates.shape[-2:]))
    for result, images, metric_arr in zip(merged[:, 0], candidates[:, :, 0].tolist(), scores.tolist(), strict=True):
        gaussian_matrix = []
        for img in images:
            edge_img = [[sobel(img, row, column) for column in range(len(img[0]))] for row in range(len(img))]
            gaussian_matrix.append({place: gaussian(edge_img, *place) for place in places})
        for row, column in places:
            gs = [matrix[row, column] for matrix in gaussian_matrix]
            parts = gs if all(g != 0 for g in gs) else metric_arr
            pixels = [img[row][column] for img in images]
            result[row, column] = sum(w * pixel for w, pixel in zip(parts, pixels, strict=True)) / sum(parts)
    return merged


def seconds(ways: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Shortest time of each way, as what disturbs makes it longer; they take turns, so that it disturbs all."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):  # the first one warms up
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: min(spent[1:]) for name, spent in times.items()}


def machine_speeds(device: str, *, repeats: int) -> tuple[float, float]:
    """Operations a second in float32 matrix products, and bytes a second read and written in a copy."""
    side = 4096 if device == "cuda" else 1024
    factors = torch.rand(2, side, side, device=device)
    long = torch.rand(2, 2**26, device=device)
    spent = seconds(
        {"product": lambda: factors[0] @ factors[1], "copy": lambda: long[0].copy_(long[1])}, repeats=repeats
    )
    return 2 * side**3 / spent["product"], long.nbytes / spent["copy"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats: under a minute on 2 cores")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=64, help="references, two candidates each")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    size, batch, device, threads = arguments.size, arguments.batch, arguments.device, torch.get_num_threads()
    repeats = 5 if arguments.quick else 31
    images = phantoms(batch, candidates=2, size=size)
    scores = 0.1 + torch.rand(batch, 2, generator=torch.Generator().manual_seed(0))
    ours = partial(edge_weighted_mean, images.to(device), scores.to(device), sigma=SIGMA)
    arrays = images.numpy(), scores.numpy()
    pool = ThreadPoolExecutor(threads)
    references: dict[str, Callable[[], Array]] = {
        "SciPy, whole batch": partial(by_scipy, *arrays),
        "SciPy, pair by pair": partial(pair_by_pair, *arrays),
        f"SciPy, pairs on {threads} threads": partial(on_threads, *arrays, pool=pool),
    }
    merged = ours().cpu().numpy()
    for run in references.values():
        np.testing.assert_allclose(run(), merged, rtol=0, atol=1e-5)
    start = time.perf_counter()
    literal = by_the_loop(arrays[0][:1], arrays[1][:1])
    of_the_loop = time.perf_counter() - start
    np.testing.assert_allclose(literal, merged[:1], rtol=0, atol=1e-5)

    spent = {name: run / batch for name, run in seconds({"ours": ours, **references}, repeats=repeats).items()}
    spent["Algorithm 1, pixel by pixel"] = of_the_loop
    for name, one in spent.items():
        print(f"{name:30s} {1e6 * one:12,.1f} us a merge")
    products, copying = machine_speeds(device, repeats=repeats)
    needed, traffic = 2 * OPERATIONS * size**2, 3 * BYTES_OF_FLOAT * size**2
    arithmetic, moving = needed / products, traffic / copying
    print(
        f"floor: {needed / 1e6:.2f} MFLOP and {traffic / 1e6:.2f} MB a merge, {1e6 * arithmetic:.1f} us at this "
        f"machine's {products / 1e9:,.0f} GFLOP/s and {1e6 * moving:.1f} us at its {copying / 1e9:.0f} GB/s"
    )
    if device == "cuda":
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**20:,.0f} MiB")
    summary = {
        "benchmark": "aggregation",
        "ratio": round(min(spent["SciPy, whole batch"], spent["SciPy, pair by pair"]) / spent["ours"], 2),
        "ratio_to_threads": round(spent[f"SciPy, pairs on {threads} threads"] / spent["ours"], 2),
        "ratio_to_literal_loop": round(of_the_loop / spent["ours"]),
        "microseconds": round(1e6 * spent["ours"], 1),
        "share_of_floor": round((arithmetic + moving) / spent["ours"], 3),
        "size": size,
        "batch": batch,
        "candidates": 2,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "threads": threads,
        "torch": torch.__version__,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
