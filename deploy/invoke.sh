#!/bin/sh
# Invokes the deployed migrations function with an event, and prints its answer. Argument: the event.
cd "$(dirname "$0")/.."
. deploy/settings.sh
printf '%s,"id":"%s"}' "${1%\}}" "$(new_id)" >"$inputs/event.json"
answered=yes
invoke "$migrations" "$inputs/event.json" || answered=''
show "$dir/answer.json"
[ -n "$answered" ]
