from __future__ import annotations

import copy
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import (
    CheckpointLoader,
    IgniteMetricHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from monai.metrics import SSIMMetric
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.nn.functional import softplus

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.data.prepared import ShuffledBatches, shuffled_loader
from monai_aggrgan.engines.latent_gan_trainer import LatentGanTrainer
from monai_aggrgan.exceptions import TrainingDiverged
from monai_aggrgan.handlers.training_checkpoint import latest_checkpoint
from monai_aggrgan.inferers.select import SelectionInferer
from monai_aggrgan.losses.objectives import LogisticObjective, WassersteinDivergenceObjective
from monai_aggrgan.networks.dcgan import (
    DCGAN1Discriminator,
    DCGAN1Generator,
    DCGAN2Discriminator,
    DCGAN2Generator,
)
from monai_aggrgan.networks.wgan_div import WGANDivCritic, WGANDivGenerator

GANS = {
    "dcgan1": (DCGAN1Generator, DCGAN1Discriminator, LogisticObjective, {"base_width": 4}),
    "dcgan2": (DCGAN2Generator, DCGAN2Discriminator, LogisticObjective, {"base_width": 4}),
    "wgan_div": (WGANDivGenerator, WGANDivCritic, WassersteinDivergenceObjective, {"hidden": (16,)}),
}
CRITIC_TERMS = {"critic/real", "critic/fake", "critic/score_real", "critic/score_fake", "critic/certainty"}
GENERATOR_TERMS = {"generator/adversarial", "generator/diversity"}
LATENT_SIZE = 6


class _Slices(torch.utils.data.Dataset):
    """Random images 16x16; a list of indices gives a batch."""

    def __init__(self, count: int) -> None:
        self.images = torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | list[int]) -> dict[str, Tensor]:
        return {"image": self.images[index]}


def _trainer(gan: str = "dcgan2", *, count: int = 12, batch_size: int = 4, **options: Any) -> LatentGanTrainer:
    """A trainer of tiny networks on `count` images."""
    make_generator, make_critic, objective, width = GANS[gan]
    generator = options.pop("generator", None) or make_generator(image_size=16, latent_size=LATENT_SIZE, **width)
    critic = make_critic(image_size=16, **width)
    rate = options.pop("rate", 1e-3)
    settings = {
        "device": "cpu",
        "max_epochs": 2,
        "train_data_loader": shuffled_loader(_Slices(count), batch_size=batch_size, seed=3),
        "generator": generator,
        "critic": critic,
        "objective": objective(),
        "generator_optimizer": torch.optim.Adam(generator.parameters(), lr=rate, betas=(0.5, 0.999)),
        "critic_optimizer": torch.optim.Adam(critic.parameters(), lr=rate, betas=(0.5, 0.999)),
        "latents": NormalLatents(LATENT_SIZE),
        "name": "DCGAN-2 on glioma",
    }
    return LatentGanTrainer(**{**settings, **options})


def _weights(trainer: LatentGanTrainer) -> dict[str, Tensor]:
    """Copies of all weights and buffers of both networks."""
    both = nn.ModuleDict({"generator": trainer.generator, "critic": trainer.critic})
    return copy.deepcopy(both.state_dict())


def _parameters(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def _equal(first: Any, second: Any) -> bool:
    """Equality bit for bit of nested dicts and lists of tensors and plain values."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_equal, first, second))
    return torch.equal(first, second) if isinstance(first, Tensor) else first == second


class _Spy:
    """An objective that keeps what it was given, and the critic as it was when the generator's turn came."""

    def __init__(self, trainer: LatentGanTrainer) -> None:
        self.trainer, self.objective = trainer, trainer.step.objective
        self.reals: list[Tensor] = []
        self.fakes: list[Tensor] = []
        self.generator_fakes: list[Tensor] = []
        self.critic_weights: list[Tensor] = []
        self.critic_gradients: list[Tensor] = []
        trainer.step.objective = self

    def discriminator_terms(self, critic: nn.Module, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        assert not fake.requires_grad
        self.reals.append(real)
        self.fakes.append(fake)
        return self.objective.discriminator_terms(critic, real, fake, latent)

    def generator_terms(self, critic: nn.Module, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        self.generator_fakes.append(fake.detach())
        self.critic_weights = _parameters(critic)
        self.critic_gradients = [parameter.grad.clone() for parameter in critic.parameters()]
        return self.objective.generator_terms(critic, fake, latent)


class _DrawnLatents(NormalLatents):
    """Latents that keeps what was drawn."""

    def __init__(self) -> None:
        super().__init__(LATENT_SIZE)
        self.drawn: list[Tensor] = []

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        self.drawn.append(super().draw(count, generator))
        return self.drawn[-1]


def _collect(trainer: LatentGanTrainer, read: Any) -> list[Any]:
    """What `read(trainer)` gives after every iteration."""
    seen: list[Any] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(read(engine)))
    return seen


@pytest.mark.parametrize("gan", GANS)
def test_every_term_is_a_detached_scalar_under_its_own_name(gan):
    trainer = _trainer(gan, critic_steps=2, count=8)
    outputs = _collect(trainer, lambda engine: engine.state.output)
    trainer.run()
    critic_terms = CRITIC_TERMS | ({"critic/penalty"} if gan == "wgan_div" else set())
    expected = [critic_terms, critic_terms | GENERATOR_TERMS] * 2
    assert [set(output) for output in outputs] == expected
    for value in outputs[1].values():
        assert value.shape == ()
        assert not value.requires_grad


def test_diversity_is_the_spread_over_the_batch():
    trainer = _trainer(max_epochs=1)
    spy = _Spy(trainer)
    trainer.run()
    expected = np.std(spy.generator_fakes[-1].numpy(), axis=0).mean()
    assert trainer.state.output["generator/diversity"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("critic_steps", "moved_in"), [(1, range(1, 10)), (3, [3, 6, 9]), (5, [5]), (10, [])])
def test_the_generator_moves_every_so_many_iterations_and_the_critic_in_each(critic_steps, moved_in):
    trainer = _trainer(critic_steps=critic_steps, max_epochs=3)
    steps = {"generator": [], "critic": []}
    for part, optimizer in (("generator", trainer.generator_optimizer), ("critic", trainer.critic_optimizer)):
        optimizer.register_step_post_hook(lambda *_, part=part: steps[part].append(trainer.state.iteration))
    first = _parameters(trainer.generator)
    weights = _collect(trainer, lambda engine: _parameters(engine.generator))
    trainer.run()
    assert steps == {"generator": list(moved_in), "critic": list(range(1, 10))}
    pairs = enumerate(pairwise([first, *weights]), 1)
    assert [iteration for iteration, (before, after) in pairs if not _equal(before, after)] == list(moved_in)


def test_every_critic_step_sees_fresh_reals_and_fresh_latents():
    latents = _DrawnLatents()
    trainer = _trainer(critic_steps=3, latents=latents, max_epochs=2)
    spy = _Spy(trainer)
    trainer.run()
    assert len(spy.reals) == len(spy.fakes) == len(latents.drawn) == 6
    for epoch in (0, 3):
        assert len(torch.unique(torch.cat(spy.reals[epoch : epoch + 3]), dim=0)) == 12
    assert len(torch.unique(torch.cat(latents.drawn), dim=0)) == 24
    assert len(torch.unique(torch.cat(spy.fakes), dim=0)) == 24
    assert torch.equal(torch.stack(spy.generator_fakes), torch.stack([spy.fakes[2], spy.fakes[5]]))


def test_the_sampler_is_told_the_epoch():
    trainer = _trainer()
    spy = _Spy(trainer)
    trainer.run()
    order = ShuffledBatches(12, batch_size=4, seed=3)
    expected = []
    for epoch in (1, 2):
        order.set_epoch(epoch)
        expected += [trainer.data_loader.dataset.images[batch] for batch in order]
    assert torch.equal(torch.stack(spy.reals), torch.stack(expected))


@pytest.mark.parametrize("gan", GANS)
def test_the_generators_step_leaves_the_critic_as_it_was(gan):
    trainer = _trainer(gan, max_epochs=1)
    spy = _Spy(trainer)
    trainer.run()
    assert _equal(spy.critic_weights, _parameters(trainer.critic))
    assert _equal(spy.critic_gradients, [parameter.grad for parameter in trainer.critic.parameters()])
    assert all(parameter.requires_grad for parameter in trainer.critic.parameters())


class _FixedLatents:
    """The same latents whatever the generator."""

    latents = torch.randn(4, LATENT_SIZE, generator=torch.Generator().manual_seed(5))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return self.latents[:count]


def test_training_equals_the_paper_loop_written_out():
    batches = [{"image": batch} for batch in _Slices(12).images.split(4)]
    trainer = _trainer(max_epochs=1, critic_steps=2, train_data_loader=batches, latents=_FixedLatents())
    generator, critic = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.critic)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.999))
    trainer.run()
    for iteration, batch in enumerate(batches, 1):
        fake = generator(_FixedLatents.latents)
        loss = softplus(-critic(batch["image"])).mean() + softplus(critic(fake.detach())).mean()
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()
        if iteration == 2:
            generator_optimizer.zero_grad()
            softplus(-critic(fake)).mean().backward()
            generator_optimizer.step()
    for trained, expected in ((trainer.generator, generator), (trainer.critic, critic)):
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(trained.state_dict()[name], value, atol=1e-6, rtol=1e-5)


def test_the_sum_of_the_terms_is_minimised():
    class _TwoTerms:
        def discriminator_terms(
            self, critic: nn.Module, real: Tensor, fake: Tensor, latent: Tensor
        ) -> dict[str, Tensor]:
            weight = critic.head[0].weight.mean()
            return {"one": 2 * weight, "two": 5 * weight, "for_the_eye": 100 * weight.detach()}

        def generator_terms(self, critic: nn.Module, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
            return {"adversarial": fake.mean()}

    trainer = _trainer(count=4, max_epochs=1, objective=_TwoTerms())
    trainer.step.critic_optimizer = torch.optim.SGD(trainer.critic.parameters(), lr=0.1)
    weight = trainer.critic.head[0].weight
    before = weight.detach().clone()
    trainer.run()
    torch.testing.assert_close(before - weight, torch.full_like(weight, 0.1 * 7 / weight.numel()), atol=1e-7, rtol=1e-4)


def test_an_epoch_trains_also_after_a_handler_that_evaluates():
    trainer = _trainer("dcgan1", max_epochs=3)
    modes = _collect(trainer, lambda engine: (engine.generator.training, engine.critic.training))

    @trainer.on(Events.STARTED | Events.EPOCH_COMPLETED)
    def _evaluate(engine: LatentGanTrainer) -> None:
        engine.generator.eval()
        engine.critic.eval()

    trainer.run()
    assert modes == [(True, True)] * 9


# --- what is wrong is said


def _save_every_epoch(trainer: LatentGanTrainer, folder: Path) -> Checkpoint:
    """Checkpoints as the bundle's train.yaml makes them."""
    checkpoint = Checkpoint(
        to_save={
            "trainer": trainer,
            "generator": trainer.generator,
            "critic": trainer.critic,
            "generator_optimizer": trainer.generator_optimizer,
            "critic_optimizer": trainer.critic_optimizer,
        },
        save_handler=DiskSaver(str(folder), require_empty=False),
        n_saved=None,
        global_step_transform=lambda engine, event: engine.state.epoch,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, checkpoint)
    return checkpoint


def _load(path: Path | None) -> dict[str, Any]:
    assert path is not None
    return torch.load(path, weights_only=True)


def _all_finite(state: Any) -> bool:
    if isinstance(state, dict):
        return all(map(_all_finite, state.values()))
    if isinstance(state, (list, tuple)):
        return all(map(_all_finite, state))
    return bool(torch.isfinite(torch.as_tensor(state)).all()) if isinstance(state, (Tensor, float)) else True


class _Poisoned(LogisticObjective):
    """Terms of one side that become NaN from an iteration on."""

    def __init__(self, part: str, is_due: Any) -> None:
        self.part, self.is_due = part, is_due

    def discriminator_terms(self, critic: Any, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        terms = super().discriminator_terms(critic, real, fake, latent)
        return {**terms, "fake": terms["fake"] * float("nan")} if self.part == "critic" and self.is_due() else terms

    def generator_terms(self, critic: Any, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        terms = super().generator_terms(critic, fake, latent)
        if self.part == "generator" and self.is_due():
            return {"adversarial": terms["adversarial"] * float("inf")}
        return terms


@pytest.mark.parametrize(("part", "term"), [("critic", "critic/fake"), ("generator", "generator/adversarial")])
@pytest.mark.parametrize("from_iteration", [7, 8, 9])
def test_a_term_that_is_no_number_stops_the_training_before_it_is_saved(tmp_path, part, term, from_iteration):
    trainer = _trainer(max_epochs=9, train_handlers=[StatsHandler(output_transform=lambda output: output)])
    trainer.step.objective = _Poisoned(part, lambda: trainer.state.iteration >= from_iteration)
    _save_every_epoch(trainer, tmp_path)
    term = term if from_iteration == 9 else r"(critic|generator)/\w+"  # NaN spreads to the others until the epoch ends
    message = rf"^DCGAN-2 on glioma was stopped at epoch 3: the term {term} became (nan|inf); the last good checkpoint"
    with pytest.raises(TrainingDiverged, match=message):
        trainer.run()
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert latest.name == "checkpoint_2.pt"
    assert _all_finite(_load(latest))


@pytest.mark.parametrize("part", ["generator", "critic"])
def test_weights_that_are_no_numbers_stop_the_training(part):
    trainer = _trainer(max_epochs=9)

    def spoil(*_: Any) -> None:  # after both have stepped, so that the terms are still finite
        if trainer.state.iteration == 6:
            next(getattr(trainer, part).parameters()).data.view(-1)[0] = float("inf")

    trainer.generator_optimizer.register_step_post_hook(spoil)
    with pytest.raises(TrainingDiverged, match=rf"glioma was stopped at epoch 2: the {part} has weights that are NaN"):
        trainer.run()


def test_a_learning_rate_that_is_far_too_high_is_found_out():
    with pytest.raises(TrainingDiverged, match=r"was stopped at epoch \d+: .*; try a lower learning rate"):
        _trainer("wgan_div", max_epochs=20, rate=1e9).run()


class _Constant(nn.Module):
    """A generator that has collapsed."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.zeros(1, 1, 16, 16))

    def forward(self, latent: Tensor) -> Tensor:
        return torch.sigmoid(self.image).expand(len(latent), -1, -1, -1)


def test_a_collapsed_generator_stops_the_training(tmp_path):
    trainer = _trainer(generator=_Constant(), max_epochs=9, collapse_after=7)
    _save_every_epoch(trainer, tmp_path)
    with pytest.raises(TrainingDiverged, match="stopped at epoch 3: the generator collapsed, every image it makes is"):
        trainer.run()
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint_2.pt"


def test_little_variation_is_no_collapse_early_on_nor_above_the_threshold():
    _trainer(generator=_Constant(), collapse_after=7).run()
    _trainer(collapse_after=1).run()
    with pytest.raises(TrainingDiverged, match="collapsed"):
        _trainer(collapse_after=1, min_diversity=1.0).run()


def test_an_error_in_a_step_keeps_its_kind():
    class _Broken(LogisticObjective):
        def generator_terms(self, critic: Any, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        _trainer(objective=_Broken(), train_handlers=[StatsHandler(output_transform=lambda output: output)]).run()


def test_other_handlers_do_not_meet_the_error():
    trainer, met = _trainer(collapse_after=1, min_diversity=1.0), []
    trainer.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: met.append(error))
    with pytest.raises(TrainingDiverged):
        trainer.run()
    assert met == []


def test_options_are_checked():
    with pytest.raises(ValueError, match="float16"):
        _trainer(precision="float16")
    with pytest.raises(ValueError, match="critic_steps must be at least 1, got 0"):
        _trainer(critic_steps=0)


# --- resumed = uninterrupted


def _train(folder: Path, gan: str, *, max_epochs: int, resume: bool = False) -> dict[str, Any]:
    """Train with everything built anew, and give what a checkpoint of the last epoch holds."""
    trainer = _trainer(gan, max_epochs=max_epochs, critic_steps=2 if gan == "wgan_div" else 1, count=13, seed=7)
    checkpoint = _save_every_epoch(trainer, folder)
    if resume:
        latest = latest_checkpoint(folder)
        CheckpointLoader(load_path=str(latest), load_dict=checkpoint.to_save).attach(trainer)
    trainer.run()
    assert trainer.state.epoch == max_epochs
    return {**_load(folder / f"checkpoint_{max_epochs}.pt"), "output": trainer.state.output}


@pytest.mark.parametrize("gan", GANS)
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(tmp_path, gan):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    torch.manual_seed(1)
    whole = _train(tmp_path / "whole", gan, max_epochs=4)
    torch.manual_seed(2)
    half = _train(tmp_path / "parts", gan, max_epochs=2)
    torch.manual_seed(3)
    parts = _train(tmp_path / "parts", gan, max_epochs=4, resume=True)
    assert not _equal(half["generator"], whole["generator"])
    assert parts.keys() == whole.keys()
    for part in whole:
        assert _equal(parts[part], whole[part]), part


def test_a_finished_training_that_is_resumed_does_nothing(tmp_path):
    done = _train(tmp_path, "dcgan2", max_epochs=2)
    again = _train(tmp_path, "dcgan2", max_epochs=2, resume=True)
    assert _equal(done["generator"], again["generator"])
    assert _equal(done["trainer"], again["trainer"])


def test_handlers_that_draw_numbers_do_not_change_the_training():
    plain, disturbed = _trainer("dcgan1"), _trainer("dcgan1")
    disturbed.add_event_handler(Events.EPOCH_COMPLETED, lambda: torch.rand(5))
    plain.run()
    disturbed.run()
    assert _equal(_weights(plain), _weights(disturbed))


@pytest.mark.parametrize("gan", ["dcgan1", "wgan_div"])
def test_the_training_is_a_function_of_its_seed(gan):
    first, same, other = (_trainer(gan, seed=seed) for seed in (1, 1, 2))
    for trainer in (first, same, other):
        trainer.run()
    assert _equal(_weights(first), _weights(same))
    assert not _equal(_weights(first), _weights(other))


@pytest.mark.parametrize("gan", GANS)
def test_a_run_leaves_the_global_generator_as_it_was(gan):
    before = torch.get_rng_state()
    trainer = _trainer(gan)
    trainer.run()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_that_fails_leaves_the_global_generator_as_it_was():
    before = torch.get_rng_state()
    with pytest.raises(TrainingDiverged):
        _trainer(collapse_after=1, min_diversity=1.0).run()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_holds_tensors_and_plain_values_only(tmp_path):
    trainer = _trainer("dcgan1")
    _save_every_epoch(trainer, tmp_path)
    trainer.run()
    found = _load(latest_checkpoint(tmp_path))
    assert set(found) == {"trainer", "generator", "critic", "generator_optimizer", "critic_optimizer"}
    assert _equal(dict(found["generator"]), dict(trainer.generator.state_dict()))


# --- other precisions, small data


@pytest.mark.parametrize("gan", GANS)
def test_bfloat16_stays_near_float32(gan):
    outputs, dtypes = {}, set()
    for precision in ("float32", "bfloat16"):
        trainer = _trainer(gan, precision=precision, max_epochs=1)
        if precision == "bfloat16":
            layer = next(m for m in trainer.critic.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
            layer.register_forward_hook(lambda module, inputs, result: dtypes.add(result.dtype))
        outputs[precision] = _collect(trainer, lambda engine: engine.state.output)
        trainer.run()
        assert all(weight.dtype == torch.float32 for weight in trainer.generator.parameters())
    assert torch.bfloat16 in dtypes
    for exact, near in zip(outputs["float32"], outputs["bfloat16"], strict=True):
        for name, value in exact.items():
            if name == "critic/certainty":  # a mean of signs jumps
                continue
            assert near[name].float().item() == pytest.approx(value.item(), rel=0.05, abs=0.03), name


def test_auto_is_one_of_both_and_trains():
    trainer = _trainer(precision="auto", max_epochs=1)
    assert trainer.step.autocast in (None, torch.bfloat16)
    trainer.run()
    assert trainer.state.iteration == 3


@pytest.mark.parametrize("gan", GANS)
def test_fewer_images_than_a_batch_are_one_batch_with_as_many_fakes(gan):
    trainer = _trainer(gan, count=3, batch_size=64)
    spy = _Spy(trainer)
    trainer.run()
    assert [len(real) for real in spy.reals] == [len(fake) for fake in spy.fakes] == [3, 3]


def test_a_short_last_batch_meets_as_many_fakes():
    batches = [{"image": batch} for batch in _Slices(6).images.split(4)]
    trainer = _trainer(train_data_loader=batches, max_epochs=1)
    spy = _Spy(trainer)
    trainer.run()
    assert [len(fake) for fake in spy.fakes] == [4, 2]


# --- handlers of MONAI


def _validation(trainer: LatentGanTrainer) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": image} for image in _Slices(5).images]), batch_size=5),
        network=trainer.generator,
        inferer=SelectionInferer(pool_size=8),
        key_val_metric={
            "ssim": IgniteMetricHandler(
                metric_fn=SSIMMetric(spatial_dims=2, data_range=1.0), output_transform=from_engine(["pred", "image"])
            )
        },
        decollate=False,
    )


def test_monais_handlers_log_terms_and_compare_with_held_out_images(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    trainer = _trainer(max_epochs=4)
    validator = _validation(trainer)
    best = []
    for handler in (
        ValidationHandler(interval=2, validator=validator),
        StatsHandler(iteration_log=True, epoch_log=False, output_transform=lambda output: output),
        TensorBoardStatsHandler(log_dir=str(tmp_path), iteration_log=1, output_transform=lambda output: output),
    ):
        handler.attach(trainer)
    validator.add_event_handler(Events.COMPLETED, lambda engine: best.append(engine.state.metrics["ssim"]))
    modes = _collect(trainer, lambda engine: engine.generator.training)
    trainer.run()
    assert len(best) == 2
    assert all(-1 <= value <= 1 for value in best)
    assert all(modes)
    assert "critic/score_real" in caplog.text
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) >= CRITIC_TERMS | GENERATOR_TERMS
    steps = [point.step for point in events.Scalars("critic/real")]
    assert steps == list(range(1, 13))
    values = [point.value for point in events.Scalars("generator/adversarial")]
    assert values[-1] == pytest.approx(trainer.state.output["generator/adversarial"].item(), rel=1e-5)


def test_validation_does_not_change_the_training():
    plain, judged = _trainer("dcgan1"), _trainer("dcgan1")
    ValidationHandler(interval=1, validator=_validation(judged)).attach(judged)
    plain.run()
    judged.run()
    assert _equal(_weights(plain), _weights(judged))
