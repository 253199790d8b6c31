from __future__ import annotations

import copy
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, ThreadDataLoader
from monai.transforms import Compose, EnsureTyped, RandFlipd
from torch import Tensor, nn

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.dcgan import DCGAN2Generator
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.transforms import RandSyntheticSliced

REAL = torch.full((1, 16, 16), 0.5)
FINISHED = [torch.stack([torch.full((1, 16, 16), (10 * label + i) / 100) for i in range(4)]) for label in range(3)]
"""Of label l four flat images of (10 l + 0..3) / 100: an image tells its label and its place."""


def _generator(seed: int = 0) -> DCGAN2Generator:
    return DCGAN2Generator(image_size=16, base_width=4, latent_size=6, seed=seed)


def _item(label: Any = 1, **more: Any) -> dict[str, Any]:
    return {"image": REAL, "label": label, **more}


def _augment(sources: Any = FINISHED, **options: Any) -> RandSyntheticSliced:
    return RandSyntheticSliced("image", sources, **{"prob": 1.0, **options}).set_random_state(0)


def _value(item: dict[str, Any]) -> float:
    return round(float(item["image"].mean()), 4)


def test_an_image_is_replaced_by_one_of_its_class_and_all_of_these_come():
    for label, images in enumerate(FINISHED):
        augment = _augment()
        seen = {_value(augment(_item(label))) for _ in range(60)}
        assert seen == {round(image.mean().item(), 4) for image in images}


def test_the_rest_of_an_item_stays_and_the_item_itself_too():
    item = _item(2, patient="p7", other=torch.arange(3))
    before = copy.deepcopy(item)
    given = _augment()(item)
    assert given.keys() == {"image", "label", "patient", "other", "synthetic"}
    assert (given["label"], given["patient"], given["synthetic"]) == (2, "p7", True)
    assert item.keys() == before.keys()
    assert torch.equal(item["image"], before["image"])


def test_changing_what_was_given_does_not_change_the_source():
    given = _augment([torch.ones(1, 1, 16, 16)])
    given(_item(0))["image"].zero_()
    assert given(_item(0))["image"].min() == 1


@pytest.mark.parametrize(("prob", "least", "most"), [(0.0, 0, 0), (0.3, 0.25, 0.35), (1.0, 1, 1)])
def test_the_share_is_the_probability(prob, least, most):
    augment = _augment(prob=prob)
    items = [augment(_item()) for _ in range(1000)]
    assert least <= np.mean([item["synthetic"] for item in items]) <= most
    assert all(item["synthetic"] == (_value(item) != 0.5) for item in items)


def test_added_images_come_in_a_list_behind_the_real_one():
    augment = _augment(prob=0.5, mode="add")
    lists = [augment(_item(patient=["p7"])) for _ in range(200)]
    assert {len(items) for items in lists} == {1, 2}
    for items in lists:
        assert [item["synthetic"] for item in items] == [False, True][: len(items)]
        assert torch.equal(items[0]["image"], REAL)
        assert all(item["label"] == 1 and item["patient"] == ["p7"] for item in items)
        if len(items) == 2:
            assert 0.1 <= _value(items[1]) <= 0.13
            assert items[1]["patient"] is not items[0]["patient"]


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_a_random_state_decides_everything(mode):
    def run(seed: int) -> list[Any]:
        augment = RandSyntheticSliced("image", FINISHED, prob=0.5, mode=mode).set_random_state(seed)
        given = [augment(_item(i % 3)) for i in range(30)]
        return [_value(item) for items in given for item in (items if mode == "add" else [items])]

    assert run(3) == run(3) != run(4)


def test_what_an_item_gets_does_not_depend_on_the_labels_before_it():
    first, second = _augment(prob=0.5), _augment(prob=0.5)
    for label in (0, 1, 2, 0, 1):
        first(_item(label))
        second(_item(2 - label))
    assert [_value(first(_item())) for _ in range(9)] == [_value(second(_item())) for _ in range(9)]


def test_a_lower_probability_leaves_out_some_images_and_changes_no_other():
    rare, often = ([augment(_item()) for _ in range(60)] for augment in (_augment(prob=0.3), _augment(prob=0.6)))
    kept = [(_value(few), _value(many)) for few, many in zip(rare, often, strict=True) if few["synthetic"]]
    assert 10 < len(kept) < sum(item["synthetic"] for item in often)
    assert all(few == many for few, many in kept)


def test_the_global_generators_are_not_touched():
    np.random.seed(5)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    augment = _augment([_generator()] * 3)
    for _ in range(3):
        augment(_item())
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_generated_image_is_that_of_its_seed_in_evaluation_mode():
    generator = _generator().train()
    before = copy.deepcopy(generator.state_dict())
    augment = _augment({1: generator})
    given = [augment(_item()) for _ in range(3)]
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    random = np.random.RandomState(0)
    for item in given:
        random.rand()
        latent = NormalLatents(6).from_seeds([random.randint(2**31)])
        expected = generator.eval()(latent)[0]
        torch.testing.assert_close(item["image"], expected.detach())
        assert not item["image"].requires_grad
        assert item["image"].dtype == torch.float32
        assert item["image"].grad_fn is None


def test_a_generator_is_kept_as_it_was():
    generator = _generator()
    augment = _augment([None, generator])
    nn.init.zeros_(next(generator.parameters()))
    other = _augment([None, generator])
    assert not torch.equal(augment(_item())["image"], other(_item())["image"])


def test_each_generator_of_an_ensemble_gives_images():
    ensemble = GeneratorEnsemble({"a": _Flat(0.2), "b": _Flat(0.4), "c": _Flat(0.9)})
    augment = _augment({1: ensemble})
    values = [_value(augment(_item())) for _ in range(300)]
    assert {value: 70 < values.count(value) < 130 for value in (0.2, 0.4, 0.9)} == dict.fromkeys((0.2, 0.4, 0.9), True)


def test_an_image_that_leaves_the_range_is_clipped():
    assert _value(_augment([_Flat(1.7)])(_item(0))) == 1


@pytest.mark.parametrize(
    ("label", "sources"),
    [
        (1, FINISHED),
        (np.int64(1), FINISHED),
        (torch.tensor(1), FINISHED),
        (np.array([1]), FINISHED),
        (MetaTensor([1]), FINISHED),
        (True, FINISHED),
        ("glioma", {"glioma": FINISHED[1]}),
    ],
)
def test_labels_of_every_kind(label, sources):
    assert 0.1 <= _value(_augment(sources)(_item(label))) <= 0.13


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_a_label_without_images_is_left_alone_when_that_is_said(mode):
    augment = _augment([None, FINISHED[1]], mode=mode)
    left, changed = augment(_item(0)), augment(_item(1))
    if mode == "add":
        assert [len(left), len(changed)] == [1, 2]
        left, changed = left[0], changed[1]
    assert (_value(left), left["synthetic"], changed["synthetic"]) == (0.5, False, True)


def test_all_keys_get_the_same_image():
    augment = RandSyntheticSliced(("image", "copy"), FINISHED, prob=1.0).set_random_state(0)
    item = augment(_item(copy=REAL.clone()))
    assert torch.equal(item["image"], item["copy"])
    item["image"].zero_()
    assert item["copy"].max() > 0


def test_missing_keys_may_be_allowed():
    augment = RandSyntheticSliced(("image", "more"), FINISHED, prob=1.0, allow_missing_keys=True)
    assert augment(_item())["synthetic"]
    assert augment({"label": 1}) == {"label": 1, "synthetic": False}
    with pytest.raises(KeyError, match="more"):
        RandSyntheticSliced(("image", "more"), FINISHED)(_item())


def test_a_meta_tensor_keeps_its_place_but_not_its_name_or_history():
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0]))
    real = MetaTensor(REAL.clone(), affine=affine, meta={"filename_or_obj": "Doe.nii.gz", "spacing": 2})
    real.push_applied_operation({"class": "Flip"})
    image = _augment()(_item() | {"image": real})["image"]
    assert isinstance(image, MetaTensor)
    assert torch.equal(image.affine, affine)
    assert (image.meta["filename_or_obj"], image.meta["spacing"], image.applied_operations) == ("synthetic", 2, [])
    assert (real.meta["filename_or_obj"], len(real.applied_operations)) == ("Doe.nii.gz", 1)


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.float16])
def test_an_image_is_of_the_kind_of_the_real_one(kind):
    real = REAL.to(kind) if isinstance(kind, torch.dtype) else REAL.numpy().astype(kind)
    given = _augment()(_item() | {"image": real})["image"]
    assert type(given) is type(real)
    assert given.dtype == real.dtype


class _Flat(nn.Module):
    """A generator of images of one value."""

    def __init__(self, value: float, channels: int = 1) -> None:
        super().__init__()
        self.latent_size, self.image_size, self.value, self.channels = 3, 16, value, channels

    def forward(self, latent: Tensor) -> Tensor:
        return latent.new_full((len(latent), self.channels, 16, 16), self.value)


def _items(count: int) -> list[dict[str, Any]]:
    return [_item(i % 3, number=i) for i in range(count)]


def _loaded(loader: Any) -> list[tuple[int, float, bool]]:
    """Number, value and flag of every image of an epoch."""
    batches = [(batch["number"].tolist(), batch["image"].mean((1, 2, 3)), batch["synthetic"]) for batch in loader]
    return [
        (number, round(value.item(), 4), bool(flag))
        for numbers, values, flags in batches
        for number, value, flag in zip(numbers, values, flags, strict=True)
    ]


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_batches_of_monais_loaders_and_caches(mode):
    augment = RandSyntheticSliced("image", FINISHED, prob=0.5, mode=mode)
    chain = Compose([EnsureTyped("image"), augment, RandFlipd("image", prob=0.5)])
    for data in (Dataset(_items(24), chain), CacheDataset(_items(24), chain, progress=False)):
        for make in (DataLoader, ThreadDataLoader):
            chain.set_random_state(1)
            seen = _loaded(make(data, batch_size=6))
            assert {number for number, _, _ in seen} == set(range(24))
            assert len(seen) == 24 if mode == "replace" else 24 < len(seen) < 48
            for number, value, flag in seen:
                assert (int(value * 10) == number % 3 and value < 0.3) if flag else value == 0.5
            flags = [flag for _, _, flag in seen]
            assert 0 < sum(flags) < 24


def test_workers_make_images_of_their_own_and_the_seed_decides_them():
    chain = Compose([_augment([_generator()] * 3, prob=0.5)])

    def epochs(seed: int) -> list[Tensor]:
        """The synthetic images of two epochs."""
        generator = torch.Generator().manual_seed(seed)
        loader = DataLoader(Dataset(_items(12), chain), batch_size=3, num_workers=2, generator=generator)
        return [image for _ in range(2) for batch in loader for image in batch["image"][batch["synthetic"]]]

    first, again = epochs(0), epochs(0)
    assert 4 < len(first) < 20
    assert all(torch.equal(image, same) for image, same in zip(first, again, strict=True))
    assert len({image.numpy().tobytes() for image in first}) == len(first)


def test_it_can_be_sent_to_another_process():
    augment = _augment([_generator(), FINISHED[1]])
    again = ForkingPickler.loads(ForkingPickler.dumps(augment))
    for label in (0, 1):
        assert torch.equal(again(_item(label))["image"], augment(_item(label))["image"])


WRONG = {
    "prob": ({"prob": 1.5}, r"prob must be from 0 to 1, got 1\.5\.$"),
    "mode": ({"mode": "both"}, r"mode must be one of replace, add, got 'both'\.$"),
    "shape": ({"sources": [torch.zeros(4, 16, 16)]}, r"label 0 must be float \(N, 1, H, W\).*got .* \(4, 16"),
    "type": ({"sources": {"a": torch.zeros(4, 1, 16, 16, dtype=torch.uint8)}}, r"label 'a' must be float.*uint8"),
    "none": ({"sources": [torch.zeros(0, 1, 16, 16)]}, r"N at least 1, got torch\.float32 \(0, 1"),
    "kind": ({"sources": ["filtered"]}, r"source of label 0 must be images.*got str\.$"),
    "latent": ({"sources": [nn.Identity()]}, r"a generator with latent_size, or None, got Identity\.$"),
    "channels": ({"sources": [_Flat(0.5, channels=3)]}, r"label 0 must give .*got \(1, 3, 16, 16\) for one latent"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_arguments_are_checked(wrong):
    options, message = WRONG[wrong]
    with pytest.raises(InputError, match=message):
        RandSyntheticSliced("image", **{"sources": FINISHED, **options})


UNFIT = {
    "label": (_item(3), r"^Label 3 has no source of synthetic images: there are those of 0, 1, 2; None leaves"),
    "no label": ({"image": REAL}, r"^An item has no 'label': name the key"),
    "one-hot": (_item(torch.eye(3)[1]), r"^'label' must be one class, got shape \(3,\)\.$"),
    "size": (_item() | {"image": REAL[:, :8]}, r"^'image' is \(1, 8, 16\) and .* are \(1, 16, 16\): resize"),
    "scale": (_item() | {"image": 255 * REAL}, r"^'image' is torch\.float32 from 127\.5 to 127\.5 .*: scale it before"),
    "normalised": (_item() | {"image": REAL - 1}, r"from -0\.5 to -0\.5"),
    "integers": (_item() | {"image": REAL.byte()}, r"^'image' is torch\.uint8"),
    "path": (_item() | {"image": "a.png"}, r"^'image' must be a tensor or an array, got str: load it before\.$"),
}


@pytest.mark.parametrize("prob", [0.0, 1.0])
@pytest.mark.parametrize("unfit", UNFIT)
def test_items_that_do_not_fit_are_refused_also_when_nothing_is_drawn(unfit, prob):
    item, message = UNFIT[unfit]
    with pytest.raises(InputError, match=message):
        _augment(prob=prob)(item)


def test_compose_tells_the_reason():
    with pytest.raises(RuntimeError) as caught:
        Compose([_augment()])(_item(3))
    assert isinstance(caught.value.__cause__, InputError)
