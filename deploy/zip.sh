#!/bin/sh
# Packs an executable and a directory of migrations for `provided.al2023`. The same files make the
# same zip, byte for byte. Arguments: the executable, the directory, the zip.
set -eu
executable=$1 migrations=$2
mkdir -p "$(dirname "$3")"
zip=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$executable" "$dir/bootstrap"
cp -R "$migrations" "$dir/migrations"
chmod -R u=rwX,go=rX "$dir"
chmod 755 "$dir/bootstrap"
# The earliest date that a zip can hold, in a time zone that every machine has.
export TZ=UTC
find "$dir" -exec touch -t 198001010000 {} +
rm -f "$zip"
cd "$dir"
find bootstrap migrations -type f | LC_ALL=C sort | zip -q -X -D -9 "$zip" -@
