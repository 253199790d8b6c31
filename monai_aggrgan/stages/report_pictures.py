"""The pictures of the report, each written beside it: figures of the paper, curves, galleries, closest pairs."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from torch import Tensor

from monai_aggrgan.data.image_folder import read_nifti, write_png
from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.evaluation.closest_pairs import closest_pairs
from monai_aggrgan.evaluation.data_summary import CONTACT_SHEET, NEAR_DUPLICATES
from monai_aggrgan.stages.evaluate import MEMORIZATION, images_of, read_evaluation
from monai_aggrgan.stages.export import METHOD
from monai_aggrgan.stages.picture import picture_of
from monai_aggrgan.stages.select import open_pool
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.visualize.figures import ORIGINAL, labelled_rows, method_figure
from monai_aggrgan.visualize.learning_curves import Curve, learning_curves
from monai_aggrgan.visualize.pairs import pairs_figure

__all__ = ["closest", "curves", "figures", "galleries", "methods", "sheets"]

Picture = dict[str, str]

SHEETS = {
    CONTACT_SHEET: "Real images of each class and side of the split, drawn by the seed, not chosen.",
    NEAR_DUPLICATES: "Held-out images beside training images that show nearly the same: the most alike, 12 at most.",
}
PAIRS = 20
SPACE = "vgg19"
GALLERY = 8  # images of each method
POINTS = 300  # of a curve
LOSSES = ("critic/real", "critic/fake", "generator/adversarial")


def sheets(folder: Path, settings: StudySettings) -> list[Picture]:
    """Pictures of the real images that the stage `prepare` drew."""
    found = []
    for name, caption in SHEETS.items():
        if (settings.stage_dir("prepare") / name).is_file():
            shutil.copyfile(settings.stage_dir("prepare") / name, folder / name)
            found.append({"path": name, "caption": caption})
    return found


def curves(folder: Path, settings: StudySettings) -> list[Picture]:
    """Losses and likeness to held-out images of every training, from what was logged for TensorBoard."""
    kinds = {"losses": ("the terms of the losses", LOSSES), "held_out": ("SSIM to held-out images", ("held_out/ssim",))}
    along = {"losses": "iteration", "held_out": "epoch"}
    logged = {
        class_name: {
            settings.labels[name]: _scalars(settings.stage_dir("train", class_name, name, "tensorboard"))
            for name in settings.trained
        }
        for class_name in settings.prepared_classes()
    }
    pictures = []
    for kind, (words, tags) in kinds.items():
        shown = {
            class_name: {
                label: {tag: points[tag] for tag in tags if tag in points} for label, points in of_class.items()
            }
            for class_name, of_class in logged.items()
        }
        if any(points for of_class in shown.values() for points in of_class.values()):
            name = f"curves_{kind}.png"
            write_png(folder / name, learning_curves(shown, along=along[kind]))
            caption = f"Learning curves: {words} of every training, each plot with axes of its own."
            pictures.append({"path": name, "caption": caption})
    return pictures


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Inside, a library says nothing below a warning."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _scalars(folder: Path) -> dict[str, Curve]:
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with _quiet("tensorboard"):  # it tells of each folder that it ends there
        events = EventAccumulator(str(folder), size_guidance={"scalars": POINTS}).Reload()
    found = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    return {tag: ([p.step for p in points], [p.value for p in points]) for tag, points in found.items()}


def figures(folder: Path, settings: StudySettings, *, numbers: tuple[int, int]) -> list[Picture]:
    """The layouts of the paper's Figs. 3 and 5 (or 4 and 6, as `numbers` say): one reference a class, every method."""
    styled = {f"{name}+style": f"{settings.labels[name]} + style transfer" for name in settings.generators}
    own = {name: settings.labels[name] for name in settings.generators}
    both = [item for pair in zip(own.items(), styled.items(), strict=True) for item in pair]
    aggregated = {"aggrgan_ssim": "AGGrGAN (SSIM)", "aggrgan_psnr": "AGGrGAN (PSNR)"}
    pictures = [_figure(folder, settings, number=numbers[0], labels=dict(both) | aggregated)]
    if settings.baselines:
        baselines = {name: settings.labels[name] for name in settings.baselines}
        labels = baselines | {"aggrgan_ssim": "AGGrGAN (SSIM)"}
        pictures.append(_figure(folder, settings, number=numbers[1], labels=labels))
    return pictures


def _figure(folder: Path, settings: StudySettings, *, number: int, labels: dict[str, str]) -> Picture:
    images: dict[str, dict[str, Tensor]] = {}
    for class_name in settings.prepared_classes():
        listed = images_of(settings, class_name)
        reference = random.Random(f"{settings.seed} {class_name}").choice(listed[METHOD])[1]["reference"]
        for method, label in labels.items():
            source, row = next((source, row) for source, row in listed[method] if row["reference"] == reference)
            images.setdefault(class_name, {})[label] = read_nifti(source / row["file"])
        images[class_name][ORIGINAL] = _originals(settings, class_name)[reference]
    name = f"figure{number}.png"
    write_png(folder / name, method_figure(images))
    return {
        "path": name,
        "caption": f"Laid out as the paper's Fig. {number}. One reference a class, drawn by the seed, not chosen; the"
        " rightmost column is that real image, which selected and styled the others.",
    }


def methods(folder: Path, settings: StudySettings) -> list[Picture]:
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


def galleries(folder: Path, settings: StudySettings) -> list[Picture]:
    """Real images, images of each GAN that nothing selected, and finished ones: drawn by the seed."""
    pictures = []
    for class_name in settings.prepared_classes():
        draw = random.Random(f"{settings.seed} {class_name} gallery")
        held_out = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name, section=HELD_OUT)
        rows = [("Real\nheld-out patients", _drawn(held_out.images, draw))]
        for name in settings.trained:
            pool, _ = open_pool(settings, class_name, name)
            rows.append((f"{settings.labels[name]}\nof its pool", _drawn(pool, draw)))
        finished = images_of(settings, class_name)[METHOD]
        chosen = draw.sample(finished, min(GALLERY, len(finished)))
        rows.append(("AGGrGAN (SSIM)\nfinished", [read_nifti(source / row["file"]) for source, row in chosen]))
        name = f"gallery_{class_name}.png"
        write_png(folder / name, labelled_rows(rows))
        caption = (
            f"{class_name}: at most {GALLERY} images a row, drawn by the seed, not chosen. From the top: real images of"
            " patients that no training saw, images of each GAN's pool before any selection, and finished images."
        )
        pictures.append({"path": name, "caption": caption})
    return pictures


def _drawn(images: Tensor, draw: random.Random) -> list[Tensor]:
    return [images[index].float() for index in draw.sample(range(len(images)), min(GALLERY, len(images)))]


def closest(folder: Path, settings: StudySettings) -> list[Picture]:
    """The finished images that are nearest to training images, beside these: by pixels and by VGG-19's features."""
    kinds = {
        "likeness": ("", "most like a training image once both are aligned, flagged ones first", "ssim_training"),
        SPACE: (f"_{SPACE}", f"closest to one training image in the feature space {SPACE}", f"{SPACE}_training"),
    }
    pictures = []
    for class_name, (by, (suffix, words, partner)) in product(settings.prepared_classes(), kinds.items()):
        rows = read_evaluation(settings, class_name, MEMORIZATION)
        rows = closest_pairs([row for row in rows if row["method"] == METHOD], by=by, count=PAIRS)
        originals = _originals(settings, class_name)
        pairs = [_pair(settings, originals, row, by=by, partner=partner) for row in rows]
        name = f"closest_{class_name}{suffix}.png"
        write_png(folder / name, pairs_figure(pairs))
        caption = (
            f"{class_name}: the {len(pairs)} images of AGGrGAN (SSIM) that are {words}, each at the left of that image"
            f"{', which is mirrored where that brings them nearer' if by == 'likeness' else ''}."
        )
        pictures.append({"path": name, "caption": caption})
    return pictures


def _pair(
    settings: StudySettings, originals: dict[str, Tensor], row: Mapping[str, str], *, by: str, partner: str
) -> tuple[str, Tensor, Tensor]:
    mirrored = by == "likeness" and bool(row["mirrored"])
    shown = "likeness" if by == "likeness" and row["likeness"] else "ssim" if by == "likeness" else f"{by}_closeness"
    word = {"likeness": "likeness", "ssim": "SSIM"}.get(shown, "closeness")
    words = [f"{word} {float(row[shown]):.2f}", *(["mirrored"] if mirrored else [])]
    words += ["flagged"] if row["flagged"] else []
    original = originals[row[partner]]
    return ", ".join(words), read_nifti(settings.output_dir / row["file"]), original.flip(-1) if mirrored else original


def _originals(settings: StudySettings, class_name: str) -> dict[str, Tensor]:
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    return dict(zip((row["id"] for row in training.rows), training.images, strict=True))
