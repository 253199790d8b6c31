"""What an entry of a Decathlon datalist says: images, their classes, label, patient and fold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.listed_files import case_name, listed_files
from monai_aggrgan.exceptions import InputError

__all__ = ["DecathlonEntry"]

NAMELESS = "image"
"""Class of images of which the list says neither class nor modality."""


@dataclass(frozen=True)
class DecathlonEntry:
    """One entry of a list, as it stands in the file and as MONAI gives it.

    MONAI makes a path of any text that is the name of something beside the list, also of a class or a patient;
    therefore only `image` and `label` are taken from what it gives.

    Attributes:
        where: file, list and number of the entry, as a message begins.
        properties: the whole file; `modality` and `labels` are used.
        written: the entry as it stands in the file.
        joined: the entry with paths made by MONAI.
        root: folder from which paths count.
    """

    where: str
    properties: Mapping[str, Any]
    written: Mapping[str, Any]
    joined: Mapping[str, Any]
    root: Path

    def case(self, *, fold: str | None) -> Case:
        """The case that the entry is; `fold` is its fold if it names none.

        Raises:
            InputError: when the entry lacks something, names a file that is not there, or its class cannot be told.
        """
        images = self._images()
        first = next(iter(images))
        return Case(
            name=case_name(images[first], class_name=first, root=self.root),
            images={name: self._files(image) for name, image in images.items()},
            label=self._label(),
            patient=self._text("patient_id") or self._text("patient"),
            fold=self._text("fold") or fold,
        )

    def _images(self) -> dict[str, str]:
        """Class -> path as it is to be read, relative to the working folder."""
        image = self.joined.get("image")
        if isinstance(image, dict) and image and all(isinstance(path, str) and path for path in image.values()):
            self._refuse_class()
            return {name: os.path.normpath(self.root / path) for name, path in image.items()}
        paths = [image] if isinstance(image, str) else image
        if not self.written.get("image") or not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
            raise InputError(f"{self.where} has no image: give it a path, a list of paths, or paths by class.")
        return {self._class(): paths[0]} if len(paths) == 1 else self._by_modality(paths)

    def _by_modality(self, paths: list[str]) -> dict[str, str]:
        self._refuse_class()
        names = self._modalities()
        if len(names) != len(paths) or len(set(names)) != len(names):
            raise InputError(
                f"{self.where} has {len(paths)} images and the file's 'modality' is {', '.join(names) or 'empty'}:"
                " give each image a modality of another name."
            )
        return dict(zip(names, paths, strict=True))

    def _refuse_class(self) -> None:
        if name := self._text("class") or self._text("class_name"):
            raise InputError(f"{self.where} has images of several classes and the class '{name}': leave that out.")

    def _class(self) -> str:
        if name := self._text("class") or self._text("class_name"):
            return name
        label, modalities = self.written.get("label"), self._modalities()
        if not isinstance(label, int) or isinstance(label, bool):
            return modalities[0] if len(modalities) == 1 else NAMELESS
        labels = self.properties.get("labels")
        if not isinstance(labels, dict) or not labels.get(str(label)):
            raise InputError(
                f"{self.where} has the label {label}, which the file's 'labels' do not name: add it there."
            )
        return str(labels[str(label)])

    def _modalities(self) -> list[str]:
        named = self.properties.get("modality") or {}
        if isinstance(named, dict):
            named = [named[key] for key in sorted(named, key=lambda key: (len(key), key))]  # "10" behind "9"
        return [str(name) for name in named] if isinstance(named, list) else [str(named)]

    def _label(self) -> str | None:
        label = self.joined.get("label")
        if label is None or (isinstance(label, int) and not isinstance(label, bool)):
            return None
        if not isinstance(label, str) or not os.path.isfile(label):
            raise InputError(
                f"{self.where} has the label {self.written['label']!r}, which is neither a file in {self.root} nor a"
                " whole number: correct it, or give a class as 'class'."
            )
        return label

    def _files(self, image: str) -> list[str]:
        if not os.path.exists(image):
            raise InputError(f"{self.where} names {image}, which is not there: correct the list or --dataset_dir.")
        return listed_files(image)

    def _text(self, key: str) -> str | None:
        """A value as text; a fold or patient may be a number, also 0."""
        value = self.written.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InputError(f"{self.where} has a '{key}' that is neither text nor a number: correct it.")
        return str(value)
