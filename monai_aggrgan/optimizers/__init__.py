"""Optimisers of many independent problems at once, and the average of what one gives; in plain torch."""

from monai_aggrgan.optimizers.batched_adam import BatchedAdam
from monai_aggrgan.optimizers.batched_lbfgs import BatchedLBFGS
from monai_aggrgan.optimizers.batched_optimizer import BatchedOptimizer, Closure, value_and_gradient
from monai_aggrgan.optimizers.graphed_step import GraphedStep
from monai_aggrgan.optimizers.moving_average import ExponentialMovingAverage
from monai_aggrgan.optimizers.slots import Finished, Problems, Slots, StopReason

__all__ = [
    "BatchedAdam",
    "BatchedLBFGS",
    "BatchedOptimizer",
    "Closure",
    "ExponentialMovingAverage",
    "Finished",
    "GraphedStep",
    "Problems",
    "Slots",
    "StopReason",
    "value_and_gradient",
]
