from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from monai_aggrgan.losses.adversarial import (
    logistic_fake_loss,
    logistic_generator_loss,
    logistic_real_loss,
    wasserstein_divergence_penalty,
)
from monai_aggrgan.losses.objectives import AdversarialObjective, LogisticObjective, WassersteinDivergenceObjective

OBJECTIVES = [LogisticObjective(), WassersteinDivergenceObjective()]
DIRECTIONS = list(zip(OBJECTIVES, [1, -1], strict=True))  # high and low on real


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def critic() -> nn.Sequential:
    """So flat that the scores, not the penalty, decide where a step goes."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Tanh(), nn.Linear(6, 1))
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    return critic


@pytest.fixture
def real() -> Tensor:
    return draw(4, 1, 3, 3)


@pytest.fixture
def fake() -> Tensor:
    return draw(4, 1, 3, 3, seed=1) / 2


@pytest.fixture
def latent() -> Tensor:
    return draw(4, 5, seed=2)


def score_gap(critic: nn.Module, real: Tensor, fake: Tensor) -> float:
    with torch.no_grad():
        return (critic(real).mean() - critic(fake).mean()).item()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_follow_the_protocol(objective):
    assert isinstance(objective, AdversarialObjective)


def test_logistic_terms(critic, real, fake, latent):
    objective = LogisticObjective()
    terms = objective.discriminator_terms(critic, real, fake)
    assert terms == {
        "real": logistic_real_loss(critic(real)),
        "fake": logistic_fake_loss(critic(fake)),
        "score_real": critic(real).mean(),
        "score_fake": critic(fake).mean(),
    }
    assert objective.generator_terms(critic, fake, latent) == {"adversarial": logistic_generator_loss(critic(fake))}


def test_wasserstein_divergence_terms(critic, real, fake, latent):
    objective = WassersteinDivergenceObjective(k=3.0, p=4.0)
    torch.manual_seed(5)
    terms = objective.discriminator_terms(critic, real, fake)
    torch.manual_seed(5)
    mix = torch.rand(4, 1, 1, 1)
    assert terms == {
        "real": critic(real).mean(),
        "fake": -critic(fake).mean(),
        "penalty": wasserstein_divergence_penalty(critic, real, fake, mix=mix, k=3.0, p=4.0),
        "score_real": critic(real).mean(),
        "score_fake": critic(fake).mean(),
    }
    assert objective.generator_terms(critic, fake, latent) == {"adversarial": critic(fake).mean()}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_terms_are_scalars_and_scores_only_for_the_eye(objective, critic, real, fake, latent):
    terms = objective.discriminator_terms(critic, real, fake) | objective.generator_terms(critic, fake, latent)
    assert all(term.shape == () for term in terms.values())
    assert {name for name, term in terms.items() if not term.requires_grad} == {"score_real", "score_fake"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_discriminator_terms_do_not_reach_the_generator(objective, critic, real, latent):
    generator = nn.Sequential(nn.Linear(5, 9), nn.Sigmoid(), nn.Unflatten(1, (1, 3, 3)))
    sum(objective.discriminator_terms(critic, real, generator(latent)).values()).backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in critic[1].parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_generator_terms_reach_the_generator(objective, critic, latent):
    generator = nn.Sequential(nn.Linear(5, 9), nn.Sigmoid(), nn.Unflatten(1, (1, 3, 3)))
    sum(objective.generator_terms(critic, generator(latent), latent).values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


@pytest.mark.parametrize(("objective", "direction"), DIRECTIONS)
def test_a_step_of_the_critic_parts_real_from_fake(objective, direction, critic, real, fake):
    """The logistic critic is pushed high on real, that of WGAN-div low on real."""
    before = score_gap(critic, real, fake)
    sum(objective.discriminator_terms(critic, real, fake).values()).backward()
    torch.optim.SGD(critic.parameters(), lr=0.01).step()
    assert direction * (score_gap(critic, real, fake) - before) > 1e-4


@pytest.mark.parametrize(("objective", "direction"), DIRECTIONS)
def test_a_step_of_the_generator_moves_its_score_towards_real(objective, direction, critic, latent, fake):
    fake.requires_grad_()
    objective.generator_terms(critic, fake, latent)["adversarial"].backward()
    moved = (fake - 0.1 * fake.grad).detach()
    assert direction * (critic(moved).mean() - critic(fake).mean()) > 1e-4


def test_a_wasserstein_critic_that_is_lower_on_real_is_rewarded(critic, real, fake):
    """Of f and -f, which have the same penalty, the one lower on real has the lower sum."""
    objective, opposite = WassersteinDivergenceObjective(), copy.deepcopy(critic)
    opposite[3].weight.data.neg_()
    opposite[3].bias.data.neg_()
    sums = []
    for either in (critic, opposite):
        torch.manual_seed(0)
        sums.append(
            sum(objective.discriminator_terms(either, real, fake)[name] for name in ("real", "fake", "penalty"))
        )
    gap = score_gap(critic, real, fake)
    assert abs(gap) > 1e-3
    assert (sums[0] < sums[1]) == (gap < 0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_real_and_fake_are_separate_batches(objective, real, fake):
    """BatchNorm takes its statistics from real and fake apart."""
    seen = []

    def critic(images: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.square().mean((1, 2, 3))[:, None]

    objective.discriminator_terms(critic, real.requires_grad_(), fake)
    assert torch.equal(seen[0], real)
    assert torch.equal(seen[1], fake)


def test_each_image_and_each_call_has_its_own_place(critic, real, fake):
    places = []

    def watched(images: Tensor) -> Tensor:
        places.append(images.detach())
        return critic(images)

    objective = WassersteinDivergenceObjective()
    for _ in range(2):
        objective.discriminator_terms(watched, real, fake)
    shares = torch.stack([((places[i] - real) / (fake - real)).flatten(1).mean(1) for i in (2, 5)])
    assert len(shares.unique()) == 8
    assert shares.min() >= 0
    assert shares.max() <= 1
