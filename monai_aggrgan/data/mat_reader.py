"""MONAI reader of images in MATLAB files, with the label, patient, border and mask that stand beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.transforms.io.array import SUPPORTED_READERS
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple, look_up_option
from numpy.typing import NDArray

from monai_aggrgan.data.mat_file import NUMBERS, STRUCT, TEXT, MatNode, open_mat
from monai_aggrgan.exceptions import InputError

__all__ = ["FIGSHARE_IMAGE", "MatImage", "MatReader", "read_mat_header", "read_mat_vector"]

FIGSHARE_IMAGE = "cjdata/image"
FIELDS = ("label", "PID", "border", "mask")
SHOWN_NAMES = 8


@dataclass(frozen=True)
class MatImage:
    """An image of a MATLAB file, read and closed.

    Attributes:
        path: of the file.
        pixels: (rows, columns) as MATLAB shows the image, of the type that MATLAB calls its class.
        metadata: `label` (int), `PID` (str), `border` (M, 2) and `mask` (rows, columns), those that there are.
    """

    path: Path
    pixels: NDArray[Any]
    metadata: dict[str, Any]


class MatReader(ImageReader):
    """Reader for `monai.transforms.LoadImage` of 2-D images in MATLAB files, v7.3 (HDF5) and older.

    An image of R rows and C columns comes back as (R, C), whatever the version; HDF5 alone would show it as (C, R).
    Fields beside the image in its struct become metadata, those that there are:

    - `label`: int, from `label`;
    - `PID`: str, from the character codes of `PID`. It names a patient: do not print it;
    - `border`: float64 (M, 2), from `tumorBorder`, columns x (to the right) and y (down) in pixels of the image, as
      stored; MATLAB itself counts pixels from 1;
    - `mask`: uint8 (R, C), 1 where `tumorMask` is not 0.

    Borders differ in length, so a batch of such images has metadata that cannot be collated: leave it out with
    `LoadImage(prune_meta_pattern="border")` where it is not needed. Pixels that are NaN or infinite are not looked for.

    Importing this module makes the reader known to `LoadImage`: `LoadImage()("1.mat")` finds it, and so does
    `LoadImage(reader="MatReader")`. Instances hold no file and pickle, for the workers of a data loader.

    Args:
        key: names of the structs, and last of the variable, that lead to the image, separated by `/`. The default is
            that of the Figshare brain tumour set.
        fields: which of the metadata are read; the mask takes as long as the image.

    Raises:
        InputError: when `key` is empty.
        ValueError: when a field is none of the four.
    """

    def __init__(self, *, key: str = FIGSHARE_IMAGE, fields: Sequence[str] = FIELDS) -> None:
        super().__init__()
        _parts(key)
        self.key = key
        self.fields = tuple(look_up_option(field, FIELDS) for field in fields)

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether the name, or all names of a list, end in `.mat`, in any case."""
        return all(PurePath(name).suffix.lower() == ".mat" for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> MatImage | list[MatImage]:
        """Read a file, or each of a list of files.

        Raises:
            InputError: when a file is absent or damaged, has no `key`, or what it has there is no 2-D image of real
                numbers; when something beside the image is not what it ought to be.
            TypeError: when there are further options, of which there are none.
        """
        if kwargs:
            raise TypeError(f"MatReader.read has no options, got {', '.join(kwargs)}")
        images = [_read_image(Path(name), self.key, self.fields) for name in ensure_tuple(data)]
        return images if len(images) > 1 else images[0]

    def get_data(self, img: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Pixels and metadata of what `read` gave.

        Args:
            img: a `MatImage`, or a sequence of them of one size.

        Returns:
            Pixels (R, C), or of several images (N, R, C); and metadata, of several images those of the first: beside
            the above the identity for an affine, for the files do not tell how large pixels are.

        Raises:
            InputError: when images differ in size.
        """
        images: tuple[MatImage, ...] = ensure_tuple(img)
        first = images[0]
        for image in images:
            if image.pixels.shape != first.pixels.shape:
                raise InputError(
                    f"{image.path} is {_times(image.pixels.shape)} and {first.path} {_times(first.pixels.shape)}:"
                    " images that are read as one must be of one size."
                )
        metadata = {
            **first.metadata,
            MetaKeys.SPATIAL_SHAPE: np.asarray(first.pixels.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan") if len(images) == 1 else 0,
            MetaKeys.AFFINE: np.eye(4),
            MetaKeys.ORIGINAL_AFFINE: np.eye(4),
            MetaKeys.SPACE: SpaceKeys.RAS,
        }
        return first.pixels if len(images) == 1 else np.stack([image.pixels for image in images]), metadata


SUPPORTED_READERS["matreader"] = MatReader


def read_mat_header(path: Path | str, *, key: str = FIGSHARE_IMAGE) -> dict[str, Any]:
    """`label` (int) and `PID` (str) that stand beside an image, those that there are, without reading its pixels.

    That there is a 2-D image of real numbers is checked all the same.

    Raises:
        InputError: as `MatReader.read` does.
    """
    path = Path(path)
    with open_mat(path) as root:
        struct, _ = _find_image(root, path, key)
        return _header(struct, path, key, ("label", "PID"))


def read_mat_vector(path: Path | str, *, key: str) -> NDArray[Any]:
    """Real numbers (N,) that a row or a column of a MATLAB file holds.

    Raises:
        InputError: when the file is absent or damaged, has no `key`, or has something else there.
    """
    path = Path(path)
    with open_mat(path) as root:
        _, node = _find(root, path, key)
        if node.content != NUMBERS or sorted(node.shape)[:-1] != [1]:
            raise InputError(f"{path} has {_what(node)} at '{key}'; a row or column of numbers is wanted: replace it.")
        return node.array().ravel()


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    if not all(parts):
        raise InputError(f"the key of an image must be names separated by '/', such as cjdata/image, got '{key}'.")
    return parts


def _find(root: MatNode, path: Path, key: str) -> tuple[MatNode, MatNode]:
    """The variable at `key`, behind the struct in which it stands."""
    struct, node = root, root
    parts = _parts(key)
    for depth, part in enumerate(parts):
        struct, found = node, node.field(part)
        if found is None:
            where = f"'{'/'.join(parts[:depth])}'" if depth else "it"
            raise InputError(
                f"{path} has no '{key}': {where} {_holds(node)}; leave the file out, or say with --mat_key (key= of"
                " MatReader) where its image stands."
            )
        node = found
    return struct, node


def _find_image(root: MatNode, path: Path, key: str) -> tuple[MatNode, MatNode]:
    struct, node = _find(root, path, key)
    if node.content != NUMBERS or len(node.shape) != 2 or min(node.shape) < 2:
        raise InputError(
            f"{path} has {_what(node)} at '{key}'; a 2-D image of real numbers is wanted: save it as such, or leave the"
            " file out."
        )
    return struct, node


def _read_image(path: Path, key: str, fields: Sequence[str]) -> MatImage:
    with open_mat(path) as root:
        struct, node = _find_image(root, path, key)
        metadata = _header(struct, path, key, fields)
        border = _beside(struct, "tumorBorder", NUMBERS, path, key) if "border" in fields else None
        if border is not None:
            metadata["border"] = _border(border, path)
        mask = _beside(struct, "tumorMask", NUMBERS, path, key) if "mask" in fields else None
        if mask is not None:
            if mask.shape != node.shape:
                sizes = f"a mask of {_times(mask.shape)} pixels and an image of {_times(node.shape)}"
                raise InputError(f"{path} has {sizes}: replace or remove the file.")
            metadata["mask"] = (mask.array() != 0).astype(np.uint8)
        return MatImage(path, node.array(), metadata)


def _header(struct: MatNode, path: Path, key: str, fields: Sequence[str]) -> dict[str, Any]:
    header: dict[str, Any] = {}
    label = _beside(struct, "label", NUMBERS, path, key) if "label" in fields else None
    if label is not None:
        header["label"] = _whole_number(label, path)
    patient = _beside(struct, "PID", TEXT, path, key) if "PID" in fields else None
    if patient is not None and (text := patient.text().strip(" \0")):
        header["PID"] = text
    return header


def _beside(struct: MatNode, name: str, content: str, path: Path, key: str) -> MatNode | None:
    """A field of the image's struct that is not empty. Text may be numbers: v7.3 stores it as codes."""
    node = struct.field(name)
    if node is None or (node.content != STRUCT and 0 in node.shape):
        return None
    if node.content not in (content, NUMBERS):
        where = "/".join([*_parts(key)[:-1], name])
        raise InputError(f"{path} has {_what(node)} at '{where}'; {content} is wanted: replace or remove the file.")
    return node


def _whole_number(node: MatNode, path: Path) -> int:
    values = node.array().ravel()
    if len(values) != 1 or not np.isfinite(values[0]) or values[0] != round(float(values[0])):
        raise InputError(f"{path} has a label that is no single whole number: replace or remove the file.")
    return int(values[0])


def _border(node: MatNode, path: Path) -> NDArray[np.float64]:
    """Points from x1, y1, x2, y2 ... in a row or column, or from a matrix of a row for each point."""
    rows, columns = node.shape if len(node.shape) == 2 else (0, 0)
    if not (columns == 2 or (1 in (rows, columns) and rows * columns % 2 == 0)):
        raise InputError(
            f"{path} has a border of {_times(node.shape)} numbers; x1, y1, x2, y2 ... are wanted: replace or remove the"
            " file."
        )
    return node.array().astype(np.float64).reshape(-1, 2)


def _what(node: MatNode) -> str:
    return f"numbers of shape {_times(node.shape)}" if node.content == NUMBERS else node.content


def _holds(node: MatNode) -> str:
    if node.content != STRUCT:
        return f"is {_what(node)}"
    names = [f"'{name}'" for name in node.names[:SHOWN_NAMES]]
    return f"holds {', '.join(names) or 'nothing'}{' and more' if len(node.names) > SHOWN_NAMES else ''}"


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "nothing"
