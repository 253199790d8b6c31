"""Images from fixed seeds as a generator learns, in TensorBoard."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from monai.handlers import TensorBoardHandler
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

__all__ = ["SampleGridHandler"]


class SampleGridHandler(TensorBoardHandler):
    """Writes a grid of a generator's images to TensorBoard at the end of every `interval`-th epoch and of the last.

    Args:
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1]; shown in eval mode.
        latents: the fixed latents (B, latent_size), one an image.
        interval: epochs from one grid to the next.
        tag: name of the grid in TensorBoard.
        summary_writer: an existing writer, or None to write to `log_dir`.
        log_dir: folder for a writer of its own.
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
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.generator, self.latents, self.interval, self.tag = generator, latents, interval, tag

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self._is_due), self)

    def _is_due(self, engine: Engine, epoch: int) -> bool:
        return epoch % self.interval == 0 or epoch == engine.state.max_epochs

    def __call__(self, engine: Engine) -> None:
        """Write the grid of this epoch."""
        was_training = self.generator.training
        self.generator.eval()
        device = next(self.generator.parameters()).device
        with torch.no_grad():
            images = self.generator(self.latents.to(device)).float().cpu()
        self.generator.train(was_training)
        self._writer.add_images(self.tag, images.expand(-1, 3, -1, -1), engine.state.epoch)
        self._writer.flush()
