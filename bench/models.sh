#!/bin/sh
# Accuracy and speed of models of a full set (MODELS=dir with models/ and data/), int8 static per-channel against the same
# library's float: make bench-models MODELS=dir. Times are interleaved medians at batch 1, one thread. The second table has
# all models, for their speed alone; SPEED=1: only that one.
set -eu
tool=${BUILD:-build}/qint8
out=${BUILD:-build}/bench-models
: "${MODELS:?set MODELS=dir}"
mkdir -p "$out"
number() { sed -n "s/.*\"$1\": \([-0-9.e+]*\).*/\1/p" | head -n 1; }

# model calibration test labels-or-targets further options
row() {
  model=$MODELS/models/$1.onnx int8=$out/$1.onnx calibration=$MODELS/data/$2 test=$MODELS/data/$3 answers=$4 metric=$5
  shift 5
  "$tool" quantize "$model" -o "$int8" --config static_int8_per_channel --calibration "$calibration" "$@" > /dev/null
  float=$("$tool" evaluate "$model" --data "$test" $answers "$@" --json)
  quantized=$("$tool" evaluate "$int8" --data "$test" $answers --reference "$model" "$@" --json)
  speed=$("$tool" bench "$int8" --compare "$model" --seconds 1 --json)
  scalar=$("$tool" bench "$int8" --isa scalar --seconds 1 --json | number ms_median)
  printf '| %s | %s %s | %s | %s | %s | %s | %s | %s |\n' "$(basename "$model" .onnx)" "$metric" \
    "$(echo "$float" | number "$metric")" "$(echo "$quantized" | number "$metric")" \
    "$(echo "$quantized" | number rel_err)" "$(echo "$quantized" | number model_bytes)" \
    "$(echo "$speed" | number ms_median)" "$scalar" "$(echo "$speed" | number times_as_fast)"
}

# model calibration further options
speed() {
  model=$MODELS/models/$1.onnx int8=$out/$1.onnx calibration=$MODELS/data/$2
  shift 2
  [ -f "$int8" ] || "$tool" quantize "$model" -o "$int8" --config static_int8_per_channel --calibration "$calibration" \
    --calibration-n 64 "$@" > /dev/null
  times=$("$tool" bench "$int8" --compare "$model" --seconds 1 --json)
  printf '| %s | %s | %s | %s |\n' "$(basename "$model" .onnx)" "$(echo "$times" | number ms_median)" \
    "$(echo "$times" | sed '1,/compared_with/d' | number ms_median)" "$(echo "$times" | number times_as_fast)"
}

if [ -z "${SPEED:-}" ]; then
  echo '| model | float | int8 | rel_err | bytes | ms | ms scalar | x float speed |'
  echo '|---|---|---|---|---|---|---|---|'
  for m in fmnist_cnn fmnist_cnn_bn fmnist_mnv2 fmnist_mnv2_bn fmnist_mnv3s fmnist_mnv3l fmnist_effb0; do
    row $m fmnist.npz:calib fmnist.npz:test "--labels $MODELS/data/fmnist.npz:test_labels" top1
  done
  row ocr_cls ocr.npz:cls_calib ocr.npz:cls_test "--labels $MODELS/data/ocr.npz:cls_labels" top1 --mean 0.5 --std 0.5
  for m in tiny_mlp_a tiny_mlp_b; do
    row $m mlp.npz:calib_std mlp.npz:test_std "--targets $MODELS/data/mlp.npz:test_target" plcc
  done
fi

printf '\n| model | int8 ms | float ms | x float speed |\n|---|---|---|---|\n'
for m in fmnist_cnn fmnist_cnn_bn fmnist_mnv2 fmnist_mnv2_bn fmnist_mnv3s fmnist_mnv3l fmnist_effb0 tiny_vit; do
  speed $m fmnist.npz:calib
done
speed ocr_cls ocr.npz:cls_calib --mean 0.5 --std 0.5
speed ocr_rec ocr.npz:rec_calib --mean 0.5 --std 0.5
for m in tiny_mlp_a tiny_mlp_b; do speed $m mlp.npz:calib_std; done
for m in pose_tcn pose_tcn_bn; do speed $m pose.npz:calib; done
speed seq_lstm mnist.npz:calib
