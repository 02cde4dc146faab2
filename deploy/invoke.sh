#!/bin/sh
# Invokes the deployed migrations function with an event, and prints its answer. Argument: the event.
# An action that must not be done twice needs an "id", by which the engine knows it again.
cd "$(dirname "$0")/.."
. deploy/settings.sh
printf '%s' "$1" >"$inputs/event.json"
answered=yes
invoke "$migrations" "$inputs/event.json" || answered=''
show "$dir/answer.json"
[ -n "$answered" ]
