"""What the report says that stands in no table: the data card, the training card, settings, versions, time."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

import torch

import monai_aggrgan
from monai_aggrgan.data.manifest import MANIFEST, read_manifest, sha256_of
from monai_aggrgan.evaluation.data_rows import range_text
from monai_aggrgan.evaluation.data_summary import NOTICES, SUMMARY
from monai_aggrgan.handlers.training_checkpoint import latest_checkpoint
from monai_aggrgan.stages import compare
from monai_aggrgan.stages.prepare import LEFT_OUT
from monai_aggrgan.stages.select import METRICS, open_pool, read_selection
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, read_record

__all__ = ["data_card", "notices", "selection_rows", "training_card"]

STAGES = {name: name for name in ("prepare", "train", "generate", "select", "aggregate", "stylise")} | {
    "export": "synthetic",
    "evaluate": "evaluate",
    "filter": "filtered",
    "enlarge": "enlarged",
    **{name: name for name in ("minority", "classify")},
    "compare": "utility",
}
"""Stage -> its folder."""
CUTTING = ("size", "plane", "slices", "slice_positions", "slice_step", "intensity", "percentiles")
WHAT = {
    "prepare": ("held_out_fraction", "held_out_fold", "mixed_sizes", "on_error", "mat_key", *CUTTING),
    "train": ("max_epochs", "precision"),
    "generate": ("pool_size", "image_size"),
    "select": ("references", "matching", "seed"),
    "aggregate": ("top_k", "merging", "sigma", "gaussian"),
    "stylise": ("style_iterations", "style_tolerance", "style_precision", "vgg_scale"),
}
"""Options of the study that the records of each stage tell."""
PACKAGES = ("monai", "torch", "pytorch-ignite", "numpy", "scipy", "nibabel")
ARRAY = "images.npy"


def notices(settings: StudySettings) -> list[str]:
    """Sentences that a reader must not miss."""
    told = [settings.note] if settings.note else []
    rows = read_manifest(settings.stage_dir("prepare"))
    unknown = sum(row["patient"] == "" for row in rows)
    if unknown and settings.held_out_fold is None:
        told.append(
            f"Patients are unknown for {unknown} of {len(rows)} images. Slices of one patient may be on both sides of"
            " the split, so every comparison with held-out images, the real-against-real row included, is too good."
        )
    elif unknown:
        told.append(
            f"Patients are unknown for {unknown} of {len(rows)} images. The folds keep patients apart, but in the row"
            " of real images `held-out nearest` may meet another slice of the same patient and is then too good, and"
            " intervals are too narrow."
        )
    pools = product(settings.prepared_classes(), settings.trained)
    records = [read_record(settings.stage_dir("train", *pool)) for pool in pools]
    if any(record and record["settings"].get("select_best") for record in records):
        told.append(
            "Checkpoints were chosen by their likeness to the held-out patients (select_best): these no longer judge"
            " the images without favour."
        )
    if compare.is_there(settings) and not compare.is_current(settings):
        told.append(
            "Whether the images help a classifier was asked of other images than the study has now; the answer is left"
            " out. `run utility` asks again."
        )
    if settings.vgg_weights == "random":
        told.append(
            "VGG-19's weights are random: style transfer shows that the program runs, not what the method can do, and"
            " the feature space vgg19 tells less than with trained weights."
        )
    return told


def data_card(settings: StudySettings) -> dict[str, Any]:
    """The facts on the data: `dataset`, `data`, `attention`, `skipped`, `split`, `hashes`."""
    folder, classes = settings.stage_dir("prepare"), settings.prepared_classes()
    listed = settings.dataset_dir or settings.datalist
    files = {"manifest": folder / MANIFEST} | {f"{name}, images": folder / name / ARRAY for name in classes}
    return {
        "dataset": listed.name if listed else "",
        "data": [
            {
                **{name: row[name] for name in ("class_name", "section", "images")},
                "patients": row["patients"] or None,
                "size": row["sizes"],
                "spacing (mm)": row["spacing"],
                "intensities": range_text(float(row["low"]), float(row["high"])),
            }
            for row in read_manifest(folder, name=SUMMARY)
            if row["class_name"] in classes
        ],
        "attention": [row["notice"] for row in read_manifest(folder, name=NOTICES)],
        "skipped": read_manifest(folder, name=LEFT_OUT) if (folder / LEFT_OUT).is_file() else [],
        "split": _split(settings),
        "hashes": {name: sha256_of(path.read_bytes()) for name, path in files.items()},
    }


def _split(settings: StudySettings) -> str:
    record = read_record(settings.stage_dir("prepare"))
    told = record["settings"] if record else settings.as_json()
    if told["held_out_fold"] is not None:
        return f"Fold {told['held_out_fold']} of the data set's own folds is held out; no training saw it."
    known = all(row["patient"] for row in read_manifest(settings.stage_dir("prepare")))
    whom = "patients" if known else "patients, where they are known, else of its images,"
    return f"{told['held_out_fraction']:.0%} of each class's {whom} are held out, drawn with seed {told['seed']}."


def training_card(settings: StudySettings) -> dict[str, Any]:
    """The facts on trainings and on what made all of it: `trainings`, `stages`, `settings`, `versions`, `machine`."""
    pools = product(settings.prepared_classes(), settings.trained)
    return {
        "trainings": [_training(settings, class_name, generator) for class_name, generator in pools],
        "stages": [
            {"stage": stage, "seconds": _seconds(settings.stage_dir(folder))}
            for stage, folder in STAGES.items()
            if settings.stage_dir(folder).is_dir()
        ],
        "settings": _options(settings),
        "versions": _versions(),
        "machine": {
            "processor": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        },
    }


def _training(settings: StudySettings, class_name: str, generator: str) -> dict[str, Any]:
    folder = settings.stage_dir("train", class_name, generator)
    record = read_record(folder) or {"settings": {}, "seconds": 0.0}
    told = record["settings"]
    names = ("batch_size", "learning_rate", "precision", "seed")
    return {
        "class_name": class_name,
        "generator": settings.labels[generator],
        "epochs": told.get("max_epochs"),
        "seconds": record["seconds"],
        **_outcome(folder, told),
        **{name: told.get(name) for name in names},
        "beyond the paper": ", ".join(_parts(told)) or "nothing",
        "config": f"train_{generator}.yaml",
    }


def _parts(told: dict[str, Any]) -> list[str]:
    """What was switched on of what the paper does not have."""
    words = {
        "average_half_life": "moving average",
        "augmentation_target": "augmentation",
        "spectral_norm": "spectral normalisation",
        "r1_gamma": "R1",
        "select_best": "choice of checkpoint",
    }
    return [word for name, word in words.items() if told.get(name)]


def _outcome(folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Which epoch's generator was taken and why, and how often the training was taken back, by its last checkpoint."""
    why = "the last one: nothing chose" if not told.get("select_best") else "least KID to held-out patients"
    path = latest_checkpoint(folder)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True) if path else {}
    except Exception:  # whatever a damaged file provokes; the generator was exported, and is what counts
        state = {}
    if not state:
        return {"checkpoint": f"epoch {told.get('max_epochs', '?')}, {why}", "restarts": ""}
    chosen = state.get("selection", {})
    epoch = chosen.get("epoch", told.get("max_epochs"))
    if chosen:
        why += f" (KID {chosen['kid']:.3g}, {chosen['memorised']:.0%} memorised)"
    return {"checkpoint": f"epoch {epoch}, {why}", "restarts": state.get("trainer", {}).get("restarts", "")}


def _seconds(folder: Path) -> float:
    """Of all records in a folder, but for those inside the folder of another, which has theirs in its own."""
    paths = {path.parent: path for path in folder.rglob(RECORD)}
    outer = [path for place, path in paths.items() if not paths.keys() & {*place.parents}]
    return float(sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in outer))


def _versions() -> dict[str, str]:
    found = {"monai-aggrgan": monai_aggrgan.__version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _options(settings: StudySettings) -> dict[str, Any]:
    """The study's options, as the stages were run with them; of paths only the names, for a report travels."""
    paths = {"dataset_dir": settings.dataset_dir, "datalist": settings.datalist}
    names = {option: None if path is None else path.name for option, path in paths.items()}
    told = settings.as_json() | names | {"vgg_weights": Path(settings.vgg_weights).name}
    told["feature_spaces"] = {
        space: {key: Path(value).name if isinstance(value, str) else value for key, value in spec.items()}
        for space, spec in told["feature_spaces"].items()
    }
    told |= {name: value for name, value in made_with(settings).items() if name in told}
    return {name: value for name, value in told.items() if not name.endswith(("fig_dir", "put_dir"))}


def made_with(settings: StudySettings) -> dict[str, Any]:
    """Options by which the stages' records say they were run: this command may have been given others."""
    class_name, generator = settings.prepared_classes()[0], settings.generators[0]
    folders = {
        "prepare": (),
        "train": (class_name, generator),
        "generate": (class_name, generator),
        "select": (class_name, "ssim", generator),
        "aggregate": (class_name, "aggregate_ssim"),
        "stylise": (class_name, "aggrgan_ssim"),
    }
    made: dict[str, Any] = {}
    for stage, parts in folders.items():
        record = read_record(settings.stage_dir(stage, *parts)) or {"settings": {}}
        kept = {name: value for name, value in record["settings"].items() if name in WHAT[stage]}
        made |= kept | ({"image_size": kept["size"]} if "size" in kept else {})
    return made


def selection_rows(settings: StudySettings) -> list[dict[str, Any]]:
    """How each generator's pool was used, by class and metric."""
    table = []
    for class_name, metric in product(settings.prepared_classes(), METRICS):
        selection = read_selection(settings, class_name, metric, settings.generators)
        for usage in selection.usage(settings.top_k):
            table.append(
                {
                    "class_name": class_name,
                    "metric": metric.upper(),
                    "generator": settings.labels[usage.generator],
                    "pool": len(open_pool(settings, class_name, usage.generator)[0]),
                    "references": len(selection.indices),
                    "candidates": usage.different_candidates,
                    "chosen": usage.different_chosen,
                    "share": usage.share,
                    "mean_score": usage.mean_score,
                }
            )
    return table
