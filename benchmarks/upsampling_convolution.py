"""DCGAN-1's stage, upsampling and 4x4 convolution as one transposed convolution, against the two steps in plain torch.

Forward and backward through the four stages of a 64x64 generator, float32, on this machine's CPU. Ends with one JSON
line; `ratio` above 1: we are faster. Where arithmetic binds, 25/4 instead of 16 multiplications a pixel give 2.56.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.networks.upsampling_convolution import UpsampleConvolution2d

STAGES = [(8, 4, 4), (4, 2, 8), (2, 1, 16), (1, 0, 32)]  # inputs and outputs in base widths (0: one channel), side


def two_steps(layer: UpsampleConvolution2d, maps: Tensor) -> Tensor:
    """The definition: nearest upsampling, padding, convolution."""
    enlarged = F.interpolate(maps, scale_factor=2, mode="nearest")
    return F.conv2d(F.pad(enlarged, (1, 2, 1, 2)), layer.weight)


def seconds(run: Callable[[], Tensor], *, repeats: int) -> float:
    """Median time of forward and backward."""
    times = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        output = run()
        output.backward(torch.ones_like(output))
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, smaller batch")
    parser.add_argument("--base-width", type=int, default=32)
    arguments = parser.parse_args()
    batch, repeats = (16, 3) if arguments.quick else (64, 9)
    ours = reference = 0.0
    for inputs, outputs, side in STAGES:
        layer = UpsampleConvolution2d(inputs * arguments.base_width, outputs * arguments.base_width or 1)
        layer = layer.to(memory_format=torch.channels_last)
        maps = torch.randn(batch, layer.in_channels, side, side).to(memory_format=torch.channels_last)
        maps.requires_grad_()
        torch.testing.assert_close(layer(maps), two_steps(layer, maps), rtol=1e-4, atol=1e-5)
        mine = seconds(partial(layer, maps), repeats=repeats)
        theirs = seconds(partial(two_steps, layer, maps), repeats=repeats)
        print(f"{side:3d} -> {2 * side:3d} pixels: ours {1000 * mine:7.1f} ms, two steps {1000 * theirs:7.1f} ms")
        ours, reference = ours + mine, reference + theirs
    threads = torch.get_num_threads()
    print(
        json.dumps(
            {
                "benchmark": "upsampling_convolution",
                "ratio": round(reference / ours, 2),
                "batch": batch,
                "base_width": arguments.base_width,
                "threads": threads,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
