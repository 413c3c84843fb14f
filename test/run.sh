#!/bin/sh
# Builds everything and runs all tests; the last line is "N passed, N failed".
#     test/run.sh [--fast]      --fast: without sanitizers, clang and the runtime alone
# Build folders: build, build-asan, build-clang, build-rt. Logs: build/logs.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
. test/suites.sh

fast=false
case "${1-}" in
--fast) fast=true ;;
'') ;;
*)
    echo "usage: test/run.sh [--fast]" >&2
    exit 2
    ;;
esac

mkdir -p "$logs"
tools/setup.sh --tests || {
    echo "0 passed, 1 failed"
    exit 1
}

if build release . build -DCMAKE_BUILD_TYPE=Release -DMICA_WERROR=ON -DMICA_SANITIZE=OFF; then
    unit_tests unit build 5
    onnx_nodes onnx_nodes build
    contrib_nodes contrib_nodes build
    text_tests lit build
    check digits examples/digits/run.sh build
    check differential test/nightly/differential.py --seconds 2 --rounds 2
    check docs test/style/check_docs.py --build build
fi
for name in layers length forbidden; do
    check "$name" "test/style/check_$name.py"
done

if ! $fast; then
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    if build sanitizers . build-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMICA_SANITIZE=ON \
        -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O1 -g" -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g"; then
        unit_tests asan-unit build-asan 60
        onnx_nodes asan-onnx_nodes build-asan
        contrib_nodes asan-contrib_nodes build-asan
        text_tests asan-lit build-asan
        check asan-digits examples/digits/run.sh build-asan
    fi
    build clang . build-clang -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
        -DCMAKE_BUILD_TYPE=Debug -DMICA_WERROR=ON
    build runtime runtime build-rt -DCMAKE_BUILD_TYPE=Release -DMICA_WERROR=ON
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
