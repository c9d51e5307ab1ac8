#!/usr/bin/env bash
# Makes a virtual environment with the locked dependencies and this project in it: deploy/venv.sh FOLDER
# PYTHON=… chooses the interpreter; else the first on PATH that is new enough.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! new_enough "$folder/bin/python"; then
  for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    if new_enough "$python"; then break; fi
    python=
  done
  if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3 if it is not on PATH." >&2
    exit 1
  fi
  echo "Making $folder with $("$python" --version) …" >&2
  if ! "$python" -m venv --clear "$folder"; then
    echo "On Debian and Ubuntu the package python3-venv brings what is missing." >&2
    exit 1
  fi
fi

echo "Installing the locked dependencies …" >&2
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$folder/bin/python" -m pip install --quiet --requirement requirements.lock
"$folder/bin/python" -m pip install --quiet --no-deps --editable .
