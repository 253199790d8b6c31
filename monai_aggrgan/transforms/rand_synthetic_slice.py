"""Synthetic images of an item's class as a random augmentation, in the manner of MONAI's dictionary transforms."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils.enums import TransformBackends
from monai.utils.misc import ImageMetaKey
from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError

__all__ = ["MODES", "RandSyntheticSliced"]

MODES = ("replace", "add")
SYNTHETIC = "synthetic"
OUTSIDE = 0.1  # beyond [0, 1], as interpolation leaves images; more is another scale

Source = nn.Module | Tensor | None


class RandSyntheticSliced(RandomizableTransform, MapTransform):
    """With probability `prob`, replace an image by a synthetic one of its class, or add one to it.

    It stands where images are (1, H, W) in [0, 1]: after they are scaled and resized, before they are normalised,
    flipped or turned, so that what follows treats real and synthetic images alike. All other entries of an item, such
    as its patient, stay those of the real image; only `synthetic_key`, and the file name of a `MetaTensor`, tell.

    Whether such images help a classifier could not be told on the Figshare brain tumour set (`docs/utility.md`):
    compare with a training without them. Neither the generators, nor their selection and style transfer, may ever have
    seen the patients of the test, else the test is worth nothing. A study's `filtered/` folder holds images that passed
    its audit for copies; what a generator makes here passed none.

    Args:
        keys: images of an item; all of them get the same synthetic image.
        sources: of each label the images that stand for it; a sequence is taken as of labels 0, 1, ... A source is

            - finished images, a tensor (N, 1, H, W) float in [0, 1], such as those of
              `monai_aggrgan.data.read_images_by_class("study/filtered")`;
            - a generator with `latent_size`, latents (B, latent_size) ~ N(0, 1) to images (B, 1, H, W) in [0, 1], or a
              `GeneratorEnsemble`, of whose generators each is as likely. A copy of it is kept, in evaluation mode;
            - None: images of this label are left alone.
        label_key: the label, a number, text or tensor of one value.
        prob: share of the items that are replaced, or to which an image is added.
        mode: "replace" gives the item with another image. "add" gives a list, as MONAI's transforms of several samples
            do: the item, and with probability `prob` a copy of it with a synthetic image; MONAI's `DataLoader` collates
            them, so batches differ in size.
        synthetic_key: under which each item says whether its image is synthetic, a bool.
        device: where generators run. A CPU by default, so that the transform works in the processes of a `DataLoader`;
            a GPU only with `num_workers=0` or threads. The image goes to the device of the image for which it stands.
        allow_missing_keys: whether an item may lack a key.

    Raises:
        InputError: when an argument cannot be used; when called, for an item whose label has no source, or whose image
            has another size or scale than the synthetic ones. `Compose` wraps it in a RuntimeError.

    Example:
        >>> sources = [torch.zeros(2, 1, 16, 16), torch.ones(3, 1, 16, 16)]
        >>> augment = RandSyntheticSliced("image", sources, prob=1.0).set_random_state(0)
        >>> item = augment({"image": torch.full((1, 16, 16), 0.5), "label": 1})
        >>> item["image"].mean().item(), item["label"], item["synthetic"]
        (1.0, 1, True)
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 -- as MONAI's transforms say it

    def __init__(
        self,
        keys: KeysCollection,
        sources: Mapping[Any, Source] | Sequence[Source],
        *,
        label_key: Hashable = "label",
        prob: float = 0.5,
        mode: str = "replace",
        synthetic_key: Hashable = SYNTHETIC,
        device: torch.device | str = "cpu",
        allow_missing_keys: bool = False,
    ) -> None:
        if not 0 <= prob <= 1:
            raise InputError(f"prob must be from 0 to 1, got {prob}.")
        if mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)}, got '{mode}'.")
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.label_key, self.mode, self.synthetic_key = label_key, mode, synthetic_key
        named = sources if isinstance(sources, Mapping) else dict(enumerate(sources))
        self.sources = {label: _image_source(label, source, torch.device(device)) for label, source in named.items()}
        self._seed = 0

    def randomize(self, data: Any = None) -> None:
        """Draw whether to transform, and the seed of the image."""
        super().randomize(None)
        self._seed = int(self.R.randint(2**31))  # always: other items do not depend on it

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        """The item with its flag (`replace`), or a list of it and, maybe, its synthetic companion (`add`)."""
        item = dict(data)
        source = self._source_of(item)
        keys = list(self.key_iterator(item))
        if source is not None:
            for key in keys:
                _refuse_misfit(key, item[key], source.shape)
        self.randomize()
        drawn = self._do_transform and source is not None and bool(keys)
        real = {**item, self.synthetic_key: False}
        if not drawn or source is None:
            return [real] if self.mode == "add" else real
        companion = item if self.mode == "replace" else copy.deepcopy({k: v for k, v in item.items() if k not in keys})
        image = source.image(self._seed)
        synthetic = {**companion, **{key: _in_place_of(item[key], image) for key in keys}, self.synthetic_key: True}
        return [real, synthetic] if self.mode == "add" else synthetic

    def _source_of(self, item: Mapping[Hashable, Any]) -> _ImageSource | None:
        if self.label_key not in item:
            raise InputError(f"An item has no '{self.label_key}': name the key of its class by label_key.")
        label = item[self.label_key]
        if isinstance(label, np.ndarray | np.generic | Tensor):
            if np.prod(label.shape) != 1:
                raise InputError(f"'{self.label_key}' must be one class, got shape {tuple(label.shape)}.")
            label = label.item()
        if label not in self.sources:
            known = ", ".join(map(repr, self.sources))
            raise InputError(
                f"Label {label!r} has no source of synthetic images: there are those of {known}; None leaves a label"
                " alone."
            )
        return self.sources[label]


class _ImageSource(Protocol):
    """Gives one image (1, H, W) float32 in [0, 1] a seed, the same whenever it is asked."""

    shape: tuple[int, ...]

    def image(self, seed: int) -> Tensor: ...


class _Finished:
    """Images (N, 1, H, W) in memory, each as likely."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.shape = tuple(images.shape[1:])

    def image(self, seed: int) -> Tensor:
        return self.images[int(_random(seed).integers(len(self.images)))].float()


class _Generated:
    """A frozen copy of a generator; image of seed s is that of `NormalLatents.from_seeds([s])`."""

    def __init__(self, label: object, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = copy.deepcopy(network).to(device).eval().requires_grad_(False), device
        self.latent_size = int(network.latent_size)  # type: ignore[arg-type]
        images = self._images(0)
        if images.ndim not in (4, 5) or len(images) != 1 or images.shape[-3] != 1:
            raise InputError(
                f"The generator of label {label!r} must give images (B, 1, H, W), or (B, G, 1, H, W), got"
                f" {tuple(images.shape)} for one latent."
            )
        self.shape = tuple(images.shape[-3:])

    def image(self, seed: int) -> Tensor:
        images = self._images(seed).flatten(0, -4)
        chosen = int(_random(seed, 1).integers(len(images)))
        return images[chosen].float().clamp(0, 1)

    @torch.no_grad()
    def _images(self, seed: int) -> Tensor:
        latent = _random(seed).standard_normal((1, self.latent_size), dtype=np.float32)
        images: Tensor = self.network(torch.from_numpy(latent).to(self.device))
        return images


def _random(seed: int, stream: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed if not stream else [seed, stream]))


def _image_source(label: object, source: Source, device: torch.device) -> _ImageSource | None:
    if source is None:
        return None
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[1] != 1 or not len(source) or not source.is_floating_point():
            raise InputError(
                f"The images of label {label!r} must be float (N, 1, H, W), N at least 1, got {source.dtype}"
                f" {tuple(source.shape)}."
            )
        return _Finished(convert_to_tensor(source.detach(), track_meta=False))
    if not isinstance(source, nn.Module) or not isinstance(getattr(source, "latent_size", None), int):
        raise InputError(
            f"The source of label {label!r} must be images (N, 1, H, W), a generator with latent_size, or None, got"
            f" {type(source).__name__}."
        )
    return _Generated(label, source, device)


def _refuse_misfit(key: Hashable, image: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(image, Tensor | np.ndarray):
        raise InputError(f"'{key}' must be a tensor or an array, got {type(image).__name__}: load it before.")
    if tuple(image.shape) != shape:
        raise InputError(
            f"'{key}' is {tuple(image.shape)} and the synthetic images of its label are {shape}: resize it before."
        )
    plain = torch.as_tensor(image)
    if not plain.is_floating_point() or plain.min() < -OUTSIDE or plain.max() > 1 + OUTSIDE:
        raise InputError(
            f"'{key}' is {plain.dtype} from {plain.min().item():.4g} to {plain.max().item():.4g} and synthetic images"
            " are float in [0, 1]: scale it before, and normalise it after."
        )


def _in_place_of(real: Tensor | NDArray[Any], image: Tensor) -> Tensor | NDArray[Any]:
    """The image as what the real one is: array or tensor, its type and device, and its place in space."""
    converted: Any = convert_to_dst_type(image.clone(), real)[0]
    if isinstance(converted, MetaTensor):
        converted.applied_operations = []  # none of them was applied to it
        if ImageMetaKey.FILENAME_OR_OBJ in converted.meta:
            converted.meta[ImageMetaKey.FILENAME_OR_OBJ] = SYNTHETIC
    return converted
