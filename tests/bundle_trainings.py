"""Quick trainings by the bundle's own configs, on a few random slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_aggrgan.data import write_image_array

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan"
CONFIGS = BUNDLE / "configs"
GENERATORS = ("dcgan1", "dcgan2", "wgan_div", "wgan_div_conv", "lsgan", "infogan")
TINY = {"image_size": 16, "base_width": 4}


def write_prepared(folder: Path, *, training: int = 4, held_out: int = 2) -> Path:
    """A prepared data set of one class, glioma, of 16x16 pixels."""
    images = torch.rand(training + held_out, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    sections = ["training"] * training + ["held_out"] * held_out
    rows = [{"id": f"glioma/{i}", "class_name": "glioma", "section": side} for i, side in enumerate(sections)]
    write_image_array(folder / "glioma", images, rows)
    return folder


def files(generator: str, *behind: str) -> list[str]:
    """The configs of a training, and others merged behind them."""
    return [str(CONFIGS / f"{name}.yaml") for name in ("train", f"train_{generator}", *behind)]


def workflow(generator: str, prepared: Path, output_dir: Path, *behind: str, **options: Any) -> ConfigWorkflow:
    """The workflow of a tiny training, or of what is merged behind it."""
    given = {"dataset_dir": str(prepared), "output_dir": str(output_dir), **TINY, "workflow_type": "train"}
    return ConfigWorkflow(
        config_file=files(generator, *behind),
        logging_file=False,
        bundle_root=str(BUNDLE),
        **{**given, "device": "$torch.device('cpu')", **options},
    )


def finish(workflow: ConfigWorkflow) -> None:
    """All three steps of a workflow."""
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def written(generator: str) -> dict[str, Any]:
    """What the configs of a generator say, merged, nothing evaluated."""
    return ConfigParser.load_config_files(files(generator))


def network(generator: str, name: str, **options: Any) -> torch.nn.Module:
    """The network `network_def` or `critic_def` as the configs build it."""
    parser = ConfigParser()
    parser.read_config(files(generator))
    parser.update({"base_width": 2, **options})
    return parser.get_parsed_content(name)
