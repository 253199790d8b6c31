"""Saving the images that an evaluator makes, each with its row of the manifest, so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events, State
from torch import Tensor

from monai_aggrgan.data.image_folder import write_image_files
from monai_aggrgan.data.manifest import MANIFEST, read_manifest, write_manifest

__all__ = ["ImageFolderSaver"]

PARTIAL = "manifest.partial.csv"


class ImageFolderSaver:
    """Writes every image of an evaluator's `pred` as PNG and NIfTI, and `manifest.csv` when the run ends.

    While it runs, the rows so far stand in `manifest.partial.csv`; a saver on the same folder takes them up in `rows`,
    so that a loader can leave out what an interrupted run has made.

    Args:
        folder: where to; made when absent.
        describe: gives the manifest rows of the current batch from `engine.state`, one an image, each with a unique
            `name` from which the file names are made.
        output_transform: gives the images (B, 1, H, W) in [0, 1] from `engine.state.output`.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        describe: Callable[[State], Sequence[Mapping[str, object]]],
        output_transform: Callable[[Any], Tensor] = lambda output: output["pred"],
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.describe, self.output_transform = describe, output_transform
        self.rows: list[Mapping[str, object]] = list(_finished(self.folder))

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output is not decollated (`decollate=False`)."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._save)
        engine.add_event_handler(Events.COMPLETED, self.complete)

    def _save(self, engine: Engine) -> None:
        images, rows = self.output_transform(engine.state.output), self.describe(engine.state)
        if len(images) != len(rows):
            raise ValueError(f"describe gave {len(rows)} rows for {len(images)} images")
        for image, row in zip(images, rows, strict=True):
            self.rows.append({**write_image_files(self.folder, str(row["name"]), image), **row})
        write_manifest(self.folder, self.rows, name=PARTIAL)

    def complete(self) -> None:
        """Write the manifest of all images."""
        write_manifest(self.folder, sorted(self.rows, key=lambda row: str(row["name"])), name=MANIFEST)
        (self.folder / PARTIAL).unlink(missing_ok=True)


def _finished(folder: Path) -> list[dict[str, str]]:
    """Rows of the images that an interrupted run left whole."""
    if not (folder / PARTIAL).is_file():
        return []
    return [row for row in read_manifest(folder, name=PARTIAL) if (folder / row["file"]).is_file()]
