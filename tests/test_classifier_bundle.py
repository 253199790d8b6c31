"""The bundle's classifier configs: they load, are complete MONAI workflows, train, and are built by the seed."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from monai_aggrgan.data import CaseImages, LabelledImages
from monai_aggrgan.engines import class_probabilities
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks import VGG19Classifier

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "brain_mri_aggrgan"
CONFIGS = BUNDLE / "configs"
CLASSIFIERS = ("small", "vgg19", "resnet152", "densenet121", "efficientnet")
OF_TIMM = {"inception_resnet_v2": "inception_resnet_v2", "resnet152v2": "resnetv2_152"}
CLASSES = ["disc", "ring", "cross"]


def files(classifier: str) -> list[str]:
    return [str(CONFIGS / "classify.yaml"), str(CONFIGS / f"classifier_{classifier}.yaml")]


def network(classifier: str, name: str = "classifier", **options: Any) -> nn.Module:
    """The classifier as the stage builds it to see that it can be built."""
    config = ConfigParser.load_config_files(files(classifier))
    given = {"classes": CLASSES, "image_size": 64, "device": "$torch.device('cpu')"}
    return ConfigParser({**config, **given, **options}).get_parsed_content(name)


def case(*, side: int = 16, images: int = 12) -> CaseImages:
    """Grey levels that tell the class, with noise."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % 3
    drawn = 0.3 * torch.rand(images, 1, side, side, generator=random) + 0.35 * labels.view(-1, 1, 1, 1)
    parts = [LabelledImages(drawn[part], labels[part]) for part in (slice(6, None), slice(0, 3), slice(3, 6))]
    return CaseImages(parts[0], parts[1], {"real": parts[2]})


def workflow(classifier: str, output_dir: Path, *, images: CaseImages | None = None, **options: Any) -> ConfigWorkflow:
    given = {"image_size": 16, "steps_per_epoch": 4, "max_epochs": 6, "batch_size": 6, "learning_rate": 0.01}
    return ConfigWorkflow(
        config_file=files(classifier),
        workflow_type="train",
        logging_file=False,
        bundle_root=str(BUNDLE),
        images=images or case(),
        classes=CLASSES,
        output_dir=str(output_dir),
        device="$torch.device('cpu')",
        **{**given, **options},
    )


@pytest.fixture
def timm(monkeypatch) -> list[dict[str, Any]]:
    """A stand-in for the package timm: what was asked of it; it gives a linear layer."""
    asked: list[dict[str, Any]] = []

    def create_model(model_name: str, **options: Any) -> nn.Module:
        asked.append({"model_name": model_name, **options})
        width = options["in_chans"]
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, options["num_classes"]))

    module = ModuleType("timm")
    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return asked


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("side", [64, 128])
def test_logits_of_images_of_the_usual_sizes(classifier, side):
    built = network(classifier, image_size=side).eval()
    with torch.no_grad():
        assert built(torch.zeros(1, 1, side, side)).shape == (1, 3)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_initial_weights_are_a_function_of_the_seed_alone(classifier):
    torch.manual_seed(1)
    first = network(classifier, "network", seed=7).state_dict()
    before = torch.manual_seed(2).get_state()
    again = network(classifier, "network", seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = network(classifier, "network", seed=8).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("classifier", [*CLASSIFIERS, *OF_TIMM])
def test_a_config_says_what_a_classifier_is(classifier):
    config = ConfigParser.load_config_files(files(classifier))
    own = ConfigParser.load_config_files([files(classifier)[1]])
    assert set(own) >= {"label", "learning_rate", "network_def"}
    assert own["network_def"]["_mode_"] == "callable"
    assert (config["max_epochs"], config["batch_size"], config["weights"]) == (20, 32, None)


@pytest.mark.parametrize("classifier", OF_TIMM)
def test_classifiers_of_timm(classifier, timm):
    built = network(classifier, image_size=64)
    assert built(torch.zeros(2, 1, 64, 64)).shape == (2, 3)
    assert timm == [{"model_name": OF_TIMM[classifier], "pretrained": False, "in_chans": 3, "num_classes": 3}]
    assert built.size == (128 if classifier == "inception_resnet_v2" else None)
    assert network("inception_resnet_v2", image_size=256).size == 256


class _WithoutTimm:
    """A finder of modules that says what Python says where timm is not installed."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == "timm":
            raise ModuleNotFoundError("No module named 'timm'", name="timm")


@pytest.mark.parametrize("classifier", OF_TIMM)
def test_without_timm_the_error_names_it(classifier, monkeypatch):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_WithoutTimm(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=r"'timm\.create_model'"):
        network(classifier)


def test_a_classifier_that_is_built_without_the_seed_is_refused():
    with pytest.raises(RuntimeError) as caught:
        network("small", network_def={"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 3})
    assert isinstance(caught.value.__cause__, InputError)
    assert "add `_mode_: callable`" in str(caught.value.__cause__)


def test_the_training_is_a_complete_monai_workflow(tmp_path):
    training = workflow("small", tmp_path)
    training.initialize()
    assert training.check_properties() == []
    assert len(training.train_dataset) == 6
    training.finalize()


def test_it_learns_reports_and_keeps_the_best_weights(tmp_path):
    training = workflow("small", tmp_path)
    for step in (training.initialize, training.run, training.finalize):
        step()
    assert training.trainer.state.iteration == 24
    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"classifier.pt", "checkpoint_6.pt", "checkpoint_5.pt", "tensorboard", "log.txt"}
    best = training.parser.get_parsed_content("best")
    assert 1 <= best.epoch <= 6
    assert math.isfinite(best.loss)
    classifier = training.parser.get_parsed_content("classifier")
    images = training.parser.get_parsed_content("images")
    probabilities = class_probabilities(classifier, images.validation, device="cpu")
    loss = -probabilities[torch.arange(3), images.validation.labels].log().mean()
    assert float(loss) == pytest.approx(best.loss, rel=1e-4)
    state = torch.load(tmp_path / "classifier.pt", weights_only=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in classifier.network.state_dict().items())
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    for metric in ("validation/loss", "validation/accuracy", "validation/balanced_accuracy"):
        assert metric in log


def test_curves_are_in_tensorboard(tmp_path):
    training = workflow("small", tmp_path, log_interval=2, max_epochs=2)
    for step in (training.initialize, training.run, training.finalize):
        step()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert scalars["training/loss"] == [2, 4, 6, 8]
    assert scalars["validation/loss"] == scalars["validation/balanced_accuracy"] == [1, 2]


def test_a_training_that_was_stopped_is_resumed_to_the_same_predictions(tmp_path):
    def probabilities(folder: Path, *epochs: int) -> torch.Tensor:
        for stop in epochs:
            training = workflow("small", folder, checkpoint_interval=1)
            training.initialize()
            if stop < 6:
                training.trainer.add_event_handler(Events.EPOCH_STARTED(once=stop + 1), lambda: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    training.trainer.run()
            else:
                training.trainer.run()
            training.finalize()
        parser = training.parser
        tested = parser.get_parsed_content("images").tests["real"]
        return class_probabilities(parser.get_parsed_content("classifier"), tested, device="cpu")

    assert torch.equal(probabilities(tmp_path / "parts", 1, 4, 6), probabilities(tmp_path / "whole", 6))


def test_weights_of_a_file_begin_the_training(tmp_path):
    source = network("small", "network", seed=5)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    started = network("small", seed=6, weights=str(tmp_path / "weights.pth"))
    loaded = started.network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.state_dict().items())


def test_vgg19_is_plain_where_it_begins_with_weights(tmp_path):
    torch.save(VGG19Classifier(7, batch_norm=False, seed=1).state_dict(), tmp_path / "vgg19.pth")
    scratch, trained = ({"weights": None}, {"weights": str(tmp_path / "vgg19.pth")})
    for options, normalised in ((scratch, True), (trained, False), ({**scratch, "batch_norm": False}, False)):
        layers = [type(layer) for layer in network("vgg19", "network", **options).features]
        assert (nn.BatchNorm2d in layers) is normalised
    assert network("vgg19", "learning_rate", **trained) < network("vgg19", "learning_rate", **scratch)
