#!/bin/sh
# Checks the migrations with squawk for statements that lock tables for long, whichever tool's layout they
# have: every file and folder of migrations/ (or of the directory that is given), and of a file with the
# parts of several tools only the part that goes up. It leaves out the rules on timeouts, which every run
# sets; what goes down, which is meant to destroy; and the seed and Rails' dump, which fill an empty database.
set -eu
cd "$(dirname "$0")/../.."
tests/tools/venv.sh squawk
directory=${1:-${MIGRATIONS_DIR:-migrations}}
ups=$(mktemp -d)
trap 'rm -rf "$ups"' EXIT
(cd "$directory" && find -L . -name '*.sql') | sed 's#^\./##' |
	grep -Ev '(^|/)(U[0-9][^/]*|[^/]*\.down|down|seed|structure|schema)\.sql$' | LC_ALL=C sort |
	while IFS= read -r file; do
		mkdir -p "$ups/$(dirname "$file")"
		# A line that goes down becomes empty, so that places stay.
		awk '
			{ mark = tolower($0); gsub(/[- \t\r!]+/, " ", mark) }
			mark ~ /^ (\+goose|\+migrate|\+micrate) down/ || mark ~ /^ migrate:down/ ||
				mark ~ /^ (down migration|rambler down|\+duckdown|downs|down|\/\/@undo|@undo) ?$/ ||
				mark ~ /^ create above \/ drop below ?$/ { down = 1 }
			{ print down ? "" : $0 }
		' "$directory/$file" >"$ups/$file"
	done
squawk=$PWD/target/tools/squawk/bin/squawk
cd "$ups"
if [ -z "$(find . -name '*.sql')" ]; then
	echo "$directory has no migration to check"
	exit 0
fi
find . -name '*.sql' | sed 's#^\./##' | LC_ALL=C sort | tr '\n' '\0' |
	xargs -0 "$squawk" --assume-in-transaction --exclude=require-lock-timeout,require-statement-timeout
