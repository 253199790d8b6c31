"""Taking the generators of a study up again; that they are trained well is tested in test_study.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_aggrgan.data import read_image_array
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers import make_pool
from monai_aggrgan.networks import GeneratorEnsemble
from monai_aggrgan.stages import load_ensemble

CONFIGS = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_aggrgan" / "configs"
GENERATORS = ("wgan_div", "dcgan1", "dcgan2")


def ensemble_of(
    study: Path, *, class_name: str = "disc", generators: tuple[str, ...] = GENERATORS
) -> GeneratorEnsemble:
    return load_ensemble(study, class_name=class_name, generators=generators, config_dir=CONFIGS)


@pytest.mark.parametrize("class_name", ["disc", "square"])
def test_the_ensembles_images_are_the_studys_pools(finished, class_name):
    ensemble = ensemble_of(finished, class_name=class_name)
    assert ensemble.names == GENERATORS and not ensemble.training
    images = make_pool(ensemble, seeds=range(16))
    for column, name in enumerate(GENERATORS):
        pool, rows = read_image_array(finished / "generate" / class_name / name)
        assert [int(row["seed"]) for row in rows] == list(range(16))
        assert pool.std() > 0
        torch.testing.assert_close(images[:, column], pool, rtol=0, atol=2.5e-4)  # half the step of half precision


def test_some_of_the_generators_may_be_taken(finished):
    both, one = ensemble_of(finished), ensemble_of(finished, generators=("dcgan2",))
    assert torch.equal(make_pool(one, seeds=range(4))[:, 0], make_pool(both, seeds=range(4))[:, 2])


def test_a_generator_that_was_not_trained_there_is_refused(finished, copied):
    with pytest.raises(InputError, match=r"wgan_div_conv holds no trained generator: run the study's stage `train`"):
        ensemble_of(finished, generators=("dcgan1", "wgan_div_conv"))
    with pytest.raises(InputError, match=r"circle.*dcgan1 holds no trained generator"):
        ensemble_of(finished, class_name="circle", generators=("dcgan1",))
    (copied / "train" / "disc" / "dcgan1" / "generator.pt").unlink()  # as while it is trained
    with pytest.raises(InputError, match=r"disc.*dcgan1 holds no trained generator"):
        ensemble_of(copied)


def test_weights_that_do_not_fit_are_refused_in_one_sentence(copied):
    folder = copied / "train" / "disc"
    (folder / "dcgan1" / "generator.pt").write_bytes((folder / "wgan_div" / "generator.pt").read_bytes())
    with pytest.raises(
        InputError, match=r"dcgan1.generator\.pt cannot be used \(.*\): train it with these settings\."
    ) as caught:
        ensemble_of(copied)
    assert "\n" not in str(caught.value)
