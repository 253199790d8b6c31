"""A whole study: every stage for all classes and generators, each done once and gone on with after an interruption."""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, run

from monai_aggrgan.data.image_folder import write_png
from monai_aggrgan.data.labelled_images import CaseImages
from monai_aggrgan.data.splits import TRAINING
from monai_aggrgan.exceptions import AggrganError, InputError
from monai_aggrgan.extras import require
from monai_aggrgan.networks.feature_space import custom_space
from monai_aggrgan.networks.vgg19_weights import load_vgg19
from monai_aggrgan.stages import (
    aggregate,
    as_made,
    classify,
    compare,
    enlarge,
    evaluate,
    evaluation,
    export,
    generate,
    inference,
    minority,
    model,
    portable,
    prepare,
    report,
    select,
    stylise,
    train,
    utility_notes,
)
from monai_aggrgan.stages import filter as filter_stage
from monai_aggrgan.stages.claims import CommonError
from monai_aggrgan.stages.picture import picture_of
from monai_aggrgan.stages.ranks import rank_and_size, together
from monai_aggrgan.stages.settings import StudySettings

__all__ = ["STAGES", "Study"]

logger = logging.getLogger(__name__)

STAGES = {
    "prepare": prepare.tasks,
    "train": train.tasks,
    "generate": generate.tasks,
    "select": select.tasks,
    "aggregate": aggregate.tasks,
    "stylise": stylise.tasks,
    "export": export.tasks,
    "evaluate": evaluate.tasks,
    "filter": filter_stage.tasks,
    "enlarge": enlarge.tasks,
    "minority": minority.tasks,
    "classify": classify.tasks,
    "compare": compare.tasks,
    "report": report.tasks,
}
"""The stages in their order; each reads folders and writes folders under the study's `output_dir`."""

UTILITY = {
    "enlarge": enlarge.ENLARGED,
    "minority": minority.MINORITY,
    "classify": "classify",
    "compare": compare.UTILITY,
}
"""Those, and their folders, that tell whether the images help a classifier; they run when they are asked for."""

GRACE = 5.0
"""Seconds for which a rank above 0 keeps an error to itself: rank 0 tells its own, and torchrun then ends all."""


class Study:
    """From a folder of real slices to judged synthetic images.

    Args:
        options: see `monai_aggrgan.stages.StudySettings`; None stands for a default.

    Raises:
        InputError: when an option cannot be used.

    Example:
        >>> configs = "bundles/brain_mri_aggrgan/configs"
        >>> study = Study(config_dir=configs, dataset_dir="slices", output_dir="study", references=16)
        >>> study.settings.generators
        ('dcgan1', 'dcgan2', 'wgan_div')
        >>> study.run("prepare")  # doctest: +SKIP
    """

    def __init__(self, **options: Any) -> None:
        self.settings = StudySettings.from_options(**options)

    def run(self, *stages: str, again: bool = False) -> Path:
        """Run the named stages, by default all but `UTILITY`, in their order; what is finished is skipped.

        Under `torchrun` every rank calls this, and the ranks share the tasks of each stage: see `stages.ranks.together`
        for how they meet, `stages.claims.Claims.run` for what happens when one fails or dies.

        Args:
            stages: names from `STAGES`.
            again: do finished work of these stages again.

        Returns:
            Path of the report.

        Raises:
            AggrganError: when an input cannot be used, an earlier stage must run again, another run is at work in the
                folder, or a training diverges; the other trainings are done first.
        """
        for stage in stages:
            if stage not in STAGES:
                raise InputError(f"There is no stage '{stage}': the stages are {', '.join(STAGES)}.")
        wanted = stages or [stage for stage in STAGES if stage not in UTILITY]
        chosen = [stage for stage in STAGES if stage in wanted]
        first_of_utility = next((stage for stage in chosen if stage in UTILITY), None)
        if chosen[0] in UTILITY:
            as_made.refuse_unfinished(self.settings, STAGES)
            as_made.refuse_other_options(self.settings, STAGES)
        self._check_before_hours_are_spent(chosen)
        with together(self.settings.output_dir) as claims:
            self._refuse_stale(before=chosen[0])
            for stage in chosen:
                if stage not in ("prepare", "train"):
                    train.refuse_another_split(self.settings)
                if stage == first_of_utility:
                    classify.refuse_bad_input(self.settings)
                    for note in utility_notes.notes_of(self.settings) if claims.rank == 0 else ():
                        logger.warning(note)
                if stage == "train" and {"generate", "select"} <= {*chosen}:
                    select.refuse_small_pools(self.settings)
                tasks = list(STAGES[stage](self.settings))  # all are checked before the first one runs
                claims.run(tasks, again=again)
        return self.settings.stage_dir("report") / report.REPORT

    def picture(self, image: str) -> Path:
        """Draw how a finished synthetic image was made, as the paper's Fig. 8, into `output_dir/pictures`.

        Args:
            image: class and name of the image, such as `glioma/d98a70a954`.

        Raises:
            InputError: when the study has no such image.
        """
        drawn = picture_of(self.settings, image)
        path = self.settings.stage_dir("pictures", f"{image.replace('/', '_')}.png")
        path.parent.mkdir(exist_ok=True)
        write_png(path, drawn)
        return path

    def portable(self) -> Path:
        """Write every trained generator as TorchScript and ONNX, which run without this package, into `portable`.

        Returns:
            The folder; its `README.txt` tells how to use them.

        Raises:
            AggrganError: when nothing is trained, or a file cannot be written or does not make the network's images.
        """
        settings = self.settings
        return portable.write_portable(settings.output_dir, config_dir=settings.config_dir, classes=settings.classes)

    def _refuse_stale(self, *, before: str) -> None:
        """Refuse to go on from stages that were run on what has been made anew since."""
        for stage in list(STAGES)[: list(STAGES).index(before)]:
            # what utility/ rests on the report looks after itself, see `compare.is_current`
            asked = stage not in UTILITY or (before in UTILITY and self.settings.stage_dir(UTILITY[stage]).is_dir())
            if asked and stage not in ("prepare", "train", "export", "filter"):
                for task in STAGES[stage](self.settings):
                    task.refuse_if_stale()

    def _check_before_hours_are_spent(self, stages: Sequence[str]) -> None:
        require("report", wanted_for="A study")
        if {"stylise", "evaluate", "enlarge", "minority"} & {*stages}:
            load_vgg19(self.settings.vgg_weights, scale=self.settings.vgg_scale)
        if UTILITY.keys() & {*stages}:
            self.settings.check_classifiers()
        if "evaluate" in stages:
            for name, spec in self.settings.feature_spaces.items():
                custom_space(name, spec)
        folder = self.settings.output_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError(
                f"--output_dir {folder} cannot be written ({error.strerror}): choose another folder."
            ) from error


def main(options: dict[str, Any], *stages: str, again: bool = False) -> None:
    """Build a study and run it for a command line."""
    with _errors_in_one_sentence():
        if not isinstance(again, bool):
            raise InputError(f"--again must be True or False, got '{again}'.")
        study = Study(**options)
        report_path = study.run(*stages, again=again)
    if rank_and_size()[0] > 0:
        return
    if not stages or "report" in stages:
        print(f"\nReport:  {report_path.resolve()}")
    if "compare" in stages:
        print("\n".join(["", *compare.answers(study.settings), *compare.notes(study.settings)]))
        print(f"Tables:  {study.settings.stage_dir(compare.UTILITY).resolve()}")
    if study.settings.stage_dir("train").is_dir():
        print(f"Curves:  tensorboard --logdir {study.settings.output_dir.resolve()}")


def utility(options: dict[str, Any], *, again: bool = False) -> None:
    """Tell whether a finished study's images help a classifier, for a command line."""
    with _errors_in_one_sentence():
        settings = Study(**options).settings
        as_made.refuse_unfinished(settings, STAGES)
        evaluated = ("report",) if evaluate.is_there(settings) else ()
    main(options, *UTILITY, *evaluated, again=again)


def draw(options: dict[str, Any], image: str | None) -> None:
    """Draw how an image of a study was made, for a command line."""
    with _errors_in_one_sentence():
        if not image:
            raise InputError("--image is missing: name an image of the study, such as glioma/d98a70a954.")
        print(f"\nPicture: {Study(**options).picture(str(image)).resolve()}")


def write_portable(options: dict[str, Any]) -> None:
    """Write a study's generators as files that run without this package, for a command line."""
    with _errors_in_one_sentence():
        print(f"\nPortable: {Study(**options).portable().resolve()}")


def run_training(trainer: Any) -> None:
    """Run the trainer of `train.yaml` for a command line."""
    with _errors_in_one_sentence():
        trainer.run()


def check_classify(images: Any) -> None:
    """Refuse `classify.yaml` without images, for a command line: the study's stage gives it what it trains on."""
    with _errors_in_one_sentence():
        if not isinstance(images, CaseImages):
            raise InputError(
                "classify.yaml is run by the study, which gives it images, patient by patient: use `python -m"
                " monai.bundle run utility` with study.yaml; or, from Python, give `images`, a"
                " monai_aggrgan.data.CaseImages, and a classifier_<name>.yaml beside it."
            )


def check_inference(**options: Any) -> None:
    """Refuse options with which `inference.yaml` cannot work, for a command line; see `inference.begin`."""
    with _errors_in_one_sentence():
        inference.begin(**options)


def check_training(dataset_dir: str, **options: Any) -> None:
    """Refuse slices on which `train.yaml` cannot train, for a command line; see `evaluation.check_slices`."""
    with _errors_in_one_sentence():
        evaluation.check_slices(dataset_dir, section=TRAINING, **options)


def load_for_evaluation(generator: Any, **options: Any) -> None:
    """Load a trained generator for `evaluate.yaml`, for a command line; see `evaluation.load`."""
    with _errors_in_one_sentence():
        evaluation.load(generator, **options)


def write_model(file: str, **options: Any) -> None:
    """Write a class's generators as one file of weights, for a command line; see `model.write`."""
    with _errors_in_one_sentence():
        print(f"\nModel:   {model.write(file, **options).resolve()}")


@contextmanager
def _errors_in_one_sentence() -> Iterator[None]:
    """An error that the user can mend is a sentence on standard error and exit status 2, without a traceback.

    What all ranks have in common is told by rank 0 alone.
    """
    try:
        refuse_unknown_options(sys.argv)
        yield
    except AggrganError as error:
        rank, _ = rank_and_size()
        if rank > 0:
            time.sleep(GRACE)
        if rank == 0 or not isinstance(error, CommonError):
            print(f"\n{f'Rank {rank}: ' if rank else ''}{' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        if rank_and_size()[0] == 0:
            print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        raise SystemExit(130) from None


def refuse_unknown_options(arguments: Sequence[str]) -> None:
    """Refuse an option of `python -m monai.bundle run` that no config has, which MONAI would silently ignore.

    Raises:
        InputError: naming the option and the nearest that exist.
    """
    if len(arguments) < 2 or not arguments[0].replace("\\", "/").endswith("monai/bundle/__main__.py"):
        return
    given = dict(_options(arguments[2:]))
    if "config_file" not in given:  # it is named in an --args_file, as MONAI allows
        return
    files = given["config_file"].strip("[]").replace("'", "").replace('"', "").split(",")
    config = ConfigParser.load_config_files([file.strip() for file in files if file.strip()])
    known = [*config, *inspect.signature(run).parameters]
    for name in given:
        if name.replace("::", "#").partition("#")[0] not in known:
            near = difflib.get_close_matches(name, known, n=3) or sorted(config)
            raise InputError(
                f"There is no option --{name}: did you mean {', '.join('--' + option for option in near)}?"
            )


def _options(arguments: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for index, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            pairs.append((name, value or following))
    return pairs
