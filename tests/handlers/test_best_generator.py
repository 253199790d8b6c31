from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from monai_aggrgan.handlers import BestGenerator
from monai_aggrgan.metrics import Whitening, kernel_distance, memorised_share


class Painter(nn.Module):
    """A generator whose images are what its weights say, disturbed a little by the latent."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = nn.Parameter(images.clone())

    def forward(self, latent: Tensor) -> Tensor:
        return self.images[: len(latent)] + 1e-3 * latent[:, :1, None, None]


def blobs(count: int, *, seed: int, shift: float = 0.0) -> Tensor:
    """Images (count, 1, 16, 16) of smooth random structure."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 4, 4, generator=random) + shift
    return nn.functional.interpolate(coarse, size=16, mode="bilinear").clamp(0, 1)


TRAINING, HELD_OUT = blobs(80, seed=0), blobs(40, seed=1)
LATENTS = torch.randn(60, 3, generator=torch.Generator().manual_seed(5))
EPOCHS = {  # what the generator has learnt by each epoch
    1: blobs(60, seed=2, shift=0.4),  # too bright
    2: blobs(60, seed=3),  # right
    3: TRAINING[:60].clone(),  # learnt by heart
    4: blobs(60, seed=4, shift=0.2),
}


def run(folder: Path, *, epochs: dict[int, Tensor] = EPOCHS, interval: int = 1, **options: object) -> BestGenerator:
    generator = Painter(torch.zeros(60, 1, 16, 16))
    best = BestGenerator(
        generator,
        LATENTS,
        training=TRAINING,
        held_out=HELD_OUT,
        embedding=nn.Flatten(),
        interval=interval,
        log_dir=str(folder),
        **options,
    )
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: generator.images.data.copy_(epochs[engine.state.epoch]))
    best.attach(engine)
    engine.run([0], max_epochs=len(epochs))
    return best


def test_the_epoch_nearest_to_held_out_images_is_kept_unless_it_copies(tmp_path):
    best = run(tmp_path)
    assert best.epoch == 2
    assert torch.equal(best.best.images, EPOCHS[2])
    assert not best.best.training and not best.best.images.requires_grad


def test_the_veto_matters(tmp_path):
    """Copies of training images are the nearest to held-out ones here: without the veto they would win."""
    epochs = {1: EPOCHS[1], 2: EPOCHS[3]}
    assert run(tmp_path / "vetoed", epochs=epochs).epoch == 1
    assert run(tmp_path / "free", epochs=epochs, max_memorised=1.0).epoch == 2


def test_if_all_copy_the_nearest_is_kept_and_it_is_said(tmp_path, caplog):
    best = run(tmp_path, epochs={1: TRAINING[:60] * 0.999, 2: TRAINING[20:80]})
    assert best.memorised > 0.9 and best.epoch in (1, 2)
    assert any(record.levelno == logging.WARNING and "as at every epoch" in record.message for record in caplog.records)


def test_the_curves_hold_the_metrics(tmp_path):
    run(tmp_path)
    curves = EventAccumulator(str(tmp_path)).Reload()
    whitening = Whitening(TRAINING.flatten(1))
    real, held_out = whitening(TRAINING.flatten(1)), whitening(HELD_OUT.flatten(1))
    for tag, metric in {
        "held_out/kid": lambda made: kernel_distance(made, held_out),
        "held_out/memorised": lambda made: memorised_share(made, real, held_out),
    }.items():
        points = {point.step: point.value for point in curves.Scalars(tag)}
        assert list(points) == [1, 2, 3, 4]
        for epoch, images in EPOCHS.items():
            made = whitening(Painter(images)(LATENTS).detach().flatten(1))
            assert points[epoch] == pytest.approx(float(metric(made)), rel=1e-4, abs=1e-6)


def test_every_so_many_epochs_and_the_last(tmp_path):
    run(tmp_path, interval=3)
    points = EventAccumulator(str(tmp_path)).Reload().Scalars("held_out/kid")
    assert [point.step for point in points] == [3, 4]


def test_its_state_goes_on(tmp_path):
    first = run(tmp_path / "first")
    state = tmp_path / "state.pt"
    torch.save(first.state_dict(), state)
    second = BestGenerator(
        Painter(torch.zeros(60, 1, 16, 16)),
        LATENTS,
        training=TRAINING,
        held_out=HELD_OUT,
        embedding=nn.Flatten(),
        log_dir=str(tmp_path / "second"),
    )
    second.load_state_dict(torch.load(state, weights_only=True))
    assert (second.epoch, second.kid, second.memorised) == (first.epoch, first.kid, first.memorised)
    second._finish()
    assert torch.equal(second.best.images, EPOCHS[2])


def test_intervals_are_checked(tmp_path):
    with pytest.raises(ValueError, match="interval must be at least 1, got 0"):
        run(tmp_path, interval=0)
