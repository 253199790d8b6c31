"""What a report consists of, whatever it is written as: sections of headings, texts, tables, pictures and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, ClassVar

from monai_aggrgan.evaluation.report_charts import DotChart, Histogram

__all__ = [
    "MARKS",
    "Block",
    "Bullets",
    "Cell",
    "Charts",
    "Code",
    "Column",
    "Findings",
    "Heading",
    "Note",
    "Paragraph",
    "Pictures",
    "Row",
    "Section",
    "Table",
]

MARKS = {"good": "✓", "bad": "✕", "open": "~"}
"""Symbol of a verdict; it always stands beside a word, for colour alone says nothing to some."""


@dataclass(frozen=True)
class Heading:
    """A heading within a section; `anchor` is what links lead to."""

    kind: ClassVar[str] = "heading"
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `lead` words stand before it in bold."""

    kind: ClassVar[str] = "paragraph"
    text: str
    lead: str = ""


@dataclass(frozen=True)
class Note:
    """Small print."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list; `links` gives some items an address, before the words."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Findings:
    """Answers: (mark, topic, sentence), the mark one of `MARKS`."""

    kind: ClassVar[str] = "findings"
    items: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, the interval in small type, and the mark of a verdict, one of `MARKS`."""

    text: str
    interval: str = ""
    strong: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """A column below a heading; neighbours of one `group` share a heading above; `better` is "higher" or "lower".

    Numbers stand at the right, `long` texts get room to wrap in, `quiet` columns are grey.
    """

    heading: str
    number: bool = True
    group: str = ""
    better: str = ""
    quiet: bool = False
    long: bool = False

    @property
    def looks(self) -> str:
        """Names of its looks, for the style sheet."""
        return " ".join(name for name in ("number", "quiet", "long") if getattr(self, name))


@dataclass(frozen=True)
class Row:
    """A row: its heading and a cell for each column; `real` rows are tinted."""

    heading: str
    cells: Sequence[Cell]
    real: bool = False


@dataclass(frozen=True)
class Table:
    """A table in groups of rows, such as one a class; a group called "" has no heading.

    Attributes:
        label: what it shows, for those who hear the page.
        corner: heading of the column of row headings.
        columns: the others.
        groups: name and rows of each.
        folded: words on which a reader opens the table; "" shows it at once.
    """

    kind: ClassVar[str] = "table"
    label: str
    corner: str
    columns: Sequence[Column]
    groups: Sequence[tuple[str, Sequence[Row]]]
    folded: str = ""

    @property
    def column_groups(self) -> list[tuple[str, int]]:
        """Heading above and number of columns of each run of neighbours; a column without such a heading is alone."""
        runs: list[tuple[str, int]] = []
        for column in self.columns:
            if column.group and runs and runs[-1][0] == column.group:
                runs[-1] = (column.group, runs[-1][1] + 1)
            else:
                runs.append((column.group, 1))
        return runs

    @property
    def looks(self) -> str:
        """Names of its looks, for the style sheet: `wide` where it hardly fits a phone, `texts` where it is to read."""
        texts = not any(column.number for column in self.columns)
        return " ".join(["wide"] * (len(self.columns) > 4) + ["texts"] * (texts and len(self.columns) > 1))

    @property
    def starts(self) -> list[int]:
        """Index of the first column of each run of `column_groups`."""
        return [0, *accumulate(count for _, count in self.column_groups)][:-1]


@dataclass(frozen=True)
class Pictures:
    """Pictures of files, each `{path, caption}` and, for those who cannot see it, `alt`; `size`: figure or gallery."""

    kind: ClassVar[str] = "pictures"
    items: Sequence[Mapping[str, Any]]
    size: str = "figure"


@dataclass(frozen=True)
class Charts:
    """Charts side by side, with one caption."""

    kind: ClassVar[str] = "charts"
    items: Sequence[DotChart | Histogram]
    caption: str


Block = Heading | Paragraph | Note | Code | Bullets | Findings | Table | Pictures | Charts


@dataclass(frozen=True)
class Section:
    """A section: its anchor, heading, name in the list of contents, and blocks. Without blocks it is left out."""

    anchor: str
    heading: str
    short: str
    blocks: Sequence[Block] = field(default_factory=list)
