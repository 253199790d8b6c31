"""What the tests of several handlers use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.data.prepared import shuffled_loader
from monai_aggrgan.engines.latent_gan_trainer import LatentGanTrainer
from monai_aggrgan.losses.objectives import LogisticObjective
from monai_aggrgan.networks.dcgan import DCGAN2Discriminator, DCGAN2Generator


class _Slices(torch.utils.data.Dataset):
    """Twelve random images 16x16; a list of indices gives a batch."""

    images = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | list[int]) -> dict[str, Tensor]:
        return {"image": self.images[index]}


@pytest.fixture
def make_trainer() -> Callable[..., LatentGanTrainer]:
    """Makes a trainer of tiny networks, three iterations of four images an epoch."""

    def make(**options: Any) -> LatentGanTrainer:
        generator = DCGAN2Generator(image_size=16, base_width=4, latent_size=6)
        critic = DCGAN2Discriminator(image_size=16, base_width=4)
        settings = {
            "device": "cpu",
            "max_epochs": 2,
            "train_data_loader": shuffled_loader(_Slices(), batch_size=4),
            "generator": generator,
            "critic": critic,
            "objective": LogisticObjective(),
            "generator_optimizer": torch.optim.Adam(generator.parameters(), lr=1e-3),
            "critic_optimizer": torch.optim.Adam(critic.parameters(), lr=2e-3),
            "latents": NormalLatents(6),
        }
        return LatentGanTrainer(**{**settings, **options})

    return make
