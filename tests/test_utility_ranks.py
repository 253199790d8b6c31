"""The stages of `utility` by two processes: the same predictions and tables as by one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.test_study_ranks import TORCHRUN, ended, free_port, start

OPTIONS = {
    "classifier_settings": {"max_epochs": 1, "batch_size": 4},
    "classifier_seeds": 2,
    "synthetic_counts": [3],
    "minority_class": "none",
    "slice_level": False,
}
STAGES = ("classify", "compare")
SCRIPT = """
import json, logging, sys
from monai_aggrgan import Study
logging.basicConfig(level=logging.INFO, format="%(message)s")
Study(**json.loads(sys.argv[1])).run(*sys.argv[2:])
"""


def test_two_ranks_train_and_find_what_one_process_does(study_of, copied, finished, tmp_path):
    alone = Path(shutil.copytree(finished, tmp_path / "alone"))
    study_of(alone, **OPTIONS).run(*STAGES)
    (tmp_path / "study.py").write_text(SCRIPT)
    options = json.dumps(study_of(copied, **OPTIONS).settings.as_json())
    command = [*TORCHRUN, "--nproc_per_node", 2, "--master_port", free_port(), tmp_path / "study.py", options, *STAGES]
    ((status, output),) = ended(start(*command))
    assert status == 0, output
    assert all(f"rank {rank}: classify by small" in output for rank in "01"), output
    assert output.count("there are numbers but no verdicts") == 1  # rank 0 tells it
    trainings = [path.relative_to(alone) for path in alone.glob("classify/**/predictions.csv")]
    assert len(trainings) == 2 * 5
    tables = [Path("utility", name) for name in ("utility.csv", "comparisons.csv", "table5.md", "verdicts.csv")]
    for path in [*trainings, *tables]:
        assert (copied / path).read_bytes() == (alone / path).read_bytes(), path
