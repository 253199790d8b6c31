"""Images from fixed seeds as a generator learns, in TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import TensorBoardHandler
from monai.networks import eval_mode
from torch import Tensor, nn

from monai_aggrgan.visualize.figures import contact_sheet

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["SampleGridHandler", "epochs_due", "images_of"]


BATCH = 64  # images in work at once


class SampleGridHandler(TensorBoardHandler):
    """Writes a grid of a generator's images to TensorBoard at the end of every `interval`-th epoch and of the last.

    To see several generators, such as one and its moving average, give each a handler with its own tag.

    Args:
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1]; shown in eval mode. Of volumes the middle
            slices are shown, of signals the area below their curve.
        latents: the fixed latents (B, latent_size), one an image.
        interval: epochs from one grid to the next.
        tag: name of the grid in TensorBoard.
        summary_writer: an existing writer, or None to write to `log_dir`.
        log_dir: folder for a writer of its own.

    Raises:
        ValueError: when `interval` is less than 1.
    """

    def __init__(
        self,
        generator: nn.Module,
        latents: Tensor,
        *,
        interval: int = 1,
        tag: str = "samples",
        summary_writer: SummaryWriter | None = None,
        log_dir: str = "./runs",
    ) -> None:
        self._event = epochs_due(interval)
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.generator, self.latents, self.tag = generator, latents, tag

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(self._event, self)

    def __call__(self, engine: Engine) -> None:
        """Write the grid of this epoch."""
        sheet = contact_sheet(images_of(self.generator, self.latents).cpu())
        self._writer.add_image(self.tag, sheet, engine.state.epoch, dataformats="HWC")
        self._writer.flush()


def epochs_due(interval: int) -> Any:
    """The event that every `interval`-th epoch has ended, or the last one.

    Raises:
        ValueError: when `interval` is less than 1.
    """
    if interval < 1:
        raise ValueError(f"interval must be at least 1, got {interval}")
    return Events.EPOCH_COMPLETED(
        event_filter=lambda engine, epoch: epoch % interval == 0 or epoch == engine.state.max_epochs
    )


def images_of(generator: nn.Module, latents: Tensor) -> Tensor:
    """A generator's images of some latents, made in eval mode where its weights are."""
    latents = latents.to(next(generator.parameters()).device)
    with eval_mode(generator):
        return torch.cat([generator(part).float() for part in latents.split(BATCH)])
