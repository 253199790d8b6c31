"""The direction of imports: down only, never sideways between the packages of a tier."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "monai_aggrgan"

BOTTOM = {"data", "transforms", "networks", "losses", "metrics", "optimizers", "visualize"}
MIDDLE = {"engines", "inferers", "handlers"}
FREE = {"exceptions", "extras"}
ALLOWED = {
    "exceptions": set(),
    "extras": {"exceptions"},
    **dict.fromkeys(BOTTOM, FREE),
    **dict.fromkeys(MIDDLE, FREE | BOTTOM),
    "evaluation": FREE | BOTTOM | {"inferers"},
    "stages": FREE | BOTTOM | MIDDLE | {"evaluation"},
    "study": FREE | BOTTOM | MIDDLE | {"evaluation", "stages"},
    "workflows": FREE | BOTTOM | MIDDLE,
    "__init__": FREE | BOTTOM | MIDDLE | {"evaluation", "stages", "study", "workflows"},
}
"""What the modules of each part may import of the others."""

BREAKING = {"torchvision": "its CUDA build breaks beside CPU torch", "timm": "it imports torchvision"}
DANGEROUS = {name: "loading a pickle runs what is in it" for name in ("pickle", "dill", "joblib")}


LOADERS = ("torch.load", "torch.hub.load_state_dict_from_url")


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not any(part.startswith(".") for part in path.parts))


def part_of(path: Path) -> str:
    """The package or module directly under the root package in which a file is."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all that a module imports, wherever in it; `from a import b` counts as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_used(tree: ast.AST) -> set[str]:
    """Parts of the package that a module imports, or reaches through the package itself."""
    names = [name.split(".") for name in imported(tree)]
    used = {name[1] for name in names if name[0] == PACKAGE.name and len(name) > 1}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == PACKAGE.name:
            used.add(node.attr)
    return used - {"__version__"}


def unsafe_loads(tree: ast.AST) -> list[int]:
    """Lines on which torch.load, or torch.hub's download of weights, is used without weights_only=True."""
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in LOADERS:
            keywords = {keyword.arg: keyword.value for keyword in calls[id(node)].keywords} if id(node) in calls else {}
            told = keywords.get("weights_only")
            if not (isinstance(told, ast.Constant) and told.value is True):
                lines.append(node.lineno)
    return sorted(lines)


@pytest.mark.parametrize("path", sources(PACKAGE), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    part = part_of(path)
    above = parts_used(ast.parse(path.read_text(encoding="utf-8"))) - ALLOWED[part] - {part}
    assert not above, f"{part} may not import {', '.join(sorted(above))}"


def test_every_part_has_its_place():
    parts = {part_of(path) for path in sources(PACKAGE)}
    assert parts <= set(ALLOWED), "a new part must be given its tier here"
    assert parts >= {"data", "networks", "losses", "metrics", "engines", "inferers", "handlers", "evaluation", "stages"}


def test_what_breaks_or_endangers_is_imported_nowhere():
    for folder, forbidden in {"monai_aggrgan": BREAKING | DANGEROUS, "tests": BREAKING}.items():
        files = sources(ROOT / folder)
        assert len(files) > 20
        for path in files:
            for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
                top = name.partition(".")[0]
                assert top not in forbidden, f"{path.relative_to(ROOT)} imports {top}: {forbidden[top]}"


OF_TIMM = {"classifier_inception_resnet_v2.yaml", "classifier_resnet152v2.yaml"}
"""Two of the paper's classifiers, which only timm has: for those with whom it imports."""


def test_configs_name_nothing_that_breaks_or_endangers():
    for path in (ROOT / "bundles").glob("*/configs/*"):
        for name in (BREAKING.keys() - ({"timm"} if path.name in OF_TIMM else set())) | DANGEROUS.keys():
            assert name not in path.read_text(encoding="utf-8"), f"{path.relative_to(ROOT)} names {name}"


def test_weights_are_loaded_as_weights_only():
    lines = {path: unsafe_loads(ast.parse(path.read_text(encoding="utf-8"))) for path in sources(PACKAGE)}
    assert not {path.name: found for path, found in lines.items() if found}
    assert any("torch.load(" in path.read_text(encoding="utf-8") for path in lines)


def test_the_rules_see_what_they_should():
    sideways = ast.parse(
        "def late():\n    from monai_aggrgan.networks import dcgan\n    import monai_aggrgan.stages.task"
    )
    assert parts_used(sideways) == {"networks", "stages"}
    assert parts_used(ast.parse("from monai_aggrgan import metrics")) == {"metrics"}
    reached = "import monai_aggrgan\nmonai_aggrgan.study.main()\nprint(monai_aggrgan.__version__)"
    assert parts_used(ast.parse(reached)) == {"study"}
    loads = "torch.load(p)\ntorch.load(p, weights_only=True)\ntorch.load(p, weights_only=False)\nload = torch.load"
    assert unsafe_loads(ast.parse(loads)) == [1, 3, 4]
    assert list(imported(ast.parse("import pickle as p\nfrom torchvision.models import vgg19"))) == [
        "pickle",
        "torchvision.models.vgg19",
    ]
