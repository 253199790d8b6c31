"""The arithmetic of adversarial training: one step of the critic and, where it is due, of the generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from monai_aggrgan.losses.objectives import AdversarialObjective
from monai_aggrgan.networks.precision import autocast_dtype
from monai_aggrgan.optimizers.moving_average import ExponentialMovingAverage
from monai_aggrgan.transforms.differentiable_augmentation import DifferentiableAugmentation

__all__ = ["GanStep", "LatentSource", "autocast_dtype"]


class LatentSource(Protocol):
    """Anything that draws fresh latents, such as `monai_aggrgan.data.NormalLatents`."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` latents (count, latent_size)."""
        ...


class GanStep:
    """A step of the critic on real images and fresh fakes, and with it, on request, one of the generator.

    Nothing in it waits for the device or depends on what the host knows, so that a step can be a CUDA graph. The critic
    only ever sees augmented images, real and fake alike (Karras et al. 2020, ADA). The generator's step reuses the
    fakes of the critic's.

    Args:
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1], or signals, or volumes.
        critic: images to logits (B, 1); either network may be wrapped in DistributedDataParallel.
        objective: what both minimise.
        generator_optimizer: steps the generator.
        critic_optimizer: steps the critic.
        latents: draws the latents.
        random: where latents and augmentations come from, on the networks' device.
        autocast: precision of the networks' arithmetic; None is their own.
        augmentation: of what the critic sees; its probability follows the term `certainty`.
        average: of the generator, updated after each of its steps.

    Attributes:
        diversity: standard deviation over the batch, averaged over pixels, of the last step of the generator.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        critic: nn.Module,
        objective: AdversarialObjective,
        generator_optimizer: Optimizer,
        critic_optimizer: Optimizer,
        latents: LatentSource,
        random: torch.Generator,
        autocast: torch.dtype | None = None,
        augmentation: DifferentiableAugmentation | None = None,
        average: ExponentialMovingAverage | None = None,
    ) -> None:
        self.generator, self.critic, self.objective = generator, critic, objective
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        self.latents, self.random, self.autocast = latents, random, autocast
        self.augmentation, self.average = augmentation, average
        self.diversity = torch.tensor(torch.inf)

    def __call__(self, real: Tensor, *, with_generator: bool) -> dict[str, Tensor]:
        """Step on real images (B, 1, H, W) in [0, 1]; returns every term as a detached scalar, `critic/<term>` and
        `generator/<term>`."""
        latent = self.latents.draw(len(real), self.random)
        with self._autocast(real), torch.set_grad_enabled(with_generator):
            fake = self.generator(latent).float()
        output = {f"critic/{name}": value for name, value in self._step_critic(real, fake.detach(), latent).items()}
        if with_generator:
            output |= {f"generator/{name}": value for name, value in self._step_generator(fake, latent).items()}
        return output

    def _step_critic(self, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        real, fake = self._augmented(real), self._augmented(fake)
        with self._autocast(real):
            terms = self.objective.discriminator_terms(self.critic, real, fake, latent)
        terms = _minimise(terms, self.critic_optimizer)
        if self.augmentation is not None and "certainty" in terms:
            self.augmentation.adapt(_mean_of_ranks(terms["certainty"]), len(real))
            terms["augmentation"] = self.augmentation.p.clone()
        return terms

    def _step_generator(self, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        critic = _unwrapped(self.critic)  # not through DistributedDataParallel: its gradients are not wanted here
        critic.requires_grad_(False)
        with self._autocast(fake):
            terms = self.objective.generator_terms(critic, self._augmented(fake), latent)
        terms = _minimise(terms, self.generator_optimizer)
        critic.requires_grad_(True)
        if self.average is not None:
            self.average.update(self.generator, len(fake))
        self.diversity = fake.detach().std(dim=0, correction=0).mean()
        return terms | {"diversity": self.diversity}

    def _augmented(self, images: Tensor) -> Tensor:
        return images if self.augmentation is None else self.augmentation(images, self.random)

    def _autocast(self, images: Tensor) -> torch.autocast:
        return torch.autocast(
            images.device.type, dtype=self.autocast or torch.bfloat16, enabled=self.autocast is not None
        )


def _minimise(terms: Mapping[str, Tensor], optimizer: Optimizer) -> dict[str, Tensor]:
    optimizer.zero_grad(set_to_none=True)
    torch.stack([value.float() for value in terms.values() if value.requires_grad]).sum().backward()
    optimizer.step()
    return {name: value.detach() for name, value in terms.items()}


def _unwrapped(network: nn.Module) -> nn.Module:
    return network.module if isinstance(network, DistributedDataParallel) else network


def _mean_of_ranks(value: Tensor) -> Tensor:
    """The mean over the processes of a training, so that all of them adapt alike."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
