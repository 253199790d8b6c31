"""The bundle: its training configs load, are complete, and say what the paper says."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from monai_aggrgan.losses import LogisticObjective, R1Objective, WassersteinDivergenceObjective
from monai_aggrgan.stages import StudySettings
from monai_aggrgan.study import STAGES
from tests.bundle_trainings import BUNDLE, CONFIGS, GENERATORS, network, workflow, write_prepared, written


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A prepared data set of one class, six images of 16x16, two of them held out."""
    return write_prepared(tmp_path_factory.mktemp("prepare"))


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_training_config_is_a_complete_monai_workflow(generator, prepared, tmp_path):
    training = workflow(generator, prepared, tmp_path)
    training.initialize()
    assert training.check_properties() == []
    assert len(training.train_dataset) == 4
    assert training.bundle_root == str(BUNDLE)
    training.finalize()


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_training_config_trains_on_its_own(generator, prepared, tmp_path):
    training = workflow(generator, prepared, tmp_path, max_epochs=1, val_interval=1, batch_size=2)
    for step in (training.initialize, training.run, training.finalize):
        step()
    assert {path.name for path in tmp_path.iterdir()} >= {"generator.pt", "checkpoint_1.pt", "tensorboard"}
    state = torch.load(tmp_path / "generator.pt", weights_only=True)
    network(generator, "network_def", image_size=16, base_width=4).load_state_dict(state)


def test_a_training_on_its_own_tells_what_is_wrong_in_one_sentence(prepared, tmp_path, capsys):
    (tmp_path / "checkpoint_1.pt").write_bytes(b"damaged")
    training = workflow("dcgan2", prepared, tmp_path)
    training.initialize()
    with pytest.raises(SystemExit) as ended:
        training.run()
    training.finalize()
    told = [line for line in capsys.readouterr().err.splitlines() if "can be read" in line]
    assert ended.value.code == 2 and len(told) == 1 and "delete that folder to train anew" in told[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [({"class_name": "pituitary"}, "pituitary"), ({"image_size": 32}, "holds slices of 16 pixels a side")],
)
def test_slices_that_do_not_fit_are_told_in_one_sentence(prepared, tmp_path, capsys, options, told):
    with pytest.raises(SystemExit):
        workflow("dcgan1", prepared, tmp_path, **options).initialize()
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


PAPER = {
    "dcgan1": {"batch_size": 64, "learning_rate": 2e-4, "max_epochs": 1000, "betas": [0.5, 0.999], "critic_steps": 1},
    "dcgan2": {"batch_size": 128, "learning_rate": 2e-4, "max_epochs": 650, "betas": [0.5, 0.999], "critic_steps": 1},
    "wgan_div": {"batch_size": 32, "learning_rate": 1e-3, "max_epochs": 1000, "betas": [0.5, 0.999], "critic_steps": 5},
    "lsgan": {"batch_size": 128, "learning_rate": 2e-4, "max_epochs": 650, "critic_steps": 1},  # DCGAN-2's
    "infogan": {"batch_size": 128, "learning_rate": 2e-4, "max_epochs": 650, "critic_steps": 1},
    "wgan_div_conv": {"learning_rate": 2e-4, "betas": [0.0, 0.9], "critic_steps": 4},  # Wu et al. 2018
}
LATENTS = {"dcgan1": 100, "dcgan2": 100, "wgan_div": 128}


@pytest.mark.parametrize("generator", GENERATORS)
def test_hyper_parameters_are_the_papers(generator):
    config = written(generator)
    assert {name: config[name] for name in PAPER[generator]} == PAPER[generator]
    for optimizer in (config["generator_optimizer"], config["critic_optimizer"]):
        assert optimizer["_target_"] == "torch.optim.Adam"
        assert (optimizer["lr"], optimizer["betas"]) == ("@learning_rate", "@betas")
    trainer = config["train"]["trainer"]
    assert (trainer["critic_steps"], trainer["max_epochs"]) == ("@critic_steps", "@max_epochs")
    assert config["train"]["dataloader"]["batch_size"] == "@batch_size"
    assert (config["image_size"], config["precision"]) == (128, "float32")


SWITCHES = {  # of train.yaml, one by one
    "average": {"average_half_life": 100.0},
    "augmentation": {"augmentation_target": 0.6},
    "spectral norm": {"spectral_norm": True},
    "R1": {"r1_gamma": 1.0},
    "best checkpoint": {"select_best": True, "selection_interval": 1, "selection_pool": 8},
    "decay": {"decay_from": 0.5},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_part_beyond_the_paper_can_be_switched_on_alone(switch, prepared, tmp_path):
    options = SWITCHES[switch]
    training = workflow("dcgan2", prepared, tmp_path, max_epochs=2, batch_size=2, checkpoint_interval=1, **options)
    training.initialize()
    training.run()
    trainer, step = training.trainer, training.trainer.step
    assert (trainer.average is not None) == (switch == "average")
    assert (trainer.augmentation is not None) == (switch == "augmentation")
    assert isinstance(step.objective, R1Objective) == (switch == "R1")
    assert any("parametrizations" in name for name in trainer.critic.state_dict()) == (switch == "spectral norm")
    assert (step.autocast is torch.bfloat16) == (switch == "bfloat16")
    state = torch.load(tmp_path / "checkpoint_2.pt", weights_only=True)
    assert ("selection" in state) == (switch == "best checkpoint")
    rate = state["critic_optimizer"]["param_groups"][0]["lr"]
    assert rate == (0.0 if switch == "decay" else 2e-4)
    training.finalize()
    exported = torch.load(tmp_path / "generator.pt", weights_only=True)
    expected = {
        "average": dict(trainer.average.network.state_dict()) if trainer.average else None,
        "best checkpoint": state.get("selection", {}).get("weights"),
    }.get(switch, trainer.generator.state_dict())
    assert all(torch.equal(exported[name], value) for name, value in expected.items())


def test_the_strong_recipe_sets_what_train_yaml_has_and_leaves_the_paper_as_it_is():
    strong = ConfigParser.load_config_file(str(CONFIGS / "recipe_strong.yaml"))
    paper = ConfigParser.load_config_file(str(CONFIGS / "train.yaml"))
    assert set(strong) <= set(paper)
    assert all(strong[name] != paper[name] for name in strong)
    off = {name: paper[name] for name in ("average_half_life", "augmentation_target", "r1_gamma", "spectral_norm")}
    assert not any(off.values()) and not paper["select_best"] and paper["decay_from"] == 1.0


@pytest.mark.parametrize("generator", LATENTS)
def test_latents_are_as_long_as_specified_and_normal(generator):
    assert network(generator, "network_def", image_size=16).latent_size == LATENTS[generator]
    assert written(generator)["latents"]["_target_"] == "monai_aggrgan.data.NormalLatents"


def layers(module: torch.nn.Module) -> list[str]:
    return [type(part).__name__ for part in module.modules()]


def test_networks_are_those_of_the_papers_table():
    generators = {name: layers(network(name, "network_def", image_size=16)) for name in GENERATORS}
    critics = {name: layers(network(name, "critic_def", image_size=16)) for name in GENERATORS}
    assert "LeakyReLU" in generators["dcgan1"] and "BatchNorm2d" in generators["dcgan1"]
    assert "ReLU" in generators["dcgan2"] and "BatchNorm2d" in generators["dcgan2"]
    assert not [name for name in generators["wgan_div"] + critics["wgan_div"] if "Conv" in name]
    assert "Dropout" in critics["dcgan1"] and "BatchNorm2d" not in critics["dcgan1"]
    assert "BatchNorm2d" in critics["dcgan2"] and "Dropout" not in critics["dcgan2"]
    for name in ("wgan_div", "wgan_div_conv"):  # no BatchNorm beside a gradient penalty
        assert "BatchNorm2d" not in critics[name] and "BatchNorm1d" not in critics[name]
    dropouts = [part for part in network("dcgan1", "critic_def").modules() if isinstance(part, torch.nn.Dropout)]
    assert {part.p for part in dropouts} == {0.25}


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("generator", GENERATORS)
def test_networks_follow_the_image_size(generator, size):
    makes, judges = (network(generator, name, image_size=size) for name in ("network_def", "critic_def"))
    images = makes.eval()(torch.zeros(1, makes.latent_size))
    assert images.shape == (1, 1, size, size) and makes.image_size == size
    assert judges.eval()(images).shape == (1, 1)


def test_objectives_are_the_papers():
    for generator in ("dcgan1", "dcgan2"):
        assert type(network(generator, "objective")) is LogisticObjective
    for generator in ("wgan_div", "wgan_div_conv"):
        objective = network(generator, "objective")
        assert type(objective) is WassersteinDivergenceObjective and (objective.k, objective.p) == (2, 6)


def test_every_option_of_the_study_is_a_setting_and_the_other_way_round():
    config = ConfigParser.load_config_file(str(CONFIGS / "study.yaml"))
    names = {field.name for field in fields(StudySettings)}
    assert set(config["options"]) == names
    assert names - set(config) == {"config_dir"}
    for name in names - {"config_dir"}:
        assert config["options"][name] == f"@{name}"
    others = {"imports", "bundle_root", "options", "again", "run", "utility", "picture", "image", "portable", *STAGES}
    assert set(config) == (names - {"config_dir"}) | others


def test_defaults_of_the_study_config_are_those_of_the_settings():
    config = ConfigParser.load_config_file(str(CONFIGS / "study.yaml"))
    for field in fields(StudySettings):
        written_value = config.get(field.name)
        if written_value is None or field.name in ("config_dir", "output_dir"):
            continue
        default = field.default_factory() if field.default is MISSING else field.default
        assert (tuple(written_value) if isinstance(default, tuple) else written_value) == default, field.name


def test_defaults_of_the_inference_config_are_those_of_the_study():
    study, inference = (ConfigParser.load_config_file(str(CONFIGS / f"{name}.yaml")) for name in ("study", "inference"))
    shared = {name for name in study if name in inference} - {"imports", "output_dir", "dataset_dir", "options", "run"}
    assert shared >= {"generators", "pool_size", "top_k", "matching", "merging", "sigma", "gaussian", "style_tolerance"}
    assert {name: inference[name] for name in shared - {"device"}} == {
        name: study[name] for name in shared - {"device"}
    }
    assert inference["images"] == study["references"]


def test_every_stage_has_its_own_command():
    config = ConfigParser.load_config_file(str(CONFIGS / "study.yaml"))
    assert config["run"] == ["$monai_aggrgan.study.main(@options, again=@again)"]
    for stage in STAGES:
        assert config[stage] == [f"$monai_aggrgan.study.main(@options, '{stage}', again=@again)"]


def test_the_quick_start_only_sets_what_there_is():
    study = ConfigParser.load_config_file(str(CONFIGS / "study.yaml"))
    quick = ConfigParser.load_config_file(str(CONFIGS / "quickstart.yaml"))
    assert set(quick) - set(study) == {"patients", "slices_a_patient", "phantom_size"}  # of the phantoms
    assert all(set(quick["training"]) <= set(written(name)) for name in study["generators"])
    assert "phantom" in quick["note"] and quick["vgg_weights"] == "random"
