"""Workflows of MONAI written in Python, for those who want its workflow interface without config files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.bundle import PythonicWorkflow
from monai.inferers import Inferer, SimpleInferer
from torch import nn

from monai_aggrgan import __version__
from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.data.manifest import whole_file
from monai_aggrgan.data.prepared import PreparedSlices, shuffled_loader
from monai_aggrgan.engines.latent_gan_trainer import LatentGanTrainer
from monai_aggrgan.handlers.training_checkpoint import TrainingCheckpoint
from monai_aggrgan.losses.objectives import AdversarialObjective, LogisticObjective
from monai_aggrgan.networks.dcgan import DCGAN2Discriminator, DCGAN2Generator

__all__ = ["GanTrainingWorkflow"]

GAN_PROPERTIES = {
    "critic_def": "network that tells real from fake",
    "objective": "what generator and critic minimise",
}
"""What a GAN has beside MONAI's properties of a training."""


class GanTrainingWorkflow(PythonicWorkflow):
    """Trains one GAN on one class of prepared slices; what `train.yaml` is in a bundle, without its extras.

    Every part is a property of MONAI's workflow interface: set one before `initialize`, such as `network_def`,
    `critic_def`, `objective`, `train_dataset`, `train_handlers` or `trainer`, and it takes the place of ours. Ours are
    those of the paper's DCGAN-2. The training resumes from the checkpoints in `output_dir`.

    Args:
        dataset_dir: the prepared slices, a study's folder `prepare`.
        class_name: which class.
        output_dir: for checkpoints.
        model_file: for the trained generator's weights; the default is `generator.pt` in `output_dir`.
        image_size: side of the slices in pixels.
        base_width: channels of the widest maps, see `DCGAN2Generator`.
        max_epochs: passes over the data.
        batch_size: images of a step.
        learning_rate: of both Adams; their betas are (0.5, 0.999).
        device: where to train; the default is a GPU where there is one.
        seed: of weights, order and noise.
        options: of `monai.bundle.PythonicWorkflow`, such as `meta_file` or `logging_file`.

    Raises:
        InputError: when a property is asked for and the class was not prepared, or `output_dir` is another training's.
        TrainingDiverged: from `run`.

    Example:
        >>> from monai.bundle import run_workflow
        >>> where = {"dataset_dir": "study/prepare", "class_name": "glioma", "output_dir": "out"}
        >>> run_workflow("monai_aggrgan.workflows.GanTrainingWorkflow", **where)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        dataset_dir: Path | str,
        class_name: str,
        output_dir: Path | str,
        model_file: Path | str | None = None,
        image_size: int = 128,
        base_width: int = 64,
        max_epochs: int = 650,
        batch_size: int = 128,
        learning_rate: float = 2e-4,
        device: torch.device | str | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        metadata = {} if options.get("meta_file") else {"meta_file": [], "_meta_": _versions()}
        super().__init__(workflow_type="train", **{**options, **metadata})
        for name, description in GAN_PROPERTIES.items():
            self.add_property(name, required=True, desc=description)  # type: ignore[arg-type]
        self.class_name, self.output_dir = class_name, Path(output_dir)
        self.model_file = Path(model_file) if model_file else self.output_dir / "generator.pt"
        self.image_size, self.base_width, self.seed = image_size, base_width, seed
        self.batch_size, self.learning_rate = batch_size, learning_rate
        self.bundle_root, self.dataset_dir, self.max_epochs = ".", str(dataset_dir), max_epochs
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def run(self) -> None:
        """Train, then write the generator's weights, whole or not at all, to `model_file`."""
        self.trainer.run()
        self.model_file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.model_file) as unfinished:
            torch.save(self.network_def.state_dict(), unfinished)

    def finalize(self) -> None:
        """Nothing is left to do."""

    def get_network_def(self) -> nn.Module:
        """The generator."""
        return DCGAN2Generator(image_size=self.image_size, base_width=self.base_width, seed=self.seed)

    def get_critic_def(self) -> nn.Module:
        """The critic."""
        return DCGAN2Discriminator(image_size=self.image_size, base_width=self.base_width, seed=self.seed)

    def get_objective(self) -> AdversarialObjective:
        """The objective."""
        return LogisticObjective()

    def get_train_dataset(self) -> PreparedSlices:
        """The slices of the class that are for training, on the device."""
        return PreparedSlices(self.dataset_dir, class_name=self.class_name).to(self.device)

    def get_train_inferer(self) -> Inferer:
        """How a network is applied to a batch."""
        return SimpleInferer()

    def get_train_handlers(self) -> list[Any]:
        """Handlers of the trainer."""
        return [TrainingCheckpoint(self.output_dir)]

    def get_trainer(self) -> LatentGanTrainer:
        """The trainer of all these."""
        generator, critic = (
            network.to(device=self.device, memory_format=torch.channels_last)
            for network in (self.network_def, self.critic_def)
        )
        return LatentGanTrainer(
            device=self.device,
            max_epochs=self.max_epochs,
            train_data_loader=shuffled_loader(self.train_dataset, batch_size=self.batch_size, seed=self.seed),
            generator=generator,
            critic=critic,
            objective=self.objective,
            generator_optimizer=self._adam(generator),
            critic_optimizer=self._adam(critic),
            latents=NormalLatents(generator.latent_size),
            seed=self.seed,
            name=f"GAN on {self.class_name}",
            train_handlers=self.train_handlers,
        )

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), self.learning_rate, betas=(0.5, 0.999), fused=True)


def _versions() -> dict[str, str]:
    """What MONAI asks of metadata, where no file of it is given."""
    return {
        "version": __version__,
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
    }
