"""The stage `prepare` on pictures, .mat files and volumes, against a plain loop over the same files.

Ours: `Study.run("prepare")` without the summary of the data behind it, in one process and with two workers. The
reference: a loop in one process with Pillow, h5py and nibabel that does the same work on one file after the other: it
reads, chooses slices, scales by percentiles, resizes with antialiasing to half precision, hashes, writes an array and a
CSV. Files are made anew from phantoms: 512x512 JPEG, 512x512 .mat (v7.3), and 192x192x60 NIfTI with a segmentation.
The program ends with an error unless both make the same slices to half precision. For each kind:

- slices a second, the best of several rounds in which the ways take turns, after a warm-up of the disk's cache;
- the peak of resident memory of a process that prepares N files, and of one that prepares four times as many;
- the time of a second run, when nothing has changed.

Ends with one JSON line; its `ratio` is ours in one process / the loop over all kinds (geometric mean), `ratio_two` the
same with two workers: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from monai_aggrgan import Study
from monai_aggrgan.data import phantom_slice, read_image_array
from monai_aggrgan.stages import prepare

CONFIGS = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan" / "configs"
CLASSES = ("blob", "ring")
SIZE = 128
Array = NDArray[np.generic]


def picture(class_name: str, seed: int, *, side: int) -> Array:
    """A phantom with noise, 8 bits: real scans are noisy, and noise is what JPEG and gzip work on."""
    image = torch.from_numpy(np.asarray(phantom_slice(class_name, seed=seed, size=128), dtype=np.float32))
    large = F.interpolate(image.view(1, 1, 128, 128), size=(side, side), mode="bilinear")[0, 0].numpy()
    large = large / max(float(large.max()), 1e-6)
    noise = np.random.default_rng(seed).normal(0, 0.02, large.shape)
    return ((large + noise * (large > 0)).clip(0, 1) * 255).astype(np.uint8)


def write_jpeg(folder: Path, class_name: str, number: int) -> None:
    """One picture of 512x512."""
    Image.fromarray(picture(class_name, number, side=512)).save(folder / f"{number}.jpg", quality=90)


def write_mat(folder: Path, class_name: str, number: int) -> None:
    """One file of the Figshare set's layout."""
    with h5py.File(folder / f"{number}.mat", "w") as file:
        data = file.create_group("cjdata")
        data["label"] = np.array([[1.0]])
        data["PID"] = np.array([[ord(letter)] for letter in f"{number}"], np.uint16)
        data["image"] = (picture(class_name, number, side=512).astype(np.int16) * 7).T
        data["tumorMask"] = np.zeros((512, 512), np.uint8)


def write_volume(folder: Path, class_name: str, number: int) -> None:
    """One volume with a segmentation."""
    flat = picture(class_name, number, side=192).astype(np.float32)
    profile = np.sin(np.linspace(0.1, 3.0, 60))
    noise = np.random.default_rng(number).normal(0, 4, (192, 192, 60))
    volume = ((flat[..., None] * profile + noise) * (flat[..., None] > 0) * 5).clip(0).astype(np.int16)
    label = np.zeros(volume.shape, np.uint8)
    label[80:110, 80:110, 20 + number % 10 : 40] = 1
    for name, array in {f"{number}.nii.gz": volume, f"{number}_seg.nii.gz": label}.items():
        nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1, 2, 1])), folder / name)


def unit(pixels: Array, low: float, high: float) -> Tensor:
    """Float32 in [0, 1]."""
    return torch.from_numpy(((pixels.astype(np.float32) - low) / (high - low)).clip(0, 1))


def shrink(image: Tensor) -> Tensor:
    """(1, SIZE, SIZE) half precision of a square slice."""
    return F.interpolate(image[None, None], size=(SIZE, SIZE), mode="bilinear", antialias=True)[0].clamp(0, 1).half()


def loop_jpeg(path: Path) -> list[Tensor]:
    """Read, scale, resize."""
    return [shrink(unit(np.asarray(Image.open(path)), 0, 255))]


def loop_mat(path: Path) -> list[Tensor]:
    """Read, scale by percentiles, resize."""
    with h5py.File(path, "r") as file:
        pixels = file["cjdata/image"][()].T
    return [shrink(unit(pixels, *np.percentile(pixels, (0.5, 99.5))))]


def loop_volume(path: Path) -> list[Tensor]:
    """Read volume and segmentation, choose three slices, scale by the volume's percentiles, resize."""
    volume = np.asarray(nibabel.load(path).dataobj)
    label = np.asarray(nibabel.load(path.with_name(path.name.replace(".nii", "_seg.nii"))).dataobj)
    low, high = np.percentile(volume, (0.5, 99.5))
    areas = np.count_nonzero(label, axis=(0, 1))
    first, last = np.flatnonzero(areas)[[0, -1]]
    chosen = {int(areas.argmax())}
    for share in (0.25, 0.75):
        wanted = round(first + share * (last - first))
        chosen.add(min(set(np.flatnonzero(areas).tolist()) - chosen, key=lambda index: (abs(index - wanted), index)))
    return [shrink(unit(volume[:, :, index].T, low, high)) for index in sorted(chosen)]


KINDS: dict[str, tuple[Callable[[Path, str, int], None], Callable[[Path], list[Tensor]], str]] = {
    "JPEG": (write_jpeg, loop_jpeg, "*.jpg"),
    "MAT": (write_mat, loop_mat, "*.mat"),
    "NIfTI": (write_volume, loop_volume, "*[0-9].nii.gz"),
}


def write_data_set(folder: Path, kind: str, count: int) -> Path:
    """`count` files of each class."""
    for class_name in CLASSES:
        (folder / class_name).mkdir(parents=True)
        for number in range(count):
            KINDS[kind][0](folder / class_name, class_name, number)
    return folder


def plain_loop(data: Path, output: Path, kind: str) -> float:
    """Seconds of the reference."""
    start = time.perf_counter()
    _, load, pattern = KINDS[kind]
    output.mkdir()
    for class_name in CLASSES:
        slices, rows = [], []
        for path in sorted((data / class_name).glob(pattern)):
            for image in load(path):
                slices.append(image)
                rows.append([path.name, class_name, hashlib.sha256(image.numpy().tobytes()).hexdigest()])
        np.save(output / f"{class_name}.npy", torch.stack(slices).numpy())
        with open(output / f"{class_name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
    return time.perf_counter() - start


def ours(data: Path, output: Path, workers: int) -> float:
    """Seconds of the stage, without those of the summary."""
    summary = 0.0
    write_summary = prepare.write_data_summary

    def timed(*arguments: object, **options: object) -> object:
        nonlocal summary
        start = time.perf_counter()
        result = write_summary(*arguments, **options)
        summary += time.perf_counter() - start
        return result

    prepare.write_data_summary = timed
    options = {"dataset_dir": data, "output_dir": output, "image_size": SIZE, "num_workers": workers}
    try:
        start = time.perf_counter()
        Study(config_dir=CONFIGS, **options).run("prepare")
        return time.perf_counter() - start - summary
    finally:
        prepare.write_data_summary = write_summary


def peak_memory(data: Path, output: Path) -> int:
    """Bytes that a process of its own holds at the most while it prepares, workers not counted."""
    command = [sys.executable, __file__, "--measure", str(data), str(output)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measure_memory(data: Path, output: Path) -> None:
    """What the process of `peak_memory` does, on Linux; getrusage would count what its parent held, too."""
    ours(data, output, 0)
    status = Path("/proc/self/status").read_text()
    print(1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]))


def refuse_other_slices(output: Path, reference: Path) -> None:
    """End unless both ways made the same, to the step of half precision."""
    for class_name in CLASSES:
        made = read_image_array(output / "prepare" / class_name)[0]
        loop = torch.from_numpy(np.load(reference / f"{class_name}.npy")).float()
        if (made.shape != loop.shape) or (made - loop).abs().max() > 1e-3:
            raise SystemExit(f"the slices of {class_name} differ: {made.shape} and {loop.shape}")


def measure(kind: str, count: int, *, rounds: int, memory: bool) -> dict[str, float]:
    """Slices a second of each way, on files of one kind, and peaks of memory if asked for."""
    times: dict[str, list[float]] = {"loop": [], "one": [], "two": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_data_set(folder / "data", kind, count)
        for turn in range(rounds + 1):  # the first one warms up
            times["loop"].append(plain_loop(data, folder / f"loop{turn}", kind))
            times["one"].append(ours(data, folder / f"one{turn}", 0))
            times["two"].append(ours(data, folder / f"two{turn}", 2))
        refuse_other_slices(folder / "one0", folder / "loop0")
        refuse_other_slices(folder / "two0", folder / "loop0")
        again = ours(data, folder / "one0", 0)
        slices = sum(len(np.load(path, mmap_mode="r")) for path in (folder / "loop0").glob("*.npy"))
        peaks = {}
        if memory:
            few = write_data_set(folder / "few", kind, count // 4)
            peaks = {"few": peak_memory(few, folder / "m1"), "all": peak_memory(data, folder / "m2")}
    best = {way: slices / min(spent[1:]) for way, spent in times.items()}
    told = " and ".join(f"{size / 2**20:.0f} MiB" for size in peaks.values())
    print(
        f"{kind:6} {slices:5} slices   loop {best['loop']:6.1f}/s   ours {best['one']:6.1f}/s, with two workers"
        f" {best['two']:6.1f}/s   again in {again:.2f} s"
        + (f"   peak of {count // 2} and {2 * count} files {told}" if memory else "")
    )
    return best | {f"peak_mebibytes_{name}": size / 2**20 for name, size in peaks.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer files: under a minute on 2 cores")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if arguments.measure:
        measure_memory(*map(Path, arguments.measure))
        return
    counts = {"JPEG": 200, "MAT": 150, "NIfTI": 8} if arguments.quick else {"JPEG": 500, "MAT": 500, "NIfTI": 32}
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, slices of {SIZE}x{SIZE}")
    quick = arguments.quick
    measured = {
        kind: measure(kind, count, rounds=2 if quick else 3, memory=not quick or kind == "JPEG")
        for kind, count in counts.items()
    }
    ratios = {
        way: math.exp(sum(math.log(found[way] / found["loop"]) for found in measured.values()) / len(measured))
        for way in ("one", "two")
    }
    result = {
        "benchmark": "loading",
        "ratio": round(ratios["one"], 3),
        "ratio_two": round(ratios["two"], 3),
        "measured": {
            kind: {name: round(value, 1) for name, value in found.items()} for kind, found in measured.items()
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
