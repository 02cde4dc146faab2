#!/bin/sh
# Installs the requirements of tests/tools/NAME.txt from PyPI into target/tools/NAME, checked by hash.
# Does nothing when target/tools has an equal copy of the file. Argument: NAME.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
cmp -s "tests/tools/$1.txt" "$tools/$1.txt" && exit
echo "installing $1 into target/tools" >&2
python3 -c 'import ensurepip' 2>/dev/null || tests/tools/package.sh python3-venv
rm -rf "${tools:?}/$1" "$tools/$1.txt"
python3 -m venv "$tools/$1"
"$tools/$1/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
    --require-hashes --requirement "tests/tools/$1.txt"
cp "tests/tools/$1.txt" "$tools/"
