"""Adversarial training as it is commonly written in plain torch, with the habits of the DCGAN and WGAN examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Losses:
    """A GAN's two losses as scalars: of a critic on (real, fake, latent), and of the generator on (fake, latent)."""

    critic: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    generator: Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Players:
    """Two networks and what steps them."""

    generator: nn.Module
    critic: nn.Module
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer


def logistic_losses(criterion: Callable[[Tensor, Tensor], Tensor] = F.binary_cross_entropy_with_logits) -> Losses:
    """The DCGAN example's; with another criterion LSGAN's."""

    def on(logits: Tensor, label: float) -> Tensor:
        return criterion(logits, torch.full_like(logits, label))

    return Losses(
        critic=lambda critic, real, fake, latent: on(critic(real), 1.0) + on(critic(fake), 0.0),
        generator=lambda critic, fake, latent: on(critic(fake), 1.0),
    )


def half_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """LSGAN's criterion."""
    return F.mse_loss(logits, labels) / 2


def wasserstein_divergence_losses() -> Losses:
    """WGAN-div's with k = 2, p = 6."""

    def of_critic(critic: nn.Module, real: Tensor, fake: Tensor, latent: Tensor) -> Tensor:
        mix = torch.rand(len(real), 1, 1, 1, device=real.device)
        score = critic(real).mean() - critic(fake).mean()
        between = (mix * fake + (1 - mix) * real).requires_grad_()
        scores = critic(between)
        (gradient,) = torch.autograd.grad(scores, between, torch.ones_like(scores), create_graph=True)
        return score + 2 * gradient.flatten(1).square().sum(1).pow(3).mean()

    return Losses(critic=of_critic, generator=lambda critic, fake, latent: critic(fake).mean())


def information_losses(codes: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Losses:
    """InfoGAN's: the DCGAN example's, and how badly the critic reads the codes of the latents off the fakes."""

    def reading(guess: Tensor, latent: Tensor) -> Tensor:
        category, continuous = codes(latent)
        logits, means = guess.split((category.shape[1], continuous.shape[1]), dim=1)
        squares = F.mse_loss(means, continuous) * continuous.shape[1] / 2
        return F.cross_entropy(logits, category.argmax(1)) + squares

    def on(logits: Tensor, label: float) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def of_critic(critic: nn.Module, real: Tensor, fake: Tensor, latent: Tensor) -> Tensor:
        of_real = on(critic(real), 1.0)
        logits, guess = critic(fake, with_codes=True)
        return of_real + on(logits, 0.0) + reading(guess, latent)

    def of_generator(critic: nn.Module, fake: Tensor, latent: Tensor) -> Tensor:
        logits, guess = critic(fake, with_codes=True)
        return on(logits, 1.0) + reading(guess, latent)

    return Losses(of_critic, of_generator)


def example_epoch(
    players: Players,
    losses: Losses,
    loader: Iterable[Any],
    *,
    latent_size: int,
    critic_steps: int,
    device: torch.device,
) -> float:
    """One pass over the data with the habits of the examples.

    Fakes are made with a graph whether or not the generator steps, the critic's gradients are computed in the
    generator's step as well, and the losses are read by the host in every step, as it prints them.
    """
    total = 0.0
    for index, batch in enumerate(loader):
        real = batch[0].to(device)
        noise = torch.randn(len(real), latent_size, device=device)
        players.critic.zero_grad()
        fake = players.generator(noise)
        critic_loss = losses.critic(players.critic, real, fake.detach(), noise)
        critic_loss.backward()
        players.critic_optimizer.step()
        total += critic_loss.item()
        if (index + 1) % critic_steps == 0:
            players.generator.zero_grad()
            generator_loss = losses.generator(players.critic, fake, noise)
            generator_loss.backward()
            players.generator_optimizer.step()
            total += generator_loss.item()
    return total


def bare_steps(
    players: Players, losses: Losses, real: Tensor, latent: Tensor, *, steps: int, critic_steps: int
) -> None:
    """Nothing but the networks' arithmetic that a step needs, always on the same images and latents."""
    for step in range(1, steps + 1):
        with torch.set_grad_enabled(step % critic_steps == 0):
            fake = players.generator(latent)
        players.critic_optimizer.zero_grad()
        losses.critic(players.critic, real, fake.detach(), latent).backward()
        players.critic_optimizer.step()
        if step % critic_steps == 0:
            players.critic.requires_grad_(False)
            players.generator_optimizer.zero_grad()
            losses.generator(players.critic, fake, latent).backward()
            players.generator_optimizer.step()
            players.critic.requires_grad_(True)
