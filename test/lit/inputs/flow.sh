#!/bin/sh
# The whole flow on the small net, all files into one folder: flow.sh INPUTS OUTPUT_FOLDER
set -eu
cd "$2"
in=$1
model_transform --model_name net --model_def "$in/net.onnx" --input_shapes batch=1 --channel_format none \
    --mlir net.mlir --test_input "$in/data.npz" --test_result top.npz --debug >/dev/null
run_calibration net.mlir --dataset "$in/samples" -o table --quiet >/dev/null
mica-opt net.mlir --import-calibration-table=file=table -o net_calibrated.mlir
echo 'swish F16' >qtable
for way in sym asym; do
    asymmetric=
    [ $way = sym ] || asymmetric=--asymmetric
    model_deploy --mlir net.mlir --processor bm1684x --quantize INT8 --calibration_table table $asymmetric \
        --quantize_table qtable --test_input "$in/data.npz" --model $way.bmodel >/dev/null
    model_runner --model $way.bmodel --input "$in/data.npz" --output $way.npz --dump_all_tensors --out_fixed
done
for mode in F32 F16 BF16; do
    model_deploy --mlir net.mlir --processor bm1684x --quantize $mode --test_input "$in/data.npz" \
        --model $mode.bmodel >/dev/null
done
