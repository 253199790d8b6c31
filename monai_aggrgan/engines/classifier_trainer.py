"""One trainer for every classifier, and what a trained one says of images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from monai_aggrgan.data.labelled_images import LabelledImages, ordered_loader
from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.exceptions import TrainingDiverged

__all__ = ["ClassifierTrainer", "class_probabilities"]


class ClassifierTrainer(SupervisedTrainer):
    """`monai.engines.SupervisedTrainer` whose trainings can be resumed exactly, with `TrainingCheckpoint` attached.

    All randomness is a function of (seed, epoch): the default generator, which dropout draws from, is seeded at the
    start of each epoch inside `run`, and restored after it. So a training that was killed and resumed ends, on a CPU,
    in the same weights bit for bit as one that was not.

    Differs from `monai.engines.SupervisedTrainer` in that: errors are raised to the caller, the sampler is told the
    epoch also where it is not torch's, and a training whose loss or weights are not finite is stopped.

    Args:
        device: where the network is.
        max_epochs: number of epochs.
        train_data_loader: gives `{"image": (B, 1, H, W), "label": (B,)}`; a sampler with `set_epoch` is told the epoch.
        network: images to logits (B, C).
        optimizer: steps the network.
        loss_function: of logits (B, C) and labels (B,).
        seed: of dropout.
        name: what error messages call this training.
        inferer: calls the network.
        train_handlers: MONAI or Ignite handlers with an `attach` method.

    Attributes:
        during_run: contexts that handlers enter at the start and that are left when the run ends, however it ends.
        roll_back: a `TrainingCheckpoint` sets it; it is not used, a classifier that diverges is given up.

    Raises:
        TrainingDiverged: from `run`, at the end of the epoch in which the loss or a weight became NaN or infinite.
    """

    def __init__(
        self,
        *,
        device: torch.device | str,
        max_epochs: int,
        train_data_loader: Iterable[Mapping[str, Tensor]],
        network: nn.Module,
        optimizer: Optimizer,
        loss_function: Callable[[Tensor, Tensor], Tensor],
        seed: int = 0,
        name: str = "training",
        inferer: Inferer | None = None,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            device,
            max_epochs,
            train_data_loader,
            network,
            optimizer,
            loss_function,
            inferer=inferer,
            decollate=False,
            optim_set_to_none=True,
        )
        self.seed, self.name = seed, name
        self.roll_back: Callable[[], None] | None = None
        self.during_run = ExitStack()
        self.logger.setLevel(logging.INFO)
        self.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        self.add_event_handler(Events.ITERATION_COMPLETED, self._check_health)  # before handlers see the epoch's end
        self.add_event_handler(Events.EXCEPTION_RAISED, _raise_again)
        self._register_handlers(train_handlers or [])

    def run(self) -> None:  # type: ignore[override]
        """Train until `max_epochs`, from the start or from the checkpoint that a handler restores."""
        with self.during_run, _default_generators_kept(self.state.device):
            super().run()

    def parts(self) -> dict[str, Any]:
        """All that a checkpoint must hold, by name, each with `state_dict` and `load_state_dict`."""
        return {"trainer": self, "network": self.network, "optimizer": self.optimizer}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Epoch and iteration of a checkpoint; `max_epochs` stays as it was given."""
        max_epochs, self.state.max_epochs = self.state.max_epochs, None
        super().load_state_dict(state_dict)
        self.state.max_epochs = max_epochs

    def _start_epoch(self, engine: Any) -> None:
        torch.manual_seed(derived_seed(self.seed, engine.state.epoch))
        sampler: Any = getattr(self.data_loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(engine.state.epoch)

    def _check_health(self, engine: Any) -> None:
        if engine.state.iteration % engine.state.epoch_length:
            return
        weights = [value.detach() for value in self.network.state_dict().values() if value.is_floating_point()]
        signs = torch.stack([engine.state.output[CommonKeys.LOSS].detach().float(), get_total_norm(weights).float()])
        loss, norm = signs.isfinite().tolist()
        if not (loss and norm):
            raise TrainingDiverged(
                f"{self.name} was stopped at epoch {engine.state.epoch}: {'its weights' if loss else 'its loss'} became"
                " NaN or infinite; try a lower learning_rate, precision float32, or another seed."
            )


def class_probabilities(
    network: nn.Module, images: LabelledImages, *, device: torch.device | str, batch_size: int = 256
) -> Tensor:
    """What a classifier says of images, in eval mode: softmax probabilities (N, C) float32 on the CPU, in their order.

    Args:
        network: images (B, 1, H, W) to logits (B, C), on `device`.
        images: what is classified.
        device: where the batches go.
        batch_size: images at once; beyond rounding the result does not depend on it.
    """
    parts: list[Tensor] = []
    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=ordered_loader(images, batch_size=batch_size),
        network=network,
        decollate=False,
    )
    evaluator.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: parts.append(engine.state.output[CommonKeys.PRED].float().softmax(dim=1)),
    )
    evaluator.add_event_handler(Events.EXCEPTION_RAISED, _raise_again)
    with _default_generators_kept(evaluator.state.device):
        evaluator.run()
    return torch.cat(parts).cpu()


def _default_generators_kept(device: torch.device) -> Any:
    """Whatever is drawn inside, the default generators of the CPU and of `device` are afterwards as they were."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _raise_again(engine: Engine, error: Exception) -> None:
    """Attached first, so that no other handler prints a traceback or saves a broken state."""
    raise error
