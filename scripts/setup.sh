#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sets up what `make` needs: Debian packages, uv in .tools, the backend in .venv, PyQGIS tests in .venv-qgis.
# Each step leaves a stamp keyed on what it was made from, so that a second run only compares.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# QGIS from a package runs on the system's Python, and the environments must match it: no other Python will do.
PYTHON=${PYTHON:-/usr/bin/python3}
export UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=only-system
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
listed() { grep -v '^#' "$1" | grep -v '^$' || true; }

# key FILE...: one hash over the files' content, this checkout's place and the Python under it.
key() {
    { cat "$@"; pwd -P; "$PYTHON" -c 'import sys; print(sys.version)'; } | sha256sum | cut -d' ' -f1
}
made() { [ -x "$1/bin/python" ] && [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }

# ours FOLDER: a virtual environment that can be brought up to date in place, made by this Python and not broken.
ours() { [ -x "$1/bin/python" ] && [ "$("$1/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null)" = "$("$PYTHON" -c 'import sys; print(sys.version)')" ]; }

missing_packages() {
    local installed
    installed=$(listed requirements/debian.txt | xargs dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null |
        awk '$2 == "installed" { print $1 }') || true
    comm -23 <(listed requirements/debian.txt | sort) <(printf '%s\n' "$installed" | sort) | paste -sd' '
}

system() {
    [ -z "${SKIP_SYSTEM:-}" ] || return 0
    local missing root=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        die "this is no Debian system; install what these Debian packages hold, then run again with SKIP_SYSTEM=1: $(listed requirements/debian.txt | paste -sd' ')"
    fi
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            root=(sudo)
        else
            die "these Debian packages are missing and only root can install them: $missing (as root: apt-get install $missing)"
        fi
    fi
    say "installing the Debian packages $missing (log: build/setup-apt.log)"
    mkdir -p build
    if ! {
        "${root[@]}" apt-get update &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    } >build/setup-apt.log 2>&1; then
        die "apt-get could not install the missing Debian packages $missing; its log is build/setup-apt.log"
    fi
}

tools() {
    local want
    want=$(key requirements/tools.txt)
    made .tools "$want" && return 0
    say "fetching uv into .tools"
    rm -rf .tools
    "$PYTHON" -m venv .tools
    .tools/bin/python -m pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements/tools.txt
    echo "$want" >.tools/.stamp
}

backend() {
    local want
    want=$(key requirements/backend.txt requirements/dev.txt backend/pyproject.toml)
    made .venv "$want" && return 0
    say "filling .venv with the backend (several GB the first time: torch brings its CUDA libraries)"
    rm -f .venv/.stamp
    ours .venv || .tools/bin/uv venv --quiet --clear --python "$PYTHON" .venv
    .tools/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/backend.txt requirements/dev.txt
    .tools/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e backend
    echo "$want" >.venv/.stamp
}

qgis() {
    local want
    want=$(key requirements/qgis.txt)
    made .venv-qgis "$want" && return 0
    say "filling .venv-qgis with what drives the PyQGIS tests"
    rm -rf .venv-qgis
    "$PYTHON" -m venv --system-site-packages --without-pip .venv-qgis
    .tools/bin/uv pip install --quiet --python .venv-qgis/bin/python --require-hashes -r requirements/qgis.txt
    echo "$want" >.venv-qgis/.stamp
}

# lock [UV FLAGS]: pins requirements/*.in anew; keeps what still fits unless told --upgrade.
lock() {
    local name
    tools
    for name in tools backend dev qgis; do
        .tools/bin/uv pip compile --quiet --python "$PYTHON" --generate-hashes --no-emit-index-url \
            --custom-compile-command "make lock" "$@" "requirements/$name.in" -o "requirements/$name.txt"
    done
}

case "${1:-all}" in
all) system; tools; backend; qgis ;;
lock) shift; lock "$@" ;;
*) die "unknown step '$1'; use no argument, or 'lock'" ;;
esac
