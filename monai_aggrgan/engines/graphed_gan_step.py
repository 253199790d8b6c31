"""Whole steps of a training as CUDA graphs."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from monai_aggrgan.engines.gan_step import GanStep
from monai_aggrgan.optimizers.graphed_step import GraphedStep

__all__ = ["GraphedGanStep", "fit_to_graphs"]


class GraphedGanStep:
    """A `GanStep` whose kernels are recorded once and replayed: the same values, without the host's 1000 launches.

    There is one graph for steps of the critic alone and one for steps of both. The first steps of each kind are
    ordinary ones, and so are those on batches of another size (the last of an epoch). Networks, optimisers (see
    `fit_to_graphs`), average and augmentation must stay where they are in memory; who loads other ones calls `forget`.

    Args:
        step: what to record.
        device: a CUDA device; on any other the step is simply done.
    """

    def __init__(self, step: GanStep, device: torch.device) -> None:
        self.step, self.device = step, device
        self.forget()

    def forget(self) -> None:
        """Record anew: something that the graphs refer to has been replaced."""
        self._graphs: dict[bool, GraphedStep] = {}
        self._terms: dict[bool, tuple[list[str], Tensor]] = {}
        self._real: Tensor | None = None

    def __call__(self, real: Tensor, *, with_generator: bool) -> dict[str, Tensor]:
        """As `GanStep`; the terms are copies that the next step leaves alone."""
        if self._real is None:
            self._real = real.clone()
        elif real.shape != self._real.shape:
            return self.step(real, with_generator=with_generator)
        self._real.copy_(real)
        if with_generator not in self._graphs:
            work = partial(self._work, self._real, with_generator)
            self._graphs[with_generator] = GraphedStep(work, self.device, generators=[self.step.random])
        self._graphs[with_generator]()
        names, values = self._terms[with_generator]
        return dict(zip(names, values.clone().unbind(), strict=True))

    def _work(self, real: Tensor, with_generator: bool) -> None:
        terms = self.step(real, with_generator=with_generator)
        self._terms[with_generator] = list(terms), torch.stack([value.float() for value in terms.values()])


def fit_to_graphs(optimizer: Optimizer, device: torch.device, *, graphs: bool) -> None:
    """Let a torch optimiser work inside CUDA graphs, or outside of them again, whatever checkpoint it came from.

    In a graph the learning rate and the count of steps are tensors on the device, which a schedule or a roll-back
    changes in place. An optimiser without the setting `capturable` is left as it is.
    """
    for group in optimizer.param_groups:
        if "capturable" not in group:
            continue
        group["capturable"] = graphs
        rate = group["lr"]
        group["lr"] = torch.as_tensor(rate, dtype=torch.float32, device=device) if graphs else float(rate)
        place = device if graphs or group.get("fused") else torch.device("cpu")
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=place)
