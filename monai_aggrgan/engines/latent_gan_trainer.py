"""One trainer for every GAN whose generator starts from a latent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.engines import Trainer, default_prepare_batch
from monai.utils import convert_to_tensor, look_up_option
from torch import Tensor, nn
from torch.optim import Optimizer

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.exceptions import TrainingDiverged
from monai_aggrgan.losses.objectives import AdversarialObjective

__all__ = ["LatentGanTrainer", "LatentSource", "checkpoint_epoch", "latest_checkpoint"]

PRECISIONS = ("float32", "bfloat16", "auto")


class LatentSource(Protocol):
    """Anything that draws fresh latents, such as `monai_aggrgan.data.NormalLatents`."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` latents (count, latent_size)."""
        ...


class LatentGanTrainer(Trainer):
    """Adversarial training on `monai.engines.Trainer`: any objective, any handler, no knowledge of a particular GAN.

    An iteration is one step of the critic on a fresh batch of real images and fresh latents; every `critic_steps`-th
    iteration also steps the generator. `engine.state.output` holds every term as a detached scalar on the device,
    `critic/<term>` and `generator/<term>`, and `generator/diversity`: the standard deviation over the batch, averaged
    over pixels. Nothing is read back to the host but by the health check at the end of an epoch.

    All randomness is a function of (seed, epoch), so a training resumed from a checkpoint of the end of an epoch goes
    on exactly as if it had not been interrupted. The default generator, which dropout and some objectives draw from,
    is seeded inside `run` and restored after it.

    Differs from `monai.engines.GanTrainer` in: fresh reals for every critic step, fakes as many as reals, train mode,
    iteration events, autocast, one objective instead of two loss functions.

    Args:
        device: where the networks are.
        max_epochs: passes over the data.
        train_data_loader: gives `{"image": (B, 1, H, W)}` in [0, 1]; a sampler with `set_epoch` is told the epoch.
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1].
        critic: images to logits (B, 1).
        objective: what both minimise.
        generator_optimizer: steps the generator.
        critic_optimizer: steps the critic.
        latents: draws the latents.
        critic_steps: steps of the critic for one of the generator.
        seed: of latents, dropout and interpolation.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 on GPUs that have it and on CPUs with AMX.
        collapse_after: iterations after which an image without variation counts as collapse.
        min_diversity: `generator/diversity` below which the generator counts as collapsed.
        name: what error messages call this training.
        prepare_batch: as in MONAI.
        train_handlers: MONAI or Ignite handlers with an `attach` method.

    Raises:
        TrainingDiverged: from `run`, when a term, a weight or the images are NaN or infinite, or the generator has
            collapsed. Checkpoints that handlers saved at the ends of earlier epochs are good.

    Example:
        >>> trainer = LatentGanTrainer(device="cpu", max_epochs=100, ...)  # doctest: +SKIP
        >>> trainer.run()  # doctest: +SKIP
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
        collapse_after: int = 500,
        min_diversity: float = 1e-3,
        name: str = "training",
        prepare_batch: Callable[..., Any] = default_prepare_batch,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(device, max_epochs, train_data_loader, prepare_batch=prepare_batch, decollate=False)
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, got {critic_steps}")
        self.generator, self.critic, self.objective, self.latents = generator, critic, objective, latents
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        self.critic_steps, self.seed, self.name = critic_steps, seed, name
        self.collapse_after, self.min_diversity = collapse_after, min_diversity
        self.autocast_dtype = _autocast_dtype(precision, self.state.device)
        self._random = torch.Generator(device=self.state.device)
        self._diversity = torch.tensor(torch.inf)  # of the last step of the generator
        self.logger.setLevel(logging.INFO)
        self.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._check_health)  # before any handler saves a checkpoint
        self.add_event_handler(Events.EXCEPTION_RAISED, _raise_again)
        self._register_handlers(train_handlers or [])

    def run(self) -> None:  # type: ignore[override]
        """Train until `max_epochs`, from the start or from the checkpoint that a `CheckpointLoader` restores."""
        devices = [self.state.device] if self.state.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            super().run()

    def _start_epoch(self, engine: Any) -> None:
        torch.manual_seed(derived_seed(self.seed, engine.state.epoch, 0))
        self._random.manual_seed(derived_seed(self.seed, engine.state.epoch, 1))
        sampler: Any = getattr(self.data_loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(engine.state.epoch)
        self.generator.train()
        self.critic.train()

    def _iteration(self, engine: Any, batchdata: dict[str, Tensor]) -> dict[str, Tensor]:
        real = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)[0]
        real = convert_to_tensor(real, track_meta=False)
        latent = self.latents.draw(len(real), self._random)
        generator_step = engine.state.iteration % self.critic_steps == 0
        with self._autocast(), torch.set_grad_enabled(generator_step):
            fake = self.generator(latent).float()
        with self._autocast():
            terms = self.objective.discriminator_terms(self.critic, real, fake.detach())
        output = {f"critic/{name}": value for name, value in _minimise(terms, self.critic_optimizer).items()}
        if generator_step:
            output |= self._step_generator(fake, latent)
        return output

    def _step_generator(self, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        self.critic.requires_grad_(False)  # its gradients are not wanted here
        with self._autocast():
            terms = self.objective.generator_terms(self.critic, fake, latent)
        terms = _minimise(terms, self.generator_optimizer)
        self.critic.requires_grad_(True)
        self._diversity = fake.detach().std(dim=0, correction=0).mean()
        return {f"generator/{name}": value for name, value in terms.items()} | {"generator/diversity": self._diversity}

    def _autocast(self) -> torch.autocast:
        dtype = self.autocast_dtype
        return torch.autocast(self.state.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    def _check_health(self, engine: Any) -> None:
        where = f"{self.name} was stopped at epoch {engine.state.epoch}"
        kept = "the last good checkpoint is kept; try a lower learning rate or another seed."
        for name, value in engine.state.output.items():
            if not torch.isfinite(value):
                raise TrainingDiverged(f"{where}: the term {name} became {value.item()}; {kept}")
        for part, network in (("generator", self.generator), ("critic", self.critic)):
            if not all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values()):
                raise TrainingDiverged(f"{where}: the {part} has weights that are NaN or infinite; {kept}")
        if engine.state.iteration >= self.collapse_after and self._diversity < self.min_diversity:
            raise TrainingDiverged(f"{where}: the generator collapsed, every image it makes is the same; {kept}")


def _minimise(terms: Mapping[str, Tensor], optimizer: Optimizer) -> dict[str, Tensor]:
    optimizer.zero_grad(set_to_none=True)
    torch.stack([value.float() for value in terms.values()]).sum().backward()
    optimizer.step()
    return {name: value.detach() for name, value in terms.items()}


def _autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    look_up_option(precision, PRECISIONS)
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else None
    return torch.bfloat16 if precision == "bfloat16" else None


def _raise_again(engine: Engine, error: Exception) -> None:
    """Attached first, so that no other handler prints a traceback or saves a broken state."""
    raise error


def latest_checkpoint(folder: Path | str, *, pattern: str = "checkpoint_*.pt") -> Path | None:
    """The checkpoint of the highest epoch in a folder, by the number that ends its name; None when there is none."""
    return max(Path(folder).glob(pattern), key=checkpoint_epoch, default=None)


def checkpoint_epoch(checkpoint: Path | None) -> int:
    """The epoch after which a checkpoint was saved, from the number that ends its name; 0 for None."""
    return 0 if checkpoint is None else int(checkpoint.stem.rpartition("_")[2])
