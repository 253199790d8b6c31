"""What it costs to import the package, against MONAI, each in fresh processes that take turns.

- `import monai` and `import monai_aggrgan`, whose parts are imported when they are first used;
- every part of the package, which brings MONAI with it;
- what `python -m monai.bundle run` of a config imports: MONAI's bundles alone, and the study with them.

Times are the best of several rounds, less that of an empty process. Ends with one JSON line: `ratio` is MONAI's time /
ours for the plain import, `ratio_all` that for every part, `ratio_study` that for the study: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

EVERY_PART = "import monai_aggrgan\nfor name in monai_aggrgan.__all__:\n    getattr(monai_aggrgan, name)"
STATEMENTS = {
    "nothing": "pass",
    "torch": "import torch",
    "monai": "import monai",
    "monai_aggrgan": "import monai_aggrgan",
    "monai_aggrgan, every part": EVERY_PART,
    "monai.bundle": "import monai.bundle.__main__",
    "monai.bundle, study": "import monai.bundle.__main__, monai_aggrgan\nmonai_aggrgan.study.main",
}


def seconds(statement: str) -> float:
    """Wall time of a fresh process that runs one statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    rounds = 2 if parser.parse_args().quick else 7
    for statement in STATEMENTS.values():  # warms up the disk's cache
        seconds(statement)
    times = [{name: seconds(statement) for name, statement in STATEMENTS.items()} for _ in range(rounds)]
    best = {name: min(one[name] for one in times) for name in STATEMENTS}
    net = {name: max(value - best["nothing"], 1e-4) for name, value in best.items() if name != "nothing"}
    for name, value in net.items():
        print(f"{name:26s} {1000 * value:8.1f} ms")
    print(
        json.dumps(
            {
                "benchmark": "import_time",
                "ratio": round(net["monai"] / net["monai_aggrgan"], 1),
                "ratio_all": round(net["monai"] / net["monai_aggrgan, every part"], 3),
                "ratio_study": round(net["monai.bundle"] / net["monai.bundle, study"], 3),
                "seconds": {name: round(value, 3) for name, value in net.items()},
                "rounds": rounds,
                "python": sys.version.split()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
