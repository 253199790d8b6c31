"""The documentation: its pages build without a warning, its links lead somewhere, the code in it fits the code."""

from __future__ import annotations

import ast
import inspect
import io
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest

import monai_aggrgan

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("benchmarks/", "bundles/", "docs/", "monai_aggrgan/", "tests/", ".ci/")
PARTS = sorted({*monai_aggrgan.__all__} - {"AggrganError", "InputError", "Study", "TrainingDiverged"})
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def named(page: Path) -> set[str]:
    """What a page sets in backticks, outside its blocks of code."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`\n]+)`", prose))


def python_blocks(page: Path) -> list[ast.Module]:
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [ast.parse(block) for block in found]


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Any, str]:
    """Sphinx after it made the pages, and its warnings."""
    sphinx = pytest.importorskip("sphinx.application")
    folder, told = tmp_path_factory.mktemp("docs"), io.StringIO()
    arguments = {"srcdir": ROOT / "docs", "confdir": ROOT / "docs", "outdir": folder / "html"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Sphinx about its own extensions
        app = sphinx.Sphinx(
            **arguments, doctreedir=folder / "doctrees", buildername="html", status=None, warning=told, freshenv=True
        )
        app.build()
    return app, told.getvalue()


def test_the_pages_build_without_a_warning(built):
    app, told = built
    assert told == ""
    assert (Path(app.outdir) / "index.html").is_file()


def test_the_reference_has_every_public_class_and_function(built):
    told = set(built[0].env.get_domain("py").objects)
    for part in PARTS:
        module = import_module(f"monai_aggrgan.{part}")
        for name in module.__all__:
            thing = getattr(module, name)
            if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__doc__:
                assert f"monai_aggrgan.{part}.{name}" in told


@pages
def test_names_of_the_package_are_names_of_the_package(page):
    for name in named(page):
        if re.fullmatch(r"monai_aggrgan(\.\w+)+", name):
            assert locate(name) is not None, name


@pages
def test_named_files_are_there(page):
    for name in named(page):
        if name.startswith(FOLDERS) and not set(name) & set("<>* {"):
            assert (ROOT / name).exists(), name


@pages
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            path, _, place = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), target
            if place:
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
                assert place in map(anchor, headings), target


@pages
def test_python_in_the_pages_imports_what_there_is(page):
    for block in python_blocks(page):
        for node in ast.walk(block):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    assert locate(f"{node.module}.{alias.name}") is not None, f"{node.module}.{alias.name}"


def calls(block: ast.Module) -> Iterator[tuple[ast.Call, Any]]:
    """The calls in a block of what it imports, or of the package by its dotted name, each with what is called."""
    known = {
        alias.asname or alias.name: locate(f"{node.module}.{alias.name}")
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(block):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            called = known.get(name) or (locate(name) if name.startswith("monai_aggrgan.") else None)
            if callable(called):
                yield node, called


@pages
def test_python_in_the_pages_passes_arguments_that_exist(page):
    for block in python_blocks(page):
        for call, called in calls(block):
            if any(isinstance(given, ast.Starred) for given in call.args):
                continue
            keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
            inspect.signature(called).bind_partial(*call.args, **keywords)


def test_there_is_python_to_look_at():
    blocks = [block for page in PAGES for block in python_blocks(page)]
    assert len(blocks) > 8
    assert sum(len(list(calls(block))) for block in blocks) > 20


def test_the_page_of_the_paper_has_every_equation_table_and_figure():
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    equations = set()
    for row in re.findall(r"^\| ([\d, to]+) \|", text.partition("## Equations")[2].partition("\n## ")[0], re.MULTILINE):
        ends = [int(number) for number in re.findall(r"\d+", row)]
        equations |= set(range(ends[0], ends[-1] + 1))
    assert equations == set(range(1, 17))
    figures = re.findall(r"Figs?\. (\d)(?: (?:and|to) (\d))?", text)
    assert {number for a, b in figures for number in range(int(a), int(b or a) + 1)} == set(range(1, 10))
    tables = re.findall(r"Tables? (\d)(?: (?:and|to) (\d))?", text)
    assert {number for a, b in tables for number in range(int(a), int(b or a) + 1)} == set(range(1, 6))
    assert len({name for name in named(ROOT / "docs" / "paper.md") if name.startswith("monai_aggrgan.")}) > 50
