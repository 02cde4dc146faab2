#!/bin/sh
# Builds the static Linux executable for ARCH on any machine, and prints its path: with cargo where
# it has the target and this is Linux, else with cargo-zigbuild, else in the builder stage of the image,
# with CONTAINER. HOST is this machine's architecture.
set -eu
cd "$(dirname "$0")/.."
target=$ARCH-unknown-linux-musl
made=target/$target/release/bootstrap

say() {
    echo "building for $target $1" >&2
}

mkdir -p target/deploy
if rustup target add "$target" 2>target/rustup.log; then
    if [ "$(uname -s)" = Linux ]; then
        cargo build --release --locked --package bootstrap --target "$target" >&2
        echo "$made"
        exit
    fi
    if command -v cargo-zigbuild >/dev/null; then
        say "with cargo-zigbuild"
        cargo zigbuild --release --locked --package bootstrap --target "$target" >&2
        echo "$made"
        exit
    fi
fi
command -v "$CONTAINER" >/dev/null || {
    echo "failed to build for $target here: install \`$CONTAINER\`, or cargo-zigbuild with zig" >&2
    exit 1
}
say "in a container, with $CONTAINER"
"$CONTAINER" build --platform "linux/$ARCH" --build-arg BUILDPLATFORM="linux/$HOST" \
    --build-arg ARCH="$ARCH" --target builder --tag plain-lambda-builder \
    --file Dockerfile.al2023 . >&2
made=target/deploy/bootstrap-$ARCH
id=$("$CONTAINER" create plain-lambda-builder true)
trap '"$CONTAINER" rm "$id" >/dev/null' EXIT
"$CONTAINER" cp "$id:/image/var/runtime/bootstrap" "$made"
echo "$made"
