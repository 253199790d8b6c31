from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gram_equals_eq_13_in_loops():
    maps = random(2, 3, 4, 5)
    vectors = maps.numpy().reshape(2, 3, 20)
    expected = np.zeros((2, 3, 3))
    for b, i, j, k in np.ndindex(2, 3, 3, 20):
        expected[b, i, j] += vectors[b, i, k] * vectors[b, j, k]
    np.testing.assert_allclose(gram_matrix(maps).numpy(), expected)


def test_gram_forgets_where_things_are():
    maps = random(1, 3, 4, 5)
    shuffled = maps.flatten(2)[..., torch.randperm(20, generator=torch.Generator().manual_seed(1))].view(1, 3, 4, 5)
    assert not torch.equal(shuffled, maps)
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(maps))


def test_content_equals_eq_12_in_loops():
    maps, content_maps = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1)
    expected = np.zeros(2)
    for index in np.ndindex(2, 3, 4, 5):
        expected[index[0]] += (maps[index].item() - content_maps[index].item()) ** 2 / 2
    np.testing.assert_allclose(content_loss(maps, content_maps).numpy(), expected)


def test_style_equals_eq_14_in_loops():
    maps, style_maps = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1)
    gram, style_gram = gram_matrix(maps), gram_matrix(style_maps)
    filters, size = 3, 20
    expected = np.zeros(2)
    for b, i, j in np.ndindex(2, 3, 3):
        expected[b] += (gram[b, i, j].item() - style_gram[b, i, j].item()) ** 2 / (4 * filters**2 * size**2)
    np.testing.assert_allclose(style_loss(maps, style_gram, style_map_size=20).numpy(), expected)


def test_a_tiled_style_image_has_the_same_style():
    maps, style_maps = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    once = style_loss(maps, gram_matrix(style_maps), style_map_size=20)
    tiled = gram_matrix(style_maps.tile(1, 1, 2, 3))
    torch.testing.assert_close(style_loss(maps, tiled, style_map_size=120), once)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_styles_gradient_is_that_of_autograd(layout):
    maps = random(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    style_gram = gram_matrix(random(2, 3, 6, 6, seed=1))
    judge = torch.tensor([2.0, -3.0], dtype=torch.float64)
    (ours,) = torch.autograd.grad((judge * style_loss(maps, style_gram, style_map_size=36)).sum(), maps)
    plain = (gram_matrix(maps) / 20 - style_gram / 36).square().sum((1, 2)) / (4 * 3**2)
    (expected,) = torch.autograd.grad((judge * plain).sum(), maps)
    torch.testing.assert_close(ours, expected)
    assert ours.is_contiguous(memory_format=layout)
    assert torch.autograd.gradcheck(lambda x: style_loss(x, style_gram, style_map_size=36), maps)


def test_total_variation_equals_eq_15_in_loops():
    images = 255 * random(2, 1, 4, 5)
    expected = np.zeros(2)
    for b in range(2):
        pixels = images[b, 0].numpy()
        for row, column in np.ndindex(4, 5):
            if column < 4:
                expected[b] += (pixels[row, column + 1] - pixels[row, column]) ** 2
            if row < 3:
                expected[b] += (pixels[row + 1, column] - pixels[row, column]) ** 2
    np.testing.assert_allclose(total_variation(images).numpy(), expected)


@pytest.mark.parametrize("loss", ["content", "style", "variation"])
def test_losses_vanish_where_nothing_differs(loss):
    maps = random(2, 3, 4, 5)
    gram = gram_matrix(maps)
    value = {
        "content": lambda: content_loss(maps, maps),
        "style": lambda: style_loss(maps, gram, style_map_size=20),
        "variation": lambda: total_variation(torch.full((2, 1, 4, 5), 128.0, dtype=torch.float64)),
    }[loss]()
    torch.testing.assert_close(value, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-28)


@pytest.mark.parametrize("shape", [(7,), (4, 5), (3, 4, 5)])
def test_losses_of_signals_and_volumes_are_those_of_the_equations(shape):
    maps, others = (torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(i)) for i in range(2))
    rows, other_rows = maps.flatten(2), others.flatten(2)
    torch.testing.assert_close(gram_matrix(maps), torch.einsum("bip,bjp->bij", rows, rows))
    torch.testing.assert_close(content_loss(maps, others), (rows - other_rows).square().sum((1, 2)) / 2)
    size = rows.shape[2]
    style = style_loss(maps, gram_matrix(others), style_map_size=size)
    difference = gram_matrix(maps) - gram_matrix(others)
    torch.testing.assert_close(style, difference.square().sum((1, 2)) / (4 * 9 * size**2))
    image = maps[:, :1].double().numpy()
    neighbours = sum((np.diff(image, axis=axis) ** 2).reshape(2, -1).sum(1) for axis in range(2, image.ndim))
    torch.testing.assert_close(total_variation(maps[:, :1].double()), torch.from_numpy(neighbours))
