#!/bin/sh
# The three steps from ONNX to a bundle, with the accuracy before and after.
#     examples/digits/run.sh [BUILD_FOLDER]
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
bin=$build/bin
out=$build/digits
here=examples/digits
mkdir -p "$out"

# Trained on (pixel / 255 - 0.1307) / 0.3081, that is (pixel - mean) * scale with
# mean = 255 * 0.1307 and scale = 1 / (255 * 0.3081).
echo "-- transform: ONNX to the top dialect"
"$bin/model_transform" --model_name digits --model_def $here/digits.onnx \
    --input_shapes '[[1,1,28,28]]' --mean 33.3285 --scale 0.012728233 --pixel_format gray \
    --test_input $here/images/000.png --test_result "$out/digits_top_outputs.npz" \
    --mlir "$out/digits.mlir"

echo "-- calibrate: 100 training images"
"$bin/run_calibration" "$out/digits.mlir" --dataset $here/calibration --input_num 100 \
    -o "$out/digits_cali_table"

echo "-- deploy: INT8 bundle; error of each layer against the float model"
"$bin/model_deploy" --mlir "$out/digits.mlir" --quantize INT8 --processor bm1684x \
    --calibration_table "$out/digits_cali_table" --test_input $here/images/000.png \
    --test_reference "$out/digits_top_outputs.npz" --compare_all --model "$out/digits_int8.bmodel"

echo "-- 200 labelled test images"
for model in digits.mlir digits_int8.bmodel; do
    line=$("$bin/model_runner" --model "$out/$model" --dataset $here/images --labels $here/labels.txt)
    [ "$model" = digits.mlir ] && name=float || name=INT8
    printf '%-6s %s\n' "$name" "$line"
done
size() { wc -c <"$1" | tr -d ' '; }
echo "ONNX   $here/digits.onnx, $(size $here/digits.onnx) bytes"
echo "bundle $out/digits_int8.bmodel, $(size "$out/digits_int8.bmodel") bytes"
