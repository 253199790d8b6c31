"""The trained generators as files that run without this package: TorchScript for torch alone, ONNX for any runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.data import save_net_with_metadata
from monai.networks.utils import convert_to_torchscript
from monai.utils import optional_import
from torch import Tensor, nn
from tqdm import tqdm

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.data.manifest import sha256_of, whole_file, write_manifest
from monai_aggrgan.exceptions import AggrganError, InputError, said_by
from monai_aggrgan.extras import require
from monai_aggrgan.stages.train import GENERATOR, load_ensemble

__all__ = ["PORTABLE", "write_portable"]

logger = logging.getLogger(__name__)

PORTABLE = "portable"
TOLERANCE = 1e-5
"""By how much an image of a file may differ from the network's."""
BATCH = 3
"""Images by which they are compared; the files are made with another number."""

TORCHSCRIPT = """
    import torch
    generator = torch.jit.load("{file}")
    with torch.no_grad():
        images = generator(torch.randn(16, {latent_size}))
"""
ONNX = """
    import numpy, onnxruntime
    session = onnxruntime.InferenceSession("{file}")
    latents = numpy.random.default_rng().standard_normal((16, {latent_size}), dtype="float32")
    (images,) = session.run(None, {{"latent": latents}})
"""
README = """Generators of a study, each trained on real images of one class.

CLASS/GAN.ts is TorchScript and needs torch alone; CLASS/GAN.onnx needs an ONNX runtime. Both make any number of images
(B, 1, height, width) in [0, 1] from latents (B, n), float32, of the normal distribution N(0, 1). The n of a file is its
`latent_size` in manifest.csv; `difference` is the largest between its images and the network's, when it was written.
{examples}
A generator may know training images by heart. The study's audit looks for copies among the finished images of the whole
method, not among all that a generator can make. Not for clinical use.
"""


def write_portable(study_dir: Path | str, *, config_dir: Path | str, classes: Sequence[str] | None = None) -> Path:
    """Write every trained generator of a study as TorchScript and ONNX into its folder `portable`, and try the files.

    Without the extra `onnx` there are no ONNX files, and a warning says so.

    Args:
        study_dir: the study's folder.
        config_dir: folder of the configs of its trainings.
        classes: whose generators, all by default.

    Returns:
        The folder: `<class>/<gan>.ts` and `.onnx`, each whole, `manifest.csv` and `README.txt` with an example.

    Raises:
        InputError: when nothing is trained, or a generator cannot be written so.
        AggrganError: when a file does not make the network's images.
    """
    folder = Path(study_dir, PORTABLE)
    kinds = [".ts", ".onnx"] if _onnx_is_there() else [".ts"]
    rows = []
    for class_name, name in tqdm(_trained(Path(study_dir), classes), desc="portable", unit="generator", leave=None):
        ensemble = load_ensemble(study_dir, class_name=class_name, generators=[name], config_dir=config_dir)
        (folder / class_name).mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            path = folder / class_name / f"{name}{kind}"
            difference = _write(path, ensemble.generators[name])
            rows.append(_row(path, class_name, name, ensemble.generators[name], difference))
    write_manifest(folder, rows)
    with whole_file(folder / "README.txt") as unfinished:
        told = zip((TORCHSCRIPT, ONNX), rows[: len(kinds)], strict=False)
        examples = [example.format_map(row) for example, row in told]
        unfinished.write_text(README.format(examples="".join(examples)), encoding="utf-8")
    return folder


def _trained(study_dir: Path, classes: Sequence[str] | None) -> list[tuple[str, str]]:
    """Class and name of every generator that is trained to its end."""
    found = sorted((path.parts[-3], path.parts[-2]) for path in study_dir.glob(f"train/*/*/{GENERATOR}"))
    wanted = [(class_name, name) for class_name, name in found if classes is None or class_name in classes]
    if not wanted:
        of = f" for {', '.join(classes)}" if classes else ""
        raise InputError(f"{study_dir} has no trained generator{of}: run the stage `train` to its end first.")
    return wanted


def _onnx_is_there() -> bool:
    try:
        require("onnx", wanted_for="Writing ONNX files")
    except InputError as error:
        logger.warning("TorchScript only: %s", error)
        return False
    if not optional_import("onnxruntime")[1]:
        logger.warning("The ONNX files are not tried, since onnxruntime is not installed here.")
    return True


def _write(path: Path, network: nn.Module) -> float | None:
    """Write a file and return by how much its images differ from the network's, None where nothing can run it."""
    latents = NormalLatents(cast(int, network.latent_size)).from_seeds(range(BATCH))
    with torch.no_grad():
        expected = network(latents)
    with whole_file(path) as unfinished:
        try:
            (_write_torchscript if path.suffix == ".ts" else _write_onnx)(network, unfinished)
        except Exception as error:  # torch raises many kinds
            raise InputError(
                f"{type(network).__name__} cannot be written as {path.name} ({said_by(error)}): use forms that"
                " TorchScript and ONNX know, or go without this file."
            ) from error
        made = (_run_torchscript if path.suffix == ".ts" else _run_onnx)(unfinished, latents)
        difference = None if made is None else (made - expected).abs().max().item()
        if difference is not None and not difference <= TOLERANCE:
            raise AggrganError(f"{path.name} was not kept: its images differ from the network's by {difference:.2g}.")
    return difference


def _write_torchscript(network: nn.Module, path: Path) -> None:
    told = {"latent_size": network.latent_size, "image_size": network.image_size, "value_range": [0, 1]}
    save_net_with_metadata(convert_to_torchscript(network), str(path), meta_values=told)


def _run_torchscript(path: Path, latents: Tensor) -> Tensor | None:
    with torch.no_grad():
        return cast(Tensor, torch.jit.load(path)(latents))


def _write_onnx(network: nn.Module, path: Path) -> None:
    with _quiet():
        torch.onnx.export(
            network,
            (torch.zeros(BATCH - 1, cast(int, network.latent_size)),),
            path,
            input_names=["latent"],
            output_names=["image"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _run_onnx(path: Path, latents: Tensor) -> Tensor | None:
    runtime, there = optional_import("onnxruntime")
    if not there:
        return None
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(None, {"latent": latents.numpy()})[0]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings to itself, and that torchvision, which nothing here needs, is not installed."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def _row(path: Path, class_name: str, name: str, network: nn.Module, difference: float | None) -> dict[str, Any]:
    return {
        "file": f"{class_name}/{path.name}",
        "class_name": class_name,
        "method": name,
        "sha256": sha256_of(path.read_bytes()),
        "latent_size": network.latent_size,
        "image_size": network.image_size,
        "difference": "" if difference is None else f"{difference:.1e}",
    }
