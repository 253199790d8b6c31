"""What each part of the strong recipe is worth: trainings that differ in one part, judged by held-out patients.

    python benchmarks/recipe_ablation.py train DATA --output RUNS   # PNG by class, folds in DATA/../figshare/slices.csv
    python benchmarks/recipe_ablation.py judge DATA --output RUNS --vgg_weights vgg19.pth

`train` writes, for every recipe and seed, the images that the generator and its moving average make at twelve points of
the training; finished ones are skipped. `judge` embeds them with VGG-19 and prints the table.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from torch import Tensor

from monai_aggrgan.data import NormalLatents, read_grey_image, shuffled_loader
from monai_aggrgan.engines import LatentGanTrainer
from monai_aggrgan.exceptions import TrainingDiverged
from monai_aggrgan.losses import LogisticObjective, R1Objective, WassersteinDivergenceObjective
from monai_aggrgan.metrics import (
    Whitening,
    density_coverage,
    frechet_distance,
    kernel_distance,
    memorised_share,
    nearest_distances,
    precision_recall,
)
from monai_aggrgan.networks import (
    DCGAN1Discriminator,
    DCGAN1Generator,
    DCGAN2Discriminator,
    DCGAN2Generator,
    VGG19Embedding,
    WGANDivCritic,
    WGANDivGenerator,
    load_vgg19,
)
from monai_aggrgan.optimizers import ExponentialMovingAverage
from monai_aggrgan.transforms import DifferentiableAugmentation, resize_square

POINTS = 12
IMAGES = 512  # at each point, of either network
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "augmentation, adaptive p": {"augmentation": {}},
    "augmentation, p = 0.5": {"augmentation": {"p": 0.5, "target": None}},
    "spectral norm": {"spectral_norm": True},
    "R1": {"r1": 1.0},
    "augmentation, spectral norm": {"augmentation": {}, "spectral_norm": True},
    "augmentation, R1": {"augmentation": {}, "r1": 1.0},
}


class Slices(torch.utils.data.Dataset):
    """Images in memory."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {"image": self.images[index]}


def real_images(data: Path, class_name: str, *, fold: str, size: int) -> dict[str, Tensor]:
    """Training and held-out slices of a class, by the official fold of the file's number."""
    with (data.parent / "figshare" / "slices.csv").open(newline="", encoding="utf-8") as file:
        folds = {row["number"]: row["fold"] for row in csv.DictReader(file)}
    images: dict[str, list[Tensor]] = {"training": [], "held_out": []}
    for path in sorted((data / class_name).glob("*.png")):
        image = torch.from_numpy(np.asarray(read_grey_image(path).pixels, dtype=np.float32)) / 255
        side = "held_out" if folds[path.stem] == fold else "training"
        images[side].append(resize_square(image[None, None], size=size)[0])
    return {side: torch.stack(found) for side, found in images.items()}


def networks(gan: str, recipe: Mapping[str, Any], *, size: int, width: int, seed: int) -> tuple[Any, Any]:
    """Generator and critic of the paper, or without BatchNorm where a bound on the critic is to work."""
    bounded = {"spectral_norm": recipe.get("spectral_norm", False)}
    if gan == "wgan_div":
        return WGANDivGenerator(image_size=size, seed=seed), WGANDivCritic(image_size=size, seed=seed, **bounded)
    shape = {"image_size": size, "base_width": width, "seed": seed}
    if gan == "dcgan1":
        return DCGAN1Generator(**shape), DCGAN1Discriminator(**shape, **bounded)
    normalization = "none" if recipe.get("spectral_norm") or recipe.get("r1") else "batch"
    return DCGAN2Generator(**shape), DCGAN2Discriminator(**shape, **bounded, normalization=normalization)


def train(
    folder: Path, gan: str, recipe: Mapping[str, Any], images: Tensor, options: argparse.Namespace, seed: int
) -> None:
    """Train once and keep the images of every point."""
    generator, critic = networks(gan, recipe, size=options.size, width=options.base_width, seed=seed)
    for network in (generator, critic):
        network.to(memory_format=torch.channels_last)
    wgan = gan == "wgan_div"
    objective: Any = WassersteinDivergenceObjective() if wgan else LogisticObjective()
    rate = 1e-3 if wgan else 2e-4
    augmentation = DifferentiableAugmentation(**recipe["augmentation"]) if "augmentation" in recipe else None
    average = ExponentialMovingAverage(generator)
    trainer = LatentGanTrainer(
        device="cpu",
        max_epochs=options.epochs,
        train_data_loader=shuffled_loader(Slices(images), batch_size=options.batch_size, seed=seed),
        generator=generator,
        critic=critic,
        objective=R1Objective(objective, gamma=recipe["r1"]) if "r1" in recipe else objective,
        generator_optimizer=torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.999), fused=True),
        critic_optimizer=torch.optim.Adam(critic.parameters(), rate, betas=(0.5, 0.999), fused=True),
        latents=NormalLatents(generator.latent_size),
        critic_steps=5 if wgan else 1,
        seed=seed,
        precision=options.precision,
        augmentation=augmentation,
        average=average,
    )
    kept: dict[str, Any] = {}
    told: dict[str, list[float]] = {}
    latents = NormalLatents(generator.latent_size).from_seeds(range(IMAGES))

    @trainer.on(Events.EPOCH_COMPLETED)
    def look(engine: Any) -> None:
        for name, value in engine.state.output.items():
            told.setdefault(name, []).append(float(value))
        if engine.state.epoch % (options.epochs // POINTS) == 0:
            for name, network in {"generator": generator, "average": average.network}.items():
                kept[f"{name} {engine.state.epoch}"] = images_of(network, latents)
            generator.train()

    start = time.monotonic()
    try:
        trainer.run()
        ended = "whole"
    except TrainingDiverged as error:
        ended = str(error)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "images.npz", **kept)
    report = {"ended": ended, "seconds": time.monotonic() - start, "terms": told}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    print(f"{folder.name}: {report['seconds']:.0f} s, {ended}", flush=True)


@torch.no_grad()
def images_of(network: torch.nn.Module, latents: Tensor) -> np.ndarray:
    """8-bit images (N, H, W) in eval mode."""
    made = [network.eval()(part) for part in latents.split(64)]
    return (torch.cat(made)[:, 0] * 255).round().byte().numpy()


class Judge:
    """Compares sets of images with held-out ones, in whitened features of VGG-19."""

    def __init__(self, weights: str, real: Mapping[str, Tensor]) -> None:
        self.embedding = VGG19Embedding(load_vgg19(weights))
        embedded = {side: self.embedding(images) for side, images in real.items()}
        self.whitening = Whitening(embedded["training"])
        self.training, self.held_out = (self.whitening(embedded[side]) for side in ("training", "held_out"))
        self.floor = self.of(embedded["training"], whitened=False)

    def of(self, features: Tensor, *, whitened: bool = True) -> dict[str, float]:
        """All metrics of features, at n of the held-out images where n matters."""
        if not whitened:
            features = self.whitening(features)
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
        equal = features[order[: len(self.held_out)]]
        precision, recall = precision_recall(equal, self.held_out)
        density, coverage = density_coverage(equal, self.held_out)
        nearest = (
            nearest_distances(features, self.training).median()
            / nearest_distances(self.held_out, self.training).median()
        )
        values = {
            "kid": kernel_distance(features, self.held_out),
            "frechet": frechet_distance(equal, self.held_out),
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": coverage,
            "memorised": memorised_share(features, self.training, self.held_out),
            "nearest": nearest,
        }
        return {name: float(value) for name, value in values.items()}

    def images(self, pixels: np.ndarray) -> dict[str, float]:
        """The metrics of 8-bit images (N, H, W)."""
        return self.of(self.whitening(self.embedding(torch.from_numpy(pixels).float()[:, None] / 255)))


def judge(options: argparse.Namespace, real: Mapping[str, Tensor]) -> None:
    """Judge every finished training and write the values beside it, then print the means over seeds."""
    with torch.no_grad():
        trained, random = Judge(options.vgg_weights, real), Judge("random", real)
    rows = []
    for folder in sorted(path.parent for path in options.output.glob(f"{options.class_name} */report.json")):
        kept = folder / "judged.json"
        if not kept.is_file():
            with np.load(folder / "images.npz") as images, torch.no_grad():
                points = {choice: images[point_of(images, choice, random)] for choice in CHOICES}
                judged = {choice: trained.images(pixels) for choice, pixels in points.items()}
            kept.write_text(json.dumps(judged), encoding="utf-8")
        rows.append((folder.name, json.loads(kept.read_text(encoding="utf-8"))))
    print_table(trained.floor, rows)


CHOICES = ("last generator", "last average", "chosen average")


def point_of(images: Mapping[str, np.ndarray], choice: str, random: Judge) -> str:
    """The last point, or the one that `BestGenerator` would export: by random features of 256 images, with its veto."""
    when, network = choice.split()
    points = [point for point in images if point.startswith(network)]
    if when == "last":
        return points[-1]
    looks = {point: random.images(images[point][:256]) for point in points[1::2]}
    return min(looks, key=lambda point: (looks[point]["memorised"] > 0.2, looks[point]["kid"]))


def print_table(floor: Mapping[str, float], rows: list[tuple[str, Any]]) -> None:
    """Means over the seeds, and half of what lies between the lowest and the highest."""
    names = list(floor)
    print(f"{'':62s}" + "".join(f"{name:>15s}" for name in names))
    cells = ["" if name in ("memorised", "nearest") else f"{floor[name]:.3g}" for name in names]  # to themselves
    print(f"{'real: training images':62s}" + "".join(f"{cell:>15s}" for cell in cells))
    groups: dict[str, list[Any]] = {}
    for name, judged in rows:
        groups.setdefault(name.rpartition(" ")[0], []).append(judged)
    for group, runs in groups.items():
        for choice in CHOICES:
            told = [[judged[choice][name] for judged in runs] for name in names]
            cells = [f"{np.mean(values):.3g} +-{np.ptp(values) / 2:.2g}" for values in told]
            print(f"{f'{group}, {choice} (n={len(runs)})':62s}" + "".join(f"{cell:>15s}" for cell in cells))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=("train", "judge"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--class_name", default="meningioma")
    parser.add_argument("--fold", default="1")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--base_width", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=240)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--gans", nargs="+", default=["dcgan2"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vgg_weights", default="cache")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    real = real_images(options.data, options.class_name, fold=options.fold, size=options.size)
    if options.phase == "judge":
        judge(options, real)
        return
    for seed in options.seeds:
        for gan in options.gans:
            for name in options.recipes:
                folder = options.output / f"{options.class_name} {gan} {name} {seed}"
                if not (folder / "report.json").is_file():
                    train(folder, gan, RECIPES[name], real["training"], options, seed)


if __name__ == "__main__":
    main()
