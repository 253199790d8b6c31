from __future__ import annotations

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_aggrgan.handlers.best_weights import BestWeights


def run(losses: dict[int, float], epochs: int, *, best_of: BestWeights | None = None) -> tuple[BestWeights, nn.Module]:
    """An engine whose network's weight is the number of the epoch, validated after those of `losses`."""
    network = nn.Linear(1, 1, bias=False)
    evaluator = SimpleNamespace(state=SimpleNamespace(epoch=0, metrics={}))
    engine = Engine(lambda engine, batch: network.weight.data.fill_(engine.state.epoch))

    def validate(engine: Engine) -> None:
        if engine.state.epoch in losses:
            evaluator.state.epoch, evaluator.state.metrics["loss"] = engine.state.epoch, losses[engine.state.epoch]

    engine.add_event_handler(Events.EPOCH_COMPLETED, validate)
    best = BestWeights(network, evaluator)
    if best_of is not None:
        best.load_state_dict(best_of.state_dict())
    best.attach(engine)
    engine.run([0], max_epochs=epochs)
    return best, network


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([3, 2, 1], 3), ([1, 2, 3], 1), ([2, 1, 3], 2), ([2, 1, 1], 2), ([math.nan, 5, math.nan], 2), ([math.inf, 1], 2)],
)
def test_the_weights_of_the_lowest_loss_are_loaded_at_the_end(losses, expected):
    best, network = run(dict(enumerate(losses, 1)), len(losses))
    assert best.epoch == expected
    assert best.loss == losses[expected - 1]
    assert network.weight.item() == expected


def test_an_epoch_that_was_not_validated_is_not_taken():
    best, network = run({2: 1.0, 4: 2.0}, 5)
    assert (best.epoch, network.weight.item()) == (2, 2)


def test_what_was_best_before_an_interruption_counts():
    before, _ = run({1: 0.5, 2: 0.7}, 2)
    kept, network = run({1: 0.6, 2: 0.5}, 2, best_of=before)
    assert (kept.epoch, kept.loss, network.weight.item()) == (1, 0.5, 1)
    better, _ = run({1: 0.6, 2: 0.4}, 2, best_of=before)
    assert (better.epoch, better.loss) == (2, 0.4)


def test_its_state_is_plain(tmp_path):
    best, _ = run({1: 0.5}, 1)
    torch.save(best.state_dict(), tmp_path / "best.pt")
    state = torch.load(tmp_path / "best.pt", weights_only=True)
    assert state["epoch"] == 1
    assert state["weights"]["weight"].item() == 1


def test_without_a_finite_loss_the_last_weights_are_taken_and_it_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        best, network = run({1: math.nan, 2: math.nan}, 2)
    assert (best.epoch, network.weight.item()) == (0, 2)
    assert "No epoch had a finite validation loss: the last weights are taken." in caplog.text
