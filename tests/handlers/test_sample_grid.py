from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.handlers.sample_grid import SampleGridHandler
from monai_aggrgan.networks.dcgan import DCGAN2Generator
from monai_aggrgan.visualize.figures import contact_sheet

LATENTS = NormalLatents(6).from_seeds(range(4))


def _generator() -> DCGAN2Generator:
    return DCGAN2Generator(image_size=16, base_width=4, latent_size=6)


def _run(
    folder: Path, generator: DCGAN2Generator, *, interval: int, max_epochs: int = 5, learns: bool = False
) -> dict[int, np.ndarray]:
    """Grids by epoch, read back from TensorBoard's files."""
    engine = Engine(lambda engine, batch: None)
    handler = SampleGridHandler(generator, LATENTS, interval=interval, tag="glioma/samples", log_dir=str(folder))
    handler.attach(engine)
    if learns:
        engine.add_event_handler(
            Events.EPOCH_STARTED, lambda: [parameter.data.mul_(1.5) for parameter in generator.parameters()]
        )
    engine.run([0, 1], max_epochs=max_epochs)
    handler.close()
    return _grids(folder)


def _grids(folder: Path, tag: str = "glioma/samples") -> dict[int, np.ndarray]:
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    found = events.Images(tag)
    return {each.step: np.asarray(Image.open(io.BytesIO(each.encoded_image_string))) for each in found}


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (5, [5]), (10, [5])])
def test_a_grid_is_written_at_each_due_epoch_and_at_the_last_once(tmp_path, interval, epochs):
    assert sorted(_run(tmp_path, _generator(), interval=interval)) == epochs


def test_the_grid_shows_the_images_of_the_latents_in_eval_mode(tmp_path):
    generator = _generator()
    grid = _run(tmp_path, generator, interval=1)[1]
    with torch.no_grad():
        images = generator.eval()(LATENTS)
    assert np.array_equal(grid, contact_sheet(images))
    assert grid.shape[1] > 4 * 128  # side by side, enlarged so that people can see them


def test_two_handlers_show_two_generators_with_the_same_latents_in_one_writer(tmp_path):
    raw, average = _generator(), _generator().eval()
    writer, engine = SummaryWriter(str(tmp_path)), Engine(lambda engine, batch: None)
    for tag, generator in (("glioma/raw", raw), ("glioma/average", average)):
        SampleGridHandler(generator, LATENTS, tag=tag, summary_writer=writer).attach(engine)
    engine.run([0], max_epochs=2)
    writer.close()
    for tag, generator in (("glioma/raw", raw), ("glioma/average", average)):
        with torch.no_grad():
            expected = contact_sheet(generator.eval()(LATENTS))
        grids = _grids(tmp_path, tag)
        assert list(grids) == [1, 2]
        assert all(np.array_equal(grid, expected) for grid in grids.values())


@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_without_epochs_is_refused_before_anything_is_written(tmp_path, interval):
    with pytest.raises(ValueError, match=f"interval must be at least 1, got {interval}"):
        SampleGridHandler(_generator(), LATENTS, interval=interval, log_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_generator_that_does_not_learn_shows_the_same_images(tmp_path):
    grids = list(_run(tmp_path, _generator(), interval=2).values())
    assert all(np.array_equal(grid, grids[0]) for grid in grids)


def test_a_generator_that_learns_shows_others(tmp_path):
    grids = list(_run(tmp_path, _generator(), interval=2, learns=True).values())
    assert not any(np.array_equal(grid, grids[0]) for grid in grids[1:])


@pytest.mark.parametrize("training", [True, False])
def test_the_generator_comes_back_in_its_mode_and_with_its_buffers(tmp_path, training):
    generator = _generator().train(training)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    state = torch.get_rng_state()
    _run(tmp_path, generator, interval=1)
    assert generator.training is training
    assert all(module.training is training for module in generator.modules())
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_writer_that_is_given_is_used_and_flushed(tmp_path, monkeypatch):
    writer, flushed = SummaryWriter(str(tmp_path)), []
    monkeypatch.setattr(writer, "flush", lambda flush=writer.flush: flushed.append(flush()))
    handler = SampleGridHandler(_generator(), LATENTS, tag="glioma/samples", summary_writer=writer)
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([0], max_epochs=2)
    assert len(flushed) == 2
    assert sorted(_grids(tmp_path)) == [1, 2]
    writer.close()


@pytest.mark.parametrize("spatial_dims", [1, 3])
def test_generators_of_signals_and_cubes_are_shown(tmp_path, spatial_dims):
    generator = DCGAN2Generator(image_size=16, base_width=2, latent_size=6, spatial_dims=spatial_dims)
    grid = _run(tmp_path, generator, interval=5)[5]
    with torch.no_grad():
        images = generator.eval()(LATENTS)
    shown = images[:, :, 8] if spatial_dims == 3 else contact_sheet(images)
    assert np.array_equal(grid, shown if spatial_dims == 1 else contact_sheet(shown))
