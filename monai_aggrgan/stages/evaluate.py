"""Stage `evaluate`: every synthetic image of a class against real ones, and every set of them, into four CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from tqdm import tqdm

from monai_aggrgan.data.manifest import MANIFEST, read_manifest, sha256_of, write_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.feature_space import FeatureSpace
from monai_aggrgan.stages import stylise
from monai_aggrgan.stages.aggregate import ABLATION
from monai_aggrgan.stages.feature_spaces import feature_spaces, identity_of_spaces
from monai_aggrgan.stages.judging import Images, Judge
from monai_aggrgan.stages.select import REAL
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.steps import BY_TURNS, MERGED_UNSELECTED, SINGLE_UNSELECTED, STYLED, by_turns
from monai_aggrgan.stages.task import RECORD, Task, read_record

__all__ = [
    "AUDIT",
    "DISTRIBUTION",
    "MEMORIZATION",
    "RESULTS",
    "images_of",
    "is_there",
    "method_folders",
    "read_evaluation",
    "tasks",
    "write_tables",
]

RESULTS = "results.csv"
DISTRIBUTION = "distribution.csv"
MEMORIZATION = "memorization.csv"
AUDIT = "audit.csv"


def is_there(settings: StudySettings) -> bool:
    """Whether every class was evaluated."""
    folders = [settings.stage_dir("evaluate", name) for name in settings.prepared_classes()]
    return all((record := read_record(folder)) is not None and record["finished"] for folder in folders)


def method_folders(settings: StudySettings, class_name: str) -> dict[str, Path]:
    """Folder of every method of a class that has one of its own, in the order of the tables."""
    aggregate, style = (partial(settings.stage_dir, stage, class_name) for stage in ("aggregate", "stylise"))
    folders: dict[str, Path] = {}
    for generator in settings.generators:
        folders |= {generator: aggregate(generator), f"{generator}+style": style(f"{generator}+style")}
    for aggregated, styled in stylise.METHODS.items():
        folders |= {aggregated: aggregate(aggregated), styled: style(styled)}
    folders |= {baseline: aggregate(baseline) for baseline in settings.baselines}
    if settings.ablation:
        folders |= {method: aggregate(method) for method in (*ABLATION, SINGLE_UNSELECTED, MERGED_UNSELECTED)}
        folders |= {method: style(method) for method in STYLED.values()}
    return folders | {REAL: aggregate(REAL)}


def images_of(settings: StudySettings, class_name: str) -> dict[str, Images]:
    """The images of every method that is judged; those of `steps.BY_TURNS` lie in the folders of other methods."""
    folders = method_folders(settings, class_name)
    images: dict[str, Images] = {
        method: [(folder, row) for row in read_manifest(folder)] for method, folder in folders.items()
    }
    real = {REAL: images.pop(REAL)}
    turns = BY_TURNS if settings.ablation else ()
    return images | {method: by_turns(settings, class_name, method) for method in turns} | real


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task a class."""
    spaces = cache(partial(feature_spaces, settings))  # loaded when the first task needs them, once
    for class_name in settings.prepared_classes():
        yield Task(
            name=f"evaluate {class_name}",
            folder=settings.stage_dir("evaluate", class_name),
            settings={"seed": settings.seed, **identity_of_spaces(settings)},
            inputs=[settings.stage_dir("prepare", class_name) / MANIFEST],
            upstream=[*method_folders(settings, class_name).values()],
            work=partial(_evaluate, settings=settings, class_name=class_name, spaces=spaces),
        )


def _evaluate(
    folder: Path, *, settings: StudySettings, class_name: str, spaces: Callable[[], list[FeatureSpace]]
) -> None:
    for name in (RESULTS, RECORD):  # of 0.1.0, which had one for all classes
        (folder.parent / name).unlink(missing_ok=True)
    listed = images_of(settings, class_name)
    real = listed.pop(REAL)
    judge = Judge(settings, class_name, spaces=spaces(), count=min(map(len, listed.values())))
    for method, images in tqdm(listed.items(), f"{class_name} evaluate", unit="method"):
        judge.judge(method, images)
    judge.judge_real(real)
    write_tables(
        folder,
        {
            RESULTS: judge.results,
            DISTRIBUTION: judge.distribution,
            MEMORIZATION: judge.memorization,
            AUDIT: judge.audit,
        },
    )


def write_tables(folder: Path, tables: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    """Write CSV files and a manifest of their hashes, by which `read_evaluation` tells whether they are whole."""
    paths = [write_manifest(folder, rows, name=name) for name, rows in tables.items()]
    write_manifest(folder, [{"file": path.name, "sha256": sha256_of(path.read_bytes())} for path in paths])


def read_evaluation(settings: StudySettings, class_name: str, name: str) -> list[dict[str, str]]:
    """Rows of one of a class's tables, such as `RESULTS`.

    Raises:
        InputError: when it is absent, or is not what the stage wrote.
    """
    folder = settings.stage_dir("evaluate", class_name)
    hashes = {row["file"]: row["sha256"] for row in read_manifest(folder)}
    rows = read_manifest(folder, name=name)
    if sha256_of((folder / name).read_bytes()) != hashes.get(name):
        raise InputError(
            f"{folder / name} is damaged or was changed since the stage `evaluate` wrote it: run that stage with"
            " --again True."
        )
    return rows
