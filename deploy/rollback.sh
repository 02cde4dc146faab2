#!/bin/sh
# Gives the traffic back to the version before the one that has it. The migrations function keeps
# the newest code: only that has the down files of what it applied. Undone by `make deploy`.
cd "$(dirname "$0")/.."
. deploy/settings.sh
live=$(aws lambda get-alias --function-name "$web" --name live --query FunctionVersion --output text)
former=$(aws lambda list-versions-by-function --function-name "$web" --output text \
    --query 'Versions[].[Version]' | grep -v LATEST | sort -n | awk -v live="$live" '$1 < live' |
    tail -n 1)
# The very first version was published before its address was known, and would serve any host.
[ -z "$former" ] || [ "$(aws lambda get-function-configuration --function-name "$web" \
    --qualifier "$former" --query 'Environment.Variables.LAMBDA_FUNCTION_URL' --output text)" != None ] ||
    former=''
[ -n "$former" ] || fail "failed to roll back: version $live is the oldest there is"
change aws lambda update-alias --function-name "$web" --name live --function-version "$former"
echo "version $former has the traffic, version $live had it; the database is as it was"
