"""Style transfer, many images in lock-step, against the loop over images that is common elsewhere.

Ours: `StyleTransferInferer`. The reference: one image after the other with `torch.optim.LBFGS` (100 pairs remembered,
no line search or tolerances) over the grey image, repeated to three channels, through a plain `nn.Sequential`, float32.
Both minimise the same function, from the content image, with the same weights of the same network: the program ends
with an error unless both losses agree. In one run, for each size and precision:

- image-iterations a second, setup included, after a warm-up;
- final losses after as many iterations, ours / reference, both judged in float32 by the reference's objective;
- time to quality: seconds an image that the reference takes for all iterations up to the cap, and until its loss first
  comes within 2 % of where it ends; that ours takes with its stop rule; and the ratio of these two final losses, each
  before the clamp to [0, 1] and by the program's own objective (a bfloat16 trunk misjudges it by some 0.3 %);
- peak memory, each in a process of its own: on a CPU resident memory beyond what the imports take, on CUDA what torch
  has allocated; ours with a full batch, the reference with its one image, both with their L-BFGS memory full;
- the floor: multiplications and additions of an image-iteration, and the share of the machine's speed in matrix
  products (or in a convolution of the middle layers, where that is faster) that ours makes of them.

Without options it needs no files: phantoms and random weights. Ends with one JSON line; its `ratio` is ours / reference
in image-iterations a second with the first precision, the geometric mean over sizes: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import ctypes
import gc
import hashlib
import json
import math
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from plain_style_transfer import Pairs, PlainObjective, Run, clock, gflop, restyle
from torch import Tensor, nn
from tqdm import tqdm

from monai_aggrgan.data.phantoms import phantom_slice
from monai_aggrgan.inferers.style_transfer import _FAST_PIXELS, StyleTransferInferer, StyleTransferReport
from monai_aggrgan.networks import VGG19Features, load_vgg19

PRECISIONS = {"cpu": ["float32", "bfloat16"], "cuda": ["float16", "bfloat16", "float32"]}  # the first one is compared
POOL = 64  # different images, of which the pairs are made
QUALITY = 1.02  # of the final loss
FULL = (2100, 128, 2000)  # images, size, iterations: 700 of each class, as in the paper
H200 = 989e3  # GFLOP/s in 16 bits, by its data sheet
LABELS = {
    "image_iterations_per_second": "image-iterations a second",
    "ratio": "  times the reference",
    "gflops": "  GFLOP/s",
    "share_of_peak": "  share of the machine's speed",
    "loss_ratio_mean": "final loss / reference's, mean",
    "loss_ratio_worst": "  worst",
    "seconds_to_cap": "all iterations to the cap: seconds an image",
    "seconds_to_quality": "within 2 % of its end: seconds an image",
    "iterations_to_quality": "  iterations",
    "seconds_to_stop": "stop rule: seconds an image",
    "iterations_to_stop": "  iterations",
    "stopped_loss_ratio": "  final loss / reference's at the cap, mean",
    "stopped_loss_ratio_worst": "  worst",
    "time_ratio_cap": "  times faster than the reference to the cap",
    "time_ratio_quality": "  times faster than the reference within 2 %",
    "peak_mib": "peak memory beyond the imports, MiB",
}


@dataclass(frozen=True)
class Plan:
    """How much is measured at one size."""

    size: int
    images: int  # restyled by ours
    compared: int  # of these, restyled by the reference too
    capped: int  # of these, by the reference up to the cap
    stopped: int  # restyled by ours with the stop rule
    iterations: int
    cap: int


class Peak(NamedTuple):
    """Measured speed of a matrix product and of a convolution, GFLOP/s."""

    product: float
    convolution: float


class Comparison:
    """Ours and the reference on the same image pairs, with the same weights."""

    def __init__(self, network: VGG19Features, device: torch.device, *, progress: bool) -> None:
        self.network, self.device, self.progress = network.to(device), device, progress
        self.trunk = copy.deepcopy(network.features).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.weights = StyleTransferInferer()

    def objective(self, pair: Pairs) -> PlainObjective:
        """The reference's objective of one pair."""
        return PlainObjective(self.network, self.trunk, pair, self.weights)

    def reference(self, pairs: Pairs, *, iterations: int) -> Iterator[Run]:
        """Restyle one image after the other."""
        numbers = tqdm(range(len(pairs.contents)), desc="reference", unit="image", disable=not self.progress)
        for index in numbers:
            pair = Pairs(pairs.contents[index, None], pairs.styles[index, None])
            yield restyle(self.objective, pair, iterations=iterations)

    def ours(self, pairs: Pairs, precision: str, *, iterations: int, stop_rule: bool = False) -> Run:
        """Restyle all images; exactly so many iterations, or at most so many with the default stop rule."""
        dtype = getattr(torch, precision)
        network = self.network if self.network.dtype == dtype else copy.deepcopy(self.network).to(dtype)
        if stop_rule:
            inferer = StyleTransferInferer(max_iterations=iterations, progress=self.progress)
        else:
            inferer = StyleTransferInferer(max_iterations=iterations, progress=self.progress, relative_tolerance=0)
        start = clock(self.device)
        images = inferer(pairs.styles, network, content=pairs.contents)
        seconds = clock(self.device) - start
        warn_of_failures(inferer.reports)
        reports = inferer.reports
        return Run(images, seconds, [one.iterations for one in reports], [one.final_loss for one in reports])

    def losses(self, pairs: Pairs, images: Tensor) -> list[float]:
        """What the finished images (n, 1, H, W) are worth, by the reference's objective in full float32."""
        losses = []
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for index, image in enumerate(images):
                objective = self.objective(Pairs(pairs.contents[index, None], pairs.styles[index, None]))
                losses.append(objective(255 * image[None]).item())
        return losses

    def check(self, pairs: Pairs) -> None:
        """Both objectives are one: at the content images, and where ours has come after five iterations.

        The images have room to both sides here: the inferer reports losses before it clamps them.
        """
        pairs = Pairs(0.3 + 0.4 * pairs.contents, 0.3 + 0.4 * pairs.styles)
        inferer = StyleTransferInferer(max_iterations=5, relative_tolerance=0)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            images = inferer(pairs.styles, self.network, content=pairs.contents)
        ours = [(report.initial_loss, report.final_loss) for report in inferer.reports]
        reference = zip(self.losses(pairs, pairs.contents), self.losses(pairs, images), strict=True)
        for mine, theirs in zip(ours, reference, strict=True):
            if not np.allclose(mine, theirs, rtol=1e-3, atol=0):
                raise SystemExit(f"the objectives differ: losses {mine} of ours are {theirs} to the reference")


def warn_of_failures(reports: list[StyleTransferReport]) -> None:
    """Say so when an image could not be optimised."""
    failed = sum(report.stopped_by == "not finite" for report in reports)
    if failed:
        print(f"warning: the loss of {failed} of {len(reports)} images was not finite", flush=True)


def make_pairs(folder: Path | None, *, count: int, size: int, seed: int, device: torch.device) -> Pairs:
    """Contents are the means of two images, as aggregates are; their styles the first of the two."""
    images = [read_image(path, size) for path in shuffled(folder, seed)[: min(POOL, count + 1)]] if folder else []
    for number in range(0 if folder else min(POOL, count + 1)):
        phantom = phantom_slice(("ring", "blob", "sellar")[number % 3], seed=seed + number, size=size)
        images.append(torch.from_numpy(phantom)[None])
    first = [number % len(images) for number in range(count)]
    apart = [1 + number // len(images) % (len(images) - 1) for number in range(count)]
    second = [(number + distance) % len(images) for number, distance in enumerate(apart)]
    pool = torch.stack(images).to(device)
    return Pairs((pool[first] + pool[second]) / 2, pool[first])


def shuffled(folder: Path, seed: int) -> list[Path]:
    """The folder's PNG files in an order that depends on the seed: neighbours are too much alike."""
    paths = sorted(folder.glob("*.png"))
    if len(paths) < 2:
        raise SystemExit(f"--images needs a folder with two PNG files or more, {folder} has {len(paths)}")
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed))
    return [paths[index] for index in order.tolist()]


def read_image(path: Path, size: int) -> Tensor:
    """One grey image (1, size, size) in [0, 1]."""
    pixels = torch.from_numpy(np.array(Image.open(path).convert("L"), dtype=np.float32) / 255)[None, None]
    if pixels.shape[2:] == (size, size):
        return pixels[0]
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)


def measure_peak(device: torch.device, precision: str) -> Peak:
    """Speed of a product of square matrices, and of 512 -> 512 filters on 16x16 pixels, channels last, no gradient."""
    side, batch = (8192, 512) if device.type == "cuda" else (2048, 8)
    dtype = getattr(torch, precision)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    convolution = nn.Conv2d(512, 512, 3, padding=1, device=device, dtype=dtype)
    convolution = convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    maps = torch.randn(batch, 512, 16, 16, device=device).to(dtype, memory_format=torch.channels_last)
    with torch.no_grad():
        product = fastest(lambda: left @ right, device)
        convolved = fastest(lambda: convolution(maps), device)
    return Peak(2 * side**3 / product / 1e9, 2 * 9 * 512**2 * 16**2 * batch / convolved / 1e9)


def fastest(work: Callable[[], object], device: torch.device) -> float:
    """Least time of five rounds, the first of which warms up; a round is long enough for the clock."""
    repeats, times = 1, []
    for _ in range(5):
        start = clock(device)
        for _ in range(repeats):
            work()
        times.append((clock(device) - start) / repeats)
        repeats = min(100, 1 + int(0.1 / times[-1]))
    return min(times[1:])


def measure(comparison: Comparison, plan: Plan, pairs: Pairs, peaks: dict[str, Peak]) -> dict[str, dict[str, float]]:
    """All columns of a size's table."""
    work = gflop(comparison.trunk, plan.size)
    comparison.check(pairs.first(plan.compared))
    list(comparison.reference(pairs.first(1), iterations=3))  # warms up
    fixed = list(comparison.reference(pairs.first(plan.compared), iterations=plan.iterations))
    capped = list(comparison.reference(pairs.first(plan.capped), iterations=plan.cap))
    reference = reference_column(fixed, capped, work)
    losses = comparison.losses(pairs, torch.cat([run.images for run in fixed]))
    columns = {"reference": reference}
    for precision, peak in peaks.items():
        comparison.ours(pairs, precision, iterations=8 if comparison.device.type == "cuda" else 2)  # warms up
        run = comparison.ours(pairs, precision, iterations=plan.iterations)
        stopped = comparison.ours(pairs.first(plan.stopped), precision, iterations=plan.cap, stop_rule=True)
        column = speed_column(run, reference, work, peak)
        column |= loss_column(loss_ratios(comparison, pairs, run, losses))
        ends = zip(stopped.final_losses, [run.final_losses[0] for run in capped], strict=False)
        columns[precision] = column | stopped_column(stopped, reference, [mine / theirs for mine, theirs in ends])
    return columns


def loss_ratios(comparison: Comparison, pairs: Pairs, run: Run, reference: list[float]) -> list[float]:
    """Ours / reference of the images that both restyled."""
    losses = comparison.losses(pairs, run.images[: len(reference)])
    return [mine / theirs for mine, theirs in zip(losses, reference, strict=True)]


def reference_column(fixed: list[Run], capped: list[Run], work: float) -> dict[str, float]:
    """What the reference takes."""
    speed = sum(sum(run.iterations) for run in fixed) / sum(run.seconds for run in fixed)
    good = [next(at for at, loss in enumerate(run.losses) if not loss > QUALITY * run.losses[-1]) for run in capped]
    return {
        "image_iterations_per_second": speed,
        "gflops": work * speed,
        "seconds_to_cap": statistics.mean(run.seconds for run in capped),
        "seconds_to_quality": statistics.mean(run.moments[at] for run, at in zip(capped, good, strict=True)),
        "iterations_to_quality": statistics.mean(good),
    }


def speed_column(run: Run, reference: dict[str, float], work: float, peak: Peak) -> dict[str, float]:
    """How fast ours is, for as many iterations."""
    return {
        "image_iterations_per_second": run.speed,
        "ratio": run.speed / reference["image_iterations_per_second"],
        "gflops": work * run.speed,
        "share_of_peak": work * run.speed / max(peak),
    }


def loss_column(ratios: list[float]) -> dict[str, float]:
    """Where ours ends after as many iterations."""
    return {"loss_ratio_mean": statistics.mean(ratios), "loss_ratio_worst": max(ratios)}


def stopped_column(run: Run, reference: dict[str, float], ratios: list[float]) -> dict[str, float]:
    """What ours takes with its stop rule."""
    seconds = run.seconds / len(run.iterations)
    return {
        "seconds_to_stop": seconds,
        "iterations_to_stop": statistics.mean(run.iterations),
        "stopped_loss_ratio": statistics.mean(ratios),
        "stopped_loss_ratio_worst": max(ratios),
        "time_ratio_cap": reference["seconds_to_cap"] / seconds,
        "time_ratio_quality": reference["seconds_to_quality"] / seconds,
    }


def print_table(columns: dict[str, dict[str, float]]) -> None:
    """A line for each measure, a column for each program."""
    print(" " * 46 + "".join(f"{name if name == 'reference' else 'ours ' + name:>16}" for name in columns))
    for key, label in LABELS.items():
        cells = [f"{column[key]:16.4g}" if key in column else " " * 15 + "-" for column in columns.values()]
        print(f"{label:46}" + "".join(cells), flush=True)


def peak_memory(arguments: argparse.Namespace, who: str, size: int) -> float:
    """MiB that `who`, "reference" or a precision of ours, takes at most, measured in a process of its own."""
    if arguments.device.type == "cuda":
        torch.cuda.empty_cache()
    command = [sys.executable, __file__, *sys.argv[1:], "--memory", who, str(size)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def print_own_memory(arguments: argparse.Namespace, who: str, size: int) -> None:
    """In the process of its own: restyle until the L-BFGS memory is full, print the peak in MiB."""
    imported, device, plan = resident_peak(), arguments.device, make_plan(arguments, size)
    comparison = Comparison(load_vgg19(arguments.weights, seed=arguments.seed), device, progress=False)
    pairs = make_pairs(arguments.images, count=plan.images, size=size, seed=arguments.seed, device=device)
    if who == "reference":
        comparison.network.features = nn.Sequential()  # it has its own copy
    else:
        comparison.trunk = nn.Sequential()
        comparison.network.to(getattr(torch, who))
    forget_resident_peak()  # that of reading the weights
    if who == "reference":
        list(comparison.reference(pairs.first(1), iterations=5 if arguments.quick else 101))
    else:
        comparison.ours(pairs, who, iterations=5 if arguments.quick else 21)
    print((torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_peak() - imported) / 2**20)


def resident_peak() -> int:
    """Bytes that this process had in memory at most. `ru_maxrss` would start at its parent's peak; Linux only."""
    kib = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kib[1]) * 1024 if kib else 0


def forget_resident_peak() -> None:
    """Give freed memory back and measure from here, where the system allows it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def full(comparison: Comparison, arguments: argparse.Namespace) -> dict[str, float]:
    """A whole study's images on one H200, against the least time that its data sheet allows."""
    count, size, iterations = FULL
    floor = gflop(comparison.trunk, size) * count * iterations / H200
    pairs = make_pairs(arguments.images, count=count, size=size, seed=arguments.seed, device=arguments.device)
    precision = arguments.precision[0]
    print(f"{count} images of {size}x{size}, {precision}, {iterations} iterations: floor {floor:.0f} s", flush=True)
    exact = comparison.ours(pairs, precision, iterations=iterations)
    print(f"  exactly so many: {exact.seconds:.1f} s, {exact.seconds / floor:.2f} times the floor", flush=True)
    stopped = comparison.ours(pairs, precision, iterations=iterations, stop_rule=True)
    mean = statistics.mean(stopped.iterations)
    print(f"  with the stop rule: {stopped.seconds:.1f} s, {mean:.0f} iterations an image", flush=True)
    return {
        "floor_seconds": floor,
        "exact_seconds": exact.seconds,
        "stopped_seconds": stopped.seconds,
        "stopped_iterations": mean,
    }


def make_plan(arguments: argparse.Namespace, size: int) -> Plan:
    """Enough for sound figures in minutes, or for a glance in seconds."""
    if arguments.quick:
        compared = arguments.count or 2
        return Plan(size, max(4, compared), compared, 1, compared, iterations=20, cap=100)
    compared = arguments.count or (8 if size <= 64 else 4)
    images = max(compared, _FAST_PIXELS[arguments.device.type] // size**2)  # a full batch
    capped = math.ceil(compared / 4)
    if arguments.device.type == "cuda":
        return Plan(size, images, compared, capped, images, iterations=500, cap=2000)
    return Plan(size, images, compared, capped, compared, iterations=100, cap=2000)


def machine(device: torch.device) -> str:
    """Name of the processor that computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        if found := re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()):
            return found[1]
    return platform.processor() or platform.machine()


def weights_name(weights: str) -> str:
    """What identifies the weights, without a path."""
    path = Path(weights)
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}" if path.is_file() else weights


def arguments_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line."""
    parser.add_argument("--quick", action="store_true", help="64x64, 4 images, few iterations: under a minute")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")
    parser.add_argument("--weights", default="random", help="path of VGG-19's weights, 'cache', or 'random' (default)")
    parser.add_argument("--images", type=Path, help="folder of PNG files (default: phantoms)")
    parser.add_argument("--sizes", type=int, nargs="+", help="default: 64 128")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS["cuda"], help="of ours; default: all that pay")
    parser.add_argument("--count", type=int, help="image pairs that the reference restyles too, a quarter to the cap")
    parser.add_argument("--seed", type=int, default=0, help="of phantoms, of the order of files, of random weights")
    parser.add_argument("--full", action="store_true", help="CUDA: then restyle 2100 images of 128x128 (minutes)")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.device.type not in PRECISIONS or (arguments.full and arguments.device.type != "cuda"):
        parser.error("--device must be cpu or cuda, and cuda for --full")
    if arguments.count is not None and arguments.count < 1:
        parser.error("--count must be 1 or more")
    arguments.sizes = arguments.sizes or ([64] if arguments.quick else [64, 128])
    arguments.precision = arguments.precision or PRECISIONS[arguments.device.type]
    return arguments


def results_of(comparison: Comparison, arguments: argparse.Namespace, plan: Plan) -> dict[str, dict[str, float]]:
    """Measure and print one size."""
    size = plan.size
    print(
        f"\n{size}x{size}: {gflop(comparison.trunk, size):.1f} GFLOP an image-iteration; "
        f"{plan.iterations} iterations of {plan.images} images (reference {plan.compared}); "
        f"to the cap of {plan.cap}: reference {plan.capped}, ours with the stop rule {plan.stopped}",
        flush=True,
    )
    whos = ["reference", *arguments.precision][: 2 if arguments.quick else None]
    memory = {who: peak_memory(arguments, who, size) for who in whos}
    peaks = {precision: measure_peak(arguments.device, precision) for precision in arguments.precision}
    for precision, peak in peaks.items():
        print(
            f"this machine, {precision}: product {peak.product:.0f}, convolution {peak.convolution:.0f} GFLOP/s",
            flush=True,
        )
    pairs = make_pairs(arguments.images, count=plan.images, size=size, seed=arguments.seed, device=arguments.device)
    columns = measure(comparison, plan, pairs, peaks)
    for who in whos:
        columns[who]["peak_mib"] = memory[who]
    for precision, peak in peaks.items():
        columns[precision] |= {"product_gflops": peak.product, "convolution_gflops": peak.convolution}
    print_table(columns)
    return columns


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments = arguments_of(parser)
    if arguments.memory:
        return print_own_memory(arguments, arguments.memory[0], int(arguments.memory[1]))
    told = {
        "device": str(arguments.device),
        "machine": machine(arguments.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "weights": weights_name(arguments.weights),
        "image_source": arguments.images.name if arguments.images else "phantoms",
        "seed": arguments.seed,
    }
    print(", ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    network = load_vgg19(arguments.weights, seed=arguments.seed)
    comparison = Comparison(network, arguments.device, progress=arguments.full or not arguments.quick)
    plans = {str(size): make_plan(arguments, size) for size in arguments.sizes}
    results = {size: results_of(comparison, arguments, plan) for size, plan in plans.items()}
    ratio = statistics.geometric_mean(columns[arguments.precision[0]]["ratio"] for columns in results.values())
    line = {"benchmark": "style_transfer", "ratio": round(ratio, 2), "precision": arguments.precision[0]} | told
    line |= {"plans": {size: vars(plan) for size, plan in plans.items()}, "results": rounded(results)}
    if arguments.full:
        line["full"] = rounded(full(comparison, arguments))
    print(json.dumps(line))


def rounded(value: object) -> object:
    """Four digits of every number."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main()
