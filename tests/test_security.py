"""What makes files of others safe to open, held by the text of the package: no pickle, no shell, no quiet download."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from monai_aggrgan.data import is_dicom, list_class_folders, read_grey_image
from monai_aggrgan.data.figshare_archives import FILES, RESOURCE, download_figshare
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.handlers.training_checkpoint import latest_checkpoint
from monai_aggrgan.networks import vgg19_weights
from monai_aggrgan.networks.vgg19_weights import load_vgg19
from monai_aggrgan.stages.train import load_ensemble

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "monai_aggrgan"
CONFIGS = ROOT / "bundles" / "brain_mri_aggrgan" / "configs"
FILES_OF_PACKAGE = sorted(PACKAGE.rglob("*.py"))

MODULES = {
    **dict.fromkeys(
        ("pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"), "runs pickles"
    ),
    **dict.fromkeys(("subprocess", "pty", "ctypes", "code", "codeop", "commands"), "runs programs"),
    **dict.fromkeys(("requests", "httpx", "aiohttp", "ftplib", "socket", "telnetlib", "smtplib"), "uses the network"),
    **dict.fromkeys(("urllib.request", "http.client", "http.server", "xmlrpc", "gdown"), "uses the network"),
    **dict.fromkeys(("xml", "lxml"), "expands entities"),
}
CALLS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
DOTTED = {
    *(
        "os.system",
        "os.popen",
        "os.startfile",
        "os.fork",
        "os.chmod",
        "tempfile.mktemp",
        "torch.hub.load",
        "np.fromfile",
    ),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "np.loadtxt", "torch.compiler.load"),
}
DOWNLOADS = {
    "networks/vgg19_weights.py": "torch.hub.load_state_dict_from_url",
    "data/figshare_archives.py": "download_url",
}
"""The two opt-in places, and with what they fetch; each call names the sum that the file must have."""


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def keyword(call: ast.Call, name: str) -> object:
    value = next((given.value for given in call.keywords if given.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else None if value is None else ast.unparse(value)


def faults(tree: ast.AST) -> list[str]:
    """What a module must not do, with the line."""
    found = [
        f"imports {name}, which {why}"
        for name in modules(tree)
        for module, why in MODULES.items()
        if f"{name}.".startswith(f"{module}.")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "http://" in node.value:
            found.append(f"line {node.lineno} has an address without encryption")
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in CALLS | DOTTED or name.startswith(("os.exec", "os.spawn", "os.posix_spawn")):
            found.append(f"line {node.lineno} calls {name}")
        if keyword(node, "shell") or keyword(node, "allow_pickle"):
            found.append(f"line {node.lineno} allows a shell or a pickle")
        if name in ("np.load", "numpy.load", "NumpyReader") and keyword(node, "allow_pickle") is not False:
            found.append(f"line {node.lineno} does not refuse pickles")
        if name in ("torch.load", "torch.hub.load_state_dict_from_url") and keyword(node, "weights_only") is not True:
            found.append(f"line {node.lineno} loads more than weights")
        if name in ("Image.open", "PILReader") and keyword(node, "formats") != "PICTURE_FORMATS":
            found.append(f"line {node.lineno} opens pictures of any format, also of those that run programs")
        if name.endswith("Environment") and keyword(node, "autoescape") is not True:
            found.append(f"line {node.lineno} makes HTML of texts as they are")
        if name.rpartition(".")[2] in ("Markup", "extractall") and name != "extractall":
            found.append(f"line {node.lineno} calls {name}")
    return found


@pytest.mark.parametrize("path", FILES_OF_PACKAGE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_opens_what_it_should_not(path):
    assert not faults(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from subprocess import run", "from urllib.request import urlopen", "import xml.etree"),
        *("eval(x)", "exec(x)", "os.system(x)", "yaml.load(x, Loader=yaml.Loader)", "f(x, shell=True)", "os.execv(x)"),
        *("torch.load(x)", "torch.load(x, weights_only=False)", "np.load(x)", "np.load(x, allow_pickle=True)"),
        *("Image.open(x)", "PILReader()", "Environment(loader=x)", "url = 'http://a.b'", "archive.extractall(x)"),
        *("NumpyReader()", "torch.load(x, weights_only=only)", "tempfile.mktemp()", "markupsafe.Markup(x)"),
    ],
)
def test_the_rule_sees(line):
    assert faults(ast.parse(line))


@pytest.mark.parametrize(
    "line", ["torch.load(x, weights_only=True)", "from urllib.parse import quote", "network.eval()"]
)
def test_the_rule_lets_pass(line):
    assert not faults(ast.parse(line))


def downloads(tree: ast.AST) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [node for node in calls if "download_url" in dotted(node.func) or "from_url" in dotted(node.func)]


def test_there_are_two_downloads_and_both_are_checked():
    found = {}
    for path in FILES_OF_PACKAGE:
        for call in downloads(ast.parse(path.read_text(encoding="utf-8"))):
            found[path.relative_to(PACKAGE).as_posix()] = dotted(call.func)
            assert keyword(call, "check_hash") is True or keyword(call, "hash_val")
    assert found == DOWNLOADS
    assert vgg19_weights._URL.startswith("https://") and RESOURCE.startswith("https://")
    assert all(len(md5) == 32 for _, md5 in FILES.values())


def test_the_report_marks_no_text_as_safe():
    templates = sorted(PACKAGE.rglob("*.jinja"))
    assert templates
    for path in templates:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"'[^'{}]*' \| safe", "", text)  # what stands in the template itself
        for word in ("|safe", "| safe", "autoescape false", "<script", "http://", "https://", "javascript:", "@import"):
            assert word not in text, f"{path.name} has {word}"


def test_configs_load_no_more_than_weights():
    for path in sorted((ROOT / "bundles").glob("*/configs/*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert "torch.load(" not in text or text.count("torch.load(") == text.count("weights_only=True"), path.name
        for word in ("CheckpointLoader", "subprocess", "os.system", "http://", "allow_pickle", "pickle"):
            assert word not in text, f"{path.name} names {word}"


@pytest.mark.parametrize("name", ["study.yaml", "train.yaml", "inference.yaml"])
def test_configs_say_that_they_are_code(name):
    head = (CONFIGS / name).read_text(encoding="utf-8").split("\nimports:")[0]
    assert "Config files are code" in head


@pytest.fixture
def served(tmp_path, monkeypatch) -> Path:
    """A file that is served in place of VGG-19's weights, whose name has the sum of what was published."""
    source, cache = tmp_path / "served", tmp_path / "cache"
    source.mkdir()
    file = source / "vgg19-dcbb9e9d.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, file)
    monkeypatch.setattr(vgg19_weights, "_URL", file.as_uri())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(cache))
    return file


def test_weights_of_another_sum_are_refused_and_not_kept(served, tmp_path):
    with pytest.raises(InputError, match=r"cannot be downloaded .*invalid hash value"):
        load_vgg19("download")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with pytest.raises(InputError, match="not found at"):
        load_vgg19("cache")


def test_weights_of_the_right_sum_are_kept(served, tmp_path, monkeypatch):
    prefix = hashlib.sha256(served.read_bytes()).hexdigest()[:8]
    right = served.rename(served.with_name(f"vgg19-{prefix}.pth"))
    monkeypatch.setattr(vgg19_weights, "_URL", right.as_uri())
    with pytest.raises(InputError, match="must have shape"):  # it was taken, and then looked at
        load_vgg19("download")
    assert (tmp_path / "cache" / "checkpoints" / right.name).read_bytes() == right.read_bytes()


def test_data_of_another_sum_are_refused_and_not_kept(tmp_path, monkeypatch):
    (tmp_path / "served").mkdir()
    for number, _ in FILES.values():
        (tmp_path / "served" / number).write_bytes(b"something else")
    (tmp_path / "set").mkdir()
    monkeypatch.setattr("monai_aggrgan.data.figshare_archives.RESOURCE", (tmp_path / "served").as_uri())
    with pytest.raises(InputError, match=r"cannot be had from .*download it from https://figshare.com"):
        download_figshare(tmp_path / "set", progress=False)
    assert not [*(tmp_path / "set").iterdir()]


def test_a_picture_is_no_program_for_ghostscript(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("a program was started"))
    Image.new("L", (16, 16)).save(tmp_path / "a.eps")
    eps = (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_grey_image(eps)


def test_an_array_of_objects_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, {}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_grey_image(tmp_path / "a.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("0.png", "noext"):
        os.mkfifo(tmp_path / "a" / name)
    assert not is_dicom(tmp_path / "a" / "noext")
    assert [case["name"] for case in list_class_folders(tmp_path)] == ["0"]
    with pytest.raises(InputError, match="is no file that can be read as an image"):
        read_grey_image(tmp_path / "a" / "0.png")


@pytest.mark.parametrize("link", ["external link", "soft link", "external values"])
def test_a_mat_file_takes_nothing_from_other_files(tmp_path, link):
    with h5py.File(tmp_path / "secret.mat", "w") as file:
        file["image"] = np.arange(256.0).reshape(16, 16)
    (tmp_path / "secret").write_bytes(bytes(range(256)))
    with h5py.File(tmp_path / "1.mat", "w") as file:
        group = file.create_group("cjdata")
        if link == "external link":
            group["image"] = h5py.ExternalLink("secret.mat", "/image")
        elif link == "soft link":
            file["elsewhere"] = h5py.ExternalLink("secret.mat", "/image")
            group["image"] = h5py.SoftLink("/elsewhere")
        else:
            group.create_dataset("image", (16, 16), np.uint8, external=[(str(tmp_path / "secret"), 0, 256)])
    with pytest.raises(InputError, match=r"is a link to somewhere else|stand in another file"):
        read_grey_image(tmp_path / "1.mat")


def test_a_record_brings_no_expression_into_a_config(tmp_path):
    folder = tmp_path / "train" / "a" / "dcgan1"
    folder.mkdir(parents=True)
    (folder / "generator.pt").touch()
    evil = f"$__import__('pathlib').Path({str(tmp_path / 'touched')!r}).touch()"
    record = {"name": "train", "settings": {"image_size": evil}, "finished": True}
    (folder / "stage.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match=r"has image_size .*, which the config would evaluate"):
        load_ensemble(tmp_path, class_name="a", generators=["dcgan1"], config_dir=CONFIGS)
    assert not (tmp_path / "touched").exists()


def test_what_is_called_nearly_as_a_checkpoint_is_left_alone(tmp_path):
    for name in ("checkpoint_2.pt", "checkpoint_10.pt", "checkpoint_best.pt"):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint_10.pt"


def test_settings_of_the_trainings_that_build_nothing(study_of, tmp_path):
    study = study_of(tmp_path / "study", generators=["dcgan1"], training={"base_width": -1, "batch_size": 2})
    with pytest.raises(InputError, match=r"train_dcgan1.yaml cannot be used with --training .*base_width.*: correct"):
        study.run("prepare", "train")
