"""The tutorial notebook runs from its first cell to its last, in a folder of its own."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from monai_aggrgan.data import read_manifest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
MOST_BYTES = 300_000
CLASSES = ("ring", "blob", "sellar")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """As the repository's `docs`, beside the bundles."""
    root = tmp_path_factory.mktemp("tutorial")
    configs = "bundles/brain_mri_aggrgan/configs"
    shutil.copytree(ROOT / configs, root / configs)
    (root / "docs").mkdir()
    return root / "docs"


@pytest.fixture(scope="module")
def executed(folder) -> Any:
    """The notebook with new outputs, by the interpreter that runs the tests whatever kernels are installed."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    manager = AsyncKernelManager(connection_file=str(folder.parent / "connection.json"))
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=argv, display_name="these tests", language="python")
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, km=manager, resources=resources, coalesce_streams=True, timeout=600).execute()
    return notebook


def _text(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def _pictures(notebook: Any) -> int:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_it_runs_and_shows_what_it_says(executed, folder):
    text = _text(executed)
    assert "'ring': (30, 18), 'blob': (30, 18), 'sellar': (30, 18)" in text
    rows = re.findall(r"^(\w+) +(merged|real training) +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+)$", text, re.MULTILINE)
    assert [row[0] for row in rows] == [name for name in CLASSES for _ in range(2)]
    assert all(0 < float(row[2]) < 1 for row in rows)
    for merged, real in zip(rows[::2], rows[1::2], strict=True):
        assert float(merged[4]) > float(real[4])  # short trainings do not come as near to held-out slices as real ones
        assert float(merged[2]) > 0.3  # but heads they are
    areas = re.findall(r"images(?: alone)?: +\[(.+), (.+)\]", text)
    assert len(areas) == 2
    assert all(0.6 < float(curve[-1]) <= 1 for curve in areas)
    assert _pictures(executed) == 6
    assert "Traceback" not in text and "Warning" not in text


def test_it_writes_into_one_folder_only(executed, folder):
    assert [path.name for path in folder.iterdir()] == ["tutorial"]
    rows = read_manifest(folder / "tutorial" / "study" / "prepare")
    assert len(rows) == 144


def test_the_committed_file_is_small_and_names_no_machine():
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert _pictures(notebook) == 6
    told = "".join(cell.source for cell in notebook.cells) + _text(notebook) + str(notebook.metadata)
    assert not re.search(r"/(home|root|tmp|work|Users)/", told)
    assert all(cell.metadata == {} for cell in notebook.cells)


def test_links_lead_to_files():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    told = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)\)", told)
    assert len(links) > 3
    assert all((NOTEBOOK.parent / link).is_file() for link in links)
