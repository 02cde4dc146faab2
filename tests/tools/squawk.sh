#!/bin/sh
# Looks for what locks tables for long in migrations/, with the real squawk, which it installs into
# target/tools. What is left out: timeouts, as every run sets them; down files, which destroy
# because somebody asked for it; the seed, which fills an empty database.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
mkdir -p "$tools"

if ! cmp -s tests/tools/squawk.txt "$tools/squawk.txt"; then
    echo "installing squawk into target/tools" >&2
    rm -rf "$tools/squawk"
    if ! python3 -m venv "$tools/squawk"; then
        echo "failed to make a Python environment: apt-get install python3-venv, or dnf install python3" >&2
        exit 1
    fi
    "$tools/squawk/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
        --require-hashes --requirement tests/tools/squawk.txt
    cp tests/tools/squawk.txt "$tools/"
fi

exec "$tools/squawk/bin/squawk" --assume-in-transaction \
    --exclude=require-lock-timeout,require-statement-timeout \
    --exclude-path='*.down.sql' --exclude-path='*/seed.sql' 'migrations/*.sql'
