"""Curves of a training in TensorBoard: what they show, and that they cost nothing between two points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ignite.handlers.timing
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.handlers import CheckpointLoader, TensorBoardStatsHandler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.tensorboard import SummaryWriter

from monai_aggrgan.handlers.training_curves import TrainingCurvesHandler

SPEED = "speed/images_per_second"
RATES = {"learning_rate/generator", "learning_rate/critic"}
NORMS = {"gradient_norm/generator", "gradient_norm/critic"}


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each tag, in the order in which TensorBoard reads them from all files of a folder."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


class Machine(Engine):
    """What a handler sees of a trainer: each network is one weight and one bias that has no gradient."""

    def __init__(self) -> None:
        super().__init__(self.iterate)
        self.generator, self.critic = nn.Linear(2, 1), nn.Linear(2, 1)
        self.generator_optimizer = SGD(self.generator.parameters(), lr=0.5)
        self.critic_optimizer = SGD(self.critic.parameters(), lr=0.25)
        self.generator.weight.grad, self.critic.weight.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 12.0]])
        self.terms = {"critic/real": torch.tensor(1.0), "generator/adversarial": torch.tensor(2.0)}

    def iterate(self, engine: Engine, batch: Any) -> dict[str, Tensor]:
        return self.terms

    def go(self, *handlers: Any, batches: int = 4, max_epochs: int = 3) -> None:
        for handler in handlers:
            handler.attach(self)
        self.run([{"image": [0] * 4}] * batches, max_epochs=max_epochs)
        for handler in handlers:
            handler.close()


# --- what is shown


@pytest.mark.parametrize("interval", [1, 2, 5])
def test_gradient_norms_are_those_of_the_last_step_of_each_part(tmp_path, make_trainer, interval):
    trainer = make_trainer(max_epochs=4, critic_steps=2)
    norms: dict[str, dict[int, float]] = {"generator": {}, "critic": {}}
    for part, seen in norms.items():

        def keep(optimizer: Any, *_: Any, seen: dict[int, float] = seen) -> None:
            gradients = [weight.grad.numpy().ravel() for weight in optimizer.param_groups[0]["params"]]
            seen[trainer.state.iteration] = float(np.linalg.norm(np.concatenate(gradients)))

        getattr(trainer, f"{part}_optimizer").register_step_pre_hook(keep)
    handler = TrainingCurvesHandler(interval=interval, log_dir=str(tmp_path))
    handler.attach(trainer)
    trainer.run()
    handler.close()
    found, due = curves(tmp_path), range(interval, 13, interval)
    assert found["gradient_norm/critic"] == [(step, pytest.approx(norms["critic"][step], rel=1e-5)) for step in due]
    last = {step: norms["generator"][step - step % 2] for step in due if step > 1}
    assert found["gradient_norm/generator"] == [(step, pytest.approx(last[step], rel=1e-5)) for step in last]


def test_weights_without_gradient_are_left_out_and_parts_without_any_have_no_point(tmp_path):
    machine = Machine()
    machine.critic.weight.grad = None
    machine.go(TrainingCurvesHandler(interval=4, log_dir=str(tmp_path)))
    found = curves(tmp_path)
    assert found["gradient_norm/generator"] == [(4, 5.0), (8, 5.0), (12, 5.0)]
    assert "gradient_norm/critic" not in found


@pytest.mark.parametrize("as_tensor", [True, False])
def test_learning_rates_follow_the_optimisers(tmp_path, as_tensor):
    machine = Machine()
    rate = torch.tensor([0.25]) if as_tensor else 0.25
    machine.critic_optimizer = SGD(
        [{"params": [machine.critic.weight]}, {"params": [machine.critic.bias], "lr": 0.125}], lr=rate
    )

    @machine.on(Events.EPOCH_STARTED)
    def _halve() -> None:
        for group in machine.critic_optimizer.param_groups:
            group["lr"] = group["lr"] * 0.5

    machine.go(TrainingCurvesHandler(interval=4, log_dir=str(tmp_path)))
    found = curves(tmp_path)
    assert found["learning_rate/generator"] == [(4, 0.5), (8, 0.5), (12, 0.5)]
    assert found["learning_rate/critic"] == [(4, 0.125), (8, 0.0625), (12, 0.03125)]
    assert found["learning_rate/critic_1"] == [(4, 0.0625), (8, 0.03125), (12, 0.015625)]


def test_further_scalars_have_their_own_tags(tmp_path):
    asked = []

    def scalars() -> dict[str, float | Tensor]:
        asked.append(machine.state.iteration)
        return {"augmentation/probability": torch.tensor(asked[-1] / 8), "augmentation/images": asked[-1]}

    machine = Machine()
    machine.go(TrainingCurvesHandler(interval=4, scalars=scalars, log_dir=str(tmp_path)))
    found = curves(tmp_path)
    assert found["augmentation/probability"] == [(4, 0.5), (8, 1.0), (12, 1.5)]
    assert found["augmentation/images"] == [(4, 4.0), (8, 8.0), (12, 12.0)]
    assert asked == [4, 8, 12]


class Clock:
    """Time that passes as told, a device that is half a second `behind` with each iteration until somebody reads a
    tensor, and a validation of 100 seconds before the training and after each epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.behind = 0.0
        monkeypatch.setattr(ignite.handlers.timing, "perf_counter", lambda: self.now)
        for name in ("item", "tolist"):
            read = getattr(Tensor, name)
            monkeypatch.setattr(Tensor, name, lambda tensor, read=read: (self._wait(), read(tensor))[1])

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, self._validate)
        engine.add_event_handler(Events.ITERATION_STARTED, self._work)

    def close(self) -> None:
        pass

    def _wait(self) -> None:
        self.now, self.behind = self.now + self.behind, 0.0

    def _validate(self) -> None:
        self._wait()
        self.now += 100

    def _work(self) -> None:
        self.behind += 0.5


@pytest.mark.parametrize("options", [{}, {"batch_size": lambda batch: 8}])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("interval", [1, 2, 3, 4, 7])
def test_speed_is_that_of_training_alone_though_the_device_lags_behind(tmp_path, monkeypatch, interval, first, options):
    clock, handler = Clock(monkeypatch), TrainingCurvesHandler(interval=interval, log_dir=str(tmp_path), **options)
    Machine().go(*((handler, clock) if first else (clock, handler)))
    expected = 16.0 if options else 8.0
    assert curves(tmp_path)[SPEED] == [(step, expected) for step in range(interval, 13, interval)]


# --- what it costs


class Operations(TorchDispatchMode):
    """Keeps the iterations in which torch was asked to do anything."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine, self.iterations = engine, set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.iterations.add(self.engine.state.iteration)
        return function(*args, **(kwargs or {}))


def test_between_points_nothing_is_computed_or_read_but_at_the_end_of_an_epoch(tmp_path):
    machine, writer = Machine(), SummaryWriter(str(tmp_path))
    losses = TensorBoardStatsHandler(
        summary_writer=writer, iteration_log=5, epoch_log=False, output_transform=lambda output: output
    )
    with Operations(machine) as operations:
        machine.go(TrainingCurvesHandler(interval=5, summary_writer=writer), losses, batches=8, max_epochs=2)
    writer.close()
    assert operations.iterations == {5, 10, 15} | {8, 16}


def test_a_point_is_one_transfer(tmp_path, monkeypatch):
    reads: list[str] = []
    for name in ("item", "tolist", "cpu", "numpy", "__float__"):
        read = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda *a, read=read, name=name, **k: (reads.append(name), read(*a, **k))[1])
    machine = Machine()
    machine.critic_optimizer.param_groups[0]["lr"] = torch.tensor(0.25)
    scalars = {"augmentation/probability": torch.tensor(0.5), "constant": 3}
    machine.go(
        TrainingCurvesHandler(interval=2, scalars=lambda: scalars, log_dir=str(tmp_path)), batches=6, max_epochs=1
    )
    assert reads == ["tolist"] * 3 + ["item"]  # the last waits for the device at the end of the epoch
    assert curves(tmp_path).keys() == {*NORMS, *RATES, *scalars, SPEED}


# --- beside others


def test_a_writer_that_is_given_is_flushed_at_each_point_and_left_open(tmp_path, monkeypatch):
    writer, flushed = SummaryWriter(str(tmp_path)), []
    monkeypatch.setattr(writer, "flush", lambda flush=writer.flush: flushed.append(flush()))
    Machine().go(TrainingCurvesHandler(interval=4, summary_writer=writer))
    assert len(flushed) == 3
    writer.add_scalar("still/open", 1.0, 0)
    writer.close()
    assert curves(tmp_path).keys() == {*NORMS, *RATES, SPEED, "still/open"}


def test_it_shares_a_writer_with_the_curves_of_the_losses(tmp_path):
    machine, writer = Machine(), SummaryWriter(str(tmp_path))
    losses = TensorBoardStatsHandler(
        summary_writer=writer, iteration_log=3, epoch_log=False, output_transform=lambda output: output
    )
    machine.go(losses, TrainingCurvesHandler(interval=3, summary_writer=writer))
    found = curves(tmp_path)  # before the writer is closed
    writer.close()
    assert found.keys() == {*NORMS, *RATES, SPEED, *machine.terms}
    assert all([step for step, _ in points] == [3, 6, 9, 12] for points in found.values())
    assert len(list(tmp_path.iterdir())) == 1


def test_the_curves_of_a_resumed_training_go_on_where_they_were(tmp_path, make_trainer):
    for max_epochs in (2, 4):
        trainer, writer = make_trainer(max_epochs=max_epochs), SummaryWriter(str(tmp_path / "curves"))
        networks = {"trainer": trainer, "generator": trainer.generator, "critic": trainer.critic}
        saver = DiskSaver(str(tmp_path), require_empty=False)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint(networks, saver, filename_pattern="last.pt"))
        if max_epochs == 4:
            CheckpointLoader(str(tmp_path / "last.pt"), networks).attach(trainer)
        TrainingCurvesHandler(interval=2, summary_writer=writer).attach(trainer)
        TensorBoardStatsHandler(
            summary_writer=writer, iteration_log=2, epoch_log=False, output_transform=lambda output: output
        ).attach(trainer)
        trainer.run()
        writer.close()
    assert len(list((tmp_path / "curves").iterdir())) == 2
    found = curves(tmp_path / "curves")
    assert found.keys() > {*NORMS, *RATES, SPEED, "critic/real", "generator/adversarial"}
    assert all([step for step, _ in points] == [2, 4, 6, 8, 10, 12] for points in found.values())


@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_without_iterations_is_refused_before_anything_is_written(tmp_path, interval):
    with pytest.raises(ValueError, match=f"interval must be at least 1, got {interval}"):
        TrainingCurvesHandler(interval=interval, log_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
