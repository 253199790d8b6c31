from __future__ import annotations

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch

from monai_aggrgan.optimizers import BatchedLBFGS, GraphedStep, value_and_gradient


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens on a GPU that is not there: a list to which warm-ups, recordings and replays are written."""
    happened: list[str] = []
    stream = SimpleNamespace(device="cuda", wait_stream=lambda other: happened.append("wait"))

    @contextmanager
    def record(graph: object, stream: object):
        happened.append("record")
        yield

    graph = SimpleNamespace(
        replay=lambda: happened.append("replay"),
        register_generator_state=lambda generator: happened.append(f"register {generator}"),
    )
    for name, value in {
        "Stream": lambda device: stream,
        "current_stream": lambda device: stream,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": lambda: graph,
        "graph": record,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return happened


def test_three_ordinary_steps_then_one_recording_and_replays(pretended):
    step = GraphedStep(lambda: pretended.append("step"), torch.device("cuda"))
    for _ in range(6):
        step()
    assert pretended == ["wait", "step", "wait"] * 3 + ["record", "step", "replay", "replay", "replay"]


def test_a_recording_takes_up_the_streams_of_its_random_generators(pretended):
    step = GraphedStep(lambda: pretended.append("step"), torch.device("cuda"), generators=["latents", "masks"])
    for _ in range(5):
        step()
    assert pretended[9:] == ["register latents", "register masks", "record", "step", "replay", "replay"]


def test_a_step_that_cannot_be_recorded_is_still_done(pretended, caplog):
    def work() -> None:
        pretended.append("step")
        if pretended[-2] == "record":
            raise RuntimeError("operation not permitted when stream is capturing")

    step = GraphedStep(work, torch.device("cuda"))
    for _ in range(6):
        step()
    assert pretended == ["wait", "step", "wait"] * 3 + ["record", "step", "step", "step", "step"]
    assert caplog.text.count("cannot be a CUDA graph") == 1 and "not permitted" in caplog.text


def test_elsewhere_than_on_cuda_a_step_is_simply_called():
    calls: list[int] = []
    step = GraphedStep(lambda: calls.append(len(calls)), torch.device("cpu"))
    for _ in range(6):
        step()
    assert calls == list(range(6)) and step.graph is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_a_recorded_step_is_the_step():
    starts = torch.rand(4, 3, device="cuda", dtype=torch.float64)
    closure = value_and_gradient(lambda x: (x.square() - 2).square().sum(1))
    plain, recorded = BatchedLBFGS(starts), BatchedLBFGS(starts)
    step = GraphedStep(lambda: recorded.step(closure), torch.device("cuda"))
    for count in range(1, 21):
        plain.step(closure)
        step()
        assert recorded.iterations.tolist() == [count - 1] * 4
        torch.testing.assert_close(recorded.parameters, plain.parameters, rtol=0, atol=1e-12)
    assert step.graph is not None
    recorded.replace(torch.tensor([2], device="cuda"), starts[:1])  # into the memory that the graph knows
    step()
    assert recorded.iterations.tolist() == [20, 20, 0, 20]
