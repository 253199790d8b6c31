from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.transforms import DifferentiableAugmentation

OFF = {"horizontal_flip": False, "translation": 0.0, "zoom": 0.0, "contrast": 0.0}
OPERATIONS = ("mirror", "turn", "right", "down", "zoom", "contrast")


class NeverWaits(TorchDispatchMode):
    """Refuses what would read a tensor on the host, and so cannot be in a CUDA graph."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise RuntimeError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 6, height: int = 16, width: int = 12, **options) -> Tensor:
    return torch.rand(count, 1, height, width, generator=seeded(7), **options)


def certain(monkeypatch: pytest.MonkeyPatch, amounts: dict[str, float], **options) -> DifferentiableAugmentation:
    """An augmentation that does to every image what is said, in [-1, 1] for each operation."""
    augment = DifferentiableAugmentation(**options)
    column = torch.tensor([amounts.get(name, 0.0) for name in OPERATIONS])[:, None]
    monkeypatch.setattr(augment, "_amounts", lambda spatial_dims, count, random: column.expand(-1, count))
    return augment


def shifted(images: Tensor, *, down: int, right: int, fill: float) -> Tensor:
    rolled = images.roll((down, right), (-2, -1))
    rows, columns = (torch.arange(size) for size in images.shape[-2:])
    rows, columns = rows - down, columns - right
    inside = ((rows >= 0) & (rows < len(rows)))[:, None] & (columns >= 0) & (columns < len(columns))
    return torch.where(inside, rolled, fill)


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_without_probability_nothing_changes(background):
    augment = DifferentiableAugmentation(vertical_flip=True, background=background)
    assert torch.equal(augment(noise(), seeded()), noise())


def test_what_is_off_is_never_done():
    augment = DifferentiableAugmentation(p=0.8, **OFF)
    assert torch.equal(augment(noise(64), seeded()), noise(64))


@pytest.mark.parametrize(("amounts", "dims"), [({"mirror": -0.4}, [-1]), ({"turn": -1.0}, [-2]), ({"mirror": 0.4}, [])])
@pytest.mark.parametrize("height", [15, 16])
def test_flips_are_exact(monkeypatch, amounts, dims, height):
    augment = certain(monkeypatch, amounts, vertical_flip=True)
    images = noise(height=height)
    assert torch.equal(augment(images, seeded()), images.flip(dims))


def test_a_flip_that_is_off_is_not_done(monkeypatch):
    augment = certain(monkeypatch, {"mirror": -1.0, "turn": -1.0}, horizontal_flip=False)
    assert torch.equal(augment(noise(), seeded()), noise())


@pytest.mark.parametrize("background", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("down", "right"), [(1.0, 0.0), (-1.0, 0.5), (0.25, -1.0), (0.1, 0.1)])
def test_shifts_are_exact_and_fill_with_background(monkeypatch, down, right, background):
    augment = certain(monkeypatch, {"down": down, "right": right}, translation=0.25, background=background)
    expected = shifted(noise(), down=round(down * 4), right=round(right * 3), fill=background)
    assert torch.equal(augment(noise(), seeded()), expected)


def test_a_flip_comes_before_a_shift(monkeypatch):
    augment = certain(monkeypatch, {"mirror": -1.0, "right": 1.0}, translation=0.25)
    assert torch.equal(augment(noise(), seeded()), shifted(noise().flip(-1), down=0, right=3, fill=0.0))


@pytest.mark.parametrize("background", [0.0, 0.3])
@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("zoom", [-1.0, -0.3, 0.5, 1.0])
def test_a_zoom_is_that_of_grid_sample(monkeypatch, zoom, flip, background):
    """Flipped, enlarged about the centre, moved by 2 pixels down and 1 to the left."""
    amounts = {"turn": float(flip), "zoom": zoom, "down": 0.5, "right": -1 / 3}
    options = {"vertical_flip": True, "translation": 0.25, "zoom": 0.5, "background": background}
    augment = certain(monkeypatch, amounts, **options)
    images = noise(dtype=torch.float64)
    size = 1.5**zoom
    move = torch.tensor([[1, 0, 2 / 12], [0, 1, -4 / 16], [0, 0, 1]], dtype=torch.float64)  # where a pixel comes from
    enlarge_and_flip = torch.tensor([1 / size, flip / size, 1], dtype=torch.float64).diag()
    grid = F.affine_grid((enlarge_and_flip @ move)[None, :2].expand(6, -1, -1), [6, 1, 16, 12], align_corners=False)
    expected = F.grid_sample(images - background, grid, align_corners=False) + background
    torch.testing.assert_close(augment(images, seeded()), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("amount", [-1.0, 0.5, 1.0])
def test_contrast_multiplies_the_odds_and_keeps_black_and_white(monkeypatch, amount):
    augment = certain(monkeypatch, {"contrast": amount}, contrast=0.5)
    greys = torch.linspace(0, 1, 192).reshape(1, 1, 16, 12)
    changed = augment(greys, seeded())
    assert changed.flatten()[0] == 0 and changed.flatten()[-1] == 1
    assert (changed.flatten().diff() > 0).all()
    expected = greys.logit() + amount * torch.tensor(1.5).log()
    torch.testing.assert_close(changed.logit().flatten()[1:-1], expected.flatten()[1:-1])


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_background_stays_background(background):
    augment = DifferentiableAugmentation(p=0.8, background=background)
    images = torch.full((64, 1, 16, 12), background)
    assert torch.equal(augment(images, seeded()), images)


def test_the_range_stays():
    augment = DifferentiableAugmentation(p=0.8, zoom=1.0, contrast=3.0)  # a gain of 4 or 1 / 4 can round beyond 1
    images = (noise(512) > 0.3).float()
    augmented = augment(images, seeded())
    assert augmented.shape == images.shape and augmented.dtype == torch.float32
    assert augmented.min() == 0 and augmented.max() == 1
    assert not torch.equal(augmented, images)


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_each_operation_is_drawn_with_its_probability(p):
    count = 4000
    near = pytest.approx(p, abs=0.03)
    pair = torch.tensor([[[0.2, 0.6], [0.4, 0.8]]]).expand(count, 1, 2, 2)
    flips = DifferentiableAugmentation(p=p, **OFF | {"horizontal_flip": True, "vertical_flip": True})(pair, seeded())
    assert 2 * (flips[:, 0, 0, 0] - flips[:, 0, 0, 1] > 0).float().mean().item() == near  # a coin decides half of them
    assert 2 * (flips[:, 0, 0, 0] - flips[:, 0, 1, 0] > 0).float().mean().item() == near
    dot = torch.zeros(1, 1, 33, 33)
    dot[..., 16, 16] = 1
    moved = DifferentiableAugmentation(p=p, **OFF | {"translation": 0.25})(dot.expand(count, 1, 33, 33), seeded())
    for shift in (moved.flatten(1).argmax(1) // 33 - 16, moved.flatten(1).argmax(1) % 33 - 16):
        assert (shift != 0).float().mean().item() * 16 / 15 == near  # one in 16 shifts is rounded to none
        assert shift.min() == -8 and shift.max() == 8 and abs(shift.float().mean()) < 0.5
    for operation in ("zoom", "contrast"):
        changed = DifferentiableAugmentation(p=p, **OFF | {operation: 0.5})(noise(1).expand(count, 1, 16, 12), seeded())
        assert (changed != noise(1)).flatten(1).any(1).float().mean().item() == near


def test_operations_and_images_are_drawn_one_by_one():
    amounts = DifferentiableAugmentation(p=0.5)._amounts(2, 4000, seeded())
    drawn = torch.cat([(amounts != 0).float(), amounts.roll(1, 1)])
    correlation = torch.corrcoef(drawn) - torch.eye(12)
    assert correlation.abs().max() < 0.06


def test_the_same_generator_gives_the_same_and_another_another():
    augment = DifferentiableAugmentation(p=0.8)
    assert torch.equal(augment(noise(), seeded(1)), augment(noise(), seeded(1)))
    assert not torch.equal(augment(noise(), seeded(1)), augment(noise(), seeded(2)))


def test_an_image_does_not_depend_on_the_others():
    augment = DifferentiableAugmentation(p=0.8)
    others = noise().flip(-1)
    others[2] = noise()[2]
    assert torch.equal(augment(others, seeded())[2], augment(noise(), seeded())[2])


def test_as_much_is_drawn_whatever_the_probability_and_none_from_the_global_generator():
    before = torch.get_rng_state()
    states = []
    for augment in (DifferentiableAugmentation(), DifferentiableAugmentation(p=0.8), DifferentiableAugmentation(**OFF)):
        random = seeded()
        augment(noise(), random)
        states.append(random.get_state())
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_of_both_orders_are_right():
    augment = DifferentiableAugmentation(p=0.8, vertical_flip=True, zoom=0.5, translation=0.2)
    images = (0.1 + 0.8 * noise(4, 6, 5, dtype=torch.float64)).requires_grad_()
    assert not torch.equal(augment(images, seeded()), images)
    assert torch.autograd.gradcheck(lambda images: augment(images, seeded()), images)
    assert torch.autograd.gradgradcheck(lambda images: augment(images, seeded()), images)


def test_black_and_white_have_gradients():
    augment = DifferentiableAugmentation(p=0.8, **OFF | {"contrast": 0.5})
    images = (noise(64) > 0.5).float().requires_grad_()
    (gradient,) = torch.autograd.grad(augment(images, seeded()).sum(), images)
    assert (gradient > 0.6).all()


def test_autocast_changes_nothing():
    augment = DifferentiableAugmentation(p=0.8, background=0.3)
    expected = augment(noise(), seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment(noise(), seeded()), expected)
    half = augment(noise().bfloat16(), seeded())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, rtol=0, atol=0.01)


def test_nothing_waits_for_the_device():
    augment = DifferentiableAugmentation(p=0.5)
    images = noise().requires_grad_()
    with NeverWaits():
        augment(images, seeded()).sum().backward()
        augment.adapt(torch.tensor(1.0), images=64)
        with pytest.raises(RuntimeError, match="waits"):
            augment.p.item()


def test_the_probability_follows_the_certainty_of_the_critic():
    augment = DifferentiableAugmentation(target=0.6, speed=64_000, max_p=0.8)
    p = augment.p
    for _ in range(500):
        augment.adapt(torch.tensor(0.9), images=64)
    assert augment.p.item() == pytest.approx(0.5, abs=0.01)  # half the images of `speed`, but for the first few
    for _ in range(500):
        augment.adapt(torch.tensor(1.0), images=64)
    assert augment.p == torch.tensor(0.8)
    for _ in range(2000):
        augment.adapt(torch.tensor(0.5), images=64)
    assert augment.p == 0 and augment.p is p  # in the memory that a CUDA graph knows


def test_the_certainty_is_averaged_over_images_not_calls():
    small, large = DifferentiableAugmentation(), DifferentiableAugmentation()
    for _ in range(4):
        small.adapt(torch.tensor(0.9), images=16)
    large.adapt(torch.tensor(0.9), images=64)
    assert small.certainty.item() == pytest.approx(large.certainty.item())
    assert large.certainty.item() == pytest.approx(0.9 * (1 - 2.718281828 ** (-64 / 256)))


def test_a_probability_without_a_target_stays():
    augment = DifferentiableAugmentation(p=0.3, target=None)
    augment.adapt(torch.tensor(1.0), images=64_000)
    assert augment.p == torch.tensor(0.3)


def test_adaptation_resumes_from_the_state():
    signs = torch.rand(60, generator=seeded())
    whole, first, second = (DifferentiableAugmentation(p=0.2, target=0.5) for _ in range(3))
    for sign in signs:
        whole.adapt(sign, images=64)
    for sign in signs[:30]:
        first.adapt(sign, images=64)
    assert set(first.state_dict()) == {"p", "certainty"}
    second.load_state_dict(first.state_dict())
    for sign in signs[30:]:
        second.adapt(sign, images=64)
    assert second.p == whole.p != first.p and second.certainty == whole.certainty


@pytest.mark.parametrize("shape", [(1, 16), (2, 16, 16), (2, 3, 16, 16), (2, 1, 4, 4, 4, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\), .*, got shape"):
        DifferentiableAugmentation()(torch.zeros(shape), seeded())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": -0.1}, "got p -0.1 and max_p 0.8"),
        ({"p": 0.9}, "got p 0.9 and max_p 0.8"),
        ({"max_p": 1.0}, "max_p < 1 must hold"),
        ({"target": 1.0}, "target must be None or in"),
        ({"speed": 0}, "speed must be at least 1, got 0"),
        ({"translation": 1.1}, "translation must be in"),
        ({"background": -1.0}, "background must be in"),
        ({"zoom": -0.1}, "zoom must be finite and at least 0"),
        ({"contrast": float("inf")}, "contrast must be finite"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DifferentiableAugmentation(**options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_a_recorded_call_draws_anew_and_follows_the_probability():
    augment = DifferentiableAugmentation(p=0.8).cuda()
    images, random = noise().cuda(), torch.Generator("cuda").manual_seed(0)
    augment(images, random)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(random)
    with torch.cuda.graph(graph):
        recorded = augment(images, random)
    graph.replay()
    first = recorded.clone()
    graph.replay()
    assert not torch.equal(recorded, first)
    augment.p.zero_()
    graph.replay()
    assert torch.equal(recorded, images)


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_a_volume_is_flipped_enlarged_and_moved_as_by_grid_sample(monkeypatch, background):
    """The first axis flipped; enlarged about the centre; moved by 2 of 8 planes, -2 of 16 rows and 3 of 12 columns."""
    augment = DifferentiableAugmentation(vertical_flip=True, translation=0.25, zoom=0.5, background=background)
    amounts = torch.tensor([1.0, 1, -1, 1, -0.5, 1, 0.7, 0])[:, None]  # flips and shifts of the last axis first
    monkeypatch.setattr(augment, "_amounts", lambda spatial_dims, count, random: amounts.expand(-1, count))
    volumes = torch.rand(2, 1, 8, 16, 12, generator=seeded(), dtype=torch.float64)
    size = 1.5**0.7
    move = torch.eye(4, dtype=torch.float64)
    move[:3, 3] = torch.tensor([-2 * 3 / 12, 2 * 2 / 16, -2 * 2 / 8], dtype=torch.float64)
    enlarge = torch.tensor([1 / size, 1 / size, -1 / size, 1], dtype=torch.float64).diag()
    grid = F.affine_grid((enlarge @ move)[None, :3].expand(2, -1, -1), [2, 1, 8, 16, 12], align_corners=False)
    expected = F.grid_sample(volumes - background, grid, align_corners=False) + background
    torch.testing.assert_close(augment(volumes, seeded()), expected, rtol=0, atol=1e-6)


def test_a_signal_is_augmented_as_each_row_of_a_slice_of_equal_rows():
    options = {"p": 0.7, "target": None, "background": 0.3, "translation": 0.25}
    amounts = DifferentiableAugmentation(**options)._amounts(1, 5, seeded())
    augment = DifferentiableAugmentation(**options)
    augment._amounts = lambda dims, count, random: (
        amounts if dims == 1 else torch.stack([amounts[0], 0 * amounts[0], amounts[1], 0 * amounts[0], *amounts[2:]])
    )
    signals = torch.rand(5, 1, 12, generator=seeded(1))
    in_a_slice = augment(signals[:, :, None].expand(-1, -1, 33, -1).contiguous(), seeded())
    torch.testing.assert_close(augment(signals, seeded()), in_a_slice[:, :, 16])


@pytest.mark.parametrize("shape", [(64, 1, 12), (64, 1, 6, 5, 4)])
def test_signals_and_volumes_stay_in_range_and_change(shape):
    images = torch.rand(shape, generator=seeded(), requires_grad=True)
    augmented = DifferentiableAugmentation(p=0.8, vertical_flip=True)(images, seeded())
    assert augmented.shape == shape and augmented.min() >= 0 and augmented.max() <= 1
    assert not torch.equal(augmented, images)
    assert torch.equal(DifferentiableAugmentation()(images, seeded()), images)
    augmented.sum().backward()
    assert images.grad.isfinite().all() and images.grad.any()
