"""The weights of the epoch that did best on validation images."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor, nn

__all__ = ["BestWeights"]

logger = logging.getLogger(__name__)


class BestWeights:
    """Keeps the weights of the epoch of the lowest validation loss, of equal ones the first; loads them at the end.

    Differs from `monai.handlers.CheckpointSaver` with `save_key_metric` in that: the weights are in memory and in the
    training's checkpoint, so that a resumed training ends in the same ones, and the network has them when the run ends.

    Args:
        network: whose weights; its state dict.
        evaluator: validates it, with the trainer's epoch, as a `monai.handlers.ValidationHandler` makes it do.
        metric: which of the evaluator's metrics is the loss.

    Attributes:
        epoch: from which epoch the best weights are; 0 before the first validation.
        loss: their validation loss.
    """

    def __init__(self, network: nn.Module, evaluator: Engine, *, metric: str = "loss") -> None:
        self.network, self.evaluator, self.metric = network, evaluator, metric
        self.epoch, self.loss = 0, math.inf
        self._weights: dict[str, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, after the `ValidationHandler` and before a `TrainingCheckpoint`, of whose `parts` it
        should be one."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def __call__(self, engine: Engine) -> None:
        """Compare this epoch with the best so far, if it was validated."""
        if self.evaluator.state.epoch != engine.state.epoch:
            return
        loss = float(self.evaluator.state.metrics[self.metric])
        if loss < self.loss:
            self.epoch, self.loss = engine.state.epoch, loss
            self._weights = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def _finish(self, engine: Engine) -> None:
        if not self._weights:
            logger.warning("No epoch had a finite validation loss: the last weights are taken.")
            return
        self.network.load_state_dict(self._weights)
        logger.info("The weights of epoch %d are taken: validation loss %.4g.", self.epoch, self.loss)

    def state_dict(self) -> dict[str, Any]:
        """The best weights so far, as tensors and plain values."""
        return {"epoch": self.epoch, "loss": self.loss, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.epoch, self.loss, self._weights = state["epoch"], state["loss"], dict(state["weights"])
