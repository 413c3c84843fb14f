#!/bin/sh
# The runtime for 64-bit ARM: built alone by the cross compiler, its kernel tests run under qemu-user on
# three processors: without dot products of bytes, with those of one sign, with all.
#     test/nightly/neon.sh [--folder build-neon] [--rounds 20] [--compile] [TEST ...]
# --compile: only builds. --rounds: share of the random cases, in percent. TEST: programs of test/unit.
# Needs test/nightly/setup.sh. OpenBLAS and Check are replaced by what lies in test/nightly/neon.
set -eu
cd "$(dirname "$0")/../.."
folder=build-neon
rounds=20
compile_only=false
tests=
while [ $# -gt 0 ]; do
    case "$1" in
    --folder) folder=$2 && shift ;;
    --rounds) rounds=$2 && shift ;;
    --compile) compile_only=true ;;
    -*)
        sed -n 's/^#     //p' "$0" >&2
        exit 2
        ;;
    *) tests="$tests $1" ;;
    esac
    shift
done
tests=${tests:-test_tile_isa test_kernels_int test_kernels_int_elem test_kernels_int_nn test_runtime_layout
    test_kernels_float_nhwc test_runtime_layout_float}
for program in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64; do
    command -v "$program" >/dev/null || {
        echo "neon: no $program; run test/nightly/setup.sh" >&2
        exit 1
    }
done

# Headers that are the same everywhere, and packages that name them.
mkdir -p "$folder/include" "$folder/pkgconfig"
root=$(pwd)
ln -sfn /usr/include/flatbuffers "$folder/include/flatbuffers"
rm -f "$folder/include/xxhash.h"
printf '#ifndef XXH_INLINE_ALL\n#define XXH_INLINE_ALL\n#endif\n#include "/usr/include/xxhash.h"\n' \
    >"$folder/include/xxhash.h"
for package in libxxhash openblas; do
    printf 'Name: %s\nDescription: headers\nVersion: 1\nCflags: -I%s -I%s\n' $package \
        "$(realpath "$folder")/include" "$root/test/nightly/neon" >"$folder/pkgconfig/$package.pc"
done
rm -f "$folder/CMakeCache.txt" # else what packages said before stays
export PKG_CONFIG_LIBDIR="$root/$folder/pkgconfig"
cmake -S runtime -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMICA_WERROR=ON \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
    -DFLATC="$(command -v flatc)" >"$folder/cmake.log"
ninja -C "$folder" >"$folder/build.log" || {
    tail -n 40 "$folder/build.log" >&2
    exit 1
}
compile="aarch64-linux-gnu-gcc -std=gnu11 -D_GNU_SOURCE -O2 -ffp-contract=off -I. -Itest/nightly/neon"
objects=
for source in test/ref/ref_int*.c test/ref/ref_float*.c; do
    object=$folder/$(basename "$source" .c).o
    $compile -c "$source" -o "$object"
    objects="$objects $object"
done
for name in $tests; do
    $compile -c "test/unit/$name.c" -o "$folder/$name.o"
    # shellcheck disable=SC2086 # lists of words
    aarch64-linux-gnu-g++ -static "$folder/$name.o" $objects "$folder/lib/libmica_rt.a" -pthread -lm \
        -o "$folder/$name"
done
if $compile_only; then
    exit 0
fi

failed=0
for cpu in cortex-a53 neoverse-n1 max; do
    for name in $tests; do
        log=$folder/$name.$cpu.log
        if MICA_TEST_ROUNDS=$rounds timeout 1800 qemu-aarch64 -cpu $cpu "$folder/$name" >"$log" 2>&1; then
            echo "ok      $cpu $name: $(tail -n 1 "$log")"
        else
            failed=1
            echo "FAILED  $cpu $name: MICA_TEST_ROUNDS=$rounds qemu-aarch64 -cpu $cpu $folder/$name"
            tail -n 5 "$log"
        fi
    done
done
exit $failed
