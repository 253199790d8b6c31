"""MONAI's handler for MLflow on our trainer: every term is a metric, and no network is needed."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from ignite.engine import Events
from monai.handlers import MLFlowHandler

for library in ("mlflow", "sqlalchemy", "alembic"):
    pytest.importorskip(library, reason="needs MLflow's local store: pip install mlflow-skinny sqlalchemy alembic")

import mlflow  # noqa: E402


@pytest.fixture
def attempts(monkeypatch) -> list[Any]:
    """Addresses that somebody tried to reach; MLflow is told not to tell its makers of its use."""
    tried: list[Any] = []

    def refuse(*address: Any) -> None:
        tried.append(address)
        raise OSError("no network here")

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_every_term_of_a_training_becomes_a_metric(tmp_path, monkeypatch, make_trainer, attempts):
    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    handler = MLFlowHandler(
        tracking_uri=store,
        experiment_name="study",
        run_name="glioma/dcgan2",
        iteration_log=lambda engine, iteration: iteration % 2 == 0,
        epoch_log=False,
        output_transform=lambda output: output,
        close_on_complete=True,
    )
    trainer = make_trainer(train_handlers=[handler])
    expected: dict[str, list[tuple[int, float]]] = {}

    @trainer.on(Events.ITERATION_COMPLETED(every=2))
    def _keep() -> None:
        for name, value in trainer.state.output.items():
            expected.setdefault(name, []).append((trainer.state.iteration, value.item()))

    trainer.run()
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    assert (run.info.run_name, run.info.status) == ("glioma/dcgan2", "FINISHED")
    assert run.data.params == {"max_epochs": "2", "epoch_length": "3"}
    assert run.data.metrics.keys() == expected.keys() > {"critic/real", "critic/fake", "generator/adversarial"}
    for name, points in expected.items():
        history = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
        assert history == points
        assert [step for step, _ in history] == [2, 4, 6]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert attempts == []
