"""Keeping what a slow inferer has made, so that a run that was killed goes on after its last batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_aggrgan.data.manifest import sha256_of, whole_file

__all__ = ["KeptAnswersInferer", "ReportingInferer"]


class ReportingInferer(Protocol):
    """An inferer that tells how it made the images of its last call, as `AggregationInferer` and `AGGrGANInferer`."""

    @property
    def reports(self) -> Sequence[Any]:
        """A mapping or data class of plain values for each image."""
        ...

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """How each image was made, drawn."""
        ...

    def __call__(self, inputs: Tensor, network: Any, /, **further: Any) -> Tensor:
        """Images (B, 1, H, W) for `inputs` (B, 1, H, W)."""
        ...


class KeptAnswersInferer(Inferer):
    """Keeps each answer of an inferer in a file and gives it again, by its name, without asking the inferer.

    The images and reports of a run that was killed and begun again are therefore those of one that was not, where the
    inferer answers each image independently of the others in its batch.

    Args:
        inferer: makes the images.
        folder: for the files; made when needed. Inferers of different classes keep theirs apart, but the folder must
            not be that of a run with other options or networks.

    Attributes:
        reports: what the inferer told of each image of the last call, as mappings.

    Example:
        >>> import tempfile
        >>> from monai_aggrgan.inferers import AggregationInferer
        >>> from monai_aggrgan.networks import DCGAN2Generator, GeneratorEnsemble
        >>> ensemble = GeneratorEnsemble({"a": DCGAN2Generator(image_size=16, base_width=4)})
        >>> inferer = KeptAnswersInferer(AggregationInferer(pool_size=8, top_k=1), tempfile.mkdtemp())
        >>> inferer(torch.rand(2, 1, 16, 16), ensemble, names=["first", "second"]).shape
        torch.Size([2, 1, 16, 16])
    """

    def __init__(self, inferer: ReportingInferer, folder: Path | str) -> None:
        super().__init__()
        self.inferer, self.folder = inferer, Path(folder) / type(inferer).__name__
        self.reports: list[dict[str, Any]] = []
        self._asked = False

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *, names: Sequence[str], **further: Any
    ) -> Tensor:
        """Images for `inputs`, kept ones where there are any.

        Args:
            inputs: real images (B, 1, H, W) in [0, 1].
            network: as the inferer takes it.
            names: of the answers, each its own.
            further: arguments of the inferer that have a value for each image, such as `rounds`.
        """
        missing = [row for row, name in enumerate(names) if not self._file(name).is_file()]
        self._asked = bool(missing)
        if missing:
            asked = {key: [values[row] for row in missing] for key, values in further.items()}
            images = self.inferer(inputs[missing], network, **asked)
            self._keep([names[row] for row in missing], images)
        kept = [torch.load(self._file(name), map_location=inputs.device, weights_only=True) for name in names]
        self.reports = [answer["report"] for answer in kept]
        return torch.stack([answer["image"] for answer in kept])

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """How those images of the last call were made that were not kept before."""
        return self.inferer.pictures() if self._asked else iter(())

    def _keep(self, names: Sequence[str], images: Tensor) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, image, report in zip(names, images, self.inferer.reports, strict=True):
            told = dict(report) if isinstance(report, Mapping) else vars(report)
            with whole_file(self._file(name)) as unfinished:
                torch.save({"image": image.detach().cpu().clone(), "report": told}, unfinished)

    def _file(self, name: str) -> Path:
        return self.folder / f"{sha256_of(name.encode())[:32]}.pt"
