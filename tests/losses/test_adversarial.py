from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from monai_aggrgan.losses.adversarial import (
    certainty,
    information_loss,
    least_squares_fake_loss,
    least_squares_generator_loss,
    least_squares_real_loss,
    logistic_fake_loss,
    logistic_generator_loss,
    logistic_real_loss,
    mean_score,
    r1_penalty,
    wasserstein_divergence_penalty,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def small_critic() -> nn.Sequential:
    """Smooth and strongly curved, so that each image and each place has its own gradient."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Tanh(), nn.Linear(6, 1))
    for parameter in critic.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return critic


def linear_critic() -> nn.Sequential:
    """f(x) = <w, x>, whose gradient is w everywhere."""
    linear = nn.Linear(9, 1, bias=False)
    linear.weight.data = draw(1, 9, seed=3)
    return nn.Sequential(nn.Flatten(), linear)


@pytest.mark.parametrize(
    ("loss", "label"), [(logistic_real_loss, 1.0), (logistic_fake_loss, 0.0), (logistic_generator_loss, 1.0)]
)
def test_logistic_losses_are_binary_cross_entropies(loss, label):
    logits = 10 * torch.randn(8, 1)
    expected = binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
    torch.testing.assert_close(loss(logits), expected)


def test_logistic_losses_of_an_undecided_discriminator_are_log_two():
    for loss in (logistic_real_loss, logistic_fake_loss, logistic_generator_loss):
        assert loss(torch.zeros(4, 1)) == pytest.approx(math.log(2))


def test_generator_still_learns_where_the_discriminator_has_won():
    """Non-saturating: the gradient by a logit of -50 is -1, where that of log(1 - D) would vanish."""
    logits = torch.full((1, 1), -50.0, requires_grad=True)
    logistic_generator_loss(logits).backward()
    assert logits.grad == pytest.approx(-1)


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [(least_squares_real_loss, 1.0), (least_squares_fake_loss, 0.0), (least_squares_generator_loss, 1.0)],
)
def test_least_squares_losses_are_half_mean_squares_of_the_logits_themselves(loss, wanted):
    """A sigmoid before them would keep the losses of large logits at 1/2."""
    logits = torch.tensor([[-3.0], [0.0], [1.0], [5.0]])
    expected = sum((logit - wanted) ** 2 for logit in (-3.0, 0.0, 1.0, 5.0)) / 4 / 2
    assert loss(logits) == pytest.approx(expected)
    assert loss(torch.full((2, 1), wanted)) == 0


LOSSES = [
    logistic_real_loss,
    logistic_fake_loss,
    logistic_generator_loss,
    least_squares_real_loss,
    least_squares_fake_loss,
    least_squares_generator_loss,
    mean_score,
]


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_half_precision_logits_are_float32(loss):
    logits = torch.randn(257, 1).bfloat16()
    assert torch.equal(loss(logits), loss(logits.float()))


def test_certainty_is_the_share_of_positive_margins_less_that_of_negative_ones():
    margins = torch.tensor([[0.1], [30.0], [-2.0], [0.0]], requires_grad=True)
    assert certainty(margins) == 0.25
    assert not certainty(margins).requires_grad
    assert (certainty(torch.rand(3, 1)), certainty(-torch.rand(3, 1))) == (1, -1)
    assert certainty(torch.ones(1001, 1).bfloat16()).dtype == torch.float32


def codes() -> tuple[Tensor, Tensor]:
    return one_hot(torch.tensor([2, 0, 1, 1]), 3).float(), 2 * draw(4, 2) - 1


def test_information_loss_is_the_surprise_of_the_codes():
    """-E[log Q(c|x)] with the distributions of torch, less the Gaussians' constant."""
    category, continuous = codes()
    guess = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    log_likelihood = Categorical(logits=guess[:, :3]).log_prob(category.argmax(1))
    log_likelihood += Normal(guess[:, 3:], 1).log_prob(continuous).sum(1) + math.log(2 * math.pi)
    torch.testing.assert_close(information_loss(guess, category, continuous), -log_likelihood.mean())


def test_information_loss_of_certain_and_of_blind_guesses():
    category, continuous = codes()
    certain = torch.cat([100 * category, continuous], dim=1)
    assert information_loss(certain, category, continuous) == pytest.approx(0, abs=1e-6)
    blind = information_loss(torch.zeros(4, 5), category, torch.ones(4, 2))
    assert blind == pytest.approx(math.log(3) + 2 * 0.5)
    assert information_loss(torch.zeros(4, 3), category, torch.zeros(4, 0)) == pytest.approx(math.log(3))


def test_information_loss_of_half_precision_guesses_is_float32():
    guess = torch.randn(4, 5).bfloat16()
    assert torch.equal(information_loss(guess, *codes()), information_loss(guess.float(), *codes()))


def test_guesses_of_other_codes_are_refused():
    with pytest.raises(ValueError, match=r"guess must be 3 \+ 2 numbers an image, got shape \(4, 6\)"):
        information_loss(torch.zeros(4, 6), *codes())


@pytest.mark.parametrize("k", [1.0, 2.0])
@pytest.mark.parametrize("p", [2.0, 6.0])
def test_penalty_of_a_linear_critic(p, k):
    """grad f = w everywhere, so the penalty is k ||w||^p whatever the images."""
    critic = linear_critic()
    penalty = wasserstein_divergence_penalty(
        critic, draw(4, 1, 3, 3), draw(4, 1, 3, 3, seed=1), mix=draw(4, 1, 1, 1, seed=2), k=k, p=p
    )
    assert penalty.shape == ()
    torch.testing.assert_close(penalty, k * critic[1].weight.norm() ** p)


def test_penalty_has_the_paper_values_of_k_and_p():
    critic = linear_critic()
    penalty = wasserstein_divergence_penalty(critic, draw(2, 1, 3, 3), draw(2, 1, 3, 3), mix=draw(2, 1, 1, 1))
    torch.testing.assert_close(penalty, 2 * critic[1].weight.norm() ** 6)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("p", [2.0, 6.0])
def test_penalty_of_a_quadratic_critic(p, channels):
    """f(x) = ||x||^2 / 2 has grad f = x: the penalty measures the places themselves, each image whole."""
    real, fake, mix = draw(4, channels, 3, 3), draw(4, channels, 3, 3, seed=1), draw(4, 1, 1, 1, seed=2)
    penalty = wasserstein_divergence_penalty(
        lambda images: images.square().sum((1, 2, 3))[:, None] / 2, real, fake, mix=mix, k=2.0, p=p
    )
    places = [(1 - a) * x + a * y for x, y, a in zip(real, fake, mix.flatten(), strict=True)]
    expected = 2 * sum(place.square().sum().sqrt() ** p for place in places) / 4
    torch.testing.assert_close(penalty, expected)


@pytest.mark.parametrize(("share", "place"), [(0.0, "real"), (1.0, "fake")])
def test_mix_is_the_share_of_fake(share, place):
    images = {"real": draw(2, 1, 3, 3), "fake": draw(2, 1, 3, 3, seed=1)}
    seen = []

    def critic(between: Tensor) -> Tensor:
        seen.append(between.detach())
        return between.square().sum((1, 2, 3))

    wasserstein_divergence_penalty(critic, images["real"], images["fake"], mix=torch.full((2, 1, 1, 1), share))
    torch.testing.assert_close(seen[0], images[place])


def test_penalty_of_a_batch_is_the_mean_over_its_images():
    critic = small_critic()
    real, fake, mix = draw(5, 1, 3, 3), draw(5, 1, 3, 3, seed=1), draw(5, 1, 1, 1, seed=2)
    batch = wasserstein_divergence_penalty(critic, real, fake, mix=mix)
    one_by_one = [
        wasserstein_divergence_penalty(critic, real[i : i + 1], fake[i : i + 1], mix=mix[i : i + 1]) for i in range(5)
    ]
    assert torch.stack(one_by_one).std() > 0.1 * batch
    torch.testing.assert_close(batch, torch.stack(one_by_one).mean())


@pytest.mark.parametrize("p", [2.0, 6.0])
def test_gradient_of_the_penalty_by_the_weights_of_a_linear_critic(p):
    """d/dw k ||w||^p = k p ||w||^(p - 2) w."""
    critic = linear_critic()
    wasserstein_divergence_penalty(
        critic, draw(4, 1, 3, 3), draw(4, 1, 3, 3, seed=1), mix=draw(4, 1, 1, 1), k=2.0, p=p
    ).backward()
    weight = critic[1].weight
    torch.testing.assert_close(weight.grad, (2 * p * weight.norm() ** (p - 2) * weight).detach())


def test_gradient_of_the_penalty_against_finite_differences():
    critic = small_critic().double()
    real, fake, mix = draw(3, 1, 3, 3).double(), draw(3, 1, 3, 3, seed=1).double(), draw(3, 1, 1, 1).double()

    def penalty(weight: Tensor) -> Tensor:
        def changed(images: Tensor) -> Tensor:
            return torch.func.functional_call(critic, {"1.weight": weight}, images)

        return wasserstein_divergence_penalty(changed, real, fake, mix=mix, p=3.0)

    assert torch.autograd.gradcheck(penalty, critic[1].weight.detach().clone().requires_grad_())


def test_penalty_of_a_flat_critic_is_zero_and_so_is_its_gradient():
    critic = linear_critic()
    critic[1].weight.data.zero_()
    penalty = wasserstein_divergence_penalty(critic, draw(2, 1, 3, 3), draw(2, 1, 3, 3), mix=draw(2, 1, 1, 1))
    penalty.backward()
    assert penalty == 0
    assert not critic[1].weight.grad.any()


def test_penalty_reaches_only_the_critic():
    critic, real, fake = small_critic(), draw(2, 1, 3, 3).requires_grad_(), draw(2, 1, 3, 3, seed=1).requires_grad_()
    wasserstein_divergence_penalty(critic, real, fake, mix=draw(2, 1, 1, 1)).backward()
    assert real.grad is None
    assert fake.grad is None
    assert critic[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("build", [linear_critic, small_critic])
def test_penalty_is_float32_under_autocast(build):
    critic, mix = build(), draw(4, 1, 1, 1)
    real, fake = draw(4, 1, 3, 3).bfloat16(), draw(4, 1, 3, 3, seed=1).bfloat16()
    expected = wasserstein_divergence_penalty(critic, real.float(), fake.float(), mix=mix)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        penalty = wasserstein_divergence_penalty(critic, real, fake, mix=mix)
    assert penalty.dtype == torch.float32
    torch.testing.assert_close(penalty, expected, rtol=1e-6, atol=0)


def test_r1_of_a_linear_critic():
    """grad D = w everywhere: gamma / 2 ||w||^2, whose gradient is gamma w."""
    critic = linear_critic()
    penalty = r1_penalty(critic, draw(4, 1, 3, 3), gamma=3.0)
    penalty.backward()
    weight = critic[1].weight
    assert penalty.shape == ()
    torch.testing.assert_close(penalty, 1.5 * weight.square().sum())
    torch.testing.assert_close(weight.grad, 3 * weight.detach())


def test_r1_of_a_quadratic_critic():
    """D(x) = ||x||^2 / 2 has grad D = x: the penalty measures the real images themselves, squared, not the norm."""
    real = draw(4, 1, 3, 3)
    penalty = r1_penalty(lambda images: images.square().sum((1, 2, 3))[:, None] / 2, real, gamma=2.0)
    torch.testing.assert_close(penalty, real.square().sum() / 4)


def test_gradient_of_r1_against_finite_differences():
    critic, real = small_critic().double(), draw(3, 1, 3, 3).double()

    def penalty(weight: Tensor) -> Tensor:
        return r1_penalty(lambda x: torch.func.functional_call(critic, {"1.weight": weight}, x), real, gamma=2.0)

    assert torch.autograd.gradcheck(penalty, critic[1].weight.detach().clone().requires_grad_())


def test_r1_reaches_only_the_critic():
    critic, real = small_critic(), draw(2, 1, 3, 3).requires_grad_()
    r1_penalty(critic, real, gamma=1.0).backward()
    assert real.grad is None
    assert critic[1].weight.grad.abs().sum() > 0


def test_r1_is_float32_under_autocast():
    critic, real = small_critic(), draw(4, 1, 3, 3).bfloat16()
    expected = r1_penalty(critic, real.float(), gamma=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        penalty = r1_penalty(critic, real, gamma=1.0)
    assert penalty.dtype == torch.float32
    torch.testing.assert_close(penalty, expected, rtol=1e-6, atol=0)


def test_other_shapes_are_refused():
    critic, images = linear_critic(), draw(4, 1, 3, 3)
    with pytest.raises(ValueError, match=r"shape of real \(4, 1, 3, 3\), got \(1, 1, 3, 3\)"):
        wasserstein_divergence_penalty(critic, images, images[:1], mix=draw(4, 1, 1, 1))
    with pytest.raises(ValueError, match=r"one number an image \(4, 1, 1, 1\), got shape \(1, 1, 1, 1\)"):
        wasserstein_divergence_penalty(critic, images, images, mix=draw(1, 1, 1, 1))


@pytest.mark.parametrize("shape", [(9,), (3, 3), (1, 3, 3), (3, 1, 3, 1)])
def test_penalties_do_not_depend_on_how_the_pixels_are_arranged(shape):
    """The norm is over all pixels of an image: those of a row are those of a square or a cube."""
    critic, real, fake = small_critic(), draw(4, 1, 9, seed=1), draw(4, 1, 9, seed=2)
    rows = wasserstein_divergence_penalty(critic, real, fake, mix=draw(4, 1, 1, seed=3))
    mix = draw(4, seed=3).view(4, 1, *(1,) * len(shape))
    arranged = wasserstein_divergence_penalty(critic, real.view(4, 1, *shape), fake.view(4, 1, *shape), mix=mix)
    torch.testing.assert_close(arranged, rows)
    torch.testing.assert_close(r1_penalty(critic, real.view(4, 1, *shape), gamma=2), r1_penalty(critic, real, gamma=2))
    with pytest.raises(ValueError, match=r"mix must be one number an image \(4, 1, 1\), got shape \(4, 1, 1, 1, 1"):
        wasserstein_divergence_penalty(critic, real, fake, mix=draw(4, 1, 1, 1, 1))


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
def test_penalties_of_a_linear_critic_are_closed_forms_in_any_number_of_dimensions(spatial_dims):
    shape = {1: (9,), 2: (3, 3), 3: (3, 3, 1)}[spatial_dims]
    critic, real, fake = linear_critic(), draw(4, 1, *shape, seed=1), draw(4, 1, *shape, seed=2)
    norm = critic[1].weight.norm().item()
    mix = draw(4, 1, *(1,) * spatial_dims)
    penalty = wasserstein_divergence_penalty(critic, real, fake, mix=mix)
    assert penalty.item() == pytest.approx(2 * norm**6, rel=1e-5)
    assert r1_penalty(critic, real, gamma=3.0).item() == pytest.approx(1.5 * norm**2, rel=1e-5)
