"""The sdist and the wheel: they build without a network, hold what they should, and work outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

import monai_aggrgan

ROOT = Path(__file__).resolve().parents[1]
UNVERSIONED = (".*", "__pycache__", "*.egg-info", "build", "dist", "_build", "output", "quickstart_output")
USE = """
import sys
from pathlib import Path

import monai_aggrgan

assert Path(monai_aggrgan.__file__).is_relative_to(sys.argv[1]), monai_aggrgan.__file__
phantoms = monai_aggrgan.data.write_phantoms(Path("phantoms"), patients_per_class=8, slices_per_patient=1, size=32)
monai_aggrgan.Study(config_dir=sys.argv[2], dataset_dir=phantoms, output_dir="study", image_size=16).run("prepare")
print(sorted(path.name for path in Path("study/prepare").iterdir()))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path, Path]:
    """The sdist, and the wheel made from it, of a copy of the checkout; and that copy."""
    folder = tmp_path_factory.mktemp("packaging")
    copytree(ROOT, folder / "checkout", ignore=ignore_patterns(*UNVERSIONED))
    copytree(ROOT / ".ci", folder / "checkout" / ".ci")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist")]
    run = subprocess.run([*command, str(folder / "checkout")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return sdist, wheel, folder / "checkout"


def files_of(folder: Path) -> set[str]:
    """Paths of the files of the package itself, relative to the folder above it."""
    found = (path for path in (folder / "monai_aggrgan").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    assert {name for name in names if ".dist-info/" not in name} == files_of(built[2])
    assert {"monai_aggrgan/py.typed", "monai_aggrgan/evaluation/report.html.jinja"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_sdist_holds_what_is_needed_to_use_read_and_test_it(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = files_of(built[2])
    for pattern in ("bundles/*/configs/*", "bundles/*/docs/*", "docs/*.md", "docs/*.py", "docs/api/*", "tests/**/*.py"):
        found = {path.relative_to(built[2]).as_posix() for path in built[2].glob(pattern)}
        assert found
        needed |= found
    needed |= {"LICENSE", "README.md", "CONTRIBUTING.md", "quickstart.sh", "runtests.sh", ".ci/environment"}
    assert not needed - names
    assert not [name for name in names if name.endswith((".pt", ".pth", ".pyc")) or "/models/" in name]


def test_the_metadata_say_what_is_true(built):
    archive = zipfile.ZipFile(built[1])
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "monai-aggrgan"
    assert metadata["Version"] == monai_aggrgan.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert not [
        line for line in required if line.startswith(("h5py", "itk", "matplotlib", "tensorboard", "torchvision"))
    ]
    assert {*metadata.get_all("Provides-Extra")} >= {"all", "dev", "docs", "itk", "mat", "mlflow", "onnx", "report"}


def test_the_minimum_versions_are_the_lower_bounds(built):
    archive = zipfile.ZipFile(built[1])
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    lines = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
    bounds = dict(line.split(";")[0].split(">=") for line in lines if ">=" in line.split(";")[0])
    pinned = (ROOT / ".ci" / "minimum.txt").read_text(encoding="utf-8").splitlines()
    minimum = dict(line.split("==") for line in pinned if line and not line.startswith("#"))
    assert len(minimum) > 10
    for package, version in minimum.items():
        bound = bounds[package].strip()
        assert version == bound or version.startswith(f"{bound}."), f"{package}: {version} is tested, {bound} promised"


def test_the_wheel_works_outside_the_checkout(built, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, "--disable-pip-version-check", str(built[1])], check=True, capture_output=True)
    (tmp_path / "elsewhere").mkdir()
    start = f"import sys\nsys.path.insert(0, {str(target)!r})\n"
    configs = ROOT / "bundles" / "brain_mri_aggrgan" / "configs"
    command = [sys.executable, "-c", start + USE, str(target), str(configs)]
    run = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "contact_sheet.png" in run.stdout
