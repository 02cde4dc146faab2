#!/bin/sh
# Packs an executable and a directory of migrations for `provided.al2023`. The same files make the
# same zip, byte for byte. Arguments: the executable, the directory, the zip. ARCH is the executable's.
set -eu
executable=$1 migrations=$2

# Prints the number that the $3 bytes at $2 of the file $1 are.
number() {
    od -A n -v -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# Fails unless $1 is a program that Lambda's Linux can start: ELF (System V ABI, chapter 4), of this
# architecture, and without an interpreter, which a program has that is not linked statically.
check() {
    refuse="failed to pack $1 for Lambda: it is"
    [ "$(number "$1" 0 4)" = 1179403647 ] || { # 0x7f 'E' 'L' 'F'
        echo "$refuse no Linux program; make zip builds one" >&2
        exit 1
    }
    case "${ARCH:-} $(number "$1" 18 2)" in
        ' '* | 'x86_64 62' | 'aarch64 183' | 'arm64 183') ;;
        *)
            echo "$refuse no program for $ARCH; make zip ARCH=$ARCH builds one" >&2
            exit 1
            ;;
    esac
    at=$(number "$1" 32 8) size=$(number "$1" 54 2) count=$(number "$1" 56 2)
    while [ "$count" -gt 0 ]; do
        [ "$(number "$1" "$at" 4)" != 3 ] || { # PT_INTERP
            echo "$refuse linked to this machine's libraries; make zip builds one without" >&2
            exit 1
        }
        at=$((at + size)) count=$((count - 1))
    done
}

check "$executable"
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
