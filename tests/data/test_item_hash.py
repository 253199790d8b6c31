from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_aggrgan.data import hash_by_content

IMAGES = torch.arange(48.0).view(3, 1, 4, 4)


def test_a_tensor_is_its_values_wherever_they_lie():
    alone, copies = IMAGES[1].clone(), [IMAGES[1].clone() for _ in range(3)]
    hashes = {hash_by_content({"image": image}) for image in (IMAGES[1], alone, *copies, IMAGES.mT[1].mT)}
    assert len(hashes) == 1
    (only,) = hashes
    assert len(only) == 64
    assert bytes.fromhex(only.decode())


def test_it_is_the_same_in_every_run():
    item = {"image": IMAGES[0], "label": 2, "none": None, "more": [None, "x", (1.5, np.float32(2))]}
    expected = "9c47c44d17c0d425ee52800c51ebe9a65527a2c58ebf60c7913c233307de3304"
    assert hash_by_content(item).decode() == expected


def test_the_order_of_keys_does_not_count():
    assert hash_by_content({"a": 1, "b": [2]}) == hash_by_content({"b": [2], "a": 1})


DIFFERENT = [
    {"a": 1},
    {"a": 2},
    {"a": "1"},
    {"a": 1.0},
    {"a": True},
    {"a": None},
    {"a": [1]},
    {"a": (1,)},
    {"a": [[1]]},
    {"b": 1},
    {"a": 1, "b": 1},
    {"a": {"a": 1}},
    {"a": torch.tensor(1)},
    {"a": torch.tensor([1])},
    {"a": torch.tensor(1.0)},
    {"a": torch.tensor(1, dtype=torch.int32)},
    {"a": np.array(1)},
    {"a": ["ab", "c"]},
    {"a": ["a", "bc"]},
    {"a": [["a"], "b"]},
    {"a": [["a", "b"]]},
    {"a": torch.zeros(2, 8)},
    {"a": torch.zeros(4, 4)},
    {"a": torch.full((2, 8), -0.0)},
    {"a": MetaTensor(torch.zeros(2, 8))},
    {"a": MetaTensor(torch.zeros(2, 8), meta={"patient": "p1"})},
    {"a": MetaTensor(torch.zeros(2, 8), affine=2 * torch.eye(4))},
]


def test_what_differs_in_anything_has_another_hash():
    assert len({hash_by_content(item) for item in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8, torch.bool])
def test_tensors_of_every_type(dtype):
    first, second = torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype)
    assert hash_by_content(first) == hash_by_content(first.clone()) != hash_by_content(second)
