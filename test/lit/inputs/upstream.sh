#!/bin/sh
# mica-opt(mlir-opt(x)) = mica-opt(x) for every text of a folder: upstream.sh MLIR_OPT FOLDER
set -eu
for file in "$2"/*.mlir; do
    echo "$(basename "$file")"
    "$1" --allow-unregistered-dialect --mlir-print-debuginfo "$file" -o "$file.upstream"
    mica-opt "$file" -o "$file.here"
    mica-opt "$file.upstream" -o "$file.there"
    cmp "$file.here" "$file.there" || echo "$file differs"
    cmp "$file" "$file.here" || echo "$file differs when printed again"
done
