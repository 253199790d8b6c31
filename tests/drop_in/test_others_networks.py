"""Our trainer with MONAI's networks, or a few layers of torch, and MONAI's handlers."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from ignite.engine import Events
from ignite.handlers import EMAHandler, TerminateOnNan
from monai.data import CacheDataset, DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import (
    CheckpointLoader,
    CheckpointSaver,
    EarlyStopHandler,
    GarbageCollector,
    IgniteMetricHandler,
    LrScheduleHandler,
    MetricLogger,
    StatsHandler,
    TensorBoardImageHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from monai.networks.nets import Critic, Discriminator, Generator
from monai.transforms import RandFlipd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from monai_aggrgan.data import NormalLatents
from monai_aggrgan.engines import LatentGanTrainer
from monai_aggrgan.inferers import SelectionInferer
from monai_aggrgan.losses import (
    LeastSquaresObjective,
    LogisticObjective,
    WassersteinDivergenceObjective,
)
from monai_aggrgan.metrics import HistogramKLMetric

LATENT_SIZE = 8


def _monai_generator() -> nn.Module:
    return nn.Sequential(Generator((LATENT_SIZE,), (8, 8, 8), (8, 4, 1), (2, 2, 1), num_res_units=0), nn.Sigmoid())


def _torch_generator() -> nn.Module:
    return nn.Sequential(nn.Linear(LATENT_SIZE, 32 * 32), nn.Sigmoid(), nn.Unflatten(1, (1, 32, 32)))


def _torch_critic() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


OTHERS = {
    "monai": (
        _monai_generator,
        lambda: Discriminator((1, 32, 32), (4, 8, 8), (2, 2, 2), num_res_units=0, last_act=None),
        LogisticObjective,
    ),
    "monai, wasserstein": (
        _monai_generator,
        lambda: Critic((1, 32, 32), (4, 8), (2, 2), num_res_units=0, norm=None, act=("leakyrelu", {"inplace": False})),
        WassersteinDivergenceObjective,
    ),
    "torch": (_torch_generator, _torch_critic, LeastSquaresObjective),
}


def _trainer(slices: Any, others: str = "monai", **options: Any) -> LatentGanTrainer:
    """Six slices in batches of two from MONAI's loader: three iterations an epoch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make_generator, make_critic, objective = OTHERS[others]
        generator, critic = make_generator(), make_critic()
    settings = {
        "device": "cpu",
        "max_epochs": 3,
        "train_data_loader": DataLoader(Dataset(slices, RandFlipd("image", prob=0.5)), batch_size=2, shuffle=True),
        "generator": generator,
        "critic": critic,
        "objective": objective(),
        "generator_optimizer": torch.optim.RMSprop(generator.parameters(), lr=1e-3),
        "critic_optimizer": torch.optim.SGD(critic.parameters(), lr=1e-3),
        "latents": NormalLatents(LATENT_SIZE),
    }
    return LatentGanTrainer(**{**settings, **options})


def _copies(network: nn.Module) -> list[Tensor]:
    return [value.clone() for value in network.state_dict().values()]


@pytest.mark.parametrize("others", OTHERS)
def test_somebodys_networks_are_trained(slices, others):
    trainer = _trainer(slices, others)
    before = _copies(trainer.generator), _copies(trainer.critic)
    trainer.run()
    assert trainer.state.iteration == 9
    for network, weights in zip((trainer.generator, trainer.critic), before, strict=True):
        changed = [not torch.equal(a, b) for a, b in zip(network.state_dict().values(), weights, strict=True)]
        assert sum(changed) > len(changed) / 2
    images = trainer.generator(torch.randn(4, LATENT_SIZE))
    assert images.shape == (4, 1, 32, 32)
    assert images.detach().isfinite().all()


def test_a_generator_learns_from_slices_in_monais_cache(slices):
    """Pixels that are black in every slice become dark: the images did reach the critic."""
    generator, critic = _torch_generator(), _torch_critic()
    trainer = _trainer(
        slices,
        max_epochs=150,
        train_data_loader=DataLoader(CacheDataset(slices, (), progress=False), batch_size=6),
        generator=generator,
        critic=critic,
        generator_optimizer=torch.optim.Adam(generator.parameters(), 2e-2, betas=(0.5, 0.999)),
        critic_optimizer=torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.5, 0.999)),
    )
    trainer.run()
    outside = slices.images.mean(dim=0, keepdim=True) < 0.05
    with torch.no_grad():
        images = trainer.generator(NormalLatents(LATENT_SIZE).from_seeds(range(64))).mean(dim=0, keepdim=True)
    assert images[outside].mean() < 0.5 * images[~outside].mean()


def test_monais_schedule_sets_the_learning_rates(slices):
    trainer = _trainer(slices)
    schedules = [StepLR(of, step_size=1, gamma=0.5) for of in (trainer.generator_optimizer, trainer.critic_optimizer)]
    for schedule in schedules:
        LrScheduleHandler(schedule, print_lr=False).attach(trainer)
    rates: list[float] = []
    read = lambda engine: rates.append(engine.generator_optimizer.param_groups[0]["lr"])  # noqa: E731
    trainer.add_event_handler(Events.ITERATION_COMPLETED, read)
    trainer.run()
    assert rates == pytest.approx([1e-3] * 3 + [5e-4] * 3 + [2.5e-4] * 3)
    assert trainer.critic_optimizer.param_groups[0]["lr"] == pytest.approx(1.25e-4)


def test_a_schedule_may_follow_a_term_of_the_training(slices):
    trainer = _trainer(slices)
    plateau = ReduceLROnPlateau(trainer.critic_optimizer, factor=0.1, patience=0, threshold=1e9)
    told = lambda engine: engine.state.output["critic/real"].item()  # noqa: E731
    LrScheduleHandler(plateau, print_lr=False, step_transform=told).attach(trainer)
    trainer.run()
    assert trainer.critic_optimizer.param_groups[0]["lr"] < 1e-3


def test_monais_early_stop_ends_the_training(slices):
    trainer = _trainer(slices, max_epochs=50)
    scores = iter([1.0, 2.0, 1.5, 1.5, 9.0])
    EarlyStopHandler(patience=2, score_function=lambda engine: next(scores), trainer=trainer).attach(trainer)
    trainer.run()
    assert trainer.state.epoch == 4


def test_an_early_stop_may_listen_to_an_evaluator_with_our_inferer_and_metric(slices):
    trainer = _trainer(slices, max_epochs=50)
    trainer.generator.latent_size = LATENT_SIZE
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(slices, batch_size=3),
        network=trainer.generator,
        inferer=SelectionInferer(pool_size=8),
        key_val_metric={
            "kl": IgniteMetricHandler(
                metric_fn=HistogramKLMetric(), output_transform=from_engine(["pred", "image"]), save_details=False
            )
        },
        metric_cmp_fn=lambda current, best: current < best,
    )
    stop = EarlyStopHandler(
        patience=2, score_function=lambda engine: -engine.state.metrics["kl"], min_delta=1e9, trainer=trainer
    )
    stop.attach(evaluator)
    ValidationHandler(interval=1, validator=evaluator).attach(trainer)
    trainer.run()
    assert trainer.state.epoch == 3
    assert evaluator.state.metrics["kl"] > 0


def test_monais_loggers_and_the_garbage_collector(slices, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    trainer = _trainer(slices, max_epochs=1)
    logger = MetricLogger(loss_transform=lambda output: output["critic/real"].item())
    handlers = [
        GarbageCollector(trigger_event="epoch", log_level=logging.INFO),
        StatsHandler(name="terms", iteration_log=True, epoch_log=False, output_transform=lambda output: output),
        TensorBoardStatsHandler(log_dir=str(tmp_path), iteration_log=True, output_transform=lambda output: output),
        TensorBoardImageHandler(
            log_dir=str(tmp_path),
            batch_transform=lambda batch: (batch["image"], batch["image"]),
            output_transform=lambda output: trainer.generator(NormalLatents(LATENT_SIZE).from_seeds([0])).detach(),
        ),
        logger,
        TerminateOnNan(output_transform=lambda output: list(output.values())),
    ]
    for handler in handlers:
        handler.attach(trainer) if hasattr(handler, "attach") else trainer.add_event_handler(
            Events.ITERATION_COMPLETED, handler
        )
    trainer.run()
    assert [step for step, _ in logger.loss] == [1, 2, 3]
    assert capsys.readouterr().out.count("generator/adversarial: ") == 3
    assert caplog.text.count("Garbage Count") == 1
    events = EventAccumulator(str(tmp_path)).Reload()
    assert len(events.Scalars("critic/fake")) == 3
    assert len(events.Tags()["images"]) == 3


def test_monais_checkpoints_save_and_load_the_training(slices, tmp_path):
    trainer = _trainer(slices)
    saver = CheckpointSaver(str(tmp_path), trainer.parts(), save_interval=1, save_final=True, n_saved=1)
    saver.attach(trainer)
    trainer.run()
    names = sorted(path.name for path in tmp_path.glob("*.pt"))
    assert names == ["checkpoint_epoch=3.pt", "checkpoint_final_iteration=9.pt"]
    other = _trainer(slices, max_epochs=4)
    CheckpointLoader(str(tmp_path / names[0]), other.parts()).attach(other)
    seen: list[int] = []
    start = lambda engine: seen.append((engine.state.epoch, _copies(engine.generator)))  # noqa: E731
    other.add_event_handler(Events.EPOCH_STARTED, start)
    saved = _copies(trainer.generator)
    other.run()
    assert [epoch for epoch, _ in seen] == [4]
    assert all(torch.equal(a, b) for a, b in zip(seen[0][1], saved, strict=True))


def test_ignites_average_of_a_generator(slices):
    trainer = _trainer(slices, "torch")
    handler = EMAHandler(trainer.generator, momentum=0.5)
    handler.attach(trainer, event=Events.ITERATION_COMPLETED)
    start = _copies(trainer.generator)
    trainer.run()
    for first, last, mean in zip(start, _copies(trainer.generator), _copies(handler.ema_model), strict=True):
        assert not torch.equal(mean, last)
        assert (mean - last).norm() < (first - last).norm()
