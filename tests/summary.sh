#!/bin/sh
# Prints what a run of the tests left in target/tests: the slowest, what the image adds to its base,
# and what did not run, with the command that brings what was missing. Judges nothing.
set -eu
cd "$(dirname "$0")/../target/tests"
# Where no test was run, cargo has said why.
[ -e times.txt ] || exit 0

echo "the ten slowest tests, in seconds:"
LC_ALL=C sort -rn times.txt | head -n 10 | awk '{ printf "%8s %s\n", $1, $2 }'
[ ! -e image-size.txt ] || cat image-size.txt
if [ ! -e not-run.txt ]; then
    echo "every test had all that it needs"
    exit
fi
echo "not run:"
awk -F ' \\| ' '
    { tests[$2]++; command[$2] = $3 }
    END { for (part in tests) printf "%4d without %s: %s\n", tests[part], part, command[part] }
' not-run.txt | sort -rn
