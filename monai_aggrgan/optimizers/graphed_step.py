"""A step that is the same every time, as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["GraphedStep"]

_WARM_UP = 3  # calls that let cuDNN and cuBLAS choose their kernels and take their memory


class GraphedStep:
    """Call `step`; on CUDA record its kernels once, after three ordinary calls, and replay them from then on.

    A replay costs the host nothing, so small kernels follow each other without a gap. `step` must read and write
    tensors that stay where they are, must not wait for the device, and must not depend on anything that changes on the
    host, as a `BatchedOptimizer.step` with a closure of that kind. Every call is one step, those at the start included.

    Args:
        step: what to do.
        device: where `step` works; on any other device than CUDA it is simply called.

    Source: PyTorch's notes on CUDA graphs: warm-up on a side stream, capture, replay.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self.step = step
        self.calls = 0
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """One step."""
        if self.stream is None:
            self.step()
        elif self.calls < _WARM_UP:
            self._warm_up(self.stream)
        else:
            self._replay(self.stream)
        self.calls += 1

    def _warm_up(self, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            self.step()
        torch.cuda.current_stream(stream.device).wait_stream(stream)

    def _replay(self, stream: torch.cuda.Stream) -> None:
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=stream):
                self.step()
        self.graph.replay()
