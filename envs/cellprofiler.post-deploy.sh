#!/usr/bin/env bash
# The rest of envs/cellprofiler-py39.txt, run by `snakemake --sdm conda` in the new environment. Written by envs/write_yaml.py.
set -euo pipefail
JAVA_HOME="${JAVA_HOME:-$CONDA_PREFIX}" python -m pip install --no-deps --no-build-isolation \
    cellprofiler==4.2.8.1 \
    cellprofiler-core==4.2.8.1 \
    centrosome==1.2.3 \
    python-bioformats==4.1.0 \
    python-javabridge==4.0.5
