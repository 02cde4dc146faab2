#!/bin/sh
# Looks for what locks tables for long in migrations/, with squawk. What is left out: timeouts, as
# every run sets them; down files, which destroy because somebody asked for it; the seed, which fills
# an empty database.
set -eu
cd "$(dirname "$0")/../.."
tests/tools/venv.sh squawk
exec target/tools/squawk/bin/squawk --assume-in-transaction \
    --exclude=require-lock-timeout,require-statement-timeout \
    --exclude-path='*.down.sql' --exclude-path='*/seed.sql' 'migrations/*.sql'
