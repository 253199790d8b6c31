"""Training steps a second of each GAN, against MONAI's `GanTrainer` and the loop of the well-known DCGAN example.

Ours: `train.yaml` and `train_<gan>.yaml` of the bundle as they are, but for the place of the data (in memory) and the
handlers (none): so networks, optimisers, memory format, loader and `LatentGanTrainer` are those that a user gets. A
step is one of the critic, and one of the generator where it is due. The references, in the same run and by turns, with
networks, batch, learning rates and losses that are the same (the program ends with an error unless the losses agree):

- plain: `plain_gan_training.py`, a DataLoader over a TensorDataset, `torch.optim.Adam`, losses read in every step;
- GanTrainer, with MONAI's DataLoader over a list in memory. It cannot do all: the steps of the critic between two of
  the generator repeat the same real and fake images (WGAN-div), which spares it work; it makes new fakes for the
  generator; and the latents do not reach the losses, so that InfoGAN's codes come from a function that remembers them.

All in float32, ours in bfloat16 too; medians over the repeats, which take turns. One more way tells what is not
arithmetic: the same networks' forward, backward and optimiser steps in a bare loop on one batch. "Overhead" is 1 - its
time / ours in float32: below 0 means less than nothing but noise.

With `--paper`, on CUDA: also whole trainings of one class at the paper's size, the minutes of all three GANs.

Ends with one JSON line; its `ratio` is ours / plain in float32, the geometric mean over GANs and sizes: above 1, we are
faster.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import logging
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ignite
import monai
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.engines import GanTrainer
from monai.engines.utils import default_make_latent
from plain_gan_training import (
    Losses,
    Players,
    bare_steps,
    example_epoch,
    half_squared_error,
    information_losses,
    logistic_losses,
    wasserstein_divergence_losses,
)
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from monai_aggrgan.data import PreparedSlices
from monai_aggrgan.data.phantoms import PHANTOM_CLASSES, phantom_slice

CONFIGS = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan" / "configs"
GANS = ("dcgan1", "dcgan2", "wgan_div", "lsgan", "infogan")
PAPER = ("dcgan1", "dcgan2", "wgan_div")
CLASS_SIZE = 1426  # glioma slices of the Figshare set
DIFFERENT = 64  # phantoms, of which data sets are made
WAYS = ("plain", "GanTrainer", "ours", "ours bfloat16", "bare")


class SlicesInMemory(PreparedSlices):
    """Prepared slices that no stage wrote."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.rows = images, []


def phantoms(count: int, *, size: int) -> Tensor:
    """Images (count, 1, size, size) in [0, 1]."""
    slices = [phantom_slice(PHANTOM_CLASSES[seed % 3], seed=seed, size=size) for seed in range(min(count, DIFFERENT))]
    return torch.from_numpy(np.stack(slices)).float()[torch.arange(count) % DIFFERENT, None]


@dataclass(frozen=True)
class Plan:
    """What is trained, and for how many steps at a time."""

    gan: str
    size: int
    base_width: int
    device: torch.device
    steps: int = 0

    def config(self, *, precision: str = "float32", images: Tensor | None = None) -> ConfigParser:
        """The bundle's training config, with these images instead of a folder."""
        files = [str(CONFIGS / name) for name in ("train.yaml", f"train_{self.gan}.yaml")]
        config: dict[str, Any] = ConfigParser.load_config_files(files)
        config |= {"image_size": self.size, "base_width": self.base_width, "precision": precision}
        config |= {"device": self.device, "max_epochs": 1, "output_dir": tempfile.gettempdir()}
        config["train"] |= {"dataset": SlicesInMemory(phantoms(1, size=self.size) if images is None else images)}
        config["train"] |= {"handlers": []}
        return ConfigParser(config)


@dataclass(frozen=True)
class Setting:
    """What the references take over from a config: everything but how it is run."""

    players: Players
    losses: Losses
    batch: int
    latent_size: int
    critic_steps: int


def setting_of(plan: Plan) -> Setting:
    """Networks as they are built, and Adam as it is by default."""
    parser = plan.config()
    generator, critic = (parser.get_parsed_content(name).to(plan.device) for name in ("network_def", "critic_def"))
    adam = partial(torch.optim.Adam, lr=parser["learning_rate"], betas=parser["betas"])
    losses = {
        "lsgan": lambda: logistic_losses(half_squared_error),
        "wgan_div": wasserstein_divergence_losses,
        "infogan": lambda: information_losses(generator.codes),
    }.get(plan.gan, logistic_losses)
    return Setting(
        Players(generator, critic, adam(generator.parameters()), adam(critic.parameters())),
        losses(),
        parser["batch_size"],
        generator.latent_size,
        parser["critic_steps"],
    )


def plain(plan: Plan) -> Callable[[], object]:
    """`plan.steps` steps of the example's loop."""
    setting = setting_of(plan)
    images = phantoms(setting.batch * plan.steps, size=plan.size)
    loader = DataLoader(TensorDataset(images), batch_size=setting.batch, shuffle=True)
    how = {"latent_size": setting.latent_size, "critic_steps": setting.critic_steps, "device": plan.device}
    return partial(example_epoch, setting.players, setting.losses, loader, **how)


def by_gan_trainer(plan: Plan) -> Callable[[], object]:
    """`plan.steps` steps of MONAI's trainer."""
    setting = setting_of(plan)
    players, losses = setting.players, setting.losses
    batches = plan.steps // setting.critic_steps  # it takes all steps of the critic on one batch
    images = phantoms(setting.batch * batches, size=plan.size)
    drawn: list[Tensor] = []

    def latents(**how: Any) -> Tensor:
        drawn[:] = [default_make_latent(**how)]
        return drawn[0]

    trainer = GanTrainer(
        device=plan.device,
        max_epochs=0,
        train_data_loader=monai.data.DataLoader(
            [{"reals": image} for image in images], batch_size=setting.batch, shuffle=True
        ),
        g_network=players.generator,
        g_optimizer=players.generator_optimizer,
        g_loss_function=lambda fake: losses.generator(players.critic, fake, drawn[0]),
        d_network=players.critic,
        d_optimizer=players.critic_optimizer,
        d_loss_function=lambda fake, real: losses.critic(players.critic, real, fake.detach(), drawn[0]),
        d_train_steps=setting.critic_steps,
        latent_shape=setting.latent_size,
        g_prepare_batch=latents,
    )
    return partial(one_more_epoch, trainer)


def ours(plan: Plan, *, precision: str = "float32") -> Callable[[], object]:
    """`plan.steps` steps of our trainer, as the bundle builds it."""
    batch = plan.config()["batch_size"]
    parser = plan.config(precision=precision, images=phantoms(batch * plan.steps, size=plan.size))
    trainer = parser.get_parsed_content("train#trainer")
    trainer.state.max_epochs, trainer.collapse_after = 0, float("inf")  # a step or two an epoch: no time to learn
    return partial(one_more_epoch, trainer)


def bare(plan: Plan) -> Callable[[], object]:
    """`plan.steps` times the arithmetic of the bundle's own networks and optimisers."""
    setting, parser = setting_of(plan), plan.config()
    names = ("generator", "critic", "generator_optimizer", "critic_optimizer")
    players = Players(*(parser.get_parsed_content(name) for name in names))
    real = phantoms(setting.batch, size=plan.size).to(plan.device)
    latent = torch.randn(setting.batch, setting.latent_size, device=plan.device)
    steps = {"steps": plan.steps, "critic_steps": setting.critic_steps}
    return partial(bare_steps, players, setting.losses, real, latent, **steps)


def one_more_epoch(trainer: Any) -> None:
    """Go on where the last call ended."""
    trainer.state.max_epochs += 1
    trainer.run()


def check_losses(plan: Plan) -> None:
    """End with an error unless the references minimise what we do."""
    setting, objective = setting_of(plan), plan.config().get_parsed_content("objective")
    real = phantoms(8, size=plan.size).to(plan.device)
    latent = torch.randn(8, setting.latent_size, device=plan.device)
    fake = setting.players.generator(latent).detach()
    critic = copy.deepcopy(setting.players.critic)
    torch.manual_seed(0)
    terms = objective.discriminator_terms(critic, real, fake, latent)
    torch.manual_seed(0)
    theirs = setting.losses.critic(critic, real, fake, latent)
    torch.testing.assert_close(sum(term for term in terms.values() if term.requires_grad), theirs, rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    terms = objective.generator_terms(critic, fake, latent)
    torch.manual_seed(0)
    theirs = setting.losses.generator(critic, fake, latent)
    torch.testing.assert_close(sum(terms.values()), theirs, rtol=1e-4, atol=1e-5)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of one call, once the device has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def long_enough(plan: Plan, *, wanted: float) -> Plan:
    """The plan with as many steps as the plain loop takes in `wanted` seconds, at most a pass over a class."""
    setting = setting_of(plan)
    round_of_steps = copy.copy(plan).__class__(**vars(plan) | {"steps": setting.critic_steps})
    run = plain(round_of_steps)
    run()  # warms up
    rounds = round(wanted / seconds(run, plan.device))
    most = CLASS_SIZE // setting.batch // setting.critic_steps
    return Plan(**vars(plan) | {"steps": setting.critic_steps * max(1, min(rounds, most))})


def measure(plan: Plan, *, repeats: int, wanted: float) -> dict[str, float]:
    """Steps a second of each way."""
    check_losses(plan)
    plan = long_enough(plan, wanted=wanted)
    makers = (plain, by_gan_trainer, ours, partial(ours, precision="bfloat16"), bare)
    runs = dict(zip(WAYS, (make(plan) for make in makers), strict=True))
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats + 1):  # the first one warms up
        for way, run in runs.items():
            times[way].append(seconds(run, plan.device))
    return {way: plan.steps / statistics.median(spent[1:]) for way, spent in times.items()}


def ratios_of(speeds: dict[str, float]) -> dict[str, float]:
    """What the speeds come to."""
    return {
        "ratio": speeds["ours"] / speeds["plain"],
        "ratio_to_gan_trainer": speeds["ours"] / speeds["GanTrainer"],
        "ratio_bfloat16": speeds["ours bfloat16"] / speeds["plain"],
        "bfloat16_to_float32": speeds["ours bfloat16"] / speeds["ours"],
        "overhead": 1 - speeds["ours"] / speeds["bare"],
    }


def paper_minutes(gan: str, arguments: argparse.Namespace) -> float:
    """A whole training of one class as in the paper, in the precision that suits the device."""
    plan = Plan(gan, 128, arguments.base_width, arguments.device)
    epochs = ConfigParser.load_config_file(str(CONFIGS / f"train_{gan}.yaml"))["max_epochs"]
    parser = plan.config(precision="auto", images=phantoms(CLASS_SIZE, size=128))
    trainer = parser.get_parsed_content("train#trainer")
    trainer.state.max_epochs, trainer.collapse_after = epochs, float("inf")  # phantoms are few
    return seconds(trainer.run, arguments.device) / 60


def machine(device: torch.device) -> str:
    """Name of the processor that computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        if found := re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()):
            return found[1]
    return platform.processor() or platform.machine()


def arguments_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line."""
    parser.add_argument(
        "--quick", action="store_true", help="64x64, base width 32, few steps: under a minute on 2 cores"
    )
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")
    parser.add_argument("--gans", nargs="+", choices=GANS, default=GANS)
    parser.add_argument("--sizes", type=int, nargs="+", help="default: 64 128")
    parser.add_argument("--base_width", type=int, help="of the convolutional networks; default: 64")
    parser.add_argument("--repeats", type=int, help="default: 5")
    parser.add_argument("--paper", action="store_true", help="CUDA: then the paper's trainings of one class")
    arguments = parser.parse_args()
    if arguments.paper and arguments.device.type != "cuda":
        parser.error("--paper needs --device cuda")
    arguments.sizes = arguments.sizes or ([64] if arguments.quick else [64, 128])
    arguments.base_width = arguments.base_width or (32 if arguments.quick else 64)
    arguments.repeats = arguments.repeats or (2 if arguments.quick else 5)
    arguments.wanted = 0.2 if arguments.quick else 4.0
    return arguments


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments = arguments_of(parser)
    logging.disable(logging.WARNING)  # trainers tell of every run
    told = {
        "device": str(arguments.device),
        "machine": machine(arguments.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "ignite": ignite.__version__,
        "base_width": arguments.base_width,
    }
    print(", ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    print(f"{'steps a second':16}" + "".join(f"{way:>15}" for way in WAYS) + "   / plain  / GanTrainer  bf16  overhead")
    results: dict[str, dict[str, float]] = {}
    for size in arguments.sizes:
        for gan in arguments.gans:
            plan = Plan(gan, size, arguments.base_width, arguments.device)
            speeds = measure(plan, repeats=arguments.repeats, wanted=arguments.wanted)
            ratios = ratios_of(speeds)
            print(
                f"{f'{gan} {size}':16}"
                + "".join(f"{speed:15.3f}" for speed in speeds.values())
                + f"{ratios['ratio']:10.2f}{ratios['ratio_to_gan_trainer']:14.2f}{ratios['ratio_bfloat16']:6.2f}"
                f"{ratios['overhead']:10.1%}",
                flush=True,
            )
            results[f"{gan} {size}"] = {"steps_per_second": speeds["ours"], **ratios}
    mean = partial(statistics.geometric_mean)
    keys = ("ratio", "ratio_to_gan_trainer", "ratio_bfloat16", "bfloat16_to_float32")
    means = {key: mean([result[key] for result in results.values()]) for key in keys}
    line: dict[str, Any] = {"benchmark": "gan_training", **rounded(means), **told, "results": rounded(results)}
    if arguments.paper:
        minutes = {gan: paper_minutes(gan, arguments) for gan in PAPER}
        line["paper_minutes"] = rounded({**minutes, "total": sum(minutes.values())})
        print(f"one class as in the paper: {sum(minutes.values()):.1f} minutes")
    print(json.dumps(line))


def rounded(value: Any) -> Any:
    """Three digits of every number."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
