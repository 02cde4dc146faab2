#!/bin/sh
# Prints the last ten minutes of a function's log, oldest first. A line of an invocation has its
# request id.
# Argument: web or migrations.
cd "$(dirname "$0")/.."
. deploy/settings.sh
since=$(($(date +%s) * 1000 - 600000))
echo "$ aws logs filter-log-events --log-group-name /aws/lambda/$function-$1 --start-time $since"
aws logs filter-log-events --log-group-name "/aws/lambda/$function-$1" --start-time "$since" \
    --query 'events[].[message]' --output text | sed '/^$/d'
