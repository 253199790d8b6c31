"""Pictures of what an engine has just done, in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, Events
from monai.handlers import TensorBoardHandler

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["PictureHandler"]


class PictureHandler(TensorBoardHandler):
    """Writes the first pictures of a run to TensorBoard, one a step: picture i of a run is step i.

    Args:
        draw: gives the pictures of the iteration that has just ended, uint8 arrays (height, width, 3), one an image;
            such as `AggregationInferer.pictures`. No more are taken from it than are shown.
        count: pictures of a run.
        tag: their name in TensorBoard.
        summary_writer: an existing writer, or None to write to `log_dir`.
        log_dir: folder for a writer of its own.
    """

    def __init__(
        self,
        draw: Callable[[], Iterable[Any]],
        *,
        count: int = 4,
        tag: str = "method",
        summary_writer: SummaryWriter | None = None,
        log_dir: str = "./runs",
    ) -> None:
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.draw, self.count, self.tag = draw, count, tag
        self._shown = 0

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._writer.flush)

    def _start(self) -> None:
        self._shown = 0

    def __call__(self, engine: Engine) -> None:
        """Write pictures of this iteration until there are enough."""
        for picture in islice(self.draw(), self.count - self._shown):
            self._writer.add_image(self.tag, picture, self._shown, dataformats="HWC")
            self._shown += 1
