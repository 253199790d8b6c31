"""One training in several processes, as on several GPUs or machines; here with gloo on a CPU."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from monai_aggrgan.data.manifest import write_image_array

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "bundles" / "brain_mri_aggrgan" / "configs"
SCRIPT = '''
import gc, os, signal, sys
sys.path.insert(0, {root!r})
import torch
import torch.distributed as dist
from ignite.engine import Events
from torch.nn.parallel import DistributedDataParallel
from monai_aggrgan.data import NormalLatents, shuffled_loader
from monai_aggrgan.engines import LatentGanTrainer
from monai_aggrgan.handlers import TrainingCheckpoint
from monai_aggrgan.losses import WassersteinDivergenceObjective
from monai_aggrgan.networks import WGANDivCritic, WGANDivGenerator
from tests.handlers.test_training_checkpoint import _Slices

folder, killed_rank = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)
if "RANK" in os.environ:
    dist.init_process_group("gloo")
rank, world_size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

class Latents(NormalLatents):
    """All ranks draw the batch of a single process, and each takes its part, so that the results compare."""
    def draw(self, count, generator):
        generator.manual_seed(trainer.state.iteration)
        return super().draw(count * world_size, generator)[rank * count : (rank + 1) * count]

class Objective(WassersteinDivergenceObjective):
    """The penalty halfway between real and fake, so that it does not depend on the ranks' own noise."""
    def discriminator_terms(self, critic, real, fake, latent):
        rand, torch.rand = torch.rand, lambda *size, device: torch.full(size, 0.5)
        try:
            return super().discriminator_terms(critic, real, fake, latent)
        finally:
            torch.rand = rand

networks = [WGANDivGenerator(image_size=16, hidden=(16,), latent_size=6), WGANDivCritic(image_size=16, hidden=(16,))]
if dist.is_initialized():
    networks = [DistributedDataParallel(network, broadcast_buffers=False) for network in networks]
generator, critic = networks
trainer = LatentGanTrainer(
    device="cpu", max_epochs=6, generator=generator, critic=critic, objective=Objective(), latents=Latents(6),
    train_data_loader=shuffled_loader(_Slices(), batch_size=4, seed=3, rank=rank, world_size=world_size),
    generator_optimizer=torch.optim.SGD(generator.parameters(), 1e-2),
    critic_optimizer=torch.optim.SGD(critic.parameters(), 1e-2),
    critic_steps=2,
)
TrainingCheckpoint(folder, interval=2).attach(trainer)

@trainer.on(Events.EPOCH_COMPLETED(once=5))
def die():
    if rank == killed_rank:
        os.kill(os.getpid(), signal.SIGKILL)

trainer.run()
torch.save({{name: value.clone() for name, value in generator.state_dict().items()}}, folder + f"/rank{{rank}}.pt")
if dist.is_initialized():
    del trainer, networks, generator, critic  # they hold the group: its threads would outlive the interpreter
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("script") / "training.py"
    path.write_text(SCRIPT.format(root=str(ROOT)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def alone(script, tmp_path_factory) -> dict[str, torch.Tensor]:
    """The generator's weights after the training in a single process."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-W", "ignore", str(script), str(folder), "-1"], check=True, capture_output=True)
    return load(folder / "rank0.pt")


def load(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)
    return {name.removeprefix("module."): value for name, value in state.items()}


def torchrun(*options: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", *options]


def assert_equal_to(alone: dict[str, torch.Tensor], folder: Path) -> None:
    first, second = load(folder / "rank0.pt"), load(folder / "rank1.pt")
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6)


def test_two_processes_train_as_one_does_penalty_included(script, alone, tmp_path):
    subprocess.run(
        torchrun("--standalone", "--nproc_per_node=2", str(script), str(tmp_path), "-1"),
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert_equal_to(alone, tmp_path)
    assert {path.name for path in tmp_path.glob("checkpoint*")} == {"checkpoint_4.pt", "checkpoint_6.pt"}


def test_two_nodes_train_as_one_process_does(script, alone, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = ("--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={port}")
    nodes = [
        subprocess.Popen(
            torchrun(*place, f"--node_rank={node}", str(script), str(tmp_path), "-1"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for node in (0, 1)
    ]
    assert [node.wait(120) for node in nodes] == [0, 0]
    assert_equal_to(alone, tmp_path)


@pytest.mark.parametrize("killed_rank", [1])
def test_a_rank_that_dies_ends_the_training_soon_and_it_can_go_on(script, alone, tmp_path, killed_rank):
    command = torchrun("--standalone", "--nproc_per_node=2", str(script), str(tmp_path))
    begin = time.monotonic()
    ended = subprocess.run([*command, str(killed_rank)], capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert time.monotonic() - begin < 60
    assert f"Signal {signal.SIGKILL.value} (SIGKILL)" in ended.stderr
    assert f"rank      : {killed_rank} " in ended.stderr
    again = subprocess.run([*command, "-1"], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert_equal_to(alone, tmp_path)


def test_the_bundles_config_trains_in_two_processes(tmp_path):
    random = torch.Generator().manual_seed(0)
    rows = [
        {"class_name": "glioma", "section": "training" if number < 14 else "held_out", "id": str(number)}
        for number in range(20)
    ]
    write_image_array(tmp_path / "prepare" / "glioma", torch.rand(20, 1, 16, 16, generator=random), rows)
    names = ("train", "train_dcgan1", "recipe_strong", "multi_gpu_train")
    files = ",".join(f"'{CONFIGS / name}.yaml'" for name in names)
    options = {
        "bundle_root": CONFIGS.parent,
        "config_file": f"[{files}]",
        "dataset_dir": tmp_path / "prepare",
        "output_dir": tmp_path / "out",
        **{"class_name": "glioma", "image_size": 16, "base_width": 4, "batch_size": 4, "max_epochs": 2},
        **{"select_best": True, "selection_interval": 1, "selection_pool": 16, "timeout_minutes": 1},
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = torchrun("--standalone", "--nproc_per_node=2", "-m", "monai.bundle", "run", *arguments)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stderr[-3000:]
    out = tmp_path / "out"
    assert (out / "generator.pt").is_file() and (out / "checkpoint_2.pt").is_file()
    assert len(list((out / "tensorboard").glob("events*"))) == 1
