#!/bin/sh
# Sends the deployed migrations function an event. Argument: the event.
cd "$(dirname "$0")/.."
. deploy/settings.sh
printf '%s' "$1" >"$dir/event.json"
invoke "$migrations" "$dir/event.json"
