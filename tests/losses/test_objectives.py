from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.distributed import HashStore, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

from monai_aggrgan.losses.adversarial import (
    information_loss,
    least_squares_fake_loss,
    least_squares_generator_loss,
    least_squares_real_loss,
    logistic_fake_loss,
    logistic_generator_loss,
    logistic_real_loss,
    r1_penalty,
    wasserstein_divergence_penalty,
)
from monai_aggrgan.losses.objectives import (
    AdversarialObjective,
    InformationObjective,
    LeastSquaresObjective,
    LogisticObjective,
    R1Objective,
    WassersteinDivergenceObjective,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def codes(latent: Tensor) -> tuple[Tensor, Tensor]:
    """Two categories and one continuous code of latents (B, 5)."""
    return nn.functional.one_hot((latent[:, 0] > 0.5).long(), 2).to(latent), latent[:, 1:2]


OBJECTIVES = [
    LogisticObjective(),
    LeastSquaresObjective(),
    WassersteinDivergenceObjective(),
    InformationObjective(codes),
    R1Objective(LogisticObjective()),
    R1Objective(InformationObjective(codes)),
]
DIRECTIONS = list(zip(OBJECTIVES, [1, 1, -1, 1, 1, 1], strict=True))  # high and low on real
FOR_THE_EYE = {"score_real", "score_fake", "certainty"}


class SmallCritic(nn.Module):
    """So flat that the scores, not the penalty, decide where a step goes; with a Q that shares its trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Tanh())
        self.head, self.code_head = nn.Linear(6, 1), nn.Linear(6, 3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))

    def forward(self, images: Tensor, with_codes: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        maps = self.trunk(images)
        return (self.head(maps), self.code_head(maps)) if with_codes else self.head(maps)


@pytest.fixture
def critic() -> SmallCritic:
    return SmallCritic()


@pytest.fixture
def generator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 9), nn.Sigmoid(), nn.Unflatten(1, (1, 3, 3)))


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


def scores(critic: nn.Module, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    return {"score_real": critic(real).mean(), "score_fake": critic(fake).mean()}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_follow_the_protocol(objective):
    assert isinstance(objective, AdversarialObjective)


def test_logistic_terms(critic, real, fake, latent):
    objective = LogisticObjective()
    assert objective.discriminator_terms(critic, real, fake, latent) == {
        "real": logistic_real_loss(critic(real)),
        "fake": logistic_fake_loss(critic(fake)),
        **scores(critic, real, fake),
        "certainty": critic(real).sign().mean(),
    }
    assert objective.generator_terms(critic, fake, latent) == {"adversarial": logistic_generator_loss(critic(fake))}


def test_least_squares_terms(critic, real, fake, latent):
    objective = LeastSquaresObjective()
    assert objective.discriminator_terms(critic, real, fake, latent) == {
        "real": least_squares_real_loss(critic(real)),
        "fake": least_squares_fake_loss(critic(fake)),
        **scores(critic, real, fake),
        "certainty": (critic(real) - 0.5).sign().mean(),
    }
    assert objective.generator_terms(critic, fake, latent) == {
        "adversarial": least_squares_generator_loss(critic(fake))
    }


def test_wasserstein_divergence_terms(critic, real, fake, latent):
    objective = WassersteinDivergenceObjective(k=3.0, p=4.0)
    torch.manual_seed(5)
    terms = objective.discriminator_terms(critic, real, fake, latent)
    torch.manual_seed(5)
    mix = torch.rand(4, 1, 1, 1)
    assert terms == {
        "real": critic(real).mean(),
        "fake": -critic(fake).mean(),
        "penalty": wasserstein_divergence_penalty(critic, real, fake, mix=mix, k=3.0, p=4.0),
        **scores(critic, real, fake),
        "certainty": ((critic(real).mean() + critic(fake).mean()) / 2 - critic(real)).sign().mean(),
    }
    assert objective.generator_terms(critic, fake, latent) == {"adversarial": critic(fake).mean()}


def test_information_terms_are_the_logistic_ones_and_the_information(critic, real, fake, latent):
    objective, logistic = InformationObjective(codes, weight=0.3), LogisticObjective()
    information = {"information": 0.3 * information_loss(critic(fake, with_codes=True)[1], *codes(latent))}
    terms = objective.discriminator_terms(critic, real, fake, latent)
    assert terms == logistic.discriminator_terms(critic, real, fake, latent) | information
    terms = objective.generator_terms(critic, fake, latent)
    assert terms == logistic.generator_terms(critic, fake, latent) | information


@pytest.mark.parametrize("inner", OBJECTIVES[:4])
def test_r1_adds_one_term_to_the_discriminator(inner, critic, real, fake, latent):
    objective = R1Objective(inner, gamma=0.7)
    seen = []
    for either in (objective, inner):
        torch.manual_seed(5)
        seen.append(either.discriminator_terms(critic, real, fake, latent))
    assert seen[0] == seen[1] | {"r1": r1_penalty(critic, real, gamma=0.7)}
    assert objective.generator_terms(critic, fake, latent) == inner.generator_terms(critic, fake, latent)


def test_the_default_of_r1_is_the_authors_on_images_from_minus_one_to_one(critic, real, fake, latent):
    """gamma = 10 there; a critic of [0, 1] images that converts them inside."""
    penalty = R1Objective(LogisticObjective()).discriminator_terms(
        lambda images: critic(2 * images - 1), real, fake, latent
    )["r1"]
    torch.testing.assert_close(penalty, r1_penalty(critic, 2 * real - 1, gamma=10.0))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_terms_are_scalars_and_some_only_for_the_eye(objective, critic, real, fake, latent):
    terms = objective.discriminator_terms(critic, real, fake, latent) | objective.generator_terms(critic, fake, latent)
    assert all(term.shape == () for term in terms.values())
    assert {name for name, term in terms.items() if not term.requires_grad} == FOR_THE_EYE


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_discriminator_terms_do_not_reach_the_generator(objective, critic, generator, real, latent):
    sum(objective.discriminator_terms(critic, real, generator(latent), latent).values()).backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in critic.trunk.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_generator_terms_reach_the_generator(objective, critic, generator, latent):
    for term in objective.generator_terms(critic, generator(latent), latent).values():
        gradients = torch.autograd.grad(term, list(generator.parameters()), retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize(("objective", "direction"), DIRECTIONS)
def test_a_step_of_the_critic_parts_real_from_fake(objective, direction, critic, real, fake, latent):
    """The logistic critic is pushed high on real, that of WGAN-div low on real."""
    before = score_gap(critic, real, fake)
    sum(objective.discriminator_terms(critic, real, fake, latent).values()).backward()
    torch.optim.SGD(critic.parameters(), lr=0.01).step()
    assert direction * (score_gap(critic, real, fake) - before) > 1e-4


@pytest.mark.parametrize(("objective", "direction"), DIRECTIONS)
def test_a_step_of_the_generator_moves_its_score_towards_real(objective, direction, critic, latent, fake):
    fake.requires_grad_()
    objective.generator_terms(critic, fake, latent)["adversarial"].backward()
    moved = (fake - 0.1 * fake.grad).detach()
    assert direction * (critic(moved).mean() - critic(fake).mean()) > 1e-4


@pytest.mark.parametrize(("objective", "direction"), DIRECTIONS)
def test_certainty_tells_on_which_side_real_images_fall(objective, direction, latent):
    """Of four real images three are on the side of real; only the first pixel counts for this critic."""

    def critic(images: Tensor, with_codes: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        logits = images[:, 0, :1, 0]
        return (logits, images.flatten(1)[:, :3]) if with_codes else logits

    real, fake = torch.zeros(4, 1, 3, 3), torch.zeros(4, 1, 3, 3)
    real[:, 0, 0, 0] = direction * torch.tensor([0.9, 0.8, 0.7, -1.0])
    fake[:, 0, 0, 0] = direction * -2.0
    terms = objective.discriminator_terms(critic, real, fake, latent)
    assert terms["certainty"] == 0.5
    terms = objective.discriminator_terms(critic, fake, real, latent)
    assert terms["certainty"] == -1


def test_certainty_has_its_zero_between_the_values_that_real_and_fake_are_pulled_to(latent):
    def critic(images: Tensor) -> Tensor:
        return images[:, 0, :1, 0]

    real, fake = torch.full((4, 1, 3, 3), 0.4), torch.zeros(4, 1, 3, 3)
    assert LogisticObjective().discriminator_terms(critic, real, fake, latent)["certainty"] == 1
    assert LeastSquaresObjective().discriminator_terms(critic, real, fake, latent)["certainty"] == -1
    real = torch.tensor([0.0, 1.0, 3.0, 4.0]).view(4, 1, 1, 1)
    for score_fake, expected in ((8.0, 1), (-1.0, -0.5)):  # the middles are 5 and 0.5
        fake = torch.full((4, 1, 1, 1), score_fake)
        terms = WassersteinDivergenceObjective().discriminator_terms(critic, real, fake, latent)
        assert terms["certainty"] == expected


def test_a_wasserstein_critic_that_is_lower_on_real_is_rewarded(critic, real, fake, latent):
    """Of f and -f, which have the same penalty, the one lower on real has the lower sum."""
    objective, opposite = WassersteinDivergenceObjective(), copy.deepcopy(critic)
    opposite.head.weight.data.neg_()
    opposite.head.bias.data.neg_()
    sums = []
    for either in (critic, opposite):
        torch.manual_seed(0)
        terms = objective.discriminator_terms(either, real, fake, latent)
        sums.append(sum(terms[name] for name in ("real", "fake", "penalty")))
    gap = score_gap(critic, real, fake)
    assert abs(gap) > 1e-3
    assert (sums[0] < sums[1]) == (gap < 0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_real_and_fake_are_separate_batches(objective, critic, real, fake, latent):
    """BatchNorm takes its statistics from real and fake apart."""
    seen = []

    def watched(images: Tensor, **options: bool) -> Tensor:
        seen.append(images.detach())
        return critic(images, **options)

    objective.discriminator_terms(watched, real, fake, latent)
    assert torch.equal(seen[0], real)
    assert torch.equal(seen[1], fake)


def test_each_image_and_each_call_has_its_own_place(critic, real, fake, latent):
    places = []

    def watched(images: Tensor) -> Tensor:
        places.append(images.detach())
        return critic(images)

    objective = WassersteinDivergenceObjective()
    for _ in range(2):
        objective.discriminator_terms(watched, real, fake, latent)
    shares = torch.stack([((places[i] - real) / (fake - real)).flatten(1).mean(1) for i in (2, 5)])
    assert len(shares.unique()) == 8
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_information_does_not_depend_on_real_images(critic, real, fake, latent):
    """Q on real images would teach it codes that they do not have."""
    objective = InformationObjective(codes)
    terms, others = (objective.discriminator_terms(critic, images, fake, latent) for images in (real, 1 - real))
    assert terms["information"] == others["information"]
    assert terms["real"] != others["real"]


@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_a_q_that_reads_the_codes_has_the_lower_loss(side, real, latent):
    """On either side: the bound is subtracted, not added."""

    def loss(guess: Tensor) -> Tensor:
        def critic(images: Tensor, with_codes: bool = False) -> Tensor | tuple[Tensor, Tensor]:
            logits = images.mean((2, 3))
            return (logits, guess) if with_codes else logits

        objective = InformationObjective(codes)
        if side == "discriminator":
            return sum(objective.discriminator_terms(critic, real, real, latent).values())
        return sum(objective.generator_terms(critic, real, latent).values())

    category, continuous = codes(latent)
    perfect, blind = torch.cat([20 * category, continuous], 1), torch.zeros(4, 3)
    wrong = torch.cat([-20 * category, 5 - continuous], 1)
    assert loss(perfect) < loss(blind) < loss(wrong)


def test_a_step_of_the_trainer_moves_q_and_then_the_generator_alone(critic, generator, real, latent):
    """The trainer gives each optimiser the parameters of one network and freezes the critic for the generator."""
    objective = InformationObjective(codes)
    before = copy.deepcopy(critic.state_dict())
    sum(objective.discriminator_terms(critic, real, generator(latent).detach(), latent).values()).backward()
    torch.optim.SGD(critic.parameters(), lr=0.1).step()
    assert not any(torch.equal(tensor, before[name]) for name, tensor in critic.state_dict().items())
    gradients = [parameter.grad.clone() for parameter in critic.parameters()]
    critic.requires_grad_(False)
    objective.generator_terms(critic, generator(latent), latent)["information"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())
    assert all(torch.equal(a.grad, b) for a, b in zip(critic.parameters(), gradients, strict=True))


def test_q_learns_from_fakes_alone(critic, generator, real, latent):
    """A few steps of the critic on fixed fakes: the information loss falls below that of a blind guess."""
    objective, fake = InformationObjective(codes), 4 * generator(latent).detach()
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        terms = objective.discriminator_terms(critic, real, fake, latent)
        sum(terms.values()).backward()
        optimizer.step()
    assert terms["information"] < 0.2


@pytest.mark.parametrize("objective", [OBJECTIVES[3], OBJECTIVES[5]])
def test_the_critic_may_be_wrapped_for_distributed_training(objective, critic, real, fake, latent):
    """Only what passes through the wrapper's own forward call is sure to be synchronised."""
    sum(objective.discriminator_terms(critic, real, fake, latent).values()).backward()
    expected = [parameter.grad for parameter in critic.parameters()]
    critic.zero_grad(set_to_none=True)
    calls = {"critic": 0, "wrapper": 0}
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(critic)
        for name, module in (("critic", critic), ("wrapper", wrapped)):
            module.register_forward_pre_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
        sum(objective.discriminator_terms(wrapped, real, fake, latent).values()).backward()
    finally:
        destroy_process_group()
    assert calls["critic"] == calls["wrapper"] >= 2
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_negative_factors_are_refused():
    with pytest.raises(ValueError, match=r"weight must not be negative, got -1\.0"):
        InformationObjective(codes, weight=-1.0)
    with pytest.raises(ValueError, match=r"gamma must not be negative, got -1\.0"):
        R1Objective(LogisticObjective(), gamma=-1.0)
