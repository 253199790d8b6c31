"""What an inferer tells about each image that it made, such as its seeds, as a table beside the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils import ensure_tuple

from monai_aggrgan.data.manifest import MANIFEST, write_manifest

__all__ = ["ReportSaver", "names_of_batch"]


def names_of_batch(batch: Any) -> list[str]:
    """Names of a batch's images: `filename_or_obj` of `image_meta_dict`, collated or decollated."""
    parts = batch if isinstance(batch, Sequence) else [batch]
    return [str(name) for part in parts for name in ensure_tuple(part["image_meta_dict"]["filename_or_obj"])]


class ReportSaver:
    """Writes `manifest.csv`, a row for each image of a run: the real image that it answers and what was reported of it.

    Args:
        folder: where to; made when absent.
        reports: gives the reports of the iteration that has just ended, one an image: mappings, or data classes, whose
            tuples are joined by `+`. Such as `lambda: inferer.reports` of an `AggregationInferer`.
        batch_transform: gives the names of the batch's real images from `engine.state.batch`.
    """

    def __init__(
        self,
        folder: Path | str,
        reports: Callable[[], Iterable[Any]],
        *,
        batch_transform: Callable[[Any], Sequence[str]] = names_of_batch,
    ) -> None:
        self.folder, self.reports, self.batch_transform = Path(folder), reports, batch_transform
        self.rows: list[dict[str, object]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self.rows.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def __call__(self, engine: Engine) -> None:
        """Take up the rows of this iteration."""
        for name, report in zip(self.batch_transform(engine.state.batch), self.reports(), strict=True):
            told: Mapping[str, object] = report if isinstance(report, Mapping) else vars(report)
            self.rows.append({"reference": name, **{key: _plain(value) for key, value in told.items()}})

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_manifest(self.folder, self.rows, name=MANIFEST)


def _plain(value: object) -> object:
    return "+".join(map(str, value)) if isinstance(value, (tuple, list)) else value
