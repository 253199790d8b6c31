"""What can be wrong with an adversarial training, in words."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

__all__ = ["ailment_of"]


def ailment_of(
    terms: Mapping[str, Tensor],
    *,
    generator: nn.Module,
    critic: nn.Module,
    diversity: Tensor | None,
    min_diversity: float,
) -> str | None:
    """The first thing that is wrong after a step: numbers that are none, dead gradients, the same image always.

    All is found out on the device and read in one transfer.

    Args:
        terms: scalars of the step by name.
        generator: the generator; its gradients are still those of its last step.
        critic: the critic.
        diversity: standard deviation over a batch of images, averaged over pixels; None is not judged.
        min_diversity: below which the generator has collapsed.

    Returns:
        An English clause, None when the training is well.
    """
    signs: dict[str, tuple[Tensor, str]] = {}
    for name, value in terms.items():
        signs[name] = (~torch.isfinite(value), f"the term {name} became {{}}")
    for part, network in (("generator", generator), ("critic", critic)):
        weights = [weight.detach() for weight in network.state_dict().values() if weight.is_floating_point()]
        signs[part] = (~torch.isfinite(get_total_norm(weights)), f"the {part} has weights that are NaN or infinite")
    gradients = [parameter.grad for parameter in generator.parameters() if parameter.grad is not None]
    if gradients:
        dead = get_total_norm(gradients) == 0
        signs["gradients"] = (dead, "the generator's gradients are zero, it has stopped learning")
    if diversity is not None:
        signs["diversity"] = (diversity < min_diversity, "the generator collapsed, every image it makes is the same")
    found = torch.stack([sign.reshape(()).to(next(generator.parameters()).device) for sign, _ in signs.values()])
    for (name, (_, clause)), is_so in zip(signs.items(), found.tolist(), strict=True):
        if is_so:
            return clause.format(terms[name].item() if name in terms else "")
    return None
