#!/bin/sh
# Lists every crate of the executable, with version, checksum and licence, as CycloneDX. Reads a copy
# of the workspace without the crates that are not shipped, whose dependencies would be listed too.
# Arguments: the target, the file.
set -eu
cd "$(dirname "$0")/.."
root=$PWD/target/tools/cargo-cyclonedx-0.5.9
if [ ! -x "$root/bin/cargo-cyclonedx" ]; then
    echo "building cargo-cyclonedx into target/tools: a minute or two, once" >&2
    cargo install --quiet --locked cargo-cyclonedx --version "${root##*-}" --root "$root"
fi
mkdir -p "$(dirname "$2")"
file=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R Cargo.lock app bootstrap crates "$copy"
sed 's/^members = .*/members = ["bootstrap", "app", "crates\/*"]/' Cargo.toml >"$copy/Cargo.toml"
"$root/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --target "$1" \
    --no-build-deps --manifest-path "$copy/bootstrap/Cargo.toml" --override-filename sbom
# Removes the copy's path, which exists on no other machine.
sed "s|path+file://$copy/||g" "$copy/bootstrap/sbom.json" >"$file"
