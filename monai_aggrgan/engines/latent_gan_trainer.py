"""One trainer for every GAN whose generator starts from a latent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Trainer, default_prepare_batch
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from torch.optim import Optimizer

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.engines.gan_step import GanStep, LatentSource, autocast_dtype
from monai_aggrgan.engines.graphed_gan_step import GraphedGanStep, fit_to_graphs
from monai_aggrgan.engines.health import ailment_of
from monai_aggrgan.exceptions import TrainingDiverged
from monai_aggrgan.losses.objectives import AdversarialObjective
from monai_aggrgan.optimizers.moving_average import ExponentialMovingAverage
from monai_aggrgan.transforms.differentiable_augmentation import DifferentiableAugmentation

__all__ = ["LatentGanTrainer"]


class LatentGanTrainer(Trainer):
    """Adversarial training on `monai.engines.Trainer`: any objective, any handler, no knowledge of a particular GAN.

    An iteration is one step of the critic on a fresh batch of real images and fresh latents; every `critic_steps`-th
    iteration also steps the generator, see `GanStep`. `engine.state.output` holds every term as a detached scalar on
    the device, `critic/<term>` and `generator/<term>`, and `generator/diversity`: the standard deviation over the
    batch, averaged over pixels. Nothing is read back to the host but by the health check at the end of an epoch. On
    CUDA whole steps are graphs.

    All randomness is a function of (seed, epoch, rank, restarts), so a training resumed from a checkpoint of the end of
    an epoch goes on exactly as if it had not been interrupted. The default generator, which dropout and some objectives
    draw from, is seeded inside `run` and restored after it.

    A training that is NaN, has dead gradients, or makes the same image whatever the latent goes back to its last
    checkpoint (with a `TrainingCheckpoint` attached), with other noise and half the learning rates.

    One training may run in several processes (torch.distributed, networks wrapped in DistributedDataParallel): every
    rank has its own noise, the ranks agree on health, and steps are not graphs.

    Differs from `monai.engines.GanTrainer` in: fresh reals for every critic step, fakes as many as reals, train mode,
    iteration events, autocast, one objective instead of two loss functions.

    Args:
        device: where the networks are.
        max_epochs: passes over the data.
        train_data_loader: gives `{"image": (B, 1, H, W)}` in [0, 1], or signals (B, 1, W) or volumes (B, 1, D, H, W) as
            the networks take them; a sampler with `set_epoch` is told the epoch.
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1].
        critic: images to logits (B, 1).
        objective: what both minimise.
        generator_optimizer: steps the generator.
        critic_optimizer: steps the critic.
        latents: draws the latents.
        critic_steps: steps of the critic for one of the generator.
        seed: of latents, augmentation, dropout and interpolation.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 on GPUs that have it and on CPUs with AMX.
        augmentation: of what the critic sees, real and fake.
        average: moving average of the generator.
        graphs: on CUDA, record whole steps as graphs. A loss, network or optimiser that waits for the device cannot be
            recorded; it is said in the log, and the steps are launched one by one.
        max_restarts: times that an ailing training is taken back to its last checkpoint before it is given up.
        collapse_after: iterations after which an image without variation counts as collapse.
        min_diversity: `generator/diversity` below which the generator counts as collapsed.
        name: what error messages call this training.
        prepare_batch: as in MONAI.
        train_handlers: MONAI or Ignite handlers with an `attach` method.

    Attributes:
        roll_back: takes the whole state back to the last good one; a `TrainingCheckpoint` sets it.
        during_run: contexts that handlers enter at the start and that are left when the run ends, however it ends.

    Raises:
        TrainingDiverged: from `run`, when the training ails and cannot be taken back, or was too often. Checkpoints
            that handlers saved at the ends of earlier epochs are good.

    Example:
        >>> from monai_aggrgan.data import NormalLatents
        >>> from monai_aggrgan.losses import LogisticObjective
        >>> from monai_aggrgan.networks import DCGAN2Discriminator, DCGAN2Generator
        >>> generator = DCGAN2Generator(image_size=16, base_width=4)
        >>> critic = DCGAN2Discriminator(image_size=16, base_width=4)
        >>> trainer = LatentGanTrainer(
        ...     device="cpu",
        ...     max_epochs=2,
        ...     train_data_loader=[{"image": torch.rand(4, 1, 16, 16)}] * 3,
        ...     generator=generator,
        ...     critic=critic,
        ...     objective=LogisticObjective(),
        ...     generator_optimizer=torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999)),
        ...     critic_optimizer=torch.optim.Adam(critic.parameters(), 2e-4, betas=(0.5, 0.999)),
        ...     latents=NormalLatents(generator.latent_size),
        ... )
        >>> trainer.run()
        >>> trainer.state.iteration
        6
    """

    def __init__(
        self,
        *,
        device: torch.device | str,
        max_epochs: int,
        train_data_loader: Iterable[Mapping[str, Tensor]],
        generator: nn.Module,
        critic: nn.Module,
        objective: AdversarialObjective,
        generator_optimizer: Optimizer,
        critic_optimizer: Optimizer,
        latents: LatentSource,
        critic_steps: int = 1,
        seed: int = 0,
        precision: str = "float32",
        augmentation: DifferentiableAugmentation | None = None,
        average: ExponentialMovingAverage | None = None,
        graphs: bool = True,
        max_restarts: int = 3,
        collapse_after: int = 500,
        min_diversity: float = 1e-3,
        name: str = "training",
        prepare_batch: Callable[..., Any] = default_prepare_batch,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(device, max_epochs, train_data_loader, prepare_batch=prepare_batch, decollate=False)
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, got {critic_steps}")
        self.generator, self.critic = generator, critic
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        self.augmentation, self.average = augmentation, average
        self.critic_steps, self.seed, self.name = critic_steps, seed, name
        self.max_restarts, self.collapse_after, self.min_diversity = max_restarts, collapse_after, min_diversity
        self.step = GanStep(
            generator=generator,
            critic=critic,
            objective=objective,
            generator_optimizer=generator_optimizer,
            critic_optimizer=critic_optimizer,
            latents=latents,
            random=torch.Generator(device=self.state.device),
            autocast=autocast_dtype(precision, self.state.device),
            augmentation=augmentation,
            average=average,
        )
        self.graphs = graphs and self.state.device.type == "cuda" and idist.get_world_size() == 1
        self._graphed = GraphedGanStep(self.step, self.state.device)
        self.roll_back: Callable[[], None] | None = None
        self.during_run = ExitStack()
        self.state.restarts = 0
        self.state_dict_user_keys.append("restarts")
        self.logger.setLevel(logging.INFO)
        self.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        self.add_event_handler(Events.ITERATION_COMPLETED, self._check_health)  # before handlers see the epoch's end
        self.add_event_handler(Events.EXCEPTION_RAISED, _raise_again)
        self._register_handlers(train_handlers or [])

    def run(self) -> None:  # type: ignore[override]
        """Train until `max_epochs`, from the start or from the checkpoint that a handler restores."""
        devices = [self.state.device] if self.state.device.type == "cuda" else []
        with self.during_run, torch.random.fork_rng(devices=devices):
            super().run()

    def parts(self) -> dict[str, Any]:
        """All that a checkpoint must hold, by name, each with `state_dict` and `load_state_dict`."""
        parts = {
            "trainer": self,
            "generator": self.generator,
            "critic": self.critic,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
            "augmentation": self.augmentation,
            "average": self.average,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Epoch, iteration and restarts of a checkpoint; `max_epochs` stays as it was given."""
        max_epochs, self.state.max_epochs = self.state.max_epochs, None
        super().load_state_dict(state_dict)
        self.state.max_epochs = max_epochs
        self._graphed.forget()

    def _start_epoch(self, engine: Any) -> None:
        noise = (engine.state.epoch, engine.state.restarts, engine.state.rank)
        torch.manual_seed(derived_seed(self.seed, 0, *noise))
        self.step.random.manual_seed(derived_seed(self.seed, 1, *noise))
        self._tell_sampler(engine.state.epoch)
        for optimizer in (self.generator_optimizer, self.critic_optimizer):
            fit_to_graphs(optimizer, engine.state.device, graphs=self.graphs)
        self.generator.train()
        self.critic.train()

    def _tell_sampler(self, epoch: int) -> None:
        sampler: Any = getattr(self.data_loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)

    def _iteration(self, engine: Any, batchdata: dict[str, Tensor]) -> dict[str, Tensor]:
        real = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)[0]
        real = convert_to_tensor(real, track_meta=False)
        step = self._graphed if self.graphs else self.step
        return step(real, with_generator=engine.state.iteration % self.critic_steps == 0)

    def _check_health(self, engine: Any) -> None:
        if engine.state.iteration % engine.state.epoch_length:
            return
        ailment = ailment_of(
            engine.state.output,
            generator=self.generator,
            critic=self.critic,
            diversity=self.step.diversity if engine.state.iteration >= self.collapse_after else None,
            min_diversity=self.min_diversity,
        )
        if idist.get_world_size() > 1:
            told_by_ranks: Any = idist.all_gather(ailment or "")
            ailment = next(filter(None, told_by_ranks), None)
        if ailment is None:
            return
        told = f"{self.name} was stopped at epoch {engine.state.epoch}: {ailment}"
        if self.roll_back is None or engine.state.restarts >= self.max_restarts:
            times = f", also after {engine.state.restarts} fresh starts" if engine.state.restarts else ""
            raise TrainingDiverged(
                f"{told}{times}; the last good checkpoint is kept; try a lower learning rate or another seed."
            )
        self._restart(self.roll_back, told)

    def _restart(self, roll_back: Callable[[], None], told: str) -> None:
        """Go back to the last good state, and on from it with other noise and smaller steps."""
        restarts = self.state.restarts + 1
        roll_back()
        for optimizer in (self.generator_optimizer, self.critic_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * 0.5 ** (restarts - self.state.restarts)
        self.state.restarts = restarts
        self._tell_sampler(self.state.epoch + 1)
        self.terminate_epoch(skip_epoch_completed=True)  # nothing is judged or saved by the name of this epoch
        self.logger.warning(
            "%s; it goes on from epoch %d with other noise and half the learning rates (fresh start %d of %d).",
            *(told, self.state.epoch, restarts, self.max_restarts),
        )


def _raise_again(engine: Engine, error: Exception) -> None:
    """Attached first, so that no other handler prints a traceback or saves a broken state."""
    raise error
