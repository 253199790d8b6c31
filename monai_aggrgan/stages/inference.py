"""What `inference.yaml` is told, checked before anything is loaded: MONAI wraps what is raised later in tracebacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai_aggrgan.data.manifest import MANIFEST, read_manifest
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers.matching import MATCHINGS
from monai_aggrgan.inferers.merge import GAUSSIANS, MERGINGS
from monai_aggrgan.stages.task import difference, digest_of, read_json, write_json
from monai_aggrgan.stages.train import GENERATOR

__all__ = ["UNFINISHED", "begin", "check", "metric_name"]

CHOICES = {
    "section": (TRAINING, HELD_OUT),
    "metric": ("ssim", "psnr"),
    "matching": MATCHINGS,
    "merging": MERGINGS,
    "gaussian": GAUSSIANS,
    "output_ext": (".nii.gz", ".png"),
}
KEYWORDS = ("cache", "download", "random")
UNFINISHED = "unfinished"
"""Folder in the output folder, there until all images are: the answers so far, and with what options they are made."""
OPTIONS = "options.json"


def begin(**options: Any) -> None:
    """Check the options, and note them down in the output folder, so that the same command can go on there.

    Args:
        options: those of `check`, and others on which the images depend.

    Raises:
        InputError: when an option cannot be used, or the folder has unfinished images that were made with others.
    """
    check(**options)
    output_dir = Path(options["output_dir"])
    now, before = _deciding(**options), read_json(output_dir / UNFINISHED / OPTIONS)
    if before is None:
        (output_dir / UNFINISHED).mkdir(parents=True, exist_ok=True)
        write_json(output_dir / UNFINISHED / OPTIONS, now)
    elif changed := [
        difference(name, before.get(name), now.get(name)) for name in now if before.get(name) != now[name]
    ]:
        raise InputError(
            f"--output_dir {output_dir} holds unfinished images that are made with other options"
            f" ({', '.join(changed)}): give them as they were, or name a new folder."
        )


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
    first_seed: int = 0,
    **choices: Any,
) -> None:
    """Refuse what cannot work, in one sentence that names the option.

    Args:
        study_dir: folder of a study whose generators are trained.
        dataset_dir: its prepared slices.
        output_dir: where the images go: a new folder, or one of a run of this kind that was ended.
        class_name: a class of the study.
        generators: names of trained generators.
        images: how many are made, None for one a reference; beyond the references these are answered again.
        pool_size: images of each pool.
        vgg_weights: a file, or one of the words that `load_vgg19` knows.
        first_seed: of the first pools.
        choices: values of the options in `CHOICES`, where a metric may also be a function; others are not looked at.

    Raises:
        InputError: when an option cannot be used.
    """
    for name in CHOICES.keys() & choices:
        value = choices[name]
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
    _check_numbers(images, pool_size, first_seed)
    known = sum((row["class_name"], row["section"]) == (class_name, choices.get("section", TRAINING)) for row in rows)
    references = known if images is None else min(images, known)
    if choices.get("matching") == "unique" and pool_size < references:
        raise InputError(
            f"--matching unique needs a --pool_size of at least the {references} references, got {pool_size}."
        )
    if vgg_weights not in KEYWORDS and not Path(vgg_weights).expanduser().is_file():
        raise InputError(f"--vgg_weights must be a file or one of {', '.join(KEYWORDS)}, got '{vgg_weights}'.")
    _check_folder(Path(output_dir))


def _check_numbers(images: object, pool_size: object, first_seed: object) -> None:
    for name, value, least in (("images", images, 1), ("pool_size", pool_size, 1), ("first_seed", first_seed, 0)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and value >= least) and not (name == "images" and value is None):  # type: ignore[operator]
            rest = ", or None for one a reference" if name == "images" else ""
            raise InputError(f"--{name} must be a whole number of at least {least}{rest}, got {value!r}.")


def _check_folder(output_dir: Path) -> None:
    if (output_dir / MANIFEST).is_file():
        raise InputError(f"--output_dir {output_dir} holds the images of another run: name a new folder.")
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"--output_dir {output_dir} is a file: name a new folder.")
    if output_dir.is_dir() and any(output_dir.iterdir()) and not (output_dir / UNFINISHED / OPTIONS).is_file():
        raise InputError(f"--output_dir {output_dir} holds files already: name a new folder.")


def metric_name(metric: str | Callable[..., Any]) -> str:
    """What a selection metric is called: `ssim`, `psnr`, or the name of a function."""
    return metric if isinstance(metric, str) else str(getattr(metric, "__name__", type(metric).__name__))


def _deciding(
    *,
    study_dir: Path | str,
    dataset_dir: Path | str,
    output_dir: Path | str,
    class_name: str,
    generators: Sequence[str],
    vgg_weights: str,
    metric: str | Callable[..., Any] = "ssim",
    **options: Any,
) -> dict[str, Any]:
    """On what the images depend, as plain JSON values; files count by their contents."""
    weights = Path(vgg_weights).expanduser()
    trained = [Path(study_dir, "train", class_name, name, GENERATOR) for name in generators]
    return {
        "class_name": class_name,
        "generators": list(generators),
        "metric": metric_name(metric),
        "vgg_weights": digest_of(weights) if weights.is_file() else vgg_weights,
        **options,
        "prepared slices": digest_of(Path(dataset_dir, class_name, MANIFEST)),
        "trained generators": [digest_of(path) for path in trained],
    }
