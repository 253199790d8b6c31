"""What importing the package brings with it: nothing, until a part is used."""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import monai_aggrgan
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.extras import EXTRAS, require

ROOT = Path(__file__).resolve().parents[1]
PARTS = {path.stem for path in (ROOT / "monai_aggrgan").glob("[a-z]*.py")} | {
    path.parent.name for path in (ROOT / "monai_aggrgan").glob("*/__init__.py")
}
INNER = {"extras"}
"""Parts that users have no need of."""


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh process has loaded after a statement."""
    code = f"import sys\n{statement}\nimport json\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {*json.loads(run.stdout.splitlines()[-1])}


def test_importing_the_package_imports_neither_torch_nor_monai_nor_a_part():
    loaded = loaded_by("import monai_aggrgan")
    assert "monai_aggrgan" in loaded
    assert not loaded & {"torch", "monai", "ignite", "numpy", "scipy", "matplotlib"}
    assert not {name for name in loaded if name.startswith("monai_aggrgan.")}


def test_the_errors_need_no_other_part():
    loaded = loaded_by("from monai_aggrgan import InputError")
    assert {name for name in loaded if name.startswith("monai_aggrgan")} == {
        "monai_aggrgan",
        "monai_aggrgan.exceptions",
    }


def test_the_package_imports_without_what_its_extras_bring():
    absent = sorted({module for modules in EXTRAS.values() for module in modules} | {"onnx", "mlflow"})
    block = f"for name in {absent}: sys.modules[name] = None\n"  # the import of such a name fails
    loaded = loaded_by(f"{block}import monai_aggrgan\nfor name in monai_aggrgan.__all__: getattr(monai_aggrgan, name)")
    assert {"monai_aggrgan.stages.report", "monai_aggrgan.visualize.figures"} <= loaded


def test_every_part_and_name_is_found():
    assert {*monai_aggrgan.__all__} >= PARTS - INNER
    assert monai_aggrgan.__all__ == sorted(monai_aggrgan.__all__)
    for name in monai_aggrgan.__all__:
        assert getattr(monai_aggrgan, name) is not None
        assert name in dir(monai_aggrgan)
    assert monai_aggrgan.networks is import_module("monai_aggrgan.networks")
    assert monai_aggrgan.Study is import_module("monai_aggrgan.study").Study


def test_what_mypy_sees_is_what_there_is():
    tree = ast.parse((ROOT / "monai_aggrgan" / "__init__.py").read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = [alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == monai_aggrgan.__all__


def test_a_name_that_is_not_there_is_told_as_by_any_module():
    with pytest.raises(AttributeError, match="module 'monai_aggrgan' has no attribute 'utils'"):
        _ = monai_aggrgan.utils
    with pytest.raises(ImportError, match="cannot import name 'helpers'"):
        from monai_aggrgan import helpers  # noqa: F401


def test_a_missing_extra_is_one_sentence(monkeypatch):
    require("report", wanted_for="A study")
    monkeypatch.setitem(EXTRAS, "report", ("matplotlib", "no_such_module"))
    with pytest.raises(InputError) as raised:
        require("report", wanted_for="A study")
    sentence = "A study needs what is not installed here (no_such_module): run pip install 'monai-aggrgan[report]'."
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("extra", "use"),
    [
        ("report", "visualize.contact_sheet(__import__('torch').zeros(1, 1, 8, 8))"),
        ("report", "Study(config_dir=sys.argv[1], dataset_dir='a', output_dir='b').run()"),
        ("mat", "data.read_grey_image(sys.argv[2])"),
    ],
)
def test_who_needs_an_extra_is_told_which(extra, use, tmp_path, monkeypatch):
    matlab = tmp_path / "1.mat"
    matlab.touch()
    monkeypatch.setitem(EXTRAS, extra, ("no_such_module",))
    monkeypatch.setattr(sys, "argv", ["", str(ROOT / "bundles/brain_mri_aggrgan/configs"), str(matlab)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(f"monai-aggrgan[{extra}]")):
        eval(f"monai_aggrgan.{use}")
    assert list(tmp_path.iterdir()) == [matlab]


def test_extras_are_those_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    offered = setup["options.extras_require"]
    distributions = {"itk": {"itk-io"}}
    for extra, modules in EXTRAS.items():
        named = {re.split("[>=<]", line)[0] for line in offered[extra].split()}
        assert named == distributions.get(extra, {*modules})


def test_nothing_of_an_extra_is_imported_before_it_is_needed():
    absent = {module for modules in EXTRAS.values() for module in modules}
    for path in (ROOT / "monai_aggrgan").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & absent, f"{path.relative_to(ROOT)} is not lazy"
            assert "torch.utils.tensorboard" not in names, f"{path.relative_to(ROOT)} is not lazy"
