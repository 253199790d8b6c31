"""One table in three files: CSV for a spreadsheet, Markdown for a text, LaTeX for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_aggrgan.data.manifest import whole_file, write_manifest
from monai_aggrgan.evaluation.summaries import REAL_LABEL

__all__ = ["LEFT_OUT", "latex_table", "markdown_table", "write_table"]

LEFT_OUT = "Values that are not finite (images alike, or no partner) are left out of the means:"
ENDS = (" low", " high")
NOT_SHOWN = ("best", "left_out")
PAPER = " paper"
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # behind the end of a row, a bracket or a star would be taken for an argument of it
    "*": "{*}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def write_table(
    folder: Path | str,
    name: str,
    records: Sequence[dict[str, str]],
    *,
    title: str,
    notes: Sequence[str],
    intervals: bool = True,
) -> None:
    """Write `name`.csv with all columns, and `name`.md and `name`.tex as `markdown_table` and `latex_table` do."""
    write_manifest(folder, records, name=f"{name}.csv")
    texts = {
        "md": markdown_table(records, title=title, notes=notes, intervals=intervals),
        "tex": latex_table(records, label=name, title=title, notes=notes, intervals=intervals),
    }
    for suffix, text in texts.items():
        with whole_file(Path(folder) / f"{name}.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8")


def markdown_table(
    records: Sequence[dict[str, str]], *, title: str, notes: Sequence[str], intervals: bool = True
) -> str:
    """A table with a row a record, its class named once, and the notes below.

    Columns `X low` and `X high` are no columns of it: they stand behind X in brackets, where `intervals`. A column
    `X paper` without a value is left out. `best` names the columns in bold, `left_out` becomes a note.

    Args:
        records: rows with the same columns, `Category` and `Method` first; records of a class are neighbours.
        title: the heading.
        notes: paragraphs.
        intervals: whether to print them.
    """
    columns = _columns(records)
    lines = [[_plain(column) for column in columns], ["---", "---", *["---:"] * (len(columns) - 2)]]
    for record, new_class in _with_new_class(records):
        cells = []
        for column in columns:
            text = _plain(_text(record, column, intervals=intervals)).replace("|", "\\|")
            if column == "Category" and not new_class:
                text = ""
            elif column in record.get("best", "").split():
                text = f"**{text}**"
            elif column == "Method" and text.startswith(REAL_LABEL):
                text = f"*{text}*"
            cells.append(text)
        lines.append(cells)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([f"# {title}", table, *_notes(records, notes)]) + "\n"


def latex_table(
    records: Sequence[dict[str, str]], *, label: str, title: str, notes: Sequence[str], intervals: bool = True
) -> str:
    """The same as a LaTeX `table*` that needs no package; its caption carries title and notes.

    Args:
        records: as for `markdown_table`.
        label: the table is `tab:<label>`.
        title: the first sentence of the caption.
        notes: the sentences after it.
        intervals: whether to print them.
    """
    columns = _columns(records)
    lines = [[_latex(column) for column in columns]]
    rules = [True]
    for record, new_class in _with_new_class(records):
        cells = []
        for column in columns:
            text = _latex(_text(record, column, intervals=intervals))
            if column == "Category" and not new_class:
                text = ""
            elif column in record.get("best", "").split():
                text = f"\\textbf{{{text}}}"
            elif column == "Method" and text.startswith(_latex(REAL_LABEL)):
                text = f"\\emph{{{text}}}"
            cells.append(text)
        lines.append(cells)
        rules.append(new_class)
    body = [("\\hline\n" if rule else "") + " & ".join(line) + r" \\" for line, rule in zip(lines, rules, strict=True)]
    caption = " ".join(_latex(sentence) for sentence in [f"{title}.", *_notes(records, notes)])
    return "\n".join(
        [
            "% Needs no package. Wide: for the full width of a two-column page, or a landscape page.",
            r"\begin{table*}",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{label}}}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{ll{'r' * (len(columns) - 2)}}}",
            *body,
            r"\hline",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def _columns(records: Sequence[dict[str, str]]) -> list[str]:
    """Columns that are shown."""
    names = list(dict.fromkeys(column for record in records for column in record))
    ends = {name + end for name in names for end in ENDS}
    empty = {name for name in names if name.endswith(PAPER) and not any(record.get(name) for record in records)}
    return [name for name in names if name not in NOT_SHOWN and name not in ends and name not in empty]


def _text(record: dict[str, str], column: str, *, intervals: bool) -> str:
    """`0.549 [0.541, 0.557]`, or the value alone."""
    low, high = (record.get(column + end, "") for end in ENDS)
    text = record.get(column, "")
    return f"{text} [{low}, {high}]" if intervals and low and high else text


def _with_new_class(records: Sequence[dict[str, str]]) -> list[tuple[dict[str, str], bool]]:
    before = [None, *(record["Category"] for record in records)]
    return [(record, record["Category"] != previous) for record, previous in zip(records, before, strict=False)]


def _notes(records: Sequence[dict[str, str]], notes: Sequence[str]) -> list[str]:
    left_out = [f"{r['Category']}, {r['Method']}: {r['left_out']}" for r in records if r.get("left_out")]
    return [*filter(None, notes), *([f"{LEFT_OUT} {'; '.join(left_out)}."] if left_out else [])]


def _plain(text: str) -> str:
    """On one line: a line break would end the row."""
    return " ".join(text.split())


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in _plain(text))
