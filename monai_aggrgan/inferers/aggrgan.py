"""The whole method behind one call: select, aggregate, restyle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.inferers.aggregate import AggregationInferer
from monai_aggrgan.inferers.style_transfer import StyleTransferInferer
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.networks.vgg19 import VGG19Features

__all__ = ["AGGrGANInferer"]


class AGGrGANInferer(Inferer):
    """Answers each real image with the synthetic image paired with it: aggregated, then given the real image's style.

    Args:
        aggregation: merges the generators' candidates.
        style_transfer: restyles the merged image; it starts from that image, never from the real one.
        features: the VGG-19 trunk, on the images' device.

    Source: Mukherjee et al. 2022, "Architecture of the proposed AGGrGAN model".
    """

    def __init__(
        self, aggregation: AggregationInferer, style_transfer: StyleTransferInferer, features: VGG19Features
    ) -> None:
        super().__init__()
        self.aggregation, self.style_transfer, self.features = aggregation, style_transfer, features
        self._styled = torch.empty(0)

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: GeneratorEnsemble, rounds: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Synthetic images (B, 1, H, W) in [0, 1] for the real images `inputs` (B, 1, H, W) in [0, 1].

        Args:
            inputs: the real images.
            network: the generators.
            rounds: how often each image was answered before, see `AggregationInferer`.

        Raises:
            ValueError: when a round cannot be, or `inputs` are signals or volumes: VGG-19, which measures style, takes
                2-D images only.
        """
        if inputs.ndim != 4 or inputs.shape[1] != 1:
            raise ValueError(f"inputs must be images (B, 1, H, W) to lend their style, got shape {tuple(inputs.shape)}")
        merged = self.aggregation(inputs, network, rounds)
        self._styled = self.style_transfer(inputs, self.features, content=merged)
        return self._styled

    @property
    def reports(self) -> list[dict[str, object]]:
        """For each image of the last call, what `AggregationReport` and `StyleTransferReport` tell of it."""
        pairs = zip(self.aggregation.reports, self.style_transfer.reports, strict=True)
        return [{**vars(merged), **vars(styled)} for merged, styled in pairs]

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """How each image of the last call was made, see `AggregationInferer.pictures`."""
        return self.aggregation.pictures(styled=self._styled)
