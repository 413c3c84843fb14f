#!/bin/sh
# Makes sure that the Debian packages for building are there, and with --tests those for testing too.
# Says nothing when they are. Missing ones are installed with apt-get, through sudo where needed.
#     tools/setup.sh [--tests]
set -eu

packages="build-essential cmake ninja-build pkg-config
    protobuf-compiler protobuf-c-compiler libprotobuf-c-dev libonnx-dev
    libxxhash-dev libopenblas-dev libflatbuffers-dev flatbuffers-compiler
    libzip-dev libjansson-dev libjpeg62-turbo-dev libpng-dev zlib1g-dev"
test_packages="check libsubunit-dev llvm-14-tools mlir-19-tools libonnx-testdata python3 clang"

case "${1-}" in
--tests) packages="$packages $test_packages" ;;
'') ;;
*)
    echo "usage: tools/setup.sh [--tests]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "setup: no Debian system, packages are not checked; needed are:" $packages >&2
    exit 0
fi

list_missing() {
    # shellcheck disable=SC2086 # a list of words
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package} ' $packages 2>/dev/null || true)
    for package in $packages; do
        case " $installed" in
        *" installed $package "*) ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

give_up() {
    echo "setup: missing packages, install them as root with: apt-get install$missing" >&2
    exit 1
}

missing=$(list_missing)
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif ! command -v sudo >/dev/null; then
    give_up
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
elif [ -t 0 ]; then
    as_root=sudo # asks for the password
else
    give_up
fi

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt="$as_root apt-get -q -o DPkg::Lock::Timeout=120"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be old: they are fetched when the first attempt fails.
# shellcheck disable=SC2086 # lists of words
if ! $apt install -y --no-install-recommends $missing >"$log" 2>&1 </dev/null; then
    $apt update >"$log" 2>&1 </dev/null || true
    if ! $apt install -y --no-install-recommends $missing >>"$log" 2>&1 </dev/null; then
        sed -n 's/^[EW]: /setup: apt-get: /p' "$log" >&2
    fi
fi
missing=$(list_missing)
[ -z "$missing" ] || give_up
