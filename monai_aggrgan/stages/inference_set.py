"""What `inference.yaml` answers, and the data set that it leaves: images, manifest, datalist."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from ignite.engine import Engine

from monai_aggrgan.data.manifest import read_manifest, sha256_of
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import TRAINING
from monai_aggrgan.handlers.report_saver import ReportSaver
from monai_aggrgan.stages.export import seen_in_training, write_lists
from monai_aggrgan.stages.inference import UNFINISHED, metric_name
from monai_aggrgan.stages.task import read_record

__all__ = ["SyntheticSetSaver", "repeated_references"]


def repeated_references(
    dataset_dir: Path | str, *, class_name: str, section: str = TRAINING, images: int | None = None
) -> list[dict[str, Any]]:
    """One sample for each image that is wanted: the slices of a class, again and again until there are enough.

    Fewer than there are slices are spread evenly over them, since slices of a patient stand together.

    Args:
        dataset_dir: the prepared slices.
        class_name: which class.
        section: which side of the split.
        images: how many; None for one a slice.

    Returns:
        The samples of `PreparedSlices.samples`, each with its `name` (its slice's id, from the second time on with the
        `round` behind it: `glioma/d98a70a954-1`), which is its file name, and its `round`.

    Raises:
        InputError: when there is no such class, or nothing on that side.
    """
    slices = PreparedSlices(dataset_dir, class_name=class_name, section=section).samples()
    count = len(slices) if images is None else min(images, len(slices))
    references = [slices[index * len(slices) // count] for index in range(count)]
    return [
        _sample(references[index % len(references)], turn=index // len(references))
        for index in range(len(references) if images is None else images)
    ]


def _sample(reference: dict[str, Any], *, turn: int) -> dict[str, Any]:
    told = reference["image_meta_dict"]
    name = f"{told['filename_or_obj']}-{turn}" if turn else told["filename_or_obj"]
    told = {**told, "filename_or_obj": name, "reference": told["filename_or_obj"]}
    return {"image": reference["image"], "image_meta_dict": told, "name": name, "round": turn}


class SyntheticSetSaver(ReportSaver):
    """Makes a data set of the images of a run: `manifest.csv`, `datalist.json` and `trained_on.csv`, at its end.

    They are as in the study's folder `synthetic/`, with what was reported of each image behind. The unfinished answers
    are removed.

    Args:
        folder: with the image files, in a folder of the class's name.
        reports: see `ReportSaver`.
        study_dir: of the study whose generators made the images.
        dataset_dir: its prepared slices.
        class_name: of the images.
        generators: names of the generators.
        metric: by which candidates were selected.
        output_ext: suffix of the image files.
    """

    def __init__(
        self,
        folder: Path | str,
        reports: Callable[[], Iterable[Any]],
        *,
        study_dir: Path | str,
        dataset_dir: Path | str,
        class_name: str,
        generators: Sequence[str],
        metric: str | Callable[..., Any] = "ssim",
        output_ext: str = ".nii.gz",
    ) -> None:
        super().__init__(folder, reports)
        self.study_dir, self.dataset_dir, self.class_name = Path(study_dir), Path(dataset_dir), class_name
        self.generators, self.metric, self.output_ext = generators, metric_name(metric), output_ext

    def __call__(self, engine: Engine) -> None:
        """Take up the rows of this iteration."""
        before = len(self.rows)
        super().__call__(engine)
        samples, outputs = cast("tuple[list[Any], list[Any]]", (engine.state.batch, engine.state.output))
        made = zip(self.rows[before:], samples, outputs, strict=True)
        self.rows[before:] = [self._row(dict(row), sample, output["pred"]) for row, sample, output in made]

    def _row(self, told: dict[str, object], sample: Mapping[str, Any], image: Any) -> dict[str, object]:
        name, reference = told.pop("reference"), sample["image_meta_dict"]["reference"]
        styled = "iterations" in told
        pixels = np.asarray(image.detach().cpu(), dtype=np.float32)[0]
        return {
            "file": f"{self.class_name}/{str(name).partition('/')[2]}{self.output_ext}",
            "class_name": self.class_name,
            "method": f"{'aggrgan' if styled else 'aggregate'}_{self.metric}",
            "seed": told.pop("seeds"),
            "reference": reference,
            "style_image": reference if styled else "",
            "sha256": sha256_of(pixels.tobytes()),
            **told,
        }

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        prepared = read_manifest(self.dataset_dir)
        chosen = {self.class_name} if any(map(self._chosen_by_held_out, self.generators)) else set()
        write_lists(
            self.folder,
            self.rows,
            classes=list(dict.fromkeys(row["class_name"] for row in prepared)),
            trained_on=seen_in_training(
                [row for row in prepared if row["class_name"] == self.class_name], chosen=chosen
            ),
            description=f"Images of {self.class_name}, made by AGGrGAN; no audit has looked for copies among them.",
        )
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)

    def _chosen_by_held_out(self, generator: str) -> bool:
        record = read_record(self.study_dir / "train" / self.class_name / generator) or {"settings": {}}
        return bool(record["settings"].get("select_best"))
