"""The report of a study: one HTML file that needs nothing beside it, made of files that the stages left behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monai_aggrgan.data.manifest import read_manifest, whole_file
from monai_aggrgan.evaluation import tables
from monai_aggrgan.evaluation.ablation import ABLATION_NOTE
from monai_aggrgan.evaluation.similarity import PAIRINGS
from monai_aggrgan.exceptions import InputError

__all__ = ["write_report"]

FACTS: dict[str, Any] = {
    "notices": [],
    "data": [],
    "attention": [],
    "sheets": [],
    "skipped": [],
    "split": "",
    "seed": None,
    "trainings": [],
    "stages": [],
    "settings": {},
    "versions": {},
    "figures": [],
    "selection": [],
    "findings": [],
    "methods": [],
    "galleries": [],
}
"""Facts that may be left out, and what then stands for them; `title` and `generators` may not."""

FILES = {
    "results.csv": "every judged image with its partners and values",
    "table1.csv": "Table 1 for a spreadsheet",
    "table1.md": "Table 1 for a text",
    "selection.csv": "how each generator's pool was used",
    "ablation.csv": "what merging is worth, for a spreadsheet",
    "ablation.md": "what merging is worth, for a text",
    "pairings.csv": "the four pairings for a spreadsheet",
    "pairings.md": "the four pairings for a text",
}
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


def write_report(folder: Path | str, facts: Mapping[str, Any]) -> Path:
    """Write `folder/report.html` from results.csv, the tables' CSV files and pictures; nothing is computed anew.

    Args:
        folder: holds results.csv, table1.csv and pairings.csv, and ablation.csv where there was one.
        facts: what the files do not say; all but `title` and `generators` may be left out:

            - `title`: of the report. `generators`: id -> label.
            - `notices`: sentences that a reader must not miss, shown first.
            - `data`: one `{class_name, section, images, patients, ...}` a row; `patients` None where unknown; further
              keys become columns. `skipped`: `{class_name, source, reason}` of each case that could not be used.
              `attention`: sentences on the data.
            - `split`: how images were divided, a sentence. `seed`: of the study.
            - `trainings`: `{class_name, generator, epochs, seconds, ...}`; further keys become columns.
            - `stages`: `{stage, seconds}`. `settings`, `versions`: name -> value.
            - `selection`: `{class_name, metric, generator, pool, references, candidates, chosen, share, mean_score}`
              a row, see `monai_aggrgan.inferers.GeneratorUsage`. `findings`: sentences below the ablation.
            - `sheets`, `figures`, `methods`, `galleries`: `{path, caption}`, PNG or JPEG, relative to `folder`; `alt`
              describes the picture to those who cannot see it (default: the caption).

    Returns:
        The path of the report.

    Raises:
        InputError: when a file or picture is missing or a picture is of another format.
        ValueError: when `facts` lack a key or hold one that is not known.
    """
    folder = Path(folder)
    page = _template().render(
        **_complete(facts),
        judged=len(tables.read_results(folder / "results.csv")),
        table1=_grouped(read_manifest(folder, name="table1.csv"), by="Category"),
        pairings=_grouped(read_manifest(folder, name="pairings.csv"), by="Category"),
        ablation=_grouped(_if_there(folder, "ablation.csv"), by="Category"),
        ablation_note=ABLATION_NOTE,
        usage=_grouped(facts.get("selection", []), by="class_name"),
        tables=tables,
        pairing_names=PAIRINGS,
        pairing_columns=[
            tables.pairing_heading(metric, pairing) for metric in ("ssim", "psnr") for pairing in PAIRINGS
        ],
        picture=lambda path: _data_uri(folder / path),
        files={name: use for name, use in FILES.items() if (folder / name).is_file()},
    )
    path = folder / "report.html"
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _complete(facts: Mapping[str, Any]) -> dict[str, Any]:
    if lacking := [key for key in ("title", "generators") if key not in facts]:
        raise ValueError(f"facts lack {', '.join(lacking)}")
    if unknown := [key for key in facts if key not in (*FACTS, "title", "generators")]:
        raise ValueError(f"facts hold {', '.join(unknown)}; known are title, generators, {', '.join(FACTS)}")
    return {**FACTS, **facts}


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": _duration, "plain": _plain}
    return environment.get_template("report.html.jinja")


def _grouped(records: Sequence[Mapping[str, Any]], *, by: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Neighbours with the same value of a column, which stands before them."""
    return [(value, list(group)) for value, group in groupby(records, key=lambda record: record[by])]


def _if_there(folder: Path, name: str) -> list[dict[str, str]]:
    return read_manifest(folder, name=name) if (folder / name).is_file() else []


def _data_uri(path: Path) -> str:
    if path.suffix.lower() not in MEDIA_TYPES:
        raise InputError(f"The report shows PNG and JPEG pictures, got {path}.")
    if not path.is_file():
        raise InputError(f"There is no picture {path}: run the stage that draws it first.")
    return f"data:{MEDIA_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _duration(seconds: float) -> str:
    """`47 s`, `9 min 12 s`, `3 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _plain(value: Any) -> str:
    """A setting as a person writes it: fractions to six digits, lists with commas, mappings as JSON."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
