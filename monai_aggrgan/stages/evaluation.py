"""What `train.yaml` and `evaluate.yaml` are told, checked before anything is made.

MONAI wraps what is raised later in tracebacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import nn

from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.train import with_weights

__all__ = ["check_slices", "load"]


def load(network: nn.Module, *, model_file: Path | str, dataset_dir: Path | str, class_name: str) -> nn.Module:
    """Load the weights of a finished training into its generator, and see that there are slices to judge it by.

    Args:
        network: the generator as its config defines it.
        model_file: its weights.
        dataset_dir: the prepared slices.
        class_name: the class that it was trained on.

    Raises:
        InputError: when there are no weights, they do not fit, or no held-out slices of that size are there.
    """
    if not Path(model_file).is_file():
        raise InputError(f"{model_file} is not there: train this generator to its end first, or name its --model_file.")
    check_slices(dataset_dir, class_name=class_name, section=HELD_OUT, image_size=cast(int, network.image_size))
    return with_weights(network, Path(model_file))


def check_slices(dataset_dir: Path | str, *, class_name: str, section: str, image_size: int) -> None:
    """Refuse prepared slices that a network cannot be trained on or judged by.

    Args:
        dataset_dir: the prepared slices.
        class_name: which class.
        section: `training` or `held_out`.
        image_size: side of the network's images in pixels.

    Raises:
        InputError: when the class was not prepared, has no slices on that side, or they are of another size.
    """
    prepared = PreparedSlices(dataset_dir, class_name=class_name, section=section).images.shape[-1]
    if prepared != image_size:
        raise InputError(
            f"{dataset_dir} holds slices of {prepared} pixels a side, but the generator makes {image_size}: give the"
            " --image_size that was prepared."
        )
