#!/usr/bin/env bash
# Build brightpaint's environments: a main one (Python 3.11) and CellProfiler's own (Python 3.9 or 3.10).
# Usage: envs/build.sh check | main | runtime | cellprofiler | cellpose | oracle
#   runtime is main without what the tests add; cellpose is only for cellprofiler.segmentation: cellpose; oracle is a
#   folder of packages for tests alone, beside .venv and not in it
# A Python is taken from BRIGHTPAINT_PYTHON / BRIGHTPAINT_CELLPROFILER_PYTHON, the PATH, pyenv or uv, in that order.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# A Python that answers, has the wanted version and can make environments (a pyenv shim may exist and not answer).
answers() {
    [ -n "$1" ] && [ "$("$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$2" ]
}

find_python() { # find_python 3.11
    local root candidate
    for candidate in "$(command -v "python$1" || true)" "$(command -v python3 || true)"; do
        answers "$candidate" "$1" && { echo "$candidate"; return; }
    done
    root=${PYENV_ROOT:-$(pyenv root 2>/dev/null || echo "$HOME/.pyenv")}
    for candidate in "$root"/versions/"$1"*/bin/python; do
        [ -x "$candidate" ] && answers "$candidate" "$1" && { echo "$candidate"; return; }
    done
    if command -v uv >/dev/null; then
        candidate=$(uv python find "$1" 2>/dev/null) || { uv python install "$1" >&2 && candidate=$(uv python find "$1"); }
        answers "$candidate" "$1" && { echo "$candidate"; return; }
    fi
    return 1
}

main_python() {
    [ -z "${BRIGHTPAINT_PYTHON:-}" ] || { echo "$BRIGHTPAINT_PYTHON"; return; }
    find_python 3.11
}

cellprofiler_python() {
    [ -z "${BRIGHTPAINT_CELLPROFILER_PYTHON:-}" ] || { echo "$BRIGHTPAINT_CELLPROFILER_PYTHON"; return; }
    find_python 3.9 || find_python 3.10
}

check() {
    local missing=0
    [ -d .venv ] || main_python >/dev/null ||
        { say "Python 3.11 is missing: install it (apt-get install python3.11 python3.11-venv), or uv (https://docs.astral.sh/uv), then type make again."; missing=1; }
    if [ ! -e .envs/cellprofiler/.built ]; then
        cellprofiler_python >/dev/null ||
            { say "Python 3.9 or 3.10, which CellProfiler 4 needs, is missing: install uv (https://docs.astral.sh/uv), which fetches it, or pyenv install 3.9, then type make again."; missing=1; }
        command -v "${CC:-cc}" >/dev/null ||
            { say "A C compiler is missing: apt-get install build-essential, then type make again."; missing=1; }
        { [ -x "${JAVA_HOME:-/nowhere}/bin/javac" ] || command -v javac >/dev/null; } ||
            { say "A JDK is missing, and CellProfiler's javabridge is built with it: apt-get install default-jdk-headless, then type make again."; missing=1; }
    fi
    return $missing
}

# A half-built environment is never taken for a whole one: the stamp comes last.
build_main() { # build_main LIST ...
    cat "$@" | cmp -s - .venv/.built && return
    say "Building .venv from $* (about two minutes) ..."
    rm -f .venv/.built
    [ -x .venv/bin/python ] || "$(main_python)" -m venv --clear .venv
    # shellcheck disable=SC2046  # the lists' names hold no spaces
    .venv/bin/python -m pip install --quiet $(printf -- '--requirement %s ' "$@")
    cat "$@" >.venv/.built
}

# So that `python -m brightpaint...` and bench/ find the code wherever they are typed, in this very checkout.
link_sources() {
    echo "$PWD/src" >.venv/lib/python3.11/site-packages/brightpaint.pth
}

build_cellprofiler() {
    local python version list
    [ -x .envs/cellprofiler/bin/python ] || rm -rf .envs/cellprofiler
    python=$([ -x .envs/cellprofiler/bin/python ] && echo .envs/cellprofiler/bin/python || cellprofiler_python)
    version=$("$python" -c 'import sys; print("%d%d" % sys.version_info[:2])')
    list=envs/cellprofiler-py$version.txt
    cmp -s "$list" .envs/cellprofiler/.built && return
    say "Building .envs/cellprofiler from $list (about two minutes) ..."
    rm -f .envs/cellprofiler/.built
    [ -x .envs/cellprofiler/bin/python ] || "$python" -m venv --clear .envs/cellprofiler
    if [ ! -x "${JAVA_HOME:-/nowhere}/bin/javac" ]; then
        JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
    fi
    # --no-deps: the list is whole, and wxPython and mysqlclient are not needed without a window.
    JAVA_HOME=$JAVA_HOME PIP_CONSTRAINT=$PWD/envs/cellprofiler-build.txt \
        .envs/cellprofiler/bin/python -m pip install --quiet --no-deps --requirement "$list"
    cp "$list" .envs/cellprofiler/.built
}

build_cellpose() {
    local list=envs/cellpose.txt python
    cmp -s $list .envs/cellpose/.built && return
    python=$(main_python) || { say "Python 3.11 is missing: install it (apt-get install python3.11 python3.11-venv), or uv."; return 1; }
    say "Building .envs/cellpose from $list (1.6 GB, some minutes) ..."
    rm -f .envs/cellpose/.built
    [ -x .envs/cellpose/bin/python ] || "$python" -m venv --clear .envs/cellpose
    .envs/cellpose/bin/python -m pip install --quiet --requirement $list
    cp $list .envs/cellpose/.built
}

# --no-deps and a folder of its own: centrosome asks for an older pillow than .venv has, and opens no image here.
build_oracle() {
    local list=envs/oracle.txt
    cmp -s $list .envs/oracle/.built && return
    say "Building .envs/oracle from $list (half a minute) ..."
    rm -rf .envs/oracle
    .venv/bin/python -m pip install --quiet --no-deps --target .envs/oracle --requirement $list
    cp $list .envs/oracle/.built
}

case ${1:-} in
    check) check ;;
    main) check && build_main envs/brightpaint.txt envs/formats.txt envs/engine.txt envs/umap.txt envs/molecules.txt envs/brightpaint-test.txt && link_sources ;;
    runtime) check && build_main envs/brightpaint.txt envs/formats.txt envs/engine.txt envs/umap.txt envs/molecules.txt && link_sources ;;
    cellprofiler) check && build_cellprofiler ;;
    cellpose) build_cellpose ;;
    oracle) build_oracle ;;
    *) say "Usage: envs/build.sh check | main | runtime | cellprofiler | cellpose | oracle"; exit 2 ;;
esac
