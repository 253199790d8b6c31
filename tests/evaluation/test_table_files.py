"""Markdown and LaTeX: structure that a reader and a compiler can follow, whatever the names are."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.summaries import REAL_LABEL
from monai_aggrgan.evaluation.table_files import LEFT_OUT, latex_table, markdown_table, write_table

NASTY = "A_1 & 50% $x$ #{2} ~^\\ <a|b>\n[c] *"


def record(class_name: str, method: str, **values: str) -> dict[str, str]:
    columns = {"SSIM": "0.5", "SSIM low": "0.4", "SSIM high": "0.6", "SSIM paper": "", "PSNR": "n/a"}
    return {"Category": class_name, "Method": method, **columns, "n": "3", "best": "", "left_out": "", **values}


def body(tex: str) -> list[str]:
    """Lines between begin and end of the tabular."""
    return tex.split(r"\begin{tabular}")[1].split(r"\end{tabular}")[0].splitlines()[1:]


def is_well_formed(tex: str) -> bool:
    """Unescaped braces match and so do environments; every row has as many cells as there are columns."""
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", tex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([^}]*)\}", tex):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", tex)[1])
    rows = [line for line in body(tex) if line != r"\hline"]
    return not depth and not stack and all(len(re.findall(r"(?<!\\)&", line)) == columns - 1 for line in rows)


@pytest.mark.parametrize("name", ["glioma", NASTY, "[x", "*", "\\", "{"])
def test_latex_is_well_formed_whatever_the_names(name: str) -> None:
    rows = [record(name, "A", best="SSIM"), record(name, REAL_LABEL), record("b", name, left_out="1 PSNR")]
    tex = latex_table(rows, label="table1", title="Table 1", notes=["95 % of A & B.", ""])
    assert is_well_formed(tex)
    lines = body(tex)
    assert len(lines) == 4 + 4 and all(line.endswith(r"\\") or line == r"\hline" for line in lines)
    assert not any(re.match(r"[\[*]", line) for line in lines)  # would be taken for an argument of \\
    assert r"95 \% of A \& B." in tex and r"\label{tab:table1}" in tex and LEFT_OUT in tex


def test_the_check_of_latex_can_fail() -> None:
    tex = latex_table([record("a", "A")], label="t", title="T", notes=[])
    assert is_well_formed(tex)
    assert not is_well_formed(tex.replace("A & 0.5", "A & & 0.5"))
    assert not is_well_formed(tex.replace(r"\end{table*}", ""))
    assert not is_well_formed(tex + "}")


def test_latex_escapes_each_special_character() -> None:
    tex = latex_table([record(NASTY, "A")], label="t", title="T", notes=[])
    escaped = (
        r"A\_1 \& 50\% \$x\$ \#\{2\} \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}a\textbar{}b\textgreater{} {[}c] {*}"
    )
    assert escaped + " & A & " in tex


def test_cells_hold_the_interval_and_bold_and_italic() -> None:
    rows = [record("a", "A", best="SSIM"), record("a", f"{REAL_LABEL}, nearest"), record("b", "A")]
    rows[2]["SSIM low"] = rows[2]["SSIM high"] = ""
    lines = markdown_table(rows, title="T", notes=[]).splitlines()
    assert lines[2:] == [
        "| Category | Method | SSIM | PSNR | n |",
        "| --- | --- | ---: | ---: | ---: |",
        "| a | A | **0.5 [0.4, 0.6]** | n/a | 3 |",
        f"|  | *{REAL_LABEL}, nearest* | 0.5 [0.4, 0.6] | n/a | 3 |",
        "| b | A | 0.5 | n/a | 3 |",
    ]
    tex = latex_table(rows, label="t", title="T", notes=[])
    assert r"a & A & \textbf{0.5 {[}0.4, 0.6]} & n/a & 3 \\" in tex
    assert rf" & \emph{{{REAL_LABEL}, nearest}} & 0.5 {{[}}0.4, 0.6] & n/a & 3 \\" in tex
    assert "[0.4" not in markdown_table(rows, title="T", notes=[], intervals=False)


def test_the_papers_column_is_shown_where_it_holds_anything() -> None:
    rows = [record("a", "A", **{"SSIM paper": "0.57"}), record("a", "B")]
    lines = markdown_table(rows, title="T", notes=[]).splitlines()
    assert lines[2] == "| Category | Method | SSIM | SSIM paper | PSNR | n |"
    assert lines[4:] == ["| a | A | 0.5 [0.4, 0.6] | 0.57 | n/a | 3 |", "|  | B | 0.5 [0.4, 0.6] |  | n/a | 3 |"]


def test_a_line_break_in_a_name_does_not_end_the_row() -> None:
    lines = markdown_table([record("a\n| b", "A")], title="T", notes=[]).splitlines()
    assert r"| a \| b | A | 0.5 [0.4, 0.6] | n/a | 3 |" in lines


def test_three_files_are_written_and_the_csv_has_all_columns(tmp_path: Path) -> None:
    rows = [record("a", "A", best="SSIM", left_out="1 PSNR")]
    write_table(tmp_path, "x", rows, title="T", notes=["Note."])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.md", "x.tex"]
    with (tmp_path / "x.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == rows
    assert (tmp_path / "x.md").read_text().endswith(f"\nNote.\n\n{LEFT_OUT} a, A: 1 PSNR.\n")
