from __future__ import annotations

import logging
import os
import sys

import ignite.distributed as idist
import pytest
import torch.distributed as dist
from tqdm import tqdm

from monai_aggrgan.stages.alone import alone, environment


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A process group of this process alone, and torchrun's variables."""
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    dist.init_process_group("gloo", init_method=(tmp_path / "store").as_uri(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()
    idist.sync()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("error", [None, RuntimeError])
def test_a_process_group_is_out_of_sight_and_comes_back(error):
    assert dist.is_initialized() and idist.backend() == "gloo"
    try:
        with alone("rank 0"):
            assert not dist.is_initialized() and idist.backend() is None and idist.get_world_size() == 1
            assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE"} & {*os.environ}
            if error:
                raise error
    except RuntimeError:
        pass
    assert idist.backend() == "gloo" and os.environ["WORLD_SIZE"] == "1"
    dist.barrier()  # it still works


def test_what_is_logged_begins_with_the_name(caplog):
    logger = logging.getLogger("monai_aggrgan.anything")
    with alone("rank 3"):
        logger.warning("%d of %d", 1, 2)
    logger.warning("after")
    assert caplog.messages == ["rank 3: 1 of 2", "after"]


def test_progress_bars_begin_with_the_name(capsys):
    with alone("rank 3"):
        for _ in tqdm(range(2), "training"):
            pass
        print("a line", file=sys.stderr)
    lines = capsys.readouterr().err.replace("\r", "\n").split("\n")
    bars = [line for line in lines if "training" in line]
    assert len(bars) >= 2 and all(line.startswith("rank 3: training:") for line in bars)
    assert "a line" in lines


def test_other_variables_for_a_while(monkeypatch):
    monkeypatch.setenv("AGGRGAN_KEPT", "1")
    monkeypatch.delenv("AGGRGAN_NEW", raising=False)
    before = dict(os.environ)
    with pytest.raises(KeyError), environment(AGGRGAN_KEPT=None, AGGRGAN_NEW="2"):
        assert os.environ["AGGRGAN_NEW"] == "2"
        os.environ["AGGRGAN_LATER"] = "3"
        os.environ["AGGRGAN_KEPT"]
    assert dict(os.environ) == before
