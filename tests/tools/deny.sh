#!/bin/sh
# Checks the licence, the source and the published advisories of every crate with cargo-deny, which it
# builds into target/tools.
set -eu
cd "$(dirname "$0")/../.."
root=target/tools/cargo-deny-0.20.2
if [ ! -x $root/bin/cargo-deny ]; then
    echo "building cargo-deny into target/tools: some minutes, once" >&2
    cargo install --quiet --locked cargo-deny --version "${root##*-}" --root $root
fi
deny="$root/bin/cargo-deny --config tests/tools/deny.toml"

$deny check licenses bans sources
if $deny fetch db 2>target/tools/cargo-deny.log; then
    $deny check advisories
else
    echo "advisories NOT looked at, as they cannot be fetched:" >&2
    grep . target/tools/cargo-deny.log >&2
fi
