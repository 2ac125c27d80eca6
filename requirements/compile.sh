#!/bin/sh
# Re-locks every requirements file of the repository. Run it after a change to pyproject.toml or to a client's requirements.in.
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}
lock() { "$UV" pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 "$@"; }

lock pyproject.toml --all-extras --group dev -o requirements/test.txt
# The demo's lock is a subset of the test lock: the same versions, fewer packages.
lock pyproject.toml --extra local --extra cli --extra claude --extra gpt --group install -c requirements/test.txt -o requirements/demo.txt
lock requirements/bootstrap.in -c requirements/test.txt -o requirements/bootstrap.txt
for client in tests/clients/*/requirements.in; do
    [ -e "$client" ] && lock "$client" -o "${client%.in}.txt"
done
