"""Stage `report`: tables, figures and one HTML page, all from what the stages before left in their folders."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from monai_aggrgan.data.manifest import file_in, read_manifest, write_manifest
from monai_aggrgan.evaluation import tables
from monai_aggrgan.evaluation.ablation import verdicts, write_ablation_table
from monai_aggrgan.evaluation.audit import AUDIT_RULE
from monai_aggrgan.evaluation.claims import claims_rows, read_claims
from monai_aggrgan.evaluation.paper import TABLE_NUMBERS, paper_dataset
from monai_aggrgan.evaluation.report import write_report
from monai_aggrgan.evaluation.report_utility import UTILITY_PICTURES
from monai_aggrgan.evaluation.steps import effects, write_steps_table
from monai_aggrgan.stages import compare, report_facts, report_pictures
from monai_aggrgan.stages.evaluate import AUDIT, DISTRIBUTION, MEMORIZATION, RESULTS, read_evaluation
from monai_aggrgan.stages.select import METRICS
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task, read_json

__all__ = ["REPORT", "tasks"]

REPORT = "report.html"
FIGURES = {"figshare": (3, 5), "brats": (4, 6), None: (3, 5)}
"""Numbers of the paper's figures of methods and of baselines, by its data set."""
CLAIMS = "claims.csv"
NAMES = {"figshare": "brain tumour data set", "brats": "BraTS"}
FILTER_COMMAND = (
    "python -m monai.bundle run filter --bundle_root bundles/brain_mri_aggrgan"
    " --config_file bundles/brain_mri_aggrgan/configs/study.yaml --output_dir STUDY"
)
"""With the study's other options, if it had any."""


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for the whole study."""
    options = settings.as_json()
    classes = settings.prepared_classes()
    pools = [*product(classes, settings.trained)]
    searched = [*product(classes, settings.generators, METRICS)]
    names = ("note", "generators", "baselines", "vgg_weights", "seed")
    yield Task(
        name="report",
        folder=settings.stage_dir("report"),
        settings={name: options[name] for name in names},
        upstream=[
            *(settings.stage_dir("evaluate", class_name) for class_name in classes),
            *(settings.stage_dir("generate", class_name, generator) for class_name, generator in pools),
            *(settings.stage_dir("select", name, metric, generator) for name, generator, metric in searched),
            *([settings.stage_dir(compare.UTILITY)] if compare.is_there(settings) else []),
        ],
        work=lambda folder: _report(folder, settings),
    )


def _report(folder: Path, settings: StudySettings) -> None:
    for name in (RESULTS, DISTRIBUTION, MEMORIZATION, AUDIT):
        of_classes = [read_evaluation(settings, class_name, name) for class_name in settings.prepared_classes()]
        write_manifest(folder, [row for rows in of_classes for row in rows], name=name)
    _write_tables(folder, settings)
    selection = report_facts.selection_rows(settings)
    write_manifest(folder, selection, name="selection.csv")
    results = tables.read_results(folder / RESULTS)
    write_report(
        folder,
        {
            "title": "Synthetic images judged",
            "generators": settings.labels,
            "notices": report_facts.notices(settings),
            **report_facts.data_card(settings),
            **report_facts.training_card(settings),
            "seed": report_facts.made_with(settings).get("seed", settings.seed),
            "selection": selection,
            "headings": _headings(settings),
            "effects": effects(results, seed=settings.seed),
            "findings": verdicts(results, seed=settings.seed),
            "audit_rule": AUDIT_RULE,
            "filter_command": FILTER_COMMAND,
            "sheets": report_pictures.sheets(folder, settings),
            "curves": report_pictures.curves(folder, settings),
            "figures": report_pictures.figures(folder, settings, numbers=FIGURES[_dataset(settings)]),
            "methods": report_pictures.methods(folder, settings),
            "closest": report_pictures.closest(folder, settings),
            "galleries": report_pictures.galleries(folder, settings),
            **_utility(folder, settings),
        },
    )


def _utility(folder: Path, settings: StudySettings) -> dict[str, Any]:
    """What the stage `compare` found, if it was asked; its tables and pictures are copied beside the report."""
    if not (compare.is_there(settings) and compare.is_current(settings)):
        return {}
    source = settings.stage_dir(compare.UTILITY)
    for row in read_manifest(source):
        if row["file"] not in (compare.FACTS, compare.SOURCES):
            shutil.copyfile(file_in(source, row["file"]), file_in(folder, row["file"]))
    pictures = [{"path": name, **words} for name, words in UTILITY_PICTURES.items() if (folder / name).is_file()]
    return {"utility": read_json(source / compare.FACTS) or {}, "utility_figures": pictures}


def _dataset(settings: StudySettings) -> str | None:
    return paper_dataset(settings.prepared_classes())


def _headings(settings: StudySettings) -> dict[str, str]:
    """Headings of the paper's tables; where the classes are not the paper's, its numbers do not fit."""
    dataset = _dataset(settings)
    if dataset is None:
        return {
            "table1": "The paper's metrics (layout of its Table 1)",
            "baselines": "Other GANs (layout of its Table 3)",
        }
    numbers, name = TABLE_NUMBERS[dataset], NAMES[dataset]
    return {
        "table1": f"Table {numbers['methods']}: the paper's metrics, {name}",
        "baselines": f"Table {numbers['baselines']}: other GANs, {name}",
    }


def _write_tables(folder: Path, settings: StudySettings) -> None:
    results = tables.read_results(folder / RESULTS)
    generators = {name: settings.labels[name] for name in settings.generators}
    baselines = {name: settings.labels[name] for name in settings.baselines}
    tables.write_table1(folder, results, generators=generators, seed=settings.seed)
    tables.write_baselines_table(folder, results, baselines=baselines, seed=settings.seed)
    tables.write_pairings_table(folder, results, generators=generators | baselines, seed=settings.seed)
    write_ablation_table(folder, results, seed=settings.seed)
    claims = read_claims(results, generators=generators, baselines=baselines, seed=settings.seed)
    write_manifest(folder, claims_rows(claims), name=CLAIMS)
    distribution, audit = (read_manifest(folder, name=name) for name in (DISTRIBUTION, AUDIT))
    write_steps_table(folder, results, distribution, audit, seed=settings.seed)
