"""The files of `run portable`: in a process without this package and MONAI they make the networks' images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import run
from monai.data import load_net_with_metadata
from torch import nn

from monai_aggrgan.data import NormalLatents, read_manifest, sha256_of
from monai_aggrgan.exceptions import AggrganError, InputError
from monai_aggrgan.extras import EXTRAS
from monai_aggrgan.stages import RECORD, portable
from monai_aggrgan.stages.portable import write_portable
from tests.bundle_trainings import BUNDLE, CONFIGS, GENERATORS, TINY, network, write_prepared

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

SEEDS = range(100, 107)  # neither the number with which files are made, nor that with which they are tried

WITH_TORCH = """
import sys
sys.modules["monai"] = sys.modules["monai_aggrgan"] = None
import numpy, torch
for name in sys.argv[1:]:
    generator, latents = torch.jit.load(name + ".ts"), torch.from_numpy(numpy.load(name + ".latents.npy"))
    with torch.no_grad():
        numpy.save(name + ".ts.npy", generator(latents).numpy())
"""
WITH_ONNXRUNTIME = """
import sys
sys.modules["monai"] = sys.modules["monai_aggrgan"] = sys.modules["torch"] = None
import numpy, onnxruntime
for name in sys.argv[1:]:
    session = onnxruntime.InferenceSession(name + ".onnx", providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"latent": numpy.load(name + ".latents.npy")})
    numpy.save(name + ".onnx.npy", images)
"""


def seasoned(name: str) -> nn.Module:
    """A generator of visible contrast whose batch normalisations have seen something, in eval mode."""
    generator = network(name, "network_def", **TINY).train()
    with torch.no_grad():
        [weight for weight in generator.parameters() if weight.ndim > 1][-1].mul_(20)
        for start in range(0, 40, 10):
            generator(NormalLatents(generator.latent_size).from_seeds(range(start, start + 10)) * 2)
    return generator.eval()


@pytest.fixture(scope="module")
def generators() -> dict[str, nn.Module]:
    return {name: seasoned(name) for name in GENERATORS}


def write_study(folder: Path, generators: dict[str, nn.Module]) -> Path:
    """A folder that is of a study as far as its trainings go."""
    write_prepared(folder / "slices")
    for name, generator in generators.items():
        (folder / "train" / "glioma" / name).mkdir(parents=True)
        torch.save(generator.state_dict(), folder / "train" / "glioma" / name / "generator.pt")
        (folder / "train" / "glioma" / name / RECORD).write_text(json.dumps({"settings": TINY}), encoding="utf-8")
    return folder


def options(study: Path) -> dict[str, str]:
    return {"bundle_root": str(BUNDLE), "dataset_dir": str(study / "slices"), "output_dir": str(study)}


@pytest.fixture(scope="module")
def written(generators, tmp_path_factory) -> Path:
    """The folder `portable` that the one command has written for a study of all GANs."""
    study = write_study(tmp_path_factory.mktemp("study"), generators)
    run("portable", config_file=str(CONFIGS / "study.yaml"), logging_file=False, **options(study))
    return study / "portable"


@pytest.fixture(scope="module")
def made(written, generators, tmp_path_factory) -> Path:
    """A clean folder with the files alone, and the images that they made there without this package and MONAI."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, generator in generators.items():
        for kind in (".ts", ".onnx"):
            (folder / f"{name}{kind}").write_bytes((written / "glioma" / f"{name}{kind}").read_bytes())
        np.save(folder / f"{name}.latents.npy", NormalLatents(generator.latent_size).from_seeds(SEEDS).numpy())
    for program in (WITH_TORCH, WITH_ONNXRUNTIME):
        command = [sys.executable, "-I", "-c", program, *generators]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr[-2000:]
    return folder


@pytest.mark.parametrize("kind", [".ts", ".onnx"])
@pytest.mark.parametrize("name", GENERATORS)
def test_a_file_makes_the_networks_images_without_the_package(made, generators, name, kind):
    images, generator = torch.from_numpy(np.load(made / f"{name}{kind}.npy")), generators[name]
    latents = NormalLatents(generator.latent_size).from_seeds(SEEDS)
    with torch.no_grad():
        expected = generator(latents)
        torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)
        if any(isinstance(part, nn.BatchNorm2d) for part in generator.modules()):
            assert not torch.allclose(seasoned(name).train()(latents), expected, atol=1e-3)  # or it could not tell
    assert images.shape == (7, 1, 16, 16) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 1e-3


def test_the_folder_tells_what_the_files_are(written, generators):
    rows = read_manifest(written)
    assert [row["file"] for row in rows] == [
        f"glioma/{n}{kind}" for n in sorted(GENERATORS) for kind in (".ts", ".onnx")
    ]
    for row in rows:
        assert row["sha256"] == sha256_of((written / row["file"]).read_bytes())
        assert (int(row["latent_size"]), row["image_size"]) == (generators[row["method"]].latent_size, "16")
        assert float(row["difference"]) <= 1e-5
    told = (written / "README.txt").read_text(encoding="utf-8")
    assert 'load("glioma/dcgan1.ts")' in told and 'Session("glioma/dcgan1.onnx")' in told and "randn(16, 100)" in told
    _, metadata, _ = load_net_with_metadata(str(written / "glioma" / "wgan_div.ts"))
    assert {key: metadata[key] for key in ("latent_size", "image_size", "value_range")} == {
        "latent_size": 128,
        "image_size": 16,
        "value_range": [0, 1],
    }
    assert not list(written.rglob(".partial*"))


def test_without_the_extra_there_is_torchscript_and_a_sentence(generators, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(EXTRAS, "onnx", ("no_such_module",))
    study = write_study(tmp_path, {"dcgan2": generators["dcgan2"]})
    write_portable(study, config_dir=CONFIGS)
    assert [row["file"] for row in read_manifest(study / "portable")] == ["glioma/dcgan2.ts"]
    assert "run pip install 'monai-aggrgan[onnx]'" in caplog.text
    assert "InferenceSession" not in (study / "portable" / "README.txt").read_text(encoding="utf-8")


def test_a_file_that_makes_other_images_is_not_kept(generators, tmp_path, monkeypatch):
    monkeypatch.setitem(EXTRAS, "onnx", ("no_such_module",))
    monkeypatch.setattr(portable, "_run_torchscript", lambda path, latents: torch.zeros(3, 1, 16, 16))
    study = write_study(tmp_path, {"wgan_div": generators["wgan_div"]})
    with pytest.raises(AggrganError, match=r"wgan_div\.ts was not kept: its images differ from the network's by 0"):
        write_portable(study, config_dir=CONFIGS)
    assert not [path for path in (study / "portable").rglob("*") if path.is_file()]


class Unwritable(nn.Module):
    """Chooses its way by what Python alone knows."""

    latent_size, image_size = 4, 2

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return torch.stack([latent[:, :2], latent[:, 2:]], dim=1)[:, None].sigmoid() * len({*"ab"})


def test_a_network_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match=r"Unwritable cannot be written as mine\.ts"):
        portable._write(tmp_path / "mine.ts", Unwritable())
    assert not list(tmp_path.iterdir())


def test_a_study_without_trainings_is_told(tmp_path, capsys):
    write_study(tmp_path, {})
    with pytest.raises(SystemExit):
        run("portable", config_file=str(CONFIGS / "study.yaml"), logging_file=False, **options(tmp_path))
    assert "has no trained generator: run the stage `train` to its end first." in capsys.readouterr().err
    with pytest.raises(InputError, match="no trained generator for pituitary"):
        write_portable(tmp_path, config_dir=CONFIGS, classes=["pituitary"])
