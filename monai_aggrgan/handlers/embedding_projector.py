"""Whether the fakes lie among the reals: images as points in TensorBoard's projector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Engine
from monai.handlers import TensorBoardHandler
from torch import Tensor, nn
from torch.nn.functional import interpolate

from monai_aggrgan.data.manifest import whole_file
from monai_aggrgan.handlers.sample_grid import epochs_due, images_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["EmbeddingProjectorHandler", "small_pixels"]

GENERATED = "generated"
THUMBNAIL = 32  # pixels; the projector shows points no larger
DIGITS = 4  # of the largest feature; the files are text


def small_pixels(images: Tensor) -> Tensor:
    """Images (B, 1, H, W) as features (B, 256): their pixels at 16x16."""
    return interpolate(images, size=(16, 16), mode="area").flatten(1)


class EmbeddingProjectorHandler(TensorBoardHandler):
    """Shows real and generated images as points in TensorBoard's projector: colour them by their label, the group.

    Points are written at the end of every `interval`-th epoch and of the last, under `<tag>:<epoch>`. What an earlier
    run wrote to the same folder stays; the same epoch is written anew. An epoch takes about 7 bytes a feature and 1 kB
    a thumbnail: 0.5 MB for three groups of 64 images as small pixels, 1.6 MB as `VGG19Embedding`.

    Args:
        generator: latents (B, latent_size) to images (B, 1, H, W) in [0, 1]; shown in eval mode.
        latents: the fixed latents (B, latent_size), one an image.
        real: images (N, 1, H, W) in [0, 1] of each further group, such as `training` and `held_out`.
        embedding: images (B, 1, H, W), on the generator's device, to features (B, D).
        count: images of a group at most: the first latents, and real images evenly spread over all of a group.
        interval: epochs from one set of points to the next.
        tag: name of the points in TensorBoard.
        summary_writer: an existing writer, or None to write to `log_dir`.
        log_dir: folder for a writer of its own.

    Raises:
        ValueError: when `interval` or `count` is less than 1, real images are not (N, 1, H, W), or a group of them is
            called `generated`.
    """

    def __init__(
        self,
        generator: nn.Module,
        latents: Tensor,
        *,
        real: Mapping[str, Tensor],
        embedding: Callable[[Tensor], Tensor] = small_pixels,
        count: int = 64,
        interval: int = 50,
        tag: str = "features",
        summary_writer: SummaryWriter | None = None,
        log_dir: str = "./runs",
    ) -> None:
        self._event = epochs_due(interval)
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        if GENERATED in real:
            raise ValueError(f"a group of real images may not be called {GENERATED}")
        for name, images in real.items():
            if images.ndim != 4 or images.shape[1] != 1 or len(images) == 0:
                raise ValueError(f"real images must be (N, 1, H, W), got {tuple(images.shape)} for {name}")
        super().__init__(summary_writer=summary_writer, log_dir=log_dir)
        self.generator, self.latents, self.embedding, self.tag = generator, latents[:count], embedding, tag
        self.real = {name: _spread(images, count) for name, images in real.items()}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(self._event, self)

    def __call__(self, engine: Engine) -> None:
        """Write the points of this epoch."""
        from google.protobuf import text_format
        from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

        groups = {**self._real_points, GENERATED: self._points(images_of(self.generator, self.latents))}
        features, thumbnails = (torch.cat(parts) for parts in zip(*groups.values(), strict=True))
        labels = [name for name, (points, _) in groups.items() for _ in points]
        config = Path(self._writer.get_logdir()) / "projector_config.pbtxt"
        earlier = _embeddings(config)
        self._writer.add_embedding(_rounded(features), labels, thumbnails, engine.state.epoch, self.tag)
        with whole_file(config) as partial:  # add_embedding names what this writer wrote, nothing of earlier runs
            together = {**earlier, **_embeddings(config)}
            partial.write_text(text_format.MessageToString(ProjectorConfig(embeddings=together.values())))

    @cached_property
    def _real_points(self) -> dict[str, tuple[Tensor, Tensor]]:
        device = next(self.generator.parameters()).device
        return {name: self._points(images.to(device)) for name, images in self.real.items()}

    @torch.no_grad()
    def _points(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and thumbnails (B, 1, 32, 32) on the host."""
        return self.embedding(images).cpu(), interpolate(images, size=(THUMBNAIL, THUMBNAIL), mode="area").cpu()


def _spread(images: Tensor, count: int) -> Tensor:
    """`count` of the images at most, at even distances."""
    return images[torch.arange(min(count, len(images))) * len(images) // min(count, len(images))]


def _rounded(features: Tensor) -> Tensor:
    """Features in float64, whose text is short, with `DIGITS` digits of the largest."""
    largest = features.abs().max().item() or 1.0
    return features.double().round(decimals=DIGITS - 1 - floor(log10(largest)))


def _embeddings(config: Path) -> dict[str, Any]:
    """What the projector's configuration lists, by name."""
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    text = config.read_text() if config.exists() else ""
    return {info.tensor_name: info for info in text_format.Parse(text, ProjectorConfig()).embeddings}
