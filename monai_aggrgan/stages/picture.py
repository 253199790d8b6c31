"""How one synthetic image of a study came about, drawn from what the stages left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.data.image_folder import read_nifti
from monai_aggrgan.data.manifest import MANIFEST, read_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers.merge import merging_weights
from monai_aggrgan.inferers.method_picture import method_picture
from monai_aggrgan.stages import stylise
from monai_aggrgan.stages.aggregate import AGGREGATES, merging_of
from monai_aggrgan.stages.select import open_pool
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import digest_of, read_record

__all__ = ["picture_of"]


def picture_of(settings: StudySettings, image: str, *, method: str = "aggregate_ssim") -> NDArray[np.uint8]:
    """The paper's Fig. 8 for a synthetic image: candidates, edges, smoothed edges, weights, result, style, reference.

    Args:
        settings: of the study.
        image: class and name of the image, which are those of its reference, such as `glioma/d98a70a954`.
        method: which of `AGGREGATES`.

    Raises:
        InputError: when the study has no such image.
    """
    class_name, _, name = image.partition("/")
    if class_name not in settings.prepared_classes():
        raise InputError(
            f"--image must be CLASS/NAME with a class of {', '.join(settings.prepared_classes())}, got '{image}'."
        )
    folder = settings.stage_dir("aggregate", class_name, method)
    rows = {row["reference"]: row for row in read_manifest(folder)}
    if image not in rows:
        raise InputError(
            f"The study has no image '{image}': it has {', '.join(list(rows)[:3])} ... ({len(rows)} of {class_name})."
        )
    row, record = rows[image], read_record(folder) or {"settings": merging_of(settings, method).options}
    made = {option: record["settings"][option] for option in ("merging", "sigma", "gaussian")}  # not what is set now
    generators, seeds, scores = (row[column].split("+") for column in ("generators", "seed", "scores"))
    pools = {generator: open_pool(settings, class_name, generator)[0] for generator in generators}
    candidates = torch.stack([pools[g][int(seed)].float() for g, seed in zip(generators, seeds, strict=True)])
    weights = merging_weights(candidates[None], torch.tensor([[float(score) for score in scores]]), **made)[0]
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    styled = _styled(settings.stage_dir("stylise", class_name, stylise.METHODS[method]), row["file"], made_from=folder)
    metric = AGGREGATES[method].upper()
    return method_picture(
        candidates,
        weights,
        reference=training.images[[row["id"] for row in training.rows].index(image)],
        labels=[
            f"{settings.labels.get(g, g)}, seed {seed}, {metric} {float(score):.3f}"
            for g, seed, score in zip(generators, seeds, scores, strict=True)
        ],
        sigma=made["sigma"],
        gaussian=made["gaussian"],
        styled=styled,
        title=f"{class_name}, {name}",
    )


def _styled(folder: Path, file: str, *, made_from: Path) -> Tensor | None:
    """The image after style transfer; None where there is none, or only that of an image that was merged before."""
    record = read_record(folder)
    current = record is not None and digest_of(made_from / MANIFEST) in record["settings"]["inputs"].values()
    return read_nifti(folder / file) if current and (folder / file).is_file() else None
