"""A step that is the same every time, as one CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch

__all__ = ["GraphedStep"]

logger = logging.getLogger(__name__)

_WARM_UP = 3  # calls that let cuDNN and cuBLAS choose their kernels and take their memory


class GraphedStep:
    """Call `step`; on CUDA record its kernels once, after three ordinary calls, and replay them from then on.

    A replay costs the host nothing, so small kernels follow each other without a gap. `step` must read and write
    tensors that stay where they are, must not wait for the device, and must not depend on anything that changes on the
    host, as a `BatchedOptimizer.step` with a closure of that kind. Every call is one step, those at the start included.

    Args:
        step: what to do.
        device: where `step` works; on any other device than CUDA it is simply called.
        generators: random generators, beside torch's own, that `step` draws from: a replay goes on in their streams.

    Source: PyTorch's notes on CUDA graphs: warm-up on a side stream, capture, replay.
    """

    def __init__(
        self, step: Callable[[], None], device: torch.device, *, generators: Sequence[torch.Generator] = ()
    ) -> None:
        self.step = step
        self.generators = generators
        self.calls = 0
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """One step."""
        if self.stream is None:
            self.step()
        elif self.calls < _WARM_UP:
            self._warm_up(self.stream)
        elif graph := self.graph or self._recorded(self.stream):
            graph.replay()
        else:
            self.step()
        self.calls += 1

    def _warm_up(self, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            self.step()
        torch.cuda.current_stream(stream.device).wait_stream(stream)

    def _recorded(self, stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph | None:
        """Record the step, which does not do it; say so where that is not possible, and never try again."""
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, stream=stream):
                self.step()
        except RuntimeError as error:
            logger.warning("The step cannot be a CUDA graph and is launched each time, which is slower: %s", error)
            self.stream = None
        else:
            self.graph = graph
        return self.graph
