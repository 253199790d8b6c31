from __future__ import annotations

import copy

import pytest
import torch

from monai_aggrgan.inferers.style_objective import StyleObjective
from monai_aggrgan.losses.style import content_loss, gram_matrix, total_variation
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features
from monai_aggrgan.networks.vgg19_weights import load_vgg19

WEIGHTS = {"content_weight": 5.0, "style_weight": 100.0, "total_variation_weight": 1e-3}


def random(batch: int, size: int, seed: int) -> torch.Tensor:
    return torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def network() -> VGG19Features:
    return load_vgg19("random").double()


def literal(network: VGG19Features, image: torch.Tensor, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """Eq. 16 of an image on 0..255 as the paper writes it, on maps at the scale of `network.scales`."""
    scaled = [
        {name: maps * network.scales[name] for name, maps in network(picture).items()}
        for picture in (image / 255, content, style)
    ]
    maps, content_maps, style_maps = scaled
    total = 5 * content_loss(maps[CONTENT_LAYER], content_maps[CONTENT_LAYER]) + 1e-3 * total_variation(image)
    for layer in STYLE_LAYERS:
        filters, size, style_size = maps[layer].shape[1], maps[layer][0, 0].numel(), style_maps[layer][0, 0].numel()
        difference = gram_matrix(maps[layer]) / size - gram_matrix(style_maps[layer]) / style_size
        total = total + 100 * 1 / 5 * difference.square().sum((1, 2)) / (4 * filters**2)
    return total


def test_losses_and_gradients_equal_eq_16_written_out(network):
    contents, styles, changes = random(2, 16, 0), random(2, 20, 1), 8 * random(2, 16, 2)
    losses, gradients = StyleObjective(network, contents, styles, rows=2, **WEIGHTS)(changes)
    images = (255 * contents + changes).requires_grad_()
    expected = literal(network, images, contents, styles)
    (expected_gradients,) = torch.autograd.grad(expected.sum(), images)
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-10, atol=0)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-8, atol=1e-10)


def test_rows_are_given_to_other_images_in_the_same_memory(network):
    contents, styles, changes = random(3, 16, 0), random(3, 16, 1), 8 * random(3, 16, 2)
    whole, _ = StyleObjective(network, contents, styles, rows=3, **WEIGHTS)(changes)
    objective = StyleObjective(network, contents, styles, rows=2, **WEIGHTS)
    places = {name: tensor.data_ptr() for name, tensor in objective.targets.items()}
    starts = objective.replace(torch.tensor([0]), torch.tensor([2]))
    assert starts.shape == (1, 1, 16, 16) and not starts.any()
    assert {name: tensor.data_ptr() for name, tensor in objective.targets.items()} == places
    torch.testing.assert_close(objective(changes[[2, 1]])[0], whole[[2, 1]])
    objective.keep(torch.tensor([1]))
    torch.testing.assert_close(objective(changes[[1]])[0], whole[[1]])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.03)])
def test_half_precision_comes_near_and_gives_float32(network, dtype, tolerance):
    contents, styles, changes = (images.float() for images in (random(2, 32, 0), random(2, 32, 1), random(2, 32, 2)))
    losses, gradients = StyleObjective(network, contents.double(), styles.double(), rows=2, **WEIGHTS)(changes.double())
    half = StyleObjective(copy.deepcopy(network).to(dtype), contents, styles, rows=2, **WEIGHTS)
    near_losses, near_gradients = half(changes)
    assert near_losses.dtype == near_gradients.dtype == torch.float32
    torch.testing.assert_close(near_losses.double(), losses, rtol=tolerance, atol=0)
    assert (near_gradients - gradients).norm() < tolerance * gradients.norm()


def test_float16_neither_overflows_nor_vanishes(network):
    """At Oxford's scale the maps' gradients reach 1e8, at a millionth of the weights 1e-8; float16 ends at 65504."""
    half = copy.deepcopy(network).half()
    contents, styles, changes = (images.float() for images in (random(1, 32, 0), random(1, 32, 1), random(1, 32, 2)))
    gradients = []
    for factor in (1e-12, 1.0, 1e6):
        weights = {name: factor * weight for name, weight in WEIGHTS.items()}
        gradients.append(StyleObjective(half, contents, styles, rows=1, **weights)(changes)[1] / factor)
    assert gradients[1].isfinite().all() and gradients[1].any()
    torch.testing.assert_close(gradients[0], gradients[1], rtol=2e-2, atol=1e-3 * gradients[1].abs().max().item())
    torch.testing.assert_close(gradients[2], gradients[1], rtol=2e-2, atol=1e-3 * gradients[1].abs().max().item())


def test_an_image_that_is_not_a_number_stays_alone(network):
    contents, styles, changes = random(3, 16, 0), random(3, 16, 1), 8 * random(3, 16, 2)
    losses, gradients = StyleObjective(network, contents, styles, rows=3, **WEIGHTS)(changes)
    changes[1, 0, 3, 3] = torch.nan
    spoilt, spoilt_gradients = StyleObjective(network, contents, styles, rows=3, **WEIGHTS)(changes)
    assert spoilt[1].isnan()
    torch.testing.assert_close(spoilt[[0, 2]], losses[[0, 2]])
    torch.testing.assert_close(spoilt_gradients[[0, 2]], gradients[[0, 2]])
