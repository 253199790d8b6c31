from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_aggrgan.data.latents import NormalLatents, derived_seed

SEEDS = [0, 1, 2**31, 2**62, 5]


def test_a_short_latent_is_the_beginning_of_a_long_one():
    long = NormalLatents(128).from_seeds(SEEDS)
    assert long.shape == (5, 128)
    assert long.dtype == torch.float32
    for size in (1, 3, 100):
        assert torch.equal(NormalLatents(size).from_seeds(SEEDS), long[:, :size])


def test_a_latent_depends_on_its_seed_alone():
    latents = NormalLatents(7)
    together = latents.from_seeds(SEEDS)
    for seed, latent in zip(SEEDS, together, strict=True):
        assert torch.equal(latents.from_seeds([9, seed])[1], latent)
    assert len({tuple(latent.tolist()) for latent in together}) == len(SEEDS)


def test_seeds_of_any_integer_type_are_the_same_seeds():
    latents = NormalLatents(3)
    expected = latents.from_seeds([3, 4])
    assert torch.equal(latents.from_seeds(range(3, 5)), expected)
    assert torch.equal(latents.from_seeds(np.array([3, 4])), expected)


def test_seeded_latents_are_standard_normal():
    latents = NormalLatents(100).from_seeds(range(1000))
    assert latents.mean().abs() < 0.01
    assert (latents.var() - 1).abs() < 0.02
    assert ((latents**4).mean() - 3).abs() < 0.1
    assert np.abs(np.corrcoef(latents[:100].numpy()) - np.eye(100)).max() < 0.5


def test_draws_come_from_the_given_generator_alone():
    before = torch.get_rng_state()
    first, again = (NormalLatents(4).draw(5, torch.Generator().manual_seed(3)) for _ in range(2))
    generator = torch.Generator().manual_seed(3)
    NormalLatents(4).draw(5, generator)
    assert first.shape == (5, 4)
    assert torch.equal(first, again)
    assert not torch.equal(NormalLatents(4).draw(5, generator), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_are_standard_normal():
    latents = NormalLatents(50).draw(2000, torch.Generator().manual_seed(0))
    assert latents.mean().abs() < 0.01
    assert (latents.var() - 1).abs() < 0.02


def test_seeded_latents_leave_the_global_generators_alone():
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    NormalLatents(4).from_seeds(SEEDS)
    derived_seed(1, 2)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_a_latent_has_at_least_one_value():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        NormalLatents(0)


def test_derived_seeds_are_a_function_of_all_their_numbers():
    assert derived_seed(1, 2, 3) == derived_seed(1, 2, 3)
    near = {derived_seed(seed, epoch, use) for seed in range(10) for epoch in range(10) for use in range(2)}
    assert len(near) == 200
    assert all(0 <= seed < 2**63 for seed in near)
    assert derived_seed(1, 2) != derived_seed(2, 1)
