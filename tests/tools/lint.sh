#!/bin/sh
# Looks at every script, the Dockerfile and GitHub's workflows with shellcheck, hadolint and zizmor,
# which it installs into target/tools.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
mkdir -p "$tools"

if ! cmp -s tests/tools/lint.txt "$tools/lint.txt"; then
    echo "installing shellcheck, hadolint and zizmor into target/tools" >&2
    rm -rf "$tools/lint"
    if ! python3 -m venv "$tools/lint"; then
        echo "failed to make a Python environment: apt-get install python3-venv, or dnf install python3" >&2
        exit 1
    fi
    "$tools/lint/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
        --require-hashes --requirement tests/tools/lint.txt
    cp tests/tools/lint.txt "$tools/"
fi

git ls-files '*.sh' .ci/run | xargs "$tools/lint/bin/shellcheck" --external-sources
"$tools/lint/bin/hadolint" Dockerfile.al2023
"$tools/lint/bin/zizmor" --quiet --offline .github/workflows
