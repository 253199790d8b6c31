#!/usr/bin/env bash
# Style checks, types and all tests. Arguments go to pytest, such as: ./runtests.sh tests/metrics
set -euo pipefail
cd "$(dirname "$0")"
source .ci/environment ".[dev]"

ruff check .
ruff format --check .
mypy
python -m pytest "$@"
