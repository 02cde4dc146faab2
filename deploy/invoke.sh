#!/bin/sh
# Invokes the deployed migrations function with an event. Argument: the event.
cd "$(dirname "$0")/.."
. deploy/settings.sh
printf '%s' "$1" >"$dir/event.json"
invoke "$migrations" "$dir/event.json"
