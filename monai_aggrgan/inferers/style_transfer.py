"""Style transfer as a MONAI inferer: redraw content images until their VGG-19 statistics are those of style images."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

import psutil
import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor, look_up_option
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.inferers.style_objective import StyleObjective
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.optimizers.batched_adam import BatchedAdam
from monai_aggrgan.optimizers.batched_lbfgs import BatchedLBFGS
from monai_aggrgan.optimizers.batched_optimizer import BatchedOptimizer
from monai_aggrgan.optimizers.slots import Slots, StopReason

__all__ = ["StyleTransferInferer", "StyleTransferReport"]

logger = logging.getLogger(__name__)

_FAST_PIXELS = {"cuda": 2**22, "cpu": 2**16}  # of all images at once; more gain nothing there
_MARGIN = 0.01  # by which rounding and interpolation may leave [0, 1]
_BYTES_A_PIXEL = 4000  # of one image in work, in float32: maps and their gradients, L-BFGS's memory


@dataclass(frozen=True)
class StyleTransferReport:
    """How the optimisation of one image went.

    Attributes:
        initial_loss: the objective (eq. 16) of the content image; infinite where it is not finite.
        final_loss: the objective of the best iterate, before its clamp to [0, 1]; infinite where none was finite.
        iterations: steps tried, each an evaluation of the objective; the first evaluation does not count.
        stopped_by: "converged" (too little gained, or no way down), "max_iterations", or "not finite" (the loss was
            not, however short the step).
    """

    initial_loss: float
    final_loss: float
    iterations: int
    stopped_by: StopReason


class StyleTransferInferer(Inferer):
    """Give content images the style of reference images, Mukherjee et al. 2022, eq. 12-16.

    Minimises `content_weight * content + style_weight * style + total_variation_weight * tv` over the pixels, from the
    content image and never from the style image. A batch of images is optimised in lock-step, each by an optimiser of
    its own (`optimizers.BatchedLBFGS`), so that none depends on its neighbours; when one is finished, the next takes
    its place. The best iterate is returned, clamped once, at the end. On CUDA an iteration is one CUDA graph.

    The network's precision is that of the trunk: float32, bfloat16 or float16 (`network.to(torch.float16)`); images,
    Gram matrices, losses and optimiser are float32, or float64 throughout for a float64 network. L-BFGS amplifies
    rounding: two runs in float32 that sum in another order end at the same loss but not at the same bits.

    In a `SupervisedEvaluator` over style images, `PrepareBatchExtraInput({"content": "content"})` passes the content.

    Args:
        content_weight: weight of eq. 12.
        style_weight: weight of eq. 14; each of the five layers counts a fifth.
        total_variation_weight: weight of eq. 15.
        max_iterations: most iterations an image takes; 0 returns the content.
        relative_tolerance: an image is finished when `patience` iterations lowered its loss by less than this share; 0
            runs exactly `max_iterations`, as the paper does, unless no way leads down.
        patience: iterations between two such checks.
        optimizer: "lbfgs", or "adam", which takes more iterations to the same loss.
        learning_rate: for "lbfgs" the length of a step in units of the quasi-Newton step, for "adam" grey levels.
        history_size: pairs of steps and gradients that L-BFGS remembers.
        batch_size: images optimised at once; by default as many as are fast on the device and fit its free memory.
        progress: show a bar of images done, with the iterations and the mean loss of those in work.

    Attributes:
        reports: one `StyleTransferReport` an image of the last call.

    Raises:
        ValueError: when an argument is out of its range.
    """

    def __init__(
        self,
        *,
        content_weight: float = 5.0,
        style_weight: float = 100.0,
        total_variation_weight: float = 1e-3,
        max_iterations: int = 2000,
        relative_tolerance: float = 2e-3,
        patience: int = 50,
        optimizer: Literal["lbfgs", "adam"] = "lbfgs",
        learning_rate: float = 1.0,
        history_size: int = 20,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> None:
        weights = (content_weight, style_weight, total_variation_weight)
        if not all(0 <= weight < math.inf for weight in weights):
            raise ValueError(f"the weights of content, style and total variation must be 0 or more, got {weights}")
        if max_iterations < 0 or patience < 1 or history_size < 1:
            raise ValueError(
                "max_iterations must be 0 or more, patience and history_size 1 or more, "
                f"got {max_iterations}, {patience} and {history_size}"
            )
        if not 0 <= relative_tolerance < 1:
            raise ValueError(f"relative_tolerance must be in [0, 1), got {relative_tolerance}")
        if not 0 < learning_rate < math.inf or (batch_size is not None and batch_size < 1):
            raise ValueError(
                f"learning_rate must be above 0 and batch_size 1 or more, got {learning_rate} and {batch_size}"
            )
        self.content_weight, self.style_weight, self.total_variation_weight = weights
        self.max_iterations = max_iterations
        self.relative_tolerance = relative_tolerance
        self.patience = patience
        self.optimizer = look_up_option(optimizer, ("lbfgs", "adam"))
        self.learning_rate = learning_rate
        self.history_size = history_size
        self.batch_size = batch_size
        self.progress = progress
        self.reports: list[StyleTransferReport] = []

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: VGG19Features, content: Tensor | None = None
    ) -> Tensor:
        """Restyle each image of `content` after the image of `inputs` at its place.

        Args:
            inputs: style images (B, 1, H, W) in [0, 1].
            network: the trunk that measures style and content, on the images' device, see `load_vgg19`.
            content: images (B, 1, h, w) in [0, 1] to be restyled.

        Returns:
            Restyled images (B, 1, h, w) in [0, 1], float32 (float64 with a float64 network): plain tensors, so that the
            metadata of a real image does not travel on a synthetic one.

        Raises:
            ValueError: when `content` is missing, or images are not grey, in [0, 1], a style for each content, or where
                the network is.
        """
        styles, contents = _checked(inputs, content, network)
        self.reports = []
        if not len(contents):
            return contents
        reports: dict[int, StyleTransferReport] = {}
        bar = tqdm(total=len(contents), desc="style transfer", unit="image", leave=None, disable=not self.progress)
        with torch.inference_mode(False), torch.no_grad(), bar:
            restyled, slots = contents.clone(), self._slots(network, contents, styles)
            while slots.slots:
                slots.advance()
                bar.set_postfix(iterations=slots.iterations, mean_loss=f"{slots.mean_loss:.4g}", refresh=False)
                for done in slots.collect():
                    restyled[done.problem] += done.parameters / 255
                    told = (done.initial_loss, done.final_loss, done.iterations, done.stopped_by)
                    reports[done.problem] = StyleTransferReport(*told)
                    bar.update()
                bar.refresh()
        self.reports = [reports[index] for index in range(len(contents))]
        self._warn()
        return restyled.clamp_(0, 1)

    def _warn(self) -> None:
        """Name the images that could not be restyled: they look like any other."""
        broken = [str(index) for index, report in enumerate(self.reports) if report.stopped_by == "not finite"]
        if broken:
            told = (
                "Style transfer: the loss of image %s of %d was not finite; it is as it was before that, or unchanged."
            )
            logger.warning(told, ", ".join(broken), len(self.reports))

    def _slots(self, network: VGG19Features, contents: Tensor, styles: Tensor) -> Slots:
        rows = min(self.batch_size or _rows(contents, styles), len(contents))
        objective = StyleObjective(
            network,
            contents,
            styles,
            rows=rows,
            content_weight=self.content_weight,
            style_weight=self.style_weight,
            total_variation_weight=self.total_variation_weight,
        )
        return Slots(
            objective,
            self._optimizer(torch.zeros_like(contents[:rows])),
            len(contents),
            max_iterations=self.max_iterations,
            relative_tolerance=self.relative_tolerance,
            patience=self.patience,
        )

    def _optimizer(self, changes: Tensor) -> BatchedOptimizer:
        if self.optimizer == "adam":
            return BatchedAdam(changes, lr=self.learning_rate)
        return BatchedLBFGS(changes, lr=self.learning_rate, history_size=self.history_size)


def _rows(contents: Tensor, styles: Tensor) -> int:
    """How many images to optimise at once: what is fast on the device and fits its memory, in even shares."""
    pixels = max(contents[0].numel(), styles[0].numel())
    fast = _FAST_PIXELS["cuda" if contents.is_cuda else "cpu"] // pixels
    fits = int(_free_memory(contents.device) * 0.8 / (pixels * _BYTES_A_PIXEL * contents.element_size() / 4))
    most = max(1, min(fast, fits))
    return math.ceil(len(contents) / math.ceil(len(contents) / most))


def _free_memory(device: torch.device) -> int:
    """Bytes that can still be taken, torch's own idle ones included."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + idle
    return int(psutil.virtual_memory().available)


def _checked(styles: Tensor, contents: Tensor | None, network: VGG19Features) -> tuple[Tensor, Tensor]:
    """Both batches as plain tensors without history, in the precision of the loop."""
    if contents is None:
        raise ValueError("content is missing: the images (B, 1, h, w) to be restyled; inputs are their style images")
    if not isinstance(network, VGG19Features):
        raise ValueError(f"network must be VGG-19 as load_vgg19 gives it, got {type(network).__name__}")
    for name, images in (("inputs, the style images,", styles), ("content", contents)):
        _check_images(name, images, device=network.mean.device)
    if len(styles) != len(contents):
        raise ValueError(f"each content needs a style image of its own, got {len(contents)} and {len(styles)}")
    styles, contents = (convert_to_tensor(images.detach(), dtype=network.full_dtype) for images in (styles, contents))
    return styles, contents


def _check_images(name: str, images: Tensor, *, device: torch.device) -> None:
    """Refuse what is no batch of grey images in [0, 1]; what is not a number passes, and is reported image by image."""
    if not isinstance(images, Tensor):
        raise ValueError(f"{name} must be a tensor (B, 1, H, W), got {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"{name} must be grey images (B, 1, H, W), got {tuple(images.shape)}")
    if images.device != device:
        raise ValueError(f"{name} must be where the network is, on {device}, got images on {images.device}")
    numbers = images[images.isfinite()]
    if len(numbers) and not -_MARGIN <= numbers.min() <= numbers.max() <= 1 + _MARGIN:
        raise ValueError(f"{name} must be in [0, 1], got {numbers.min():.4g} to {numbers.max():.4g}")
