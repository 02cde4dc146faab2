#!/bin/bash
# Applies a history of migrations with psql to one database and with bootstrap to another, and compares
# the output of pg_dump. Has its own reader of the history's format, so that it cannot share a defect
# with bootstrap's.
set -euo pipefail

usage='Compares the databases that psql and bootstrap make from a history of SQL migrations.

Usage: DATABASE_URL=postgres://… tests/histories/compare.sh [--data] [--keep] DIRECTORY

  DIRECTORY  files or directories of diesel, sqlx, Prisma, golang-migrate, goose, sql-migrate,
             dbmate, tern, Flyway, or plain <version>_<name>.sql
  --data     compares the rows too: for histories that insert the same rows every time
  --keep     leaves both databases, and prints their names
  --help     this text

DATABASE_URL is of a server where databases can be made; psql and pg_dump must be of its version or
newer. BOOTSTRAP is the executable [default: target/debug/bootstrap]. A history that makes roles
needs IF NOT EXISTS around them, as roles belong to the whole server.

Each file is run by psql in one transaction, as its tool would, or without when that fails. Ends
with 0 when both dumps have the same bytes; with 1 when they differ, which it shows; with 2 when
psql, and with 3 when bootstrap cannot apply the history.
'

what=(--schema-only) keep='' dir=''
for argument in "$@"; do
	case $argument in
	--help | -h) printf %s "$usage"; exit 0 ;;
	--data) what=() ;;
	--keep) keep=yes ;;
	-*) echo "unknown option $argument; see --help" >&2; exit 64 ;;
	*) dir=$argument ;;
	esac
done
if [ ! -d "$dir" ] || [ -z "${DATABASE_URL:-}" ]; then
	echo "give a directory, and DATABASE_URL in the environment; see --help" >&2
	exit 64
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
bootstrap=${BOOTSTRAP:-$root/target/debug/bootstrap}

work=$(mktemp -d)
name=compare_$$_$(date +%s)
admin() { PGOPTIONS='-c client_min_messages=error' psql -X -q -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -c "$1"; }
clean() {
	rm -rf "$work"
	if [ -n "$keep" ]; then
		echo "kept ${name}_psql and ${name}_ours"
	else
		admin "DROP DATABASE IF EXISTS ${name}_psql WITH (FORCE)"
		admin "DROP DATABASE IF EXISTS ${name}_ours WITH (FORCE)"
	fi
}
trap clean EXIT
url() { sed -E "s#^([^?]*/)[^/?]*(\?.*)?\$#\1$1\2#" <<<"$DATABASE_URL"; }

# Prints the up files in order, one per line. Each number of a version is padded to 20 digits, so that
# versions sort as numbers.
list() {
	(cd "$dir" && find -L . -name '*.sql' | sed 's#^\./##') |
		grep -Ev '(^|/)(U[0-9][^/]*|[^/]*\.down|down|seed)\.sql$' |
		awk -F/ '{
			key = $NF
			if (key == "migration.sql") { print $(NF - 1) "\t" $0; next } # Prisma sorts texts.
			if (key == "up.sql") key = $(NF - 1)
			# Flyway says where its version ends, and writes dots as underscores.
			if (key ~ /^[Vv][0-9._]+__/) { sub(/__.*/, "", key); gsub(/_/, ".", key) }
			sub(/^[Vv]/, "", key)
			# A release and a count.
			if (key ~ /^[0-9]+(\.[0-9]+)+_[0-9]+_/) sub(/_/, ".", key)
			# A release or a day, and a count.
			if (key ~ /^([0-9]+(\.[0-9]+)+|[12][0-9][0-9][0-9][0-9][0-9][0-9][0-9])_[0-9]+_/) sub(/_/, ".", key)
			if (!match(key, /^[0-9]+([.-][0-9]+)*/)) { print "no version: " $0 >"/dev/stderr"; exit 1 }
			count = split(substr(key, 1, RLENGTH), part, /[.-]/)
			sorted = ""
			for (i = 1; i <= count; i++) sorted = sorted sprintf("%20s.", part[i])
			gsub(/ /, "0", sorted)
			print sorted "\t" $0
		}' | LC_ALL=C sort -t "$(printf '\t')" -k 1,1 | cut -f 2
}

# Prints the up part of a file; other lines become empty, so that line numbers stay.
up() {
	awk '
		{ mark = tolower($0); sub(/\r$/, "", mark); gsub(/[ \t]+/, " ", mark) }
		mark ~ /^ ?-- ?(\+goose|\+migrate) down/ || mark ~ /^ ?-- ?migrate:down/ ||
			mark ~ /^ ?---- create above \/ drop below ----/ { down = 1 }
		{ print down ? "" : $0 }
	' "$1"
}

apply() {
	local flags=(-X -q -v ON_ERROR_STOP=1 -d "$2" -f "$1")
	PGOPTIONS='-c client_min_messages=error' psql -1 "${flags[@]}" >/dev/null 2>"$work/first" ||
		PGOPTIONS='-c client_min_messages=error' psql "${flags[@]}" >/dev/null 2>"$work/second"
}

dump() {
	pg_dump "${what[@]}" --exclude-schema=plain_lambda --dbname="$1" |
		grep -Ev '^\\(un)?restrict '
}

admin "CREATE DATABASE ${name}_psql"
admin "CREATE DATABASE ${name}_ours"
files=0
while IFS= read -r file; do
	up "$dir/$file" >"$work/up.sql"
	if ! apply "$work/up.sql" "$(url "${name}_psql")"; then
		echo "psql cannot apply $file:"
		sed "s#^psql:$work/up.sql#  in one transaction, $file#" "$work/first"
		sed "s#^psql:$work/up.sql#  without, $file#" "$work/second"
		exit 2
	fi >&2
	files=$((files + 1))
done < <(list)
if ! MIGRATIONS_DIR=$(cd "$dir" && pwd) DATABASE_URL=$(url "${name}_ours") \
	"$bootstrap" migrate '{"action":"migrate"}' >"$work/reply" 2>"$work/log"; then
	echo "bootstrap cannot apply $dir:"
	tail -n 15 "$work/log"
	exit 3
fi >&2
applied=$(psql -X -At -d "$(url "${name}_ours")" -c "
	SELECT count(*) FROM plain_lambda.migrations WHERE version NOT LIKE 'plain-lambda/%'")
dump "$(url "${name}_psql")" >"$work/psql.sql"
dump "$(url "${name}_ours")" >"$work/ours.sql"
if [ "$files" = 0 ] || [ "$files" != "$applied" ]; then
	echo "psql applied $files files, bootstrap $applied" >&2
	exit 1
fi
if ! diff -u --label psql --label bootstrap "$work/psql.sql" "$work/ours.sql"; then
	exit 1
fi
echo "$dir: $files files, $(wc -c <"$work/ours.sql") bytes of dump, all the same"
