"""What the MONAI model zoo asks of a bundle: layout, documents, and metadata that tell what the networks are."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import Any

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out
from torch import nn

import monai_aggrgan
from monai_aggrgan.networks import VGG19Features
from tests.bundle_trainings import BUNDLE, CONFIGS, GENERATORS, files, written

ROOT = BUNDLE.parents[1]
README = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")
METADATA = json.loads((CONFIGS / "metadata.json").read_text(encoding="utf-8"))
FORMATS = {name.removesuffix("_data_format"): METADATA[name] for name in METADATA if name.endswith("_data_format")}
TENSOR = {"type": str, "format": str, "num_channels": int, "spatial_shape": list, "dtype": str, "value_range": list}


def test_all_files_of_a_bundle_are_there():
    configs = ("metadata.json", "logging.conf", "train.yaml", "inference.yaml", "evaluate.yaml", "multi_gpu_train.yaml")
    for file in ("LICENSE", "docs/README.md", "docs/data_license.txt", *(f"configs/{name}" for name in configs)):
        assert (BUNDLE / file).is_file(), file
    assert "Apache License" in (BUNDLE / "LICENSE").read_text(encoding="utf-8")


def test_no_weights_are_committed_and_no_file_is_large():
    for path in BUNDLE.rglob("*"):
        ours = path.is_file() and not {"models", "output", "eval"} & {*path.relative_to(BUNDLE).parts}
        assert not ours or (path.suffix not in {".pt", ".ts", ".onnx"} and path.stat().st_size < 2**20), path


def test_no_config_names_a_folder_of_one_machine():
    for path in [*CONFIGS.iterdir(), BUNDLE / "docs" / "README.md"]:
        assert not re.search(r"/(home|root|work|tmp|Users|mnt|data)/", path.read_text(encoding="utf-8")), path.name


def test_configs_have_the_names_that_the_zoo_asks_for():
    inference = ConfigParser.load_config_file(str(CONFIGS / "inference.yaml"))
    assert set(inference) >= {"bundle_root", "device", "network_def", "inferer", "output_dir", "dataset_dir"}
    training = written("dcgan1")
    assert set(training) >= {"bundle_root", "device", "dataset_dir", "output_dir", "network_def", "val_interval"}
    assert set(training["train"]) >= {"trainer", "dataset", "handlers", "inferer"}
    assert "max_epochs" in training["train"]["trainer"]
    assert set(training["validate"]) >= {"evaluator", "dataset", "handlers", "inferer", "key_metric"}
    validation = next(one for one in training["train"]["handlers"] if one["_target_"].endswith("ValidationHandler"))
    assert validation["interval"] == "@val_interval"


@pytest.mark.parametrize(
    "heading",
    [
        *("Model Overview", "Data", "Training configuration", "Input", "Output", "Performance"),
        *("MONAI Bundle Commands", "Limitations", "References", "License"),
    ],
)
def test_the_readme_has_the_sections_of_the_template(heading):
    assert re.search(rf"^#+ {heading}$", README, re.MULTILINE), heading


def commands() -> list[list[str]]:
    """The words of every command of the README that runs something of MONAI's bundles."""
    shells = re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "\n".join(shells).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if "monai.bundle" in line]


def test_the_readme_has_a_command_for_each_thing_that_monai_does_with_a_bundle():
    done = {words[words.index("monai.bundle") + 1] for words in commands()}
    assert done >= {"run", "verify_metadata", "verify_net_in_out", "ckpt_export", "onnx_export", "run_workflow"}


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words)[:90])
def test_every_command_of_the_readme_has_files_and_options_that_exist(words):
    verb, *rest = words[words.index("monai.bundle") + 1 :]
    given = dict(pairwise(rest))
    options = {name.removeprefix("--"): value for name, value in given.items() if name.startswith("--")}
    if verb == "run_workflow":
        known = set(inspect.signature(monai_aggrgan.workflows.GanTrainingWorkflow).parameters)
        assert rest[0] == "monai_aggrgan.workflows.GanTrainingWorkflow"
    else:
        known = set(inspect.signature(getattr(monai.bundle, verb)).parameters)
    if "config_file" in options:
        configs = re.findall(r"[\w./]+\.yaml", options["config_file"])
        assert configs and all((BUNDLE / name).is_file() for name in configs)
        merged = ConfigParser.load_config_files([str(BUNDLE / name) for name in configs])
        assert verb != "run" or rest[0].startswith("--") or rest[0] in merged
        known |= set(merged)
    assert {name.partition("#")[0] for name in options} <= known | {"_meta_"}


def test_data_licences_are_told_of_the_sets_that_configs_name():
    told = (BUNDLE / "docs" / "data_license.txt").read_text(encoding="utf-8")
    for words in ("CC BY 4.0", "10.6084/m9.figshare.1512427", "BraTS", "ImageNet", "contains no data"):
        assert words in told


def test_metadata_has_what_the_schema_requires():
    for name in ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description"):
        assert isinstance(METADATA[name], str) and METADATA[name]
    for name in ("authors", "copyright", "name", "data_source", "data_type", "image_classes", "intended_use"):
        assert isinstance(METADATA[name], str) and METADATA[name]
    assert METADATA["schema"].endswith("meta_schema_20240725.json")
    assert next(iter(METADATA["changelog"])) == METADATA["version"]
    assert METADATA["required_packages_version"]["monai-aggrgan"] == monai_aggrgan.__version__
    assert all(isinstance(version, str) for version in METADATA["required_packages_version"].values())
    tensors = [tensor for told in FORMATS.values() for side in told.values() for tensor in side.values()]
    for tensor in tensors:
        assert {key: type(tensor[key]) for key in TENSOR} == TENSOR and tensor["is_patch_data"] is False
        assert len(tensor["value_range"]) in (0, 2)


def test_metadata_tells_the_format_of_every_network():
    sides = [f"{name}_{side}" for name in GENERATORS for side in ("generator", "critic")]
    assert list(FORMATS) == ["network", *sides, "vgg19", "classifier"]
    assert all(set(told) == {"inputs", "outputs"} for told in FORMATS.values())


def test_monais_command_verifies_the_metadata(shared, tmp_path):
    pytest.importorskip("jsonschema")
    shutil.copy(shared / "schemas" / "meta_schema_20240725.json", tmp_path / "schema.json")
    command = [sys.executable, "-m", "monai.bundle", "verify_metadata", "--filepath", str(tmp_path / "schema.json")]
    asked = [*command, "--meta_file", str(CONFIGS / "metadata.json")]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "metadata is verified with no error" in ended.stdout + ended.stderr


def test_the_schema_refuses_a_format_without_a_shape(shared):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((shared / "schemas" / "meta_schema_20240725.json").read_text(encoding="utf-8"))
    bad = json.loads(json.dumps(METADATA))
    del bad["vgg19_data_format"]["inputs"]["image"]["spatial_shape"]
    jsonschema.validate(METADATA, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, schema)


def verify(config_file: list[str], net_id: str, told: dict[str, Any], **options: Any) -> None:
    """MONAI's check of a network against its format."""
    formats = {"_meta_#network_data_format": told}
    metadata = str(CONFIGS / "metadata.json")
    verify_net_in_out(net_id, metadata, config_file, device="cpu", bundle_root=str(BUNDLE), **formats, **options)


def output_shape(config_file: list[str], net_id: str, told: dict[str, Any], **options: Any) -> list[int]:
    parser = ConfigParser()
    parser.read_config(config_file)
    parser.update(options)
    network: nn.Module = parser.get_parsed_content(net_id).eval()
    taken = told["inputs"]["image"]
    with torch.no_grad():
        return list(network(torch.rand(1, taken["num_channels"], *taken["spatial_shape"])).shape[1:])


def shape(tensor: dict[str, Any]) -> list[int]:
    return [tensor["num_channels"], *tensor["spatial_shape"]]


@pytest.mark.parametrize("side", ["generator", "critic"])
@pytest.mark.parametrize("generator", GENERATORS)
def test_monai_verifies_the_networks_of_every_training(generator, side):
    told, net_id = FORMATS[f"{generator}_{side}"], "network_def" if side == "generator" else "critic_def"
    verify(files(generator), net_id, told, base_width=2)
    assert output_shape(files(generator), net_id, told, base_width=2) == shape(told["outputs"]["pred"])
    assert written(generator)["image_size"] == 128


def test_monai_verifies_the_network_of_the_inference_without_a_study(tmp_path):
    configs, told = [str(CONFIGS / "inference.yaml")], FORMATS["network"]
    verify(configs, "network_def", told, study_dir=str(tmp_path))
    options = {"bundle_root": str(BUNDLE), "study_dir": str(tmp_path)}
    assert output_shape(configs, "network_def", told, **options) == shape(told["outputs"]["pred"])


def test_monai_verifies_a_classifier():
    configs, told = [str(CONFIGS / f"{name}.yaml") for name in ("classify", "classifier_small")], FORMATS["classifier"]
    verify(configs, "grey_classifier", told)
    assert output_shape(configs, "grey_classifier", told) == shape(told["outputs"]["pred"])
    assert list(told["outputs"]["pred"]["channel_def"].values()) == ConfigParser.load_config_files(configs)["classes"]


def test_the_maps_of_vgg19_are_as_told():
    with torch.no_grad():
        maps = VGG19Features()(torch.rand(1, *shape(FORMATS["vgg19"]["inputs"]["image"])))
    assert {name: list(tensor.shape[1:]) for name, tensor in maps.items()} == {
        name: shape(tensor) for name, tensor in FORMATS["vgg19"]["outputs"].items()
    }


def test_monai_notices_a_wrong_format():
    with pytest.raises(ValueError, match="output channel number"):
        verify(files("wgan_div"), "network_def", {**FORMATS["network"]}, image_size=16)
