#!/bin/sh
# Checks migrations/ with squawk for statements that lock tables for long. It leaves out the rules on
# timeouts, which every run sets; the down files, which are meant to destroy; and the seed, which fills an
# empty database.
set -eu
cd "$(dirname "$0")/../.."
tests/tools/venv.sh squawk
exec target/tools/squawk/bin/squawk --assume-in-transaction \
    --exclude=require-lock-timeout,require-statement-timeout \
    --exclude-path='*.down.sql' --exclude-path='*/seed.sql' 'migrations/*.sql'
