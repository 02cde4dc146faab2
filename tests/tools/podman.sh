#!/bin/sh
# Prepares podman, which needs no daemon: a separate store under target/tools/podman, and stand-ins with
# the real names of the base images, whose registries may be out of reach.
set -eu
cd "$(dirname "$0")/../.."
podman=$PWD/target/tools/podman
mkdir -p "$podman"
rm -f "$podman/ready"

if [ "$(id -u)" != 0 ]; then
    echo "missing: root, for podman" >&2
    exit 1
fi
if ! command -v podman >/dev/null || ! command -v runc >/dev/null; then
    tests/tools/package.sh podman runc netavark aardvark-dns
fi

cat >"$podman/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$podman/storage"
runroot = "$podman/run"
END

# This configuration also works in a sandbox that cannot raise limits and has cgroups v1 and no journal.
cat >"$podman/run.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$podman/tmp"
[network]
network_backend = "netavark"
END

# The builder's stand-in is empty: it mounts this machine's compilers and toolchain. It does not mount
# this machine's registry of crates, as concurrent builds need a common lock, which is in CARGO_HOME: all
# builds share a separate one.
rustup=${RUSTUP_HOME:-$HOME/.rustup}
cargo=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$podman/cargo/bin"
volumes=$(printf '"%s", ' /usr:/usr:ro /bin:/bin:ro /lib:/lib:ro /etc/ssl:/etc/ssl:ro \
    /etc/alternatives:/etc/alternatives:ro "$rustup:/rustup:ro" "$podman/cargo:/cargo" \
    "$cargo/bin:/cargo/bin:ro")
[ ! -e /lib64 ] || volumes="$volumes\"/lib64:/lib64:ro\", "
sed "s|^\[containers\]|&\nvolumes = [$volumes]|" "$podman/run.conf" >"$podman/build.conf"

export CONTAINERS_CONF="$podman/run.conf" CONTAINERS_STORAGE_CONF="$podman/storage.conf"

stand_in() {
    podman image exists "$1" || podman build --quiet --tag "$1" --file - "$2" >/dev/null
}

mkdir -p "$podman/base/tmp" "$podman/base/var/runtime" "$podman/base/var/task"
chmod 1777 "$podman/base/tmp"

stand_in docker.io/library/rust:1.95.0-slim-bookworm "$podman/base" <<'END'
FROM scratch
COPY tmp /tmp
ENV PATH=/cargo/bin:/usr/bin:/bin CARGO_HOME=/cargo RUSTUP_HOME=/rustup
END

# It has no shell and no library: the executable needs none.
stand_in public.ecr.aws/lambda/provided:al2023 "$podman/base" <<'END'
FROM scratch
COPY . /
END
: >"$podman/ready"
