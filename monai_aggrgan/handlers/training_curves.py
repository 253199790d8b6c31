"""How a training goes, beside its losses: gradient norms, learning rates and speed, in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from ignite.handlers import Timer
from monai.handlers import TensorBoardHandler
from torch import Tensor
from torch.nn.utils import get_total_norm

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TrainingCurvesHandler"]

PARTS = ("generator", "critic")


class TrainingCurvesHandler(TensorBoardHandler):
    """Writes curves of a trainer's state to TensorBoard every `interval` iterations.

    - `gradient_norm/<part>`: the norm of all gradients of the part's last step, from its first step on;
    - `learning_rate/<part>`: of its optimiser; further parameter groups have a number behind;
    - `speed/images_per_second`: since the last point, of this process, without what handlers do between epochs.

    A part is `generator` or `critic`; the trainer has it, and its optimiser as `<part>_optimizer`. What is on a device
    is read in one transfer a point. Between points only images are counted; but at the end of an epoch one of its terms
    is read, or the work that the device has yet to do would be charged to the handlers that follow.

    Differs from `ignite.metrics.Frequency` in: it measures between points instead of from the start of an epoch.

    Args:
        interval: iterations from one point to the next.
        scalars: gives further values by tag, such as the probability of an augmentation.
        batch_size: the number of images in `engine.state.batch`.
        summary_writer: an existing writer, or None to write to `log_dir`.
        log_dir: folder for a writer of its own.

    Raises:
        ValueError: when `interval` is less than 1.
    """

    def __init__(
        self,
        *,
        interval: int = 20,
        scalars: Callable[[], Mapping[str, float | Tensor]] = dict,
        batch_size: Callable[[Any], int] = lambda batch: len(batch["image"]),
        summary_writer: SummaryWriter | None = None,
        log_dir: str = "./runs",
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.interval, self.scalars, self.batch_size = interval, scalars, batch_size
        self._timer, self._images = Timer(), 0

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._timer.resume)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.interval), self)
        engine.add_event_handler(Events.ITERATION_COMPLETED(event_filter=_ends_epoch), self._pause)  # a point resumes

    def _start(self) -> None:
        self._timer.reset()
        self._timer.pause()
        self._images = 0

    def _count(self, engine: Any) -> None:
        self._images += self.batch_size(engine.state.batch)

    def _pause(self, engine: Any) -> None:
        next(iter(engine.state.output.values())).item()
        self._timer.pause()

    def __call__(self, engine: Any) -> None:
        """Write a point of each curve."""
        values = _as_floats({**dict(_gradient_norms(engine)), **dict(_learning_rates(engine)), **self.scalars()})
        values["speed/images_per_second"] = self._images / self._timer.value()  # after the device was waited for
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, engine.state.iteration)
        self._writer.flush()
        self._images = 0
        self._timer.reset()


def _ends_epoch(engine: Any, iteration: int) -> bool:
    return iteration % engine.state.epoch_length == 0


def _gradient_norms(trainer: Any) -> Iterator[tuple[str, Tensor]]:
    for part in PARTS:
        gradients = [weight.grad for weight in getattr(trainer, part).parameters() if weight.grad is not None]
        if gradients:
            yield f"gradient_norm/{part}", get_total_norm(gradients)


def _learning_rates(trainer: Any) -> Iterator[tuple[str, float | Tensor]]:
    for part in PARTS:
        for number, group in enumerate(getattr(trainer, f"{part}_optimizer").param_groups):
            yield f"learning_rate/{part}" + (f"_{number}" if number else ""), group["lr"]


def _as_floats(values: Mapping[str, float | Tensor]) -> dict[str, float]:
    """All values on the host; those that are tensors in one transfer, from the device of the first."""
    tensors = {name: value.detach().reshape(()) for name, value in values.items() if isinstance(value, Tensor)}
    if not tensors:
        return {name: float(value) for name, value in values.items()}
    device = next(iter(tensors.values())).device
    read = torch.stack([value.to(device, torch.float32) for value in tensors.values()]).tolist()
    return {**values, **dict(zip(tensors, read, strict=True))}
