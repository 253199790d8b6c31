"""Which epoch's generator is the best: near to patients it has never seen, without copying those it has."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Engine, Events
from monai.handlers import TensorBoardHandler
from torch import Tensor, nn

from monai_aggrgan.handlers.sample_grid import epochs_due, images_of
from monai_aggrgan.metrics.fidelity import kernel_distance
from monai_aggrgan.metrics.memorization import memorised_share
from monai_aggrgan.metrics.whitening import Whitening

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["BestGenerator"]

logger = logging.getLogger(__name__)

NEIGHBOURS = 5


class BestGenerator(TensorBoardHandler):
    """Keeps the generator of the epoch whose images are nearest to held-out ones and are no copies of training images.

    At the end of every `interval`-th epoch and of the last, images of fixed latents are compared with real ones in
    whitened features: KID to the held-out images, and the share of memorised images. The lowest KID wins among epochs
    that memorise at most `max_memorised`; only if all do more, among those. Both are curves in TensorBoard,
    `held_out/kid` and `held_out/memorised`.

    What is chosen by held-out images is no longer judged by them without favour: a test wants patients of its own.

    Args:
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1]; best its moving average.
        latents: the fixed latents (N, latent_size), 256 or more.
        training: the real images (T, 1, H, W) in [0, 1] that the training sees.
        held_out: real images (M, 1, H, W) of other patients.
        embedding: images to features (B, D), on the images' device; such as `VGG19Embedding`, random weights suffice.
            That one takes 2-D images; signals and volumes need another, such as `nn.Flatten` of few pixels.
        interval: epochs from one comparison to the next.
        max_memorised: share of memorised images that is tolerated; of real images of other patients it is 0.05.
        summary_writer: an existing writer, or None to write to `log_dir`.
        log_dir: folder for a writer of its own.

    Attributes:
        best: the best generator when the run has ended, in eval mode.
        epoch: from which epoch it is; 0 before the first comparison.
        kid: its KID.
        memorised: its share of memorised images.
    """

    def __init__(
        self,
        generator: nn.Module,
        latents: Tensor,
        *,
        training: Tensor,
        held_out: Tensor,
        embedding: nn.Module,
        interval: int = 10,
        max_memorised: float = 0.2,
        summary_writer: SummaryWriter | None = None,
        log_dir: str = "./runs",
    ) -> None:
        self._event = epochs_due(interval)
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.generator, self.latents, self.embedding = generator, latents, embedding
        self.max_memorised = max_memorised
        features = self._embed(training)
        self._whitening = Whitening(features)
        self._training, self._held_out = self._whitening(features), self._whitening(self._embed(held_out))
        self.best = deepcopy(generator).requires_grad_(False).eval()
        self.epoch, self.kid, self.memorised = 0, torch.inf, torch.inf
        self._weights: dict[str, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, before a `TrainingCheckpoint`, of whose `parts` it should be one."""
        engine.add_event_handler(self._event, self)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def __call__(self, engine: Engine) -> None:
        """Compare this epoch's generator with the best so far."""
        made = self._whitening(self._embed(images_of(self.generator, self.latents)))
        kid = float(kernel_distance(made, self._held_out))
        neighbours = min(NEIGHBOURS, len(self._training))
        memorised = float(memorised_share(made, self._training, self._held_out, neighbours=neighbours))
        self._writer.add_scalar("held_out/kid", kid, engine.state.epoch)
        self._writer.add_scalar("held_out/memorised", memorised, engine.state.epoch)
        self._writer.flush()
        if self._rank(memorised, kid) < self._rank(self.memorised, self.kid):
            self.epoch, self.kid, self.memorised = engine.state.epoch, kid, memorised
            self._weights = {name: value.detach().clone() for name, value in self.generator.state_dict().items()}

    def _rank(self, memorised: float, kid: float) -> tuple[bool, float]:
        return memorised > self.max_memorised, kid

    def _finish(self) -> None:
        if self._weights:
            self.best.load_state_dict(self._weights)
        told = f"The generator of epoch {self.epoch} is exported: KID {self.kid:.3g}, {self.memorised:.0%} memorised"
        if self.memorised > self.max_memorised:
            logger.warning("%s, more than the %.0f%% allowed, as at every epoch.", told, 100 * self.max_memorised)
        else:
            logger.info("%s.", told)

    @torch.no_grad()
    def _embed(self, images: Tensor) -> Tensor:
        return torch.cat([self.embedding(part) for part in images.split(256)])

    def state_dict(self) -> dict[str, Any]:
        """The best generator so far, as tensors and plain values."""
        return {"epoch": self.epoch, "kid": self.kid, "memorised": self.memorised, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.epoch, self.kid, self.memorised = state["epoch"], state["kid"], state["memorised"]
        self._weights = dict(state["weights"])
