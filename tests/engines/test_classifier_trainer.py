from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from ignite.metrics import Loss
from monai.engines import SupervisedEvaluator
from monai.handlers import LrScheduleHandler, ValidationHandler
from monai.optimizers import WarmupCosineSchedule
from torch import Tensor, nn

from monai_aggrgan.data.labelled_images import LabelledImages, ordered_loader, stepped_loader
from monai_aggrgan.engines.classifier_trainer import ClassifierTrainer, class_probabilities
from monai_aggrgan.exceptions import TrainingDiverged
from monai_aggrgan.handlers.best_weights import BestWeights
from monai_aggrgan.handlers.training_checkpoint import TrainingCheckpoint, latest_checkpoint
from monai_aggrgan.networks.grey_classifier import GreyClassifier
from monai_aggrgan.networks.initial_network import initial_network

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 4


def squares(count: int, *, seed: int) -> LabelledImages:
    """Noise 8x8 with a bright square left (0) or right (1)."""
    random = torch.Generator().manual_seed(seed)
    images = 0.5 * torch.rand(count, 1, 8, 8, generator=random)
    labels = torch.randint(0, 2, (count,), generator=random)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 2:6, 1 + 3 * label : 4 + 3 * label] += 0.5
    return LabelledImages(images, labels)


def tiny() -> nn.Module:
    """A network with all that has a state or draws from the default generator: batch statistics and dropout."""
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 2))
    )


def training(
    folder: Path | None, *, max_epochs: int = EPOCHS, learning_rate: float = 0.01, seed: int = 3, images: int = 21
) -> ClassifierTrainer:
    """A tiny training with a schedule, a validation and the best weights; with a folder, checkpoints each epoch."""
    classifier = GreyClassifier(initial_network(tiny, seed=seed), channels=1)
    optimizer = torch.optim.AdamW(classifier.parameters(), learning_rate, fused=True)
    schedule = WarmupCosineSchedule(optimizer, warmup_steps=3, t_total=EPOCHS * 3, warmup_multiplier=0.1)
    validation = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=ordered_loader(squares(10, seed=1), batch_size=4),
        network=classifier,
        decollate=False,
        key_val_metric={
            "loss": Loss(nn.CrossEntropyLoss(), output_transform=lambda output: (output["pred"], output["label"]))
        },
    )
    best = BestWeights(classifier, validation)
    trainer = ClassifierTrainer(
        device="cpu",
        max_epochs=max_epochs,
        train_data_loader=stepped_loader(squares(images, seed=0), batch_size=4, steps=3, seed=seed),
        network=classifier,
        optimizer=optimizer,
        loss_function=nn.CrossEntropyLoss(),
        seed=seed,
        name="tiny on squares",
        train_handlers=[
            LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
            ValidationHandler(1, validation),
            best,
        ],
    )
    trainer.best = best
    if folder is not None:
        TrainingCheckpoint(folder, interval=1, parts={"schedule": schedule, "best": best}).attach(trainer)
    return trainer


def load(path: Path | None) -> dict:
    assert path is not None
    return torch.load(path, weights_only=True)


def equal(first: object, second: object) -> bool:
    """Bit for bit, through nested dicts and lists."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(equal, first, second))
    return torch.equal(first, second) if isinstance(first, Tensor) else first == second


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[dict, dict]:
    """Last checkpoint and final weights of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = training(folder)
    trainer.run()
    return load(folder / f"checkpoint_{EPOCHS}.pt"), trainer.network.state_dict()


def test_it_learns(whole):
    trainer = training(None, max_epochs=EPOCHS)
    trainer.run()
    images = squares(50, seed=2)
    probabilities = class_probabilities(trainer.network, images, device="cpu")
    assert (probabilities.argmax(dim=1) == images.labels).float().mean() > 0.9
    assert trainer.state.iteration == 3 * EPOCHS


def test_the_same_seed_gives_the_same_weights_and_another_others(whole):
    torch.manual_seed(8)
    again, other = training(None), training(None, seed=4)
    again.run()
    other.run()
    assert equal(dict(again.network.state_dict()), dict(whole[1]))
    assert not equal(dict(other.network.state_dict()), dict(whole[1]))


@pytest.mark.parametrize("iteration", [1, 4, 6, 11])
def test_a_training_stopped_anywhere_and_resumed_equals_an_uninterrupted_one_bit_for_bit(tmp_path, whole, iteration):
    class _Stopped(Exception):
        pass

    def stop() -> None:
        raise _Stopped

    torch.manual_seed(iteration)
    trainer = training(tmp_path)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), stop)
    with pytest.raises(_Stopped):
        trainer.run()
    torch.manual_seed(99)
    resumed = training(tmp_path)
    resumed.run()
    assert equal(load(latest_checkpoint(tmp_path)), whole[0])
    assert equal(dict(resumed.network.state_dict()), dict(whole[1]))


CHILD = """
import os, signal, sys
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from ignite.engine import Events
from tests.engines.test_classifier_trainer import training
trainer = training(Path(sys.argv[1]))
trainer.add_event_handler(Events.ITERATION_COMPLETED(once=8), lambda: os.kill(os.getpid(), signal.SIGKILL))
trainer.run()
"""


def test_a_killed_process_is_resumed_to_the_same_weights(tmp_path, whole):
    code = CHILD.format(root=str(ROOT))
    child = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert latest_checkpoint(tmp_path).name == "checkpoint_2.pt"
    resumed = training(tmp_path)
    resumed.run()
    assert equal(load(latest_checkpoint(tmp_path)), whole[0])
    assert equal(dict(resumed.network.state_dict()), dict(whole[1]))


def test_a_finished_training_that_is_run_again_only_takes_the_best_weights(tmp_path, whole):
    training(tmp_path).run()
    again = training(tmp_path)
    iterations: list[int] = []
    again.add_event_handler(Events.ITERATION_COMPLETED, lambda: iterations.append(1))
    again.run()
    assert not iterations
    assert equal(dict(again.network.state_dict()), dict(whole[1]))


def test_all_that_has_a_state_is_in_the_checkpoint(whole):
    assert set(whole[0]) == {"trainer", "network", "optimizer", "schedule", "best"}
    assert whole[0]["trainer"] == {"epoch_length": 3, "iteration": 12, "max_epochs": EPOCHS}


def test_the_default_generator_is_left_as_it_was():
    before = torch.manual_seed(5).get_state()
    trainer = training(None, max_epochs=1)
    trainer.run()
    class_probabilities(trainer.network, squares(5, seed=2), device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_every_epoch_sees_its_own_part_of_the_images():
    trainer, seen = training(None, max_epochs=3), []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.batch["image"]))
    trainer.run()
    loader, expected = trainer.data_loader, []
    for epoch in (1, 2, 3):
        loader.sampler.set_epoch(epoch)
        expected += [batch["image"] for batch in loader]
    assert equal(seen, expected)
    assert not equal(seen[:3], seen[3:6])


def test_steps_do_not_depend_on_the_number_of_images():
    for images in (2, 21, 300):
        trainer = training(None, max_epochs=2, images=images)
        trainer.run()
        assert trainer.state.iteration == 6


def test_a_loss_that_is_not_finite_stops_it_with_a_sentence(tmp_path):
    trainer = training(tmp_path)
    trainer.add_event_handler(
        Events.ITERATION_STARTED(once=5), lambda engine: engine.state.batch["image"].fill_(float("nan"))
    )
    with pytest.raises(TrainingDiverged, match=r"tiny on squares was stopped at epoch 2: its loss became NaN"):
        trainer.run()
    assert latest_checkpoint(tmp_path).name == "checkpoint_1.pt"


@pytest.mark.parametrize(("part", "told"), [("loss", "its loss"), ("weights", "its weights")])
def test_what_is_not_finite_is_named(part, told):
    trainer = training(None)

    def spoil(engine: ClassifierTrainer) -> None:
        if part == "loss":
            engine.loss_function = lambda logits, labels: logits.sum() * 0 + torch.inf
        else:
            engine.network.network[1].running_var.fill_(torch.inf)

    trainer.add_event_handler(Events.ITERATION_STARTED(once=3), spoil)
    with pytest.raises(TrainingDiverged, match=f"epoch 1: {told} became"):
        trainer.run()


def test_an_error_of_a_handler_reaches_the_caller():
    trainer = training(None)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run()


@pytest.fixture(scope="module")
def classifier() -> GreyClassifier:
    return GreyClassifier(initial_network(tiny, seed=0), channels=1)


def test_probabilities_are_the_softmax_of_the_logits_in_eval_mode(classifier):
    images = squares(11, seed=4)
    found = class_probabilities(classifier.train(), images, device="cpu")
    assert classifier.training
    with torch.no_grad():
        logits = classifier.eval()(images.images)
    torch.testing.assert_close(found, logits.exp() / logits.exp().sum(dim=1, keepdim=True))
    assert found.dtype is torch.float32
    assert not found.requires_grad


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_probabilities_do_not_depend_on_the_batch_size(classifier, batch_size):
    images = squares(11, seed=4)
    found = class_probabilities(classifier, images, device="cpu", batch_size=batch_size)
    torch.testing.assert_close(found, class_probabilities(classifier, images, device="cpu"), rtol=0, atol=1e-6)


def test_an_error_of_the_network_reaches_the_caller():
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        class_probabilities(GreyClassifier(nn.Linear(3, 2)), squares(2, seed=0), device="cpu")
