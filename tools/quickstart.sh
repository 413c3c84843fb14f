#!/bin/sh
# From a fresh clone to a tested INT8 bundle: packages, build, and the digits example.
#     tools/quickstart.sh
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh

mkdir -p build/logs
log=build/logs/quickstart.log
start=$(date +%s)
echo "-- build (Release, in build/; a minute or two the first time)"
if ! { cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DMICA_TESTS=OFF &&
    ninja -C build; } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log"
    echo "quickstart: the build failed, all of it is in $log" >&2
    exit 1
fi
echo "built in $(($(date +%s) - start)) s"
exec examples/digits/run.sh build
