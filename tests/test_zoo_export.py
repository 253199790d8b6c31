"""MONAI's commands on this bundle with weights of its own trainings, as the model zoo's checks run them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, load, onnx_export, run, verify_net_in_out
from monai.data import load_net_with_metadata
from torch import nn

from monai_aggrgan.networks import GeneratorEnsemble
from monai_aggrgan.stages import RECORD, load_ensemble
from tests.bundle_trainings import BUNDLE, CONFIGS, GENERATORS, TINY, finish, network, workflow, write_prepared

MEMBERS = ("dcgan1", "dcgan2", "wgan_div")
FIRST = ("train", "train_dcgan2")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A copy of the bundle in a folder of bundles, with small networks as its defaults."""
    root = Path(shutil.copytree(BUNDLE, tmp_path_factory.mktemp("models") / "brain_mri_aggrgan"))
    for name in ("models", "output", "eval"):
        shutil.rmtree(root / name, ignore_errors=True)
    train = root / "configs" / "train.yaml"
    text = train.read_text(encoding="utf-8").replace("\nimage_size: 128", "\nimage_size: 16")
    train.write_text(text.replace("\nbase_width: 64", "\nbase_width: 4"), encoding="utf-8")
    assert {name: ConfigParser.load_config_file(str(train))[name] for name in TINY} == TINY
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study whose three generators are trained for glioma, and nothing else."""
    folder = tmp_path_factory.mktemp("study")
    write_prepared(folder / "prepare")
    for name in MEMBERS:
        out = folder / "train" / "glioma" / name
        finish(workflow(name, folder / "prepare", out, max_epochs=1, batch_size=4))
        (out / RECORD).write_text(json.dumps({"settings": TINY}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def of_one_training(bundle, tmp_path_factory) -> Path:
    """A copy of the bundle in which MONAI's `run` has trained DCGAN-2 into models/model.pt."""
    root = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("trained") / "brain_mri_aggrgan"))
    run(
        config_file=configs(root, *FIRST),
        logging_file=False,  # it would hold for the whole process
        bundle_root=str(root),
        dataset_dir=str(write_prepared(tmp_path_factory.mktemp("prepare"))),
        model_file="$@bundle_root + '/models/model.pt'",
        max_epochs=1,
        batch_size=2,
        device="$torch.device('cpu')",
    )
    return root


@pytest.fixture(scope="module")
def of_a_study(bundle, study, tmp_path_factory) -> Path:
    """A copy of the bundle in which `model.yaml` has put a study's generators into models/model.pt."""
    root = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("zoo") / "brain_mri_aggrgan"))
    options = {"bundle_root": str(root), "study_dir": str(study), "class_name": "glioma"}
    run(config_file=configs(root, "model"), logging_file=False, **options)
    return root


def configs(root: Path, *names: str) -> list[str]:
    return [str(root / "configs" / f"{name}.yaml") for name in names]


def weights(root: Path) -> dict[str, torch.Tensor]:
    return torch.load(root / "models" / "model.pt", weights_only=True)


def generator_of(root: Path) -> nn.Module:
    generator = network("dcgan2", "network_def", **TINY).eval()
    generator.load_state_dict(weights(root))
    return generator


def latents(size: int) -> torch.Tensor:
    return torch.randn(3, size, generator=torch.Generator().manual_seed(0))


def test_a_training_leaves_its_generator_where_it_is_told(of_one_training):
    out = of_one_training / "output" / "train" / "glioma" / "dcgan2"
    assert (out / "checkpoint_1.pt").is_file() and not (out / "generator.pt").exists()
    assert [path.name for path in (of_one_training / "models").iterdir()] == ["model.pt"]
    trained = torch.load(out / "checkpoint_1.pt", weights_only=True)["generator"]
    assert all(torch.equal(trained[name], tensor) for name, tensor in weights(of_one_training).items())


def test_ckpt_export_finds_it_by_its_defaults(of_one_training):
    ckpt_export(config_file=configs(of_one_training, *FIRST), bundle_root=str(of_one_training))
    exported, metadata, extra = load_net_with_metadata(
        str(of_one_training / "models" / "model.ts"), more_extra_files=("train_dcgan2.json",)
    )
    generator = generator_of(of_one_training)
    with torch.no_grad():
        assert torch.equal(exported.eval()(latents(100)), generator(latents(100)))
    assert metadata["name"] == "Brain MRI AGGrGAN"
    assert json.loads(extra["train_dcgan2.json"])["gan"] == "dcgan2"


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator_can_be_torchscript(generator, bundle, tmp_path):
    untrained = network(generator, "network_def", **TINY).eval()
    torch.save(untrained.state_dict(), tmp_path / "generator.pt")
    where = {"filepath": str(tmp_path / "generator.ts"), "ckpt_file": str(tmp_path / "generator.pt")}
    ckpt_export(config_file=configs(bundle, "train", f"train_{generator}"), bundle_root=str(bundle), **where)
    exported, given = torch.jit.load(tmp_path / "generator.ts").eval(), latents(untrained.latent_size)
    with torch.no_grad():
        torch.testing.assert_close(exported(given), untrained(given), rtol=0, atol=1e-6)


def test_a_generator_can_be_onnx(bundle, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    untrained = network("infogan", "network_def", **TINY).eval()
    torch.save(untrained.state_dict(), tmp_path / "generator.pt")
    where = {"filepath": str(tmp_path / "generator.onnx"), "ckpt_file": str(tmp_path / "generator.pt")}
    asked = {"config_file": configs(bundle, "train", "train_infogan"), "input_shape": [3, untrained.latent_size]}
    onnx_export(net_id="network_def", **where, **asked)
    session = runtime.InferenceSession(tmp_path / "generator.onnx")
    given = latents(untrained.latent_size)
    (made,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(made), untrained(given), rtol=0, atol=1e-5)


def test_monais_load_gives_the_trained_generator(of_one_training):
    where = {"bundle_dir": str(of_one_training.parent), "device": "cpu"}
    loaded = load("brain_mri_aggrgan", network("dcgan2", "network_def", **TINY), **where).eval()
    with torch.no_grad():
        assert torch.equal(loaded(latents(100)), generator_of(of_one_training)(latents(100)))
    with pytest.warns(UserWarning, match="return state dict instead"):  # MONAI looks for train.json alone
        state = load("brain_mri_aggrgan", **where)
    assert state.keys() == weights(of_one_training).keys()


def test_a_studys_generators_become_one_network(of_a_study, study):
    trained = load_ensemble(study, class_name="glioma", generators=MEMBERS, config_dir=CONFIGS)
    assert weights(of_a_study).keys() == trained.state_dict().keys()
    assert all(torch.equal(weights(of_a_study)[name], tensor) for name, tensor in trained.state_dict().items())


def test_the_zoos_checks_of_the_network_need_no_exception(of_a_study, study):
    root, metadata = str(of_a_study), str(of_a_study / "configs" / "metadata.json")
    asked = {"net_id": "network_def", "meta_file": metadata, "config_file": configs(of_a_study, "inference")[0]}
    verify_net_in_out(**asked, bundle_root=root)
    exported = of_a_study / "models" / "verify_model.ts"
    ckpt_export(**asked, bundle_root=root, filepath=str(exported), ckpt_file=str(of_a_study / "models" / "model.pt"))
    trained = load_ensemble(study, class_name="glioma", generators=MEMBERS, config_dir=CONFIGS)
    with torch.no_grad():
        assert torch.equal(torch.jit.load(exported).eval()(latents(128)), trained(latents(128)))
        assert not torch.equal(trained(latents(128)), GeneratorEnsemble(trained.generators).train()(latents(128)))


def test_the_network_of_a_study_can_be_onnx(of_a_study, study):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    models = of_a_study / "models"
    onnx_export(
        net_id="network_def",
        filepath=str(models / "model.onnx"),
        ckpt_file=str(models / "model.pt"),
        meta_file=str(of_a_study / "configs" / "metadata.json"),
        config_file=configs(of_a_study, "inference"),
        bundle_root=str(of_a_study),
    )
    session = runtime.InferenceSession(models / "model.onnx")
    (made,) = session.run(None, {session.get_inputs()[0].name: latents(128)[:1].numpy()})
    trained = load_ensemble(study, class_name="glioma", generators=MEMBERS, config_dir=CONFIGS)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(made), trained(latents(128)[:1]), rtol=0, atol=1e-5)


def test_a_class_that_is_not_trained_is_told(bundle, study, capsys):
    options = {"bundle_root": str(bundle), "study_dir": str(study), "class_name": "disc"}
    with pytest.raises(SystemExit):
        run(config_file=configs(bundle, "model"), logging_file=False, **options)
    assert "must be a class that the study" in capsys.readouterr().err
    assert not (bundle / "models").exists()
