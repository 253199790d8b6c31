"""The report of a study: one HTML file that needs nothing beside it, made of files that the stages left behind."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monai_aggrgan.data.manifest import read_manifest, whole_file
from monai_aggrgan.evaluation import tables
from monai_aggrgan.evaluation.in_short import in_short
from monai_aggrgan.evaluation.left_out import left_out_reasons
from monai_aggrgan.evaluation.report_blocks import MARKS
from monai_aggrgan.evaluation.report_readings import method_labels
from monai_aggrgan.evaluation.report_sections import FILES, sections
from monai_aggrgan.evaluation.report_text import as_json, as_markdown, plain_values
from monai_aggrgan.evaluation.seven_cs import seven_cs
from monai_aggrgan.exceptions import InputError

__all__ = ["write_report"]

FACTS: dict[str, Any] = {
    **{name: [] for name in ("notices", "data", "attention", "skipped", "trainings", "stages", "selection")},
    **{name: [] for name in ("findings", "effects", "limits")},
    **{name: [] for name in ("sheets", "curves", "figures", "methods", "closest", "utility_figures", "galleries")},
    **{name: {} for name in ("hashes", "settings", "versions", "machine", "labels", "headings", "utility")},
    **{name: "" for name in ("dataset", "split", "audit_rule", "filter_command", "intended_use")},
    "seed": None,
    "repeats": 1,
}
"""Facts that may be left out, and what then stands for them; `title` and `generators` may not."""

NEEDED = ("table1.csv", "pairings.csv")
USE = ("utility", "comparisons", "verdicts", "table5")
WHOLE = ("baselines", "ablation", "distribution", "audit", "claims", "steps", *USE)
"""Tables that the report shows where they are there, and that report.json repeats."""
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


def write_report(folder: Path | str, facts: Mapping[str, Any]) -> Path:
    """Write `folder/report.html`, report.md and report.json from CSV files and pictures; nothing is computed anew.

    Each is whole or absent. The page holds its pictures and needs no other file and no network; the Markdown links
    to the pictures; the JSON has `facts`, `in_short`, `seven_cs` and all `tables` but those of single images.

    Args:
        folder: holds results.csv, table1.csv and pairings.csv and, where there were such, baselines.csv, ablation.csv,
            steps.csv, distribution.csv, memorization.csv, audit.csv and claims.csv; and utility.csv, comparisons.csv,
            verdicts.csv and table5.csv of classifiers. A table's columns `X low`, `X high` and `X paper` belong to its
            column X.
        facts: what the files do not say; all but `title` and `generators` may be left out:

            - `title`: of the report. `generators`: id -> label. `labels`: id -> label of further methods.
            - `notices`: sentences that a reader must not miss, shown first.
            - `headings`: `table1`, `baselines` -> heading of that table, such as `Table 2: BraTS 2020`.
            - `dataset`: the data set's name, a phrase. `data`: one `{class_name, section, images, patients, ...}` a
              row; `patients` None where unknown; further keys become columns. `skipped`: `{class_name, source,
              reason}` of each case that could not be used; the report counts them by reason and names no file.
              `attention`: sentences on the data. `hashes`: what -> SHA-256.
            - `split`: how images were divided, a sentence. `seed`: of the study. `repeats`: how many seeds it covers.
            - `trainings`: `{class_name, generator, epochs, seconds, ...}`; further keys become columns, numbers at
              the right, texts at the left.
            - `stages`: `{stage, seconds}`. `settings`, `versions`, `machine`: name -> value.
            - `selection`: `{class_name, metric, generator, pool, references, candidates, chosen, share, mean_score}`
              a row, see `monai_aggrgan.inferers.GeneratorUsage`. `findings`, `effects`: sentences below the
              tables of merging and of steps.
            - `audit_rule`: the rule of the audit's verdict, a sentence. `filter_command`: writes the set without
              flagged images. `intended_use`: sentences in place of ours. `limits`: further sentences on limits.
            - `utility`: of the trainings of classifiers, what utility.json holds: `{base, counts, seeds, classes,
              minority, classifiers, synthetic, patients_known, notes, training}`, each of which may be left out.
            - `sheets` (real images), `curves` (of trainings), `figures` (as the paper's Figs. 3-6), `methods` (Fig. 8),
              `closest` (pairs), `utility_figures` (named `cases`, `curve`, `minority`, see `UTILITY_PICTURES`),
              `galleries`: `{path, caption}`, PNG or JPEG, relative to `folder`; `alt` describes the
              picture to those who cannot see it (default: the caption).

    Returns:
        The path of the HTML file.

    Raises:
        InputError: when a needed file or a picture is missing or a picture is of another format.
        ValueError: when `facts` lack a key or hold one that is not known.
    """
    folder, facts = Path(folder), _complete(facts)
    read = {"results": tables.read_results(folder / "results.csv")}
    read |= {Path(name).stem: read_manifest(folder, name=name) for name in NEEDED}
    read |= {name: _if_there(folder, f"{name}.csv") for name in (*WHOLE, "memorization")}
    labels = method_labels(facts["generators"], more=facts["labels"])
    answers, criteria = in_short(read, labels=labels), seven_cs(read, facts=facts, labels=labels)
    written = [name for name in FILES if (folder / name).is_file() or name in ("report.md", "report.json")]
    parts = sections(read, facts=facts, labels=labels, answers=answers, criteria=criteria, files=written)
    lead = _lead(len(read["results"]), facts)
    page = _template().render(
        title=facts["title"],
        lead=lead,
        notices=facts["notices"],
        sections=parts,
        marks=MARKS,
        picture=lambda path: _data_uri(folder / path),
        address=quote,
    )
    shown = {name: plain_values(read[name]) for name in ("table1", "pairings", *WHOLE) if read[name]}
    record = {
        "format": 1,
        "title": facts["title"],
        "judged_images": len(read["results"]),
        "in_short": [answer._asdict() for answer in answers],
        "seven_cs": [criterion._asdict() for criterion in criteria],
        "labels": labels,
        "tables": shown,
        "facts": facts,
    }
    _write(folder / "report.md", as_markdown(facts["title"], lead, facts["notices"], parts))
    _write(folder / "report.json", as_json(record))
    return _write(folder / "report.html", page)


def _complete(facts: Mapping[str, Any]) -> dict[str, Any]:
    if lacking := [key for key in ("title", "generators") if key not in facts]:
        raise ValueError(f"facts lack {', '.join(lacking)}")
    if unknown := [key for key in facts if key not in (*FACTS, "title", "generators")]:
        raise ValueError(f"facts hold {', '.join(unknown)}; known are title, generators, {', '.join(FACTS)}")
    complete = {**FACTS, **facts}
    return {**complete, "skipped": left_out_reasons(complete["skipped"])}


def _lead(judged: int, facts: Mapping[str, Any]) -> str:
    """What was judged, in a line."""
    parts = [f"{judged:,} images judged"]
    parts += [f"seed {facts['seed']}"] if facts["seed"] is not None else []
    parts += [f"split: {facts['split']}"] if facts["split"] else []
    return " · ".join(parts)


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _if_there(folder: Path, name: str) -> list[dict[str, str]]:
    return read_manifest(folder, name=name) if (folder / name).is_file() else []


def _data_uri(path: Path) -> str:
    if path.suffix.lower() not in MEDIA_TYPES:
        raise InputError(f"The report shows PNG and JPEG pictures, got {path}.")
    if not path.is_file():
        raise InputError(f"There is no picture {path}: run the stage that draws it first.")
    return f"data:{MEDIA_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _write(path: Path, text: str) -> Path:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
