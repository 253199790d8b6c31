#!/usr/bin/env bash
# Style checks, types and all tests, in two processes. Arguments go to pytest instead, such as: ./runtests.sh tests/metrics
set -euo pipefail
cd "$(dirname "$0")"
source .ci/environment ".[dev]"

ruff check .
ruff format --check .
mypy
[ $# -gt 0 ] || set -- --numprocesses 2 --dist loadfile
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} python -m pytest "$@"
