#!/bin/sh
# Runs `tests/conformance.rs` on runtimes and prints the results as a Markdown table. Arguments: NAME=PATH
# for every runtime. Exits with 0 when every test has run: a "no" is a result, not a failure. Treats all
# runtimes alike.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
results=$(mktemp)
trap 'rm -f "$results"' EXIT

cargo test --quiet --locked --manifest-path "$root/Cargo.toml" --package tests --test all --no-run >&2

names=
for pair in "$@"; do
	name=${pair%%=*} path=${pair#*=}
	case $path in /*) ;; *) path=$PWD/$path ;; esac
	[ -x "$path" ] || { echo "\`$path\` is not an executable" >&2; exit 1; }
	# The runtimes run one after the other. A failing row makes cargo fail, which is not an error here.
	CANDIDATE=$path cargo test --locked --manifest-path "$root/Cargo.toml" \
		--package tests --test all -- conformance:: 2>/dev/null |
		sed -n 's/^test conformance::\([a-z0-9_]*\) \.\.\. \(ok\|FAILED\)$/\1 \2/p' |
		sed "s|^|${#names} |" >>"$results" || true
	names="$names$name|"
done

awk -v names="$names" -v results="$results" '
	BEGIN {
		while ((getline line <results) > 0) {
			split(line, part, " ")
			if (!(part[1] in column)) column[part[1]] = ++columns
			verdict[part[2], column[part[1]]] = part[3] == "ok" ? "yes" : "no"
		}
		wanted = split(names, name, "|") - 1
		if (columns != wanted) { print "the suite did not run" >"/dev/stderr"; failed = 1; exit 1 }
		for (i = 1; i <= wanted; i++) { head = head " " name[i] " |"; rule = rule "---|" }
	}
	/^\/\/ # / { printf "\n| %s |%s\n|---|%s\n", substr($0, 6), head, rule }
	test && /^fn / {
		sub(/^fn /, ""); sub(/\(.*/, "")
		row = $0; gsub(/_/, " ", row); rows++
		printf "| %s |", row
		for (i = 1; i <= wanted; i++) {
			if (!(($0, i) in verdict)) { print row ": not judged" >"/dev/stderr"; failed = 1 }
			printf " %s |", verdict[$0, i]
			yes[i] += verdict[$0, i] == "yes"
		}
		print ""
	}
	{ test = /^#\[test\]/ }
	END {
		if (failed) exit 1
		print ""
		for (i = 1; i <= wanted; i++) printf "- %s: %d of %d rows\n", name[i], yes[i], rows
	}
' "$root/tests/conformance.rs"
