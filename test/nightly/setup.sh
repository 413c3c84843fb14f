#!/bin/sh
# Installs what the nightly scripts need beyond tools/setup.sh --tests: Debian's torch, and for ARM a
# cross compiler and an emulator.
set -eu
packages="python3-numpy python3-torch python3-torchvision
    gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
else
    as_root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # lists of words
$as_root apt-get -q install -y --no-install-recommends $packages
