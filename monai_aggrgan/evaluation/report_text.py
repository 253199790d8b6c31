"""The report as Markdown, for a text, and as JSON, for a program."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from monai_aggrgan.evaluation.report_blocks import (
    MARKS,
    Block,
    Bullets,
    Cell,
    Charts,
    Code,
    Findings,
    Heading,
    Note,
    Paragraph,
    Pictures,
    Section,
    Table,
)
from monai_aggrgan.evaluation.tables import MISSING

__all__ = ["as_json", "as_markdown", "plain_values"]

TEXT_COLUMNS = frozenset(
    (
        *("Category", "Method", "class_name", "method", "space", "metric", "generator"),
        *("extractor", "measure", "verdict", "detail", "quote", "table", "holds"),
        *("evidence", "best", "left_out", "selection", "aggregation", "style"),
        *("classifier", "label", "protocol", "case", "arm", "test", "part", "question", "first", "second", "sentence"),
    )
)
"""Columns whose values stay text even where they look like numbers."""


def as_markdown(title: str, lead: str, notices: Sequence[str], sections: Sequence[Section]) -> str:
    """GitHub's Markdown: pictures as relative links, intervals beside their values, charts left to their tables.

    Whatever stands in the texts shows as it is: nothing in them is taken for markup or for HTML.
    """
    parts = [f"# {_escaped(title)}", _escaped(lead)]
    if notices:
        parts += ["## Read this first", _list(notices)]
    for section in sections:
        parts.append(f"## {_escaped(section.heading)}")
        parts += [text for block in section.blocks if (text := _WRITERS[type(block)](block))]
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Text that Markdown shows literally, on one line."""
    text = re.sub(r"([\\`*\[\]<>|~])", r"\\\1", " ".join(text.split()))
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"^([#+=-]|\d+(?=[.)](?:\s|$)))", lambda found: _at_start(found[1]), text)


def _at_start(mark: str) -> str:
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _list(items: Sequence[str], links: Sequence[str] = ()) -> str:
    if links:
        return "\n".join(
            f"- [{_escaped(link)}]({quote(link)}): {_escaped(item)}" for item, link in zip(items, links, strict=True)
        )
    return "\n".join(f"- {_escaped(item)}" for item in items)


def _paragraph(block: Paragraph) -> str:
    return f"**{_escaped(block.lead)}** {_escaped(block.text)}" if block.lead else _escaped(block.text)


def _findings(block: Findings) -> str:
    return "\n".join(f"- {MARKS[mark]} **{_escaped(topic)}**: {_escaped(text)}" for mark, topic, text in block.items)


def _table(block: Table) -> str:
    grouped = any(name for name, _ in block.groups)
    headings = [f"{column.group}: {column.heading}" if column.group else column.heading for column in block.columns]
    lines = [[*([" "] if grouped else []), *map(_escaped, (block.corner, *headings))]]
    lines.append([*(["---"] if grouped else []), "---", *("---:" if c.number else "---" for c in block.columns)])
    for name, rows in block.groups:
        for index, row in enumerate(rows):
            heading = f"*{_escaped(row.heading)}*" if row.real else _escaped(row.heading)
            first = [_escaped(name) if index == 0 else ""] if grouped else []
            lines.append([*first, heading, *map(_cell, row.cells)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{_escaped(block.folded)}**\n\n{table}" if block.folded else table


def _cell(cell: Cell) -> str:
    text = f"**{_escaped(cell.text)}**" if cell.strong and cell.text else _escaped(cell.text)
    mark = f"{MARKS[cell.mark]} " if cell.mark else ""
    return f"{mark}{text}{f' {_escaped(cell.interval)}' if cell.interval else ''}"


def _pictures(block: Pictures) -> str:
    return "\n\n".join(
        f"![{_escaped(item.get('alt', item['caption']))}]({quote(item['path'])})\n\n{_escaped(item['caption'])}"
        for item in block.items
    )


def _code(block: Code) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block.text)), 3)
    return f"{fence}\n{block.text}\n{fence}"


_WRITERS: Mapping[type[Block], Callable[[Any], str]] = {
    Heading: lambda block: f"### {_escaped(block.text)}",
    Paragraph: _paragraph,
    Note: lambda block: _escaped(block.text),
    Code: _code,
    Bullets: lambda block: _list(block.items, block.links),
    Findings: _findings,
    Table: _table,
    Pictures: _pictures,
    Charts: lambda block: "",
}


def as_json(report: Mapping[str, Any]) -> str:
    """Valid JSON of what a report holds; NaN and infinities become null."""
    return json.dumps(_finite(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def plain_values(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Rows of a CSV file with numbers as numbers; what is unknown, infinite or not a number is None."""
    return [{column: _value(column, text) for column, text in row.items()} for row in rows]


def _value(column: str, text: str) -> Any:
    if column in TEXT_COLUMNS:
        return text
    if text in ("", MISSING):
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value):
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else value
