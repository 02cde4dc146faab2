#!/bin/sh
# Gives the traffic back to the version that had it before the last deploy. The migrations function
# keeps the newest code, because only that has the down files of the migrations that it applied.
# `make deploy` undoes it.
cd "$(dirname "$0")/.."
. deploy/settings.sh
live=$(aws lambda get-alias --function-name "$web" --name live --query FunctionVersion --output text)
has aws lambda get-alias --function-name "$web" --name former --query FunctionVersion --output text ||
    fail "failed to roll back: version $live is the first; deploy the code that you want"
former=$(cat "$dir/found")
[ "$former" != "$live" ] ||
    fail "failed to roll back: version $live is back already; deploy the code that you want"
change aws lambda update-alias --function-name "$web" --name live --function-version "$former"
echo "version $former has the traffic, version $live had it; the database is as it was"
