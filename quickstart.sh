#!/usr/bin/env bash
# The main job, end to end, on phantoms: about five minutes on two cores, no network but for packages.
# Run it again and nothing is repeated; interrupt it and it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/environment ".[mat,report]"

configs=bundles/brain_mri_aggrgan/configs
for run in run utility; do  # the study, then: do its images help a classifier?
    python -W ignore -m monai.bundle run "$run" \
        --bundle_root bundles/brain_mri_aggrgan \
        --config_file "['$configs/study.yaml','$configs/quickstart.yaml']" \
        --output_dir "${1:-quickstart_output}"
done
