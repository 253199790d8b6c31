"""What a study is told: every option, its default and its limits, checked before anything runs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from monai.bundle import ConfigParser
from monai.utils import ensure_tuple

from monai_aggrgan.data.class_names import refuse_class_names
from monai_aggrgan.data.manifest import MANIFEST, read_manifest
from monai_aggrgan.data.mat_reader import FIGSHARE_IMAGE
from monai_aggrgan.exceptions import InputError, said_by
from monai_aggrgan.inferers.matching import MATCHINGS
from monai_aggrgan.inferers.merge import MERGINGS
from monai_aggrgan.stages.option_values import MOST, misfit, path_of, refuse_unwritable, shown, text_of
from monai_aggrgan.stages.ranks import cuda_index
from monai_aggrgan.stages.task import read_record
from monai_aggrgan.transforms.cut_slices import CutSlices

__all__ = ["StudySettings"]

PAPER_GENERATORS = ("dcgan1", "dcgan2", "wgan_div")
CHOICES = {
    "layout": ("auto", "class_folders", "brats", "figshare"),
    "mixed_sizes": ("refuse", "resize"),
    "on_error": ("raise", "skip"),
    "recipe": ("paper", "strong"),
    "precision": ("float32", "bfloat16", "auto"),
    "matching": MATCHINGS,
    "merging": MERGINGS,
    "gaussian": ("filter", "function"),
    "vgg_scale": ("oxford", "torchvision"),
    "style_precision": ("float32", "bfloat16", "float16", "auto"),
}
LARGEST_IMAGE = 4096
"""Side in pixels."""
TEXTS = (
    *("mat_key", "plane", "slices", "vgg_weights", "minority_class", "note", "held_out_fold"),
    *(name for name in CHOICES),
)
LEAST = {"pool_size": 1, "references": 1, "top_k": 1, "style_iterations": 0, "classifier_seeds": 2, "seed": 0}
OF_THE_STUDY = {
    *("imports", "bundle_root", "dataset_dir", "output_dir", "images", "classes", "device", "seed", "image_size"),
    *("steps_per_epoch", "weights", "network", "classifier", "train", "validate", "initialize", "run", "finalize"),
}
"""Settings of a classifier's config that the study gives, or that make up the training."""
COUNTED = ("max_epochs", "batch_size")
RECKONED = (*COUNTED, "decay_from")
"""Settings of a training with which the study itself reckons."""
OWN_SPACES = ("vgg19", "pixels", "images", "ssim")
RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "held_out_fraction": (lambda value: 0 < value < 1, "between 0 and 1"),
    "sigma": (lambda value: 0 < value < math.inf, "above 0"),
    "style_tolerance": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "minority_share": (lambda value: 0 < value < 1, "between 0 and 1"),
}


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Options of a study.

    Args:
        config_dir: folder of the bundle's configs, with `train.yaml` and a `train_<generator>.yaml` for each generator.
        dataset_dir: the real images, see `layout`. Without it, and without `datalist`, a folder `prepare` that was made
            elsewhere is taken as it is.
        output_dir: where the study's stages write.
        layout: of `dataset_dir`: `class_folders` (a folder per class, in it images, DICOM series, or a folder per
            patient), `brats` (cases as BraTS publishes them, each modality a class), `figshare` (the brain tumour
            set's own files); `auto` looks.
        datalist: CSV with columns image, class, and patient_id, fold and label (a segmentation) where known, or a
            Decathlon JSON, here or in `dataset_dir`; that is then the root of its images, by default the list's folder.
        classes: classes to use, all by default.
        generators: names of `train_<name>.yaml` configs, whose images are merged.
        baselines: further ones that are trained and judged beside them, unmerged and without style transfer: with
            `lsgan` and `infogan` the report has the paper's Tables 3 and 4.
        image_size: side of the images in pixels, a power of two from 16 on.
        held_out_fraction: share of each class's patients that no training sees, without `held_out_fold`.
        held_out_fold: the fold of the datalist that no training sees.
        mat_key: names that lead to the image in .mat files, separated by `/`.
        plane: of the slices of volumes, `axial`, `coronal`, `sagittal` or `stored`, see `CutSlices` for this and the
            next five.
        slices: which of a volume's: `auto`, `label`, `foreground` or `every`.
        slice_positions: where `foreground` takes them, shares of its extent.
        slice_step: of `every`.
        intensity: what is scaled to [0, 1], by `volume` or by `slice`, or two intensities that become 0 and 1.
        percentiles: that become 0 and 1.
        mixed_sizes: `refuse` or `resize` a data set whose pictures differ in size; volumes may.
        on_error: `raise` where a case cannot be used, or `skip` it; skipped cases are named.
        num_workers: processes that read, by default as many as there are cores and work for.
        max_epochs: epochs of every training, the configs' (the paper's) by default.
        recipe: of the trainings, `strong`: with what `recipe_strong.yaml` switches on, or `paper`: without.
        training: further settings of the training configs, such as `{base_width: 32, batch_size: 32}`.
        precision: `float32`, `bfloat16` or `auto`, for training.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...; `auto` gives the ranks of `torchrun` the machine's GPUs by turns.
        pool_size: images that every generator makes to be chosen from.
        references: real training images a class that are answered with a synthetic one (the paper: 300).
        matching: `best`, where an image of a pool may answer several references, or `unique`, where it answers one at
            most, see `monai_aggrgan.inferers.match`; `unique` needs pools of at least as many images as references.
        top_k: candidates that are merged.
        merging: how, `edge-weighted` (the paper's), `metric-weighted`, `mean` or `best-single`, see `merging_weights`.
        ablation: also merge in all these ways, and leave out selection, for the report's tables of what merging and
            each step of the method are worth; two more style transfers a reference.
        sigma: of the Gaussian in the aggregation.
        gaussian: `filter` or `function`, see `edge_weighted_mean`.
        vgg_weights: path of VGG-19 weights, `cache`, `download` or `random`.
        vgg_scale: scale at which VGG-19's maps are judged, `oxford` or `torchvision`, see `load_vgg19`.
        style_iterations: most iterations of style transfer (the paper: 2000).
        style_tolerance: an image is done when 50 iterations gain less than this share of its loss; 0 runs them all.
        style_precision: of style transfer's trunk, `float32`, `bfloat16` or `float16`; `auto` is float16 on CUDA,
            float32 elsewhere.
        feature_spaces: further ones for the evaluation, beside VGG-19 and pixels: name -> what `custom_space` takes,
            such as `{radimagenet: {path: resnet50.ts, size: 224, channels: 3, mean: 0.5, std: 0.5}}`.
        classifiers: names of `classifier_<name>.yaml` configs, trained to tell whether the images help.
        classifier_settings: further settings of these configs, such as `{max_epochs: 10}`.
        pretrained: path of a state dict from which a classifier starts, by its name, such as `{vgg19: vgg19.pth}`.
        classifier_seeds: trainings of every classifier in every condition; with fewer than five there are numbers and
            no verdicts.
        synthetic_counts: numbers of synthetic images a class of the curve; more than the study has are made.
        minority_class: of which most training images are taken away to see whether synthetic ones make up for them;
            `auto` is the class with the fewest, `none` leaves this out.
        minority_share: of its images that stay.
        slice_level: also split by slice, as the paper, to show how much that flatters.
        synthetic_dir: a folder as `synthetic/` or `filtered/` whose images are added in place of the study's own.
        seed: of splits, trainings, choices.
        note: a sentence that the report shows first, such as what the data are.
    """

    config_dir: Path
    dataset_dir: Path | None
    output_dir: Path
    layout: str = "auto"
    datalist: Path | None = None
    classes: tuple[str, ...] | None = None
    generators: tuple[str, ...] = PAPER_GENERATORS
    baselines: tuple[str, ...] = ()
    image_size: int = 128
    held_out_fraction: float = 0.2
    held_out_fold: str | None = None
    mat_key: str = FIGSHARE_IMAGE
    plane: str = "axial"
    slices: str = "auto"
    slice_positions: tuple[float, ...] = (0.4, 0.5, 0.6)
    slice_step: int = 1
    intensity: str | tuple[float, ...] = "volume"
    percentiles: tuple[float, ...] = (0.5, 99.5)
    mixed_sizes: str = "refuse"
    on_error: str = "raise"
    num_workers: int | None = None
    max_epochs: int | None = None
    recipe: str = "strong"
    training: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    device: str = "auto"
    pool_size: int = 1024
    references: int = 300
    matching: str = "best"
    top_k: int = 2
    merging: str = "edge-weighted"
    ablation: bool = True
    sigma: float = 1.0
    gaussian: str = "filter"
    vgg_weights: str = "cache"
    vgg_scale: Literal["oxford", "torchvision"] = "oxford"
    style_iterations: int = 2000
    style_tolerance: float = 2e-3
    style_precision: str = "auto"
    feature_spaces: Mapping[str, Any] = field(default_factory=dict)
    classifiers: tuple[str, ...] = ("small",)
    classifier_settings: Mapping[str, Any] = field(default_factory=dict)
    pretrained: Mapping[str, str] = field(default_factory=dict)
    classifier_seeds: int = 5
    synthetic_counts: tuple[int, ...] = (100, 300, 1000)
    minority_class: str = "auto"
    minority_share: float = 0.1
    slice_level: bool = True
    synthetic_dir: Path | None = None
    seed: int = 0
    note: str = ""

    @classmethod
    def from_options(cls, **options: Any) -> StudySettings:
        """Settings from loosely typed options, as a config or a command line gives them; None means the default.

        Raises:
            InputError: when an option has a value that cannot be used.
        """
        if unknown := [name for name in options if name not in cls.__dataclass_fields__]:
            raise InputError(f"There is no option '{unknown[0]}': there are {', '.join(cls.__dataclass_fields__)}.")
        given = {name: value for name, value in options.items() if value is not None}
        for name, value in given.items():
            refuse_unwritable(name, value)
        for name in ("config_dir", "dataset_dir", "output_dir", "datalist", "synthetic_dir"):
            if name in given:
                given[name] = path_of(name, given[name])
        if "datalist" in given and "dataset_dir" in given and not os.path.exists(given["datalist"]):
            beside = given["dataset_dir"] / given["datalist"]
            given["datalist"] = beside if os.path.isfile(beside) else given["datalist"]
        for name in ("classes", "generators", "baselines", "classifiers"):
            if name in given:
                given[name] = tuple(text_of(name, value) for value in ensure_tuple(given[name]))
        for name in ("slice_positions", "percentiles", "intensity", "synthetic_counts"):
            if name in given and not isinstance(given[name], str):
                given[name] = tuple(ensure_tuple(given[name]))
        for name in TEXTS:
            if name in given:
                given[name] = text_of(name, given[name])
        given.setdefault("dataset_dir", None)
        if "output_dir" not in given:
            raise InputError("--output_dir is missing: name the folder that the study may fill.")
        if "config_dir" not in given:
            raise InputError("--config_dir is missing: name the folder of the bundle's configs.")
        settings = cls(**given)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse what cannot work, in one sentence that names the option (InputError)."""
        if self.dataset_dir is None and self.datalist is None and not self._is_prepared():
            raise InputError("--dataset_dir is missing: name a folder with one folder of images per class.")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"--{name} must be one of {', '.join(allowed)}, got '{getattr(self, name)}'.")
        for name, least in LEAST.items():
            self._check_number(name, least)
        for name in RANGES:
            self._check_range(name)
        for name in ("ablation", "slice_level"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"--{name} must be True or False, got {getattr(self, name)!r}.")
        self._check_number("image_size", 16, most=LARGEST_IMAGE)
        if self.image_size & (self.image_size - 1):
            raise InputError(f"--image_size must be a power of two such as 64, 128 or 256, got {self.image_size}.")
        for name, least in {"max_epochs": 1, "num_workers": 0}.items():
            if getattr(self, name) is not None:
                self._check_number(name, least)
        self.cut_slices  # noqa: B018  refuses what it cannot do
        for name in ("classes", "generators", "classifiers"):
            if getattr(self, name) == ():
                raise InputError(f"--{name} names none: name at least one, or omit the option.")
        self._check_generators()
        self._check_training()
        self._check_feature_spaces()
        self._check_utility()
        self.torch_device  # noqa: B018  refuses a device that is not there

    def _is_prepared(self) -> bool:
        record = read_record(self.stage_dir("prepare"))
        return record is not None and record["finished"]

    def _check_number(self, name: str, least: int, *, most: int = MOST) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"--{name} must be a whole number of at least {least}, got {shown(value)}.")
        if value > most:
            raise InputError(f"--{name} must be a whole number of at most {most}, got {shown(value)}.")

    def _check_range(self, name: str) -> None:
        value, (inside, wanted) = getattr(self, name), RANGES[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not inside(value):
            raise InputError(f"--{name} must be a number {wanted}, got {shown(value)}.")

    def _check_generators(self) -> None:
        self._check_configs("generator", "train", self.trained)
        if twice := {name for name in self.trained if self.trained.count(name) > 1}:
            raise InputError(
                f"--generators and --baselines name {', '.join(sorted(twice))} twice: name each generator once."
            )

    def _check_configs(self, kind: str, prefix: str, names: Sequence[str]) -> None:
        known = sorted(path.stem.removeprefix(f"{prefix}_") for path in self.config_dir.glob(f"{prefix}_*.yaml"))
        if not known:
            raise InputError(
                f"{self.config_dir} has no {prefix}_<{kind}>.yaml: --bundle_root must name the bundle's folder."
            )
        for name in names:
            if name not in known:
                raise InputError(f"There is no {kind} '{name}': {self.config_dir} knows {', '.join(known)}.")

    def _check_utility(self) -> None:
        for option, example in {
            "classifier_settings": "'max_epochs': 10",
            "pretrained": "'vgg19': 'vgg19.pth'",
        }.items():
            if not isinstance(getattr(self, option), Mapping):
                raise InputError(
                    f'--{option} must be a mapping such as "{{{example}}}", got {getattr(self, option)!r}.'
                )
        if twice := {name for name in self.classifiers if self.classifiers.count(name) > 1}:
            raise InputError(f"--classifiers names {', '.join(sorted(twice))} twice: name each classifier once.")
        for count in self.synthetic_counts:
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
                raise InputError(f"--synthetic_counts must be whole numbers of at least 1, got {shown(count)}.")

    def check_classifiers(self) -> None:
        """Refuse classifiers, settings of them and weights that do not exist (InputError)."""
        self._check_configs("classifier", "classifier", self.classifiers)
        for name in self.classifiers:
            self._check_classifier_config(name)
            known = self.raw_classifier_config(name).keys() - OF_THE_STUDY
            for setting in self.classifier_settings:
                if setting not in known:
                    raise InputError(
                        f"--classifier_settings cannot have '{setting}': of {name} it may have"
                        f" {', '.join(sorted(key for key in known if not key.startswith('_')))}."
                    )
        for setting, value in self.classifier_settings.items():
            whole = setting in ("max_epochs", "batch_size")
            if (whole or setting == "learning_rate") and not _positive(value, whole=whole):
                raise InputError(
                    f"--classifier_settings: {setting} must be a {'whole ' if whole else ''}number above 0, got"
                    f" {value!r}."
                )
        for name, path in self.pretrained.items():
            if name not in self.classifiers:
                raise InputError(
                    f"--pretrained names '{name}', which --classifiers ({', '.join(self.classifiers)}) does not."
                )
            if not Path(str(path)).expanduser().is_file():
                raise InputError(f"--pretrained {name}: there is no file {path}.")

    def _check_classifier_config(self, name: str) -> None:
        file = f"classifier_{name}.yaml"
        try:
            config = self.raw_classifier_config(name)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark else ""
            raise InputError(f"{file} is no YAML{where} ({getattr(error, 'problem', error)}): correct it.") from error
        except (
            AttributeError,
            KeyError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:  # of files, or MONAI's where it is no mapping
            raise InputError(
                f"{file} is no mapping of settings ({said_by(error)}): see classifier_small.yaml."
            ) from error
        needed = {
            "label": (lambda value: isinstance(value, str) and value.strip(), "a text"),
            "learning_rate": (lambda value: _positive(value) or str(value)[:1] in "$@", "a number above 0"),
            "network_def": (
                lambda value: isinstance(value, Mapping) and "_target_" in value,
                "a mapping with _target_",
            ),
        }
        for key, (right, wanted) in needed.items():
            if config.get(key) is None:
                raise InputError(f"{file} lacks {key}, {wanted}: it must have {', '.join(needed)}.")
            if not right(config[key]):
                raise InputError(f"{file}: {key} must be {wanted}, got {config[key]!r}.")

    def _check_training(self) -> None:
        if not isinstance(self.training, Mapping):
            raise InputError(f"--training must be a mapping such as \"{{'base_width': 32}}\", got {self.training!r}.")
        for generator in self.trained:
            known = self.raw_config(generator)
            for name, value in self.training.items():
                if name not in known:
                    raise InputError(
                        f"--training has '{name}', which train_{generator}.yaml does not: it has"
                        f" {', '.join(sorted(key for key in known if not key.startswith('_')))}."
                    )
                if name in COUNTED and (isinstance(value, bool) or not isinstance(value, int)):
                    raise InputError(f"--training: {name} must be a whole number, got {shown(value)}.")
                if wanted := misfit(value, known[name], may_be_expression=name not in RECKONED):
                    raise InputError(f"--training: {name} must be {wanted} as in its config, got {shown(value)}.")

    def _check_feature_spaces(self) -> None:
        given = self.feature_spaces
        if not isinstance(given, Mapping) or not all(isinstance(spec, Mapping) for spec in given.values()):
            raise InputError(
                "--feature_spaces must be like \"{'mine': {'path': 'mine.ts'}}\" or \"{'mine': {'target':"
                f" 'package.Module'}}}}\" (target, not _target_, which MONAI would make itself), got {given!r}."
            )
        for name in given:
            if name in OWN_SPACES or not str(name).replace("-", "").isalnum():
                raise InputError(
                    f"--feature_spaces cannot have the name '{name}': use letters, digits and hyphens, and none of"
                    f" {', '.join(OWN_SPACES)}."
                )

    @cached_property
    def torch_device(self) -> torch.device:
        """The device that `device` names."""
        name = self.device
        if name == "auto":
            index = cuda_index()
            name = ("cuda" if index is None else f"cuda:{index}") if torch.cuda.is_available() else "cpu"
        try:
            return torch.zeros(1, device=torch.device(name)).device
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            raise InputError(
                f"--device {name if isinstance(name, str) else shown(name)} cannot be used here ({said_by(error)})."
            ) from error

    @property
    def style_dtype(self) -> torch.dtype:
        """The precision that `style_precision` names."""
        automatic = "float16" if self.torch_device.type == "cuda" else "float32"
        dtype: torch.dtype = getattr(torch, automatic if self.style_precision == "auto" else self.style_precision)
        return dtype

    @property
    def trained(self) -> tuple[str, ...]:
        """The generators and the baselines."""
        return (*self.generators, *self.baselines)

    @cached_property
    def labels(self) -> dict[str, str]:
        """What tables call each generator and baseline."""
        return {name: str(self.raw_config(name).get("label", name)) for name in self.trained}

    @property
    def cutting(self) -> dict[str, Any]:
        """The arguments of `cut_slices`."""
        names = ("plane", "slices", "slice_positions", "slice_step", "intensity", "percentiles")
        return {"size": self.image_size, **{name: getattr(self, name) for name in names}}

    @cached_property
    def cut_slices(self) -> CutSlices:
        """What makes slices of the images of a case."""
        return CutSlices(**self.cutting)

    def config_files(self, generator: str) -> list[str]:
        """The training config of a generator: `train.yaml`, its own and the recipe's, as they are merged."""
        recipe = [] if self.recipe == "paper" else [f"recipe_{self.recipe}.yaml"]
        return [str(self.config_dir / name) for name in ("train.yaml", f"train_{generator}.yaml", *recipe)]

    def classifier_files(self, classifier: str) -> list[str]:
        """The config of a classifier's training: `classify.yaml` and its own, as they are merged."""
        return [str(self.config_dir / name) for name in ("classify.yaml", f"classifier_{classifier}.yaml")]

    def raw_classifier_config(self, classifier: str) -> dict[str, Any]:
        """The config of a classifier's training as it is written, merged but not evaluated."""
        config: dict[str, Any] = ConfigParser.load_config_files(self.classifier_files(classifier))
        if not isinstance(config, dict):
            raise TypeError("with classify.yaml it is no mapping of settings")
        return config

    def raw_config(self, generator: str) -> dict[str, Any]:
        """The training config of a generator as it is written, merged but not evaluated."""
        try:
            config: dict[str, Any] = ConfigParser.load_config_files(self.config_files(generator))
            if not isinstance(config, dict):
                raise TypeError("together they are no mapping of settings")
        except Exception as error:  # of YAML, of files, or MONAI's where one is no mapping
            files = ", ".join(Path(file).name for file in self.config_files(generator))
            raise InputError(
                f"The configs {files} in {self.config_dir} cannot be read ({said_by(error)}): correct them."
            ) from error
        return config

    def stage_dir(self, stage: str, *parts: str) -> Path:
        """Folder of a stage, or of a part of it."""
        return self.output_dir.joinpath(stage, *parts)

    def prepared_classes(self) -> list[str]:
        """Classes that the stage `prepare` wrote, in the data set's order; of them those in `classes`, if given."""
        rows = read_manifest(self.stage_dir("prepare"), columns=["class_name"])
        prepared = list(dict.fromkeys(row["class_name"] for row in rows))
        refuse_class_names(prepared, source=self.stage_dir("prepare") / MANIFEST)
        for name in self.classes or ():
            if name not in prepared:
                raise InputError(f"Class '{name}' is not prepared in {self.output_dir}: it has {', '.join(prepared)}.")
        return [name for name in prepared if self.classes is None or name in self.classes]

    def as_json(self) -> dict[str, Any]:
        """All options as plain values, paths as text."""
        plain: dict[str, Any] = json.loads(json.dumps(dict(vars(self)), default=str))
        return {name: plain[name] for name in self.__dataclass_fields__}


def _positive(value: object, *, whole: bool = False) -> bool:
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    return number and 0 < value <= MOST  # type: ignore[operator]
