"""What `inference.yaml` is told, checked before anything is loaded: MONAI wraps what is raised later in tracebacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_aggrgan.data.manifest import MANIFEST, read_manifest
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers.matching import MATCHINGS
from monai_aggrgan.inferers.merge import GAUSSIANS, MERGINGS
from monai_aggrgan.stages.train import GENERATOR

__all__ = ["check"]

CHOICES = {
    "section": (TRAINING, HELD_OUT),
    "metric": ("ssim", "psnr"),
    "matching": MATCHINGS,
    "merging": MERGINGS,
    "gaussian": GAUSSIANS,
    "output_ext": (".nii.gz", ".png"),
}
KEYWORDS = ("cache", "download", "random")


def check(
    *,
    study_dir: Path | str,
    dataset_dir: Path | str,
    output_dir: Path | str,
    class_name: str,
    generators: Sequence[str],
    images: int | None,
    pool_size: int,
    vgg_weights: str,
    **choices: Any,
) -> None:
    """Refuse what cannot work, in one sentence that names the option.

    Args:
        study_dir: folder of a study whose generators are trained.
        dataset_dir: its prepared slices.
        output_dir: where images will be written; must not hold those of another run.
        class_name: a class of the study.
        generators: names of trained generators.
        images: how many references are answered, None for all.
        pool_size: images of each pool.
        vgg_weights: a file, or one of the words that `load_vgg19` knows.
        choices: values of the options in `CHOICES`; a metric may also be a function.

    Raises:
        InputError: when an option cannot be used.
    """
    for name, value in choices.items():
        if value not in CHOICES[name] and not (name == "metric" and callable(value)):
            raise InputError(f"--{name} must be one of {', '.join(CHOICES[name])}, got '{value}'.")
    if not Path(study_dir, "train").is_dir():
        raise InputError(f"--study_dir {study_dir} holds no trained study: name the --output_dir of a study.")
    rows = read_manifest(dataset_dir)
    classes = list(dict.fromkeys(row["class_name"] for row in rows))
    if class_name not in classes:
        raise InputError(f"--class_name must be one of {', '.join(classes)}, got '{class_name}'.")
    for generator in generators:
        if not Path(study_dir, "train", class_name, generator, GENERATOR).is_file():
            trained = sorted(path.parent.name for path in Path(study_dir, "train", class_name).glob(f"*/{GENERATOR}"))
            raise InputError(
                f"--generators names '{generator}', which is not trained for {class_name}: there are"
                f" {', '.join(trained) or 'none'}."
            )
    if images is not None and images < 1:
        raise InputError(f"--images must be at least 1, or None for all, got {images}.")
    known = sum((row["class_name"], row["section"]) == (class_name, choices.get("section", TRAINING)) for row in rows)
    references = known if images is None else min(images, known)
    if choices.get("matching") == "unique" and pool_size < references:
        raise InputError(
            f"--matching unique needs a --pool_size of at least the {references} references, got {pool_size}."
        )
    if vgg_weights not in KEYWORDS and not Path(vgg_weights).expanduser().is_file():
        raise InputError(f"--vgg_weights must be a file or one of {', '.join(KEYWORDS)}, got '{vgg_weights}'.")
    if Path(output_dir, MANIFEST).is_file():
        raise InputError(f"--output_dir {output_dir} holds the images of another run: name a new folder.")
