"""Style transfer as a MONAI inferer: redraw content images until their VGG-19 statistics are those of style images."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features

__all__ = ["StyleTransferInferer", "StyleTransferReport"]

Objective = Callable[[Tensor], Tensor]
StopReason = Literal["converged", "max_iterations", "not finite"]


@dataclass(frozen=True)
class StyleTransferReport:
    """How the optimisation of one image went.

    Attributes:
        initial_loss: the objective (eq. 16) of the content image.
        final_loss: the objective of the best iterate, before its clamp to [0, 1]; infinite where none was finite.
        iterations: L-BFGS iterations taken.
        stopped_by: "converged" (too little gained, or no way down), "max_iterations", or "not finite" (a loss was not).
    """

    initial_loss: float
    final_loss: float
    iterations: int
    stopped_by: StopReason


class StyleTransferInferer(Inferer):
    """Give content images the style of reference images, Mukherjee et al. 2022, eq. 12-16.

    Minimises `content_weight * content + style_weight * style + total_variation_weight * tv` over the pixels with
    `torch.optim.LBFGS`, from the content image. Each image has an optimiser of its own, so it does not depend on its
    neighbours in the batch. The weights presume maps at the scale of the Oxford network, see `networks.vgg19`.
    L-BFGS amplifies rounding: in float32 two runs on several threads end at the same loss but not at the same bits.

    In a `SupervisedEvaluator` over style images, `PrepareBatchExtraInput({"content": "content"})` passes the content.

    Args:
        content_weight: weight of eq. 12.
        style_weight: weight of eq. 14; each of the five layers counts a fifth.
        total_variation_weight: weight of eq. 15.
        max_iterations: most iterations an image takes; 0 returns the content.
        relative_tolerance: an image is finished when `patience` iterations lowered its loss by less than this share; 0
            runs `max_iterations`, as the paper does, unless no way leads down.
        patience: iterations between two such checks.
        history_size: pairs of steps and gradients that L-BFGS remembers.
        progress: show a bar of images done.

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
        history_size: int = 20,
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
        self.content_weight, self.style_weight, self.total_variation_weight = weights
        self.max_iterations = max_iterations
        self.relative_tolerance = relative_tolerance
        self.patience = patience
        self.history_size = history_size
        self.progress = progress
        self.reports: list[StyleTransferReport] = []

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: VGG19Features, content: Tensor | None = None
    ) -> Tensor:
        """Restyle each image of `content` after the image of `inputs` at its place.

        Args:
            inputs: style images (B, 1, H, W) in [0, 1].
            network: the trunk that measures style and content, on the images' device. Its weights' precision is that of
                the optimisation: float32 as a rule, float64 for exact comparisons.
            content: images (B, 1, h, w) in [0, 1] to be restyled.

        Returns:
            Restyled images (B, 1, h, w) in [0, 1].

        Raises:
            ValueError: when `content` is missing, or not one grey image for each style image.
        """
        styles, contents = _checked(inputs, content, dtype=next(network.parameters()).dtype)
        self.reports = []
        restyled = []
        pairs = zip(styles[:, None], contents[:, None], strict=True)
        # An evaluator's no_grad and autocast end here: the sums of eq. 12-15 overflow float16.
        with torch.enable_grad(), torch.autocast(styles.device.type, enabled=False):
            for style, image in tqdm(pairs, "style transfer", len(styles), unit="image", disable=not self.progress):
                descent = _Descent(self._objective(network, style, image), image, self.history_size)
                self.reports.append(self._run(descent))
                restyled.append(descent.best)
        return torch.cat(restyled).clamp(0, 1)

    @torch.no_grad()
    def _objective(self, network: VGG19Features, style: Tensor, content: Tensor) -> Objective:
        """Eq. 16 as a function of one image; what does not change with the image is computed here, once."""
        content_maps = network(content)[CONTENT_LAYER]
        style_maps = network(style)
        style_grams = {layer: gram_matrix(style_maps[layer]) for layer in STYLE_LAYERS}
        style_sizes = {layer: style_maps[layer][0, 0].numel() for layer in STYLE_LAYERS}

        def layer_style(layer: str, maps: Tensor) -> Tensor:
            sizes = {"map_size": maps[0, 0].numel(), "style_map_size": style_sizes[layer]}
            return style_loss(gram_matrix(maps), style_grams[layer], **sizes)

        def objective(image: Tensor) -> Tensor:
            maps = network(image)
            content_term = content_loss(maps[CONTENT_LAYER], content_maps)
            style_term = torch.stack([layer_style(layer, maps[layer]) for layer in STYLE_LAYERS]).mean(0)
            variation = total_variation(255 * image)
            total = self.content_weight * content_term + self.style_weight * style_term
            return (total + self.total_variation_weight * variation).sum()

        return objective

    def _run(self, descent: _Descent) -> StyleTransferReport:
        """Descend until too little is gained, the cap is reached or the loss is not finite; say which."""
        stopped_by: StopReason
        try:
            descent.evaluate()
            while descent.iterations < self.max_iterations:
                before, wanted = descent.best_loss, min(self.patience, self.max_iterations - descent.iterations)
                stuck = descent.advance(wanted) < wanted
                if stuck or descent.best_loss > (1 - self.relative_tolerance) * before:
                    break
            stopped_by = "max_iterations" if descent.iterations == self.max_iterations else "converged"
        except FloatingPointError:
            stopped_by = "not finite"
        return StyleTransferReport(descent.losses[0], descent.best_loss, descent.iterations, stopped_by)


class _Descent:
    """L-BFGS from one content image (1, 1, H, W): the losses on its way and the best finite iterate."""

    def __init__(self, objective: Objective, content: Tensor, history_size: int) -> None:
        self.objective = objective
        self.content = content
        self.best = content
        self.best_loss = math.inf
        self.losses: list[float] = []  # losses[i] after i iterations
        # The variable is the change in grey levels of 0..255: where it is 0, the image is the content to the last bit.
        self.change = torch.zeros_like(content, requires_grad=True)
        self.optimizer = torch.optim.LBFGS(
            [self.change], max_eval=sys.maxsize, tolerance_grad=0, tolerance_change=0, history_size=history_size
        )

    @property
    def iterations(self) -> int:
        """L-BFGS iterations taken so far."""
        return int(self.optimizer.state[self.change].get("n_iter", 0))

    def advance(self, iterations: int) -> int:
        """Take that many iterations and evaluate the last; return how many were taken: fewer if no way leads down."""
        taken = self.iterations
        self.optimizer.param_groups[0]["max_iter"] = iterations
        self.optimizer.step(self.evaluate)
        self.evaluate()
        return self.iterations - taken

    def evaluate(self) -> float:
        """Loss of the current iterate, its gradient left in `change.grad`; FloatingPointError when it is not finite."""
        if len(self.losses) > self.iterations:  # known: a new `step` asks again for what the last one ended with
            return self.losses[-1]
        self.optimizer.zero_grad()
        image = self.content + self.change / 255
        loss = self.objective(image)
        loss.backward()
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            raise FloatingPointError(f"loss {self.losses[-1]} after {self.iterations} iterations")
        if self.losses[-1] < self.best_loss:
            self.best, self.best_loss = image.detach(), self.losses[-1]
        return self.losses[-1]


def _checked(styles: Tensor, contents: Tensor | None, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both batches as plain tensors without history."""
    if contents is None:
        raise ValueError("content is missing: the images (B, 1, h, w) to be restyled; inputs are their style images")
    for name, images in (("inputs", styles), ("content", contents)):
        if images.ndim != 4 or images.shape[1] != 1 or len(images) != len(styles):
            raise ValueError(f"{name} must be (B, 1, H, W), B = {len(styles)} as in inputs, got {tuple(images.shape)}")
    styles, contents = (convert_to_tensor(images.detach(), dtype=dtype) for images in (styles, contents))
    return styles, contents
