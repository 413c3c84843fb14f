# count_ops.sh MODEL SHARED OUT [OPTION ...]: imports SHARED/models/MODEL.onnx and prints how often each op of
# the top dialect is left, constants and inputs aside, and how many blocks of attention there are.
set -e
name=$(basename "$1")
model=$2/models/$1.onnx
out=$3
shift 3
model_transform --model_name "$name" --model_def "$model" --mlir "$out/$name.mlir" --channel_format none \
    --print-pattern-stats "$@" >"$out/$name.log" 2>&1
echo "model $name"
grep -o '"top\.[A-Za-z0-9]*"' "$out/$name.mlir" | sed 's/"top\.\(.*\)"/\1/' | LC_ALL=C sort | uniq -c |
    awk '$2 != "Weight" && $2 != "None" && $2 != "Input" { print $2, $1 }'
sed -n 's/^block *attention *\([0-9]*\)$/attention \1/p' "$out/$name.log"
rm -f "$out/${name}"_*.npz
