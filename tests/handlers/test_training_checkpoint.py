from __future__ import annotations

import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.handlers import LrScheduleHandler
from torch import Tensor

from monai_aggrgan.data import NormalLatents, shuffled_loader
from monai_aggrgan.engines import LatentGanTrainer
from monai_aggrgan.exceptions import InputError, StorageFailed, TrainingDiverged
from monai_aggrgan.handlers.training_checkpoint import TrainingCheckpoint, checkpoint_epoch, latest_checkpoint
from monai_aggrgan.losses import LogisticObjective, WassersteinDivergenceObjective
from monai_aggrgan.networks import DCGAN1Discriminator, DCGAN1Generator, WGANDivCritic, WGANDivGenerator
from monai_aggrgan.optimizers import ExponentialMovingAverage
from monai_aggrgan.transforms import DifferentiableAugmentation

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 6


class _Slices(torch.utils.data.Dataset):
    """Random images 16x16 by a tensor of indices."""

    def __init__(self) -> None:
        self.images = torch.rand(13, 1, 16, 16, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {"image": self.images[index]}


def training(
    folder: Path, *, gan: str = "dcgan1", max_epochs: int = EPOCHS, interval: int = 2, width: int = 4, **options: object
) -> LatentGanTrainer:
    """A tiny training with all that has a state: dropout, augmentation, average, falling learning rates."""
    if gan == "dcgan1":
        shape = {"image_size": 16, "base_width": width}
        generator, critic = DCGAN1Generator(**shape, latent_size=6), DCGAN1Discriminator(**shape)
    else:
        generator = WGANDivGenerator(image_size=16, hidden=(16,), latent_size=6)
        critic = WGANDivCritic(image_size=16, hidden=(16,), spectral_norm=True)
    optimizers = {
        f"{part}_optimizer": torch.optim.Adam(network.parameters(), 1e-3, betas=(0.5, 0.999), fused=True)
        for part, network in {"generator": generator, "critic": critic}.items()
    }
    schedules = {name: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9) for name, optimizer in optimizers.items()}
    trainer = LatentGanTrainer(
        device="cpu",
        max_epochs=max_epochs,
        train_data_loader=shuffled_loader(_Slices(), batch_size=4, seed=3),
        generator=generator,
        critic=critic,
        objective=LogisticObjective() if gan == "dcgan1" else WassersteinDivergenceObjective(),
        **optimizers,
        latents=NormalLatents(6),
        critic_steps=1 if gan == "dcgan1" else 2,
        augmentation=DifferentiableAugmentation(target=0.1, speed=50),
        average=ExponentialMovingAverage(generator, half_life=20),
        name="DCGAN-1 on glioma",
        **options,
    )
    for schedule in schedules.values():
        LrScheduleHandler(schedule, print_lr=False).attach(trainer)
    parts = {f"schedule of {name}": schedule for name, schedule in schedules.items()}
    TrainingCheckpoint(folder, interval=interval, parts=parts).attach(trainer)
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


@pytest.fixture(scope="module", params=["dcgan1", "wgan_div"])
def whole(request, tmp_path_factory) -> tuple[str, dict]:
    """Name of a GAN, and the last checkpoint of its uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    training(folder, gan=request.param).run()
    return request.param, load(folder / f"checkpoint_{EPOCHS}.pt")


# --- what is saved


def test_a_checkpoint_at_the_start_then_every_so_many_epochs_then_at_the_end(tmp_path):
    seen = []
    trainer = training(tmp_path, max_epochs=5, interval=2)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: seen.append(sorted(p.name for p in tmp_path.glob("*.pt")))
    )
    trainer.run()
    zero, two, four, five = (f"checkpoint_{epoch}.pt" for epoch in (0, 2, 4, 5))
    assert seen == [[zero], [zero, two], [zero, two], [two, four], [four, five]]


def test_all_that_has_a_state_is_in_it(tmp_path):
    trainer = training(tmp_path)
    trainer.run()
    state = load(latest_checkpoint(tmp_path))
    assert set(state) == {
        *("trainer", "generator", "critic", "generator_optimizer", "critic_optimizer", "augmentation", "average"),
        *("schedule of generator_optimizer", "schedule of critic_optimizer"),
    }
    assert state["trainer"] == {"epoch_length": 3, "iteration": 18, "max_epochs": EPOCHS, "restarts": 0}
    assert 0 < state["augmentation"]["p"] <= 0.8
    assert equal(dict(state["average"]), dict(trainer.average.state_dict()))


# --- resumed = uninterrupted


@pytest.mark.parametrize("stopped_after", [1, 2, 3, 5])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(tmp_path, whole, stopped_after):
    gan, expected = whole

    class _Stopped(Exception):
        pass

    def stop() -> None:
        raise _Stopped

    torch.manual_seed(stopped_after)
    trainer = training(tmp_path, gan=gan)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=stopped_after), stop)
    with pytest.raises(_Stopped):
        trainer.run()
    torch.manual_seed(99)
    training(tmp_path, gan=gan).run()
    assert equal(load(latest_checkpoint(tmp_path)), expected)


def test_a_finished_training_that_is_run_again_does_nothing_and_more_epochs_extend_it(tmp_path, whole):
    gan, expected = whole
    training(tmp_path, gan=gan, max_epochs=4).run()
    again = training(tmp_path, gan=gan, max_epochs=4)
    iterations = []
    again.add_event_handler(Events.ITERATION_COMPLETED, lambda: iterations.append(1))
    again.run()
    assert not iterations
    training(tmp_path, gan=gan).run()
    found = load(latest_checkpoint(tmp_path))
    assert equal(found, expected)


CHILD = """
import signal, sys, os
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from tests.handlers.test_training_checkpoint import training
if sys.argv[3] != "whole":
    save, left = torch.save, int(sys.argv[3])
    class Torn:
        "A file that the process does not live to fill."
        def __init__(self, file): self.file = file
        def write(self, data):
            self.file.write(bytes(data)[: len(data) // 2]); self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        def flush(self): pass
    def torn(state, file):
        global left
        left -= 1
        save(state, file if left else Torn(file))
    torch.save = torn
print("ready", flush=True)
training(__import__("pathlib").Path(sys.argv[1]), gan=sys.argv[2], interval=1, max_epochs={epochs}).run()
"""


def start(folder: Path, gan: str, *, torn_save: int | None = None, epochs: int) -> subprocess.Popen:
    """The training in a process of its own, which kills itself in the middle of its n-th checkpoint if asked."""
    code = CHILD.format(root=str(ROOT), epochs=epochs)
    arguments = [sys.executable, "-W", "ignore", "-c", code, str(folder), gan, str(torn_save or "whole")]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_killed_at_random_moments_and_within_a_write_it_ends_with_the_same_weights(tmp_path):
    gan, epochs = "dcgan1", 60
    (tmp_path / "whole").mkdir()
    trainer = training(tmp_path / "whole", gan=gan, max_epochs=epochs, interval=1)
    begin = time.monotonic()
    trainer.run()
    seconds = time.monotonic() - begin
    expected = load(tmp_path / "whole" / f"checkpoint_{epochs}.pt")
    folder, moments = tmp_path / "parts", random.Random(0)
    reached = []
    for torn_save in (None, 5, None, 3, None):
        child = start(folder, gan, torn_save=torn_save, epochs=epochs)
        assert child.stdout.readline() == "ready\n"
        if torn_save is None:
            time.sleep(moments.uniform(0.05, 0.4) * seconds)
            child.kill()
        assert child.wait(60) == -signal.SIGKILL
        if torn_save is not None:
            assert list(folder.glob(".partial-*")), "the write was not torn"
        reached.append(checkpoint_epoch(latest_checkpoint(folder)))
    assert reached == sorted(reached) and reached[-1] > 0
    last = start(folder, gan, epochs=epochs)
    assert last.wait(120) == 0
    assert equal(load(folder / f"checkpoint_{epochs}.pt"), expected)
    assert not list(folder.glob(".partial-*"))


def test_a_newest_checkpoint_that_is_damaged_is_passed_over(tmp_path, whole, caplog):
    gan, expected = whole
    training(tmp_path, gan=gan, max_epochs=4).run()
    newest = tmp_path / "checkpoint_4.pt"
    newest.write_bytes(newest.read_bytes()[:5000])
    training(tmp_path, gan=gan).run()
    assert "checkpoint_4.pt cannot be read" in caplog.text
    assert equal(load(latest_checkpoint(tmp_path)), expected)


# --- what goes wrong


def test_no_checkpoint_that_can_be_read(tmp_path):
    (tmp_path / "checkpoint_3.pt").write_bytes(b"no")
    with pytest.raises(
        InputError, match=r"No checkpoint in .* can be read \(checkpoint_3.pt: .*\): delete that folder"
    ):
        training(tmp_path).run()


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    training(tmp_path, max_epochs=1).run()
    with pytest.raises(InputError, match=r"checkpoint_1.pt is of another training \(.*\): give the settings") as caught:
        training(tmp_path, width=8).run()
    assert "\n" not in str(caught.value)


def test_fewer_epochs_than_were_trained_are_refused(tmp_path):
    training(tmp_path, max_epochs=3).run()
    with pytest.raises(InputError, match="is trained for 3 epochs already, more than the 2 asked for"):
        training(tmp_path, max_epochs=2).run()


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(tmp_path):
    first, refused = training(tmp_path, max_epochs=2), []

    @first.on(Events.EPOCH_COMPLETED(once=1))
    def second() -> None:
        with pytest.raises(InputError, match=r"Another run is training in .*: wait until it has ended") as caught:
            training(tmp_path).run()
        refused.append(caught)

    first.run()
    assert refused and latest_checkpoint(tmp_path) == tmp_path / "checkpoint_2.pt"
    training(tmp_path, max_epochs=3).run()  # the folder is free again


def test_a_run_that_fails_frees_the_folder(tmp_path):
    trainer = training(tmp_path, collapse_after=0, min_diversity=9.0, max_restarts=0)
    with pytest.raises(TrainingDiverged):
        trainer.run()
    training(tmp_path, max_epochs=1).run()


def test_a_full_disk_ends_with_a_sentence_and_the_last_checkpoint_is_good(tmp_path):
    trainer = training(tmp_path, max_epochs=4, interval=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # Python's default: an error instead of the process's end

    @trainer.on(Events.EPOCH_COMPLETED(once=2))
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))

    shutil.rmtree(tmp_path)
    try:
        with pytest.raises(
            StorageFailed, match=r"stopped at epoch 3, .*cannot be written.*checkpoint_2.pt is kept"
        ) as e:
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(e.value)
    assert load(latest_checkpoint(tmp_path))["trainer"]["iteration"] == 6
    assert [path.name for path in tmp_path.glob(".partial*")] == []
    training(tmp_path, max_epochs=4, interval=1).run()


def test_a_folder_that_vanishes_ends_with_a_sentence(tmp_path):
    trainer = training(tmp_path / "folder", interval=1)
    trainer.add_event_handler(Events.EPOCH_STARTED(once=3), lambda: shutil.rmtree(tmp_path / "folder"))
    with pytest.raises(
        StorageFailed, match=r"stopped at epoch 3, because .*folder cannot be written .*nothing was saved"
    ):
        trainer.run()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageFailed, match="cannot be written"):
        training(tmp_path / "folder").run()


@pytest.mark.parametrize("arguments", [{"interval": 0}, {"keep": 0}])
def test_numbers_are_checked(tmp_path, arguments):
    with pytest.raises(ValueError, match="interval and keep must be at least 1"):
        TrainingCheckpoint(tmp_path, **arguments)


@pytest.mark.parametrize(("epochs", "expected"), [([9, 10, 2], 10), ([1], 1), ([], None)])
def test_the_latest_checkpoint_is_that_of_the_highest_epoch(tmp_path, epochs, expected):
    for name in [*(f"checkpoint_{epoch}.pt" for epoch in epochs), "generator.pt", ".partial-x.pt"]:
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) == (expected and tmp_path / f"checkpoint_{expected}.pt")


def test_a_folder_that_is_not_there_has_no_checkpoint(tmp_path):
    assert latest_checkpoint(tmp_path / "nowhere") is None


# --- taking back an ailing training


def spoil(trainer: LatentGanTrainer, *, in_epoch: int, times: int) -> list[int]:
    """Make the generator's weights NaN in an epoch, the first few times that it comes."""
    spoilt: list[int] = []

    @trainer.on(Events.ITERATION_COMPLETED)
    def strike(engine: LatentGanTrainer) -> None:
        if engine.state.epoch == in_epoch and engine.state.restarts < times and engine.state.iteration % 3 == 2:
            next(engine.generator.parameters()).data.fill_(float("nan"))
            spoilt.append(engine.state.iteration)

    return spoilt


def test_an_ailing_training_goes_on_from_its_last_checkpoint_with_other_noise_and_half_the_rates(tmp_path, caplog):
    plain = training(tmp_path / "plain", max_epochs=5)
    plain.run()
    trainer = training(tmp_path / "ailing", max_epochs=5)
    spoilt = spoil(trainer, in_epoch=4, times=1)
    epochs = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    with caplog.at_level(logging.WARNING):
        trainer.run()
    assert len(spoilt) == 1
    assert epochs == [1, 2, 3, 4, 3, 4, 5]
    assert "at epoch 4: the generator has weights that are NaN" in caplog.text or "became nan" in caplog.text
    assert "goes on from epoch 2 with other noise and half the learning rates (fresh start 1 of 3)" in caplog.text
    ended, healthy = (load(tmp_path / name / "checkpoint_5.pt") for name in ("ailing", "plain"))
    assert ended["trainer"] == {**healthy["trainer"], "restarts": 1}
    rates = [state["critic_optimizer"]["param_groups"][0]["lr"] for state in (ended, healthy)]
    assert rates[0] == pytest.approx(rates[1] / 2)
    assert not equal(ended["generator"], healthy["generator"])
    assert all(value.isfinite().all() for value in ended["generator"].values())


def test_a_training_that_ails_again_and_again_is_given_up_with_its_last_good_checkpoint(tmp_path):
    trainer = training(tmp_path, max_restarts=2)
    spoil(trainer, in_epoch=3, times=9)
    with pytest.raises(
        TrainingDiverged, match=r"at epoch 3: .* also after 2 fresh starts; the last good checkpoint is"
    ):
        trainer.run()
    state = load(latest_checkpoint(tmp_path))
    assert state["trainer"]["iteration"] == 6
    assert all(value.isfinite().all() for value in state["generator"].values())


@pytest.mark.parametrize("stopped_after", [4, 5])
def test_a_training_that_was_taken_back_resumes_exactly(tmp_path, stopped_after):
    """Whether the run is killed before the next checkpoint (it ails again) or after it (it is well)."""
    whole = training(tmp_path / "whole")
    spoil(whole, in_epoch=4, times=1)
    whole.run()

    class _Stopped(Exception):
        pass

    trainer = training(tmp_path / "parts")
    spoil(trainer, in_epoch=4, times=1)

    @trainer.on(Events.EPOCH_STARTED)
    def stop(engine: LatentGanTrainer) -> None:
        if engine.state.restarts and engine.state.epoch == stopped_after:
            raise _Stopped

    with pytest.raises(_Stopped):
        trainer.run()
    again = training(tmp_path / "parts")
    spoil(again, in_epoch=4, times=1)
    again.run()
    first, second = (load(tmp_path / name / f"checkpoint_{EPOCHS}.pt") for name in ("whole", "parts"))
    assert first["trainer"]["restarts"] == 1
    assert equal(first, second)
