"""What augmentation, average and objective see of a step; whole trainings are in test_latent_gan_trainer.py."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.data import NormalLatents
from monai_aggrgan.engines.gan_step import GanStep
from monai_aggrgan.losses import (
    InformationObjective,
    LeastSquaresObjective,
    LogisticObjective,
    R1Objective,
    WassersteinDivergenceObjective,
)
from monai_aggrgan.networks import (
    DCGAN2Discriminator,
    DCGAN2Generator,
    InfoGANCritic,
    InfoGANGenerator,
    WGANDivCritic,
    WGANDivGenerator,
)
from monai_aggrgan.optimizers import ExponentialMovingAverage
from monai_aggrgan.transforms import DifferentiableAugmentation

REAL = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def parts_of(gan: str) -> dict:
    """Networks and objective of a GAN at 16x16."""
    shape = {"image_size": 16, "base_width": 4}
    if gan == "wgan_div":
        generator = WGANDivGenerator(image_size=16, hidden=(8,), latent_size=20)
        critic: nn.Module = WGANDivCritic(image_size=16, hidden=(8,))
        return {"generator": generator, "critic": critic, "objective": WassersteinDivergenceObjective()}
    if gan == "infogan":
        generator = InfoGANGenerator(**shape, latent_size=20)
        return {
            "generator": generator,
            "critic": InfoGANCritic(**shape),
            "objective": InformationObjective(generator.codes),
        }
    objective = {"lsgan": LeastSquaresObjective(), "dcgan2": LogisticObjective()}.get(gan)
    normalization = "none" if gan == "r1" else "batch"
    return {
        "generator": DCGAN2Generator(**shape, latent_size=20),
        "critic": DCGAN2Discriminator(**shape, normalization=normalization, spectral_norm=gan == "r1"),
        "objective": objective or R1Objective(LogisticObjective(), gamma=1.0),
    }


GANS = ("dcgan2", "wgan_div", "lsgan", "infogan", "r1")


def step_of(gan: str = "dcgan2", *, optimizer: type = torch.optim.Adam, **options: object) -> GanStep:
    parts = parts_of(gan)
    return GanStep(
        **parts,
        generator_optimizer=optimizer(parts["generator"].parameters(), 1e-3),
        critic_optimizer=optimizer(parts["critic"].parameters(), 1e-3),
        latents=NormalLatents(20),
        random=torch.Generator().manual_seed(2),
        **options,
    )


class Spy(DifferentiableAugmentation):
    """Keeps what it was given and gave."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.given: list[Tensor] = []
        self.gave: list[Tensor] = []

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        self.given.append(images)
        self.gave.append(super().forward(images, random))
        return self.gave[-1]


def test_the_critic_sees_augmented_images_only():
    augmentation = Spy(p=0.7, target=None)
    step, seen = step_of(augmentation=augmentation), []
    step.critic.register_forward_pre_hook(lambda critic, inputs: seen.append(inputs[0]))
    step(REAL, with_generator=True)
    assert torch.equal(augmentation.given[0], REAL)
    assert len(seen) == len(augmentation.gave) == 3
    for images, gave in zip(seen, augmentation.gave, strict=True):
        assert torch.equal(images, gave)
    assert torch.equal(augmentation.given[1], augmentation.given[2].detach())  # the fakes are made once
    assert not torch.equal(augmentation.gave[1], augmentation.gave[2])  # and augmented anew
    assert augmentation.given[2].requires_grad and not augmentation.given[1].requires_grad


def test_the_generator_learns_through_the_augmentation():
    augmented = step_of(augmentation=DifferentiableAugmentation(p=0.7, target=None))
    augmented(REAL, with_generator=True)
    assert all(weight.grad is not None and weight.grad.norm() > 0 for weight in augmented.generator.parameters())


@pytest.mark.parametrize("gan", GANS)
def test_the_probability_follows_the_critics_certainty(gan):
    augmentation = DifferentiableAugmentation(p=0.3, target=-0.99, speed=100)
    step = step_of(gan, augmentation=augmentation)
    told = [step(REAL, with_generator=False) for _ in range(3)]
    by_hand = DifferentiableAugmentation(p=0.3, target=-0.99, speed=100)
    for terms in told:
        by_hand.adapt(terms["critic/certainty"], len(REAL))
        assert torch.equal(terms["critic/augmentation"], by_hand.p)
    assert augmentation.p != 0.3


def test_at_probability_zero_an_augmentation_changes_nothing():
    plain, augmented = step_of(), step_of(augmentation=DifferentiableAugmentation(target=None))
    plain(REAL, with_generator=False)
    augmented(REAL, with_generator=False)
    for name, value in plain.critic.state_dict().items():
        assert torch.equal(augmented.critic.state_dict()[name], value), name


def test_the_average_follows_the_generators_steps():
    step = step_of()
    step.average = ExponentialMovingAverage(step.generator, half_life=30)
    by_hand = deepcopy(step.average)
    for with_generator in (True, False, True):
        step(REAL, with_generator=with_generator)
        if with_generator:
            by_hand.update(step.generator, len(REAL))
    assert step.average.images_seen == 12
    for name, value in by_hand.state_dict().items():
        assert torch.equal(step.average.state_dict()[name], value), name


class NoHost(TorchDispatchMode):
    """Refuses what reads a device from the host."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            pytest.fail(f"{function} waits for the device")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("gan", GANS)
def test_a_step_never_waits_for_the_device(gan):
    step = step_of(gan, optimizer=torch.optim.SGD, augmentation=DifferentiableAugmentation())
    step.average = ExponentialMovingAverage(step.generator)
    with NoHost():
        step(REAL, with_generator=True)
        step(REAL, with_generator=False)
    with pytest.raises(pytest.fail.Exception), NoHost():
        REAL.mean().item()
