#!/bin/sh
# Installs packages of the system as root on Debian. Anywhere else it prints the command and fails.
# Arguments: the packages' names in Debian.
set -eu
install="apt-get install --yes --no-install-recommends $*"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: sudo $install, or the same of your system" >&2
    exit 1
fi
echo "installing $*" >&2
apt-get update >/dev/null
$install >/dev/null
