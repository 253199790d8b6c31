"""Stage `report`: tables, figures and one HTML page, all from what the stages before left in their folders."""

from __future__ import annotations

import json
import platform
import random
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import monai
import torch

import monai_aggrgan
from monai_aggrgan.data.image_folder import read_nifti, write_png
from monai_aggrgan.data.manifest import read_manifest, write_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.evaluation import tables
from monai_aggrgan.evaluation.ablation import verdicts, write_ablation_table
from monai_aggrgan.evaluation.data_rows import range_text
from monai_aggrgan.evaluation.data_summary import CONTACT_SHEET, NEAR_DUPLICATES, NOTICES, SUMMARY
from monai_aggrgan.evaluation.report import write_report
from monai_aggrgan.stages.evaluate import RESULTS, method_folders
from monai_aggrgan.stages.picture import picture_of
from monai_aggrgan.stages.prepare import LEFT_OUT
from monai_aggrgan.stages.select import METRICS, open_pool, read_selection
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, Task, read_record
from monai_aggrgan.visualize.figures import ORIGINAL, contact_sheet, method_figure

__all__ = ["REPORT", "STAGES", "tasks"]

REPORT = "report.html"
SHEETS = {
    CONTACT_SHEET: "Real images of each class and side of the split, drawn by the seed, not chosen.",
    NEAR_DUPLICATES: "Held-out images beside training images that show nearly the same: the most alike, 12 at most.",
}
STAGES = ("prepare", "train", "generate", "select", "aggregate", "stylise", "evaluate")
SHEET = 32


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for the whole study."""
    options = settings.as_json()
    pools = [*product(settings.prepared_classes(), settings.generators)]
    yield Task(
        name="report",
        folder=settings.stage_dir("report"),
        settings={"note": settings.note, "generators": options["generators"], "vgg_weights": options["vgg_weights"]},
        inputs=[settings.stage_dir("evaluate") / RESULTS],
        upstream=[
            *(settings.stage_dir("generate", class_name, generator) for class_name, generator in pools),
            *(settings.stage_dir("select", name, metric, generator) for name, generator in pools for metric in METRICS),
        ],
        work=lambda folder: _report(folder, settings),
    )


def _report(folder: Path, settings: StudySettings) -> None:
    shutil.copyfile(settings.stage_dir("evaluate") / RESULTS, folder / RESULTS)
    rows = tables.read_results(folder / RESULTS)
    tables.write_table1(folder, rows, generators=settings.labels)
    tables.write_pairings_table(folder, rows, generators=settings.labels)
    write_ablation_table(folder, rows, seed=settings.seed)
    selection = _selection(settings)
    write_manifest(folder, selection, name="selection.csv")
    write_report(
        folder,
        {
            "title": "Synthetic images judged",
            "generators": settings.labels,
            "notices": _notices(settings),
            "data": _data(settings),
            "attention": [row["notice"] for row in read_manifest(settings.stage_dir("prepare"), name=NOTICES)],
            "sheets": _sheets(folder, settings),
            "skipped": _skipped(settings),
            "split": _split(settings),
            "seed": settings.seed,
            "trainings": _trainings(settings),
            "stages": _stages(settings),
            "settings": _options(settings),
            "versions": _versions(),
            "figures": [_figure3(folder, settings)],
            "selection": selection,
            "findings": verdicts(rows, seed=settings.seed),
            "methods": _methods(folder, settings),
            "galleries": _galleries(folder, settings),
        },
    )


def _notices(settings: StudySettings) -> list[str]:
    notices = [settings.note] if settings.note else []
    rows = read_manifest(settings.stage_dir("prepare"))
    unknown = sum(row["patient"] == "" for row in rows)
    if unknown and settings.held_out_fold is None:
        notices.append(
            f"Patients are unknown for {unknown} of {len(rows)} images. Slices of one patient may be on both sides of"
            " the split, so every comparison with held-out images, the real-against-real row included, is too good."
        )
    elif unknown:
        notices.append(
            f"Patients are unknown for {unknown} of {len(rows)} images. The folds keep patients apart, but in the row"
            " of real images `held-out nearest` may meet another slice of the same patient and is then too good."
        )
    if settings.vgg_weights == "random":
        notices.append(
            "VGG-19's weights are random: style transfer shows that the program runs, not what the method can do."
        )
    return notices


def _data(settings: StudySettings) -> list[dict[str, Any]]:
    classes = settings.prepared_classes()
    return [
        {
            **{name: row[name] for name in ("class_name", "section", "images")},
            "patients": row["patients"] or None,
            "size": row["sizes"],
            "spacing (mm)": row["spacing"],
            "intensities": range_text(float(row["low"]), float(row["high"])),
        }
        for row in read_manifest(settings.stage_dir("prepare"), name=SUMMARY)
        if row["class_name"] in classes
    ]


def _sheets(folder: Path, settings: StudySettings) -> list[dict[str, str]]:
    """Pictures of the real images that the stage `prepare` drew."""
    sheets = []
    for name, caption in SHEETS.items():
        if (settings.stage_dir("prepare") / name).is_file():
            shutil.copyfile(settings.stage_dir("prepare") / name, folder / name)
            sheets.append({"path": name, "caption": caption})
    return sheets


def _skipped(settings: StudySettings) -> list[dict[str, str]]:
    folder = settings.stage_dir("prepare")
    return read_manifest(folder, name=LEFT_OUT) if (folder / LEFT_OUT).is_file() else []


def _split(settings: StudySettings) -> str:
    record = read_record(settings.stage_dir("prepare"))
    told = record["settings"] if record else settings.as_json()
    if told["held_out_fold"] is not None:
        return f"Fold {told['held_out_fold']} of the data set's own folds is held out; no training saw it."
    return f"{told['held_out_fraction']:.0%} of each class's patients are held out, drawn with seed {told['seed']}."


def _trainings(settings: StudySettings) -> list[dict[str, Any]]:
    found = []
    for class_name in settings.prepared_classes():
        for generator, label in settings.labels.items():
            record = read_record(settings.stage_dir("train", class_name, generator)) or {"settings": {}, "seconds": 0.0}
            told = {name: record["settings"].get(name) for name in ("batch_size", "learning_rate", "precision", "seed")}
            epochs = record["settings"].get("max_epochs")
            found.append(
                {"class_name": class_name, "generator": label, "epochs": epochs, "seconds": record["seconds"], **told}
            )
    return found


def _stages(settings: StudySettings) -> list[dict[str, Any]]:
    seconds = {
        stage: sum(json.loads(path.read_text())["seconds"] for path in settings.stage_dir(stage).rglob(RECORD))
        for stage in STAGES
    }
    return [{"stage": stage, "seconds": spent} for stage, spent in seconds.items()]


def _versions() -> dict[str, str]:
    return {
        "monai-aggrgan": monai_aggrgan.__version__,
        "MONAI": monai.__version__,
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {_accelerator()}",
    }


def _accelerator() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def _options(settings: StudySettings) -> dict[str, Any]:
    """The study's options; of paths only the names, for a report travels."""
    paths = {"dataset_dir": settings.dataset_dir, "datalist": settings.datalist}
    names = {option: None if path is None else path.name for option, path in paths.items()}
    record = read_record(settings.stage_dir("prepare"))
    made = {} if record is None else {name: value for name, value in record["settings"].items() if name != "seed"}
    told = settings.as_json() | names
    told |= {name: value for name, value in made.items() if name in told}  # the folder may have come from elsewhere
    return {name: value for name, value in told.items() if not name.endswith(("fig_dir", "put_dir"))}


def _figure3(folder: Path, settings: StudySettings) -> dict[str, str]:
    """Fig. 3: for one reference a class, drawn by the seed, what every method made of it."""
    labels = {name: label for name, label in settings.labels.items()}
    labels |= {f"{name}+style": f"{label} + style transfer" for name, label in settings.labels.items()}
    labels |= {"aggrgan_ssim": "AGGrGAN (SSIM)", "aggrgan_psnr": "AGGrGAN (PSNR)"}
    images: dict[str, dict[str, torch.Tensor]] = {}
    for (class_name, method), source in method_folders(settings).items():
        rows = read_manifest(source)
        row = random.Random(f"{settings.seed} {class_name}").choice(rows)
        if method in labels:
            images.setdefault(class_name, {})[labels[method]] = read_nifti(source / row["file"])
            images[class_name][ORIGINAL] = _original(settings, class_name, row["reference"])
    write_png(folder / "figure3.png", method_figure(images))
    return {
        "path": "figure3.png",
        "caption": "Laid out as the paper's Fig. 3. One reference a class, drawn by the seed, not chosen; the rightmost"
        " column is that real image, which selected and styled the others.",
    }


def _selection(settings: StudySettings) -> list[dict[str, Any]]:
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


def _methods(folder: Path, settings: StudySettings) -> list[dict[str, str]]:
    """Fig. 8: for one image a class, drawn by the seed, how it was made."""
    pictures = []
    for class_name in settings.prepared_classes():
        rows = read_manifest(settings.stage_dir("aggregate", class_name, "aggregate_ssim"))
        drawn = random.Random(f"{settings.seed} {class_name}").choice(rows)["reference"]
        name = f"figure8_{class_name}.png"
        write_png(folder / name, picture_of(settings, drawn))
        caption = (
            f"{class_name}: how one image was made, laid out as the paper's Fig. 8; drawn by the seed, not chosen."
            " Candidates, their edges (Sobel), these smoothed, the weight of each candidate in each pixel, what comes"
            " of it, and the real image that selected them."
        )
        pictures.append({"path": name, "caption": caption})
    return pictures


def _original(settings: StudySettings, class_name: str, reference: str) -> torch.Tensor:
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    return training.images[[row["id"] for row in training.rows].index(reference)]


def _galleries(folder: Path, settings: StudySettings) -> list[dict[str, str]]:
    galleries = []
    for (class_name, method), source in method_folders(settings).items():
        if method != "aggrgan_ssim":
            continue
        rows = read_manifest(source)
        drawn = random.Random(f"{settings.seed} {class_name}").sample(rows, min(SHEET, len(rows)))
        name = f"gallery_{class_name}.png"
        images = torch.stack([read_nifti(source / row["file"]) for row in drawn])
        write_png(folder / name, contact_sheet(images))
        galleries.append(
            {"path": name, "caption": f"{class_name}: {len(drawn)} images of AGGrGAN (SSIM), drawn at random"}
        )
    return galleries
