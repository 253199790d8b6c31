"""What each part of the strong recipe is worth: trainings on one class that differ in one part, judged on held-out patients.

    python benchmarks/recipe_ablation.py train DATA --output RUNS     # PNG by class; DATA/../figshare/slices.csv has the folds
    python benchmarks/recipe_ablation.py judge DATA --output RUNS --vgg_weights vgg19.pth

`train` writes, for every recipe and seed, the images that the generator and its moving average make at twelve points of the
training; finished ones are skipped. `judge` embeds them with VGG-19 and prints and writes the table.
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
from monai_aggrgan.networks import (
    DCGAN1Discriminator,
    DCGAN1Generator,
    DCGAN2Discriminator,
    DCGAN2Generator,
    WGANDivCritic,
    WGANDivGenerator,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=("train", "judge"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--class_name", default="meningioma")
    parser.add_argument("--fold", default="1")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--base_width", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=180)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--gans", nargs="+", default=["dcgan2"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vgg_weights", default="cache")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = real_images(options.data, options.class_name, fold=options.fold, size=options.size)
    if options.phase == "train":
        for seed in options.seeds:
            for gan in options.gans:
                for name in options.recipes:
                    folder = options.output / f"{options.class_name} {gan} {name} {seed}"
                    if not (folder / "report.json").is_file():
                        train(folder, gan, RECIPES[name], images["training"], options, seed)


if __name__ == "__main__":
    main()
