#!/bin/sh
# One file, float, dynamic or static, every ISA: the same output bytes, here and, if build-arm/ and qemu-aarch64 exist, on Arm.
. tests/support/lib.sh
tool=$BUILD/qint8
arm=${ARM_TOOL:-build-arm/qint8}
arm_run="qemu-aarch64 -L /usr/aarch64-linux-gnu"
samples=${ISA_SAMPLES:-20}

# field NAME: the text behind "NAME" in a JSON object on stdin.
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }
# hash PREFIX MODEL DATA ISA
hash() { $1 "$2" --data "$3" --n "$samples" --json ${4:+--isa "$4"} ${norm:+--mean $norm --std $norm} 2> "$tmp/log" | field output_hash; }

isas=
for isa in avx512vbmi avx512vnni avx512bw avxvnni avx2 neoni8mm neondot neon scalar; do
  used=$($RUN "$tool" bench examples/data/tiny_mlp_a.onnx --isa $isa --seconds 0.01 --json 2> /dev/null | field isa)
  [ "$used" = "$isa" ] && isas="$isas $isa"
done
case "$isas" in *scalar) ok "ISAs of this CPU:$isas" ;; *) fail "no ISA runs" ;; esac
has_arm=
if [ -z "$RUN" ]; then
  if [ -x "$arm" ] && command -v qemu-aarch64 > /dev/null; then has_arm=1; else skip "Arm against x86-64" "no build-arm/qint8 or no qemu-aarch64"; fi
fi

# same_file NAME FILE TEST: norm, if set, is mean and standard deviation.
same_file() {
  want=$(hash "$RUN $tool evaluate" "$2" "$3" scalar)
  if [ -z "$want" ]; then fail "$1: evaluate: $(head -n 1 "$tmp/log")"; return; fi
  for isa in $isas; do
    [ "$isa" != scalar ] || continue
    got=$(hash "$RUN $tool evaluate" "$2" "$3" "$isa")
    if [ "$got" = "$want" ]; then ok "$1, $isa: $got"; else fail "$1: $isa gives $got, scalar $want $(head -n 1 "$tmp/log")"; fi
  done
  [ -n "$has_arm" ] || return
  got=$(hash "$arm_run $arm evaluate" "$2" "$3")
  if [ "$got" = "$want" ]; then ok "$1, Arm: $got"; else fail "$1: Arm gives $got, scalar $want $(head -n 1 "$tmp/log")"; fi
}

# same NAME FLOAT CALIBRATION TEST
same() {
  same_file "$1 float" "$2" "$4"
  for config in dynamic_int8 static_int8_per_channel; do
    int8=$tmp/$1.onnx
    if $RUN "$tool" quantize "$2" -o "$int8" --config $config --calibration "$3" --calibration-n 64 \
      ${norm:+--mean $norm --std $norm} > /dev/null 2> "$tmp/log"; then
      same_file "$1 $config" "$int8" "$4"
    else
      fail "$1: quantize --config $config: $(head -n 1 "$tmp/log")"
    fi
  done
}

demo=examples/data/fmnist_demo.npz
norm=
same demo examples/data/fmnist_mnv3s.onnx $demo:calib $demo:test
if [ -n "$MODELS" ]; then
  data=$MODELS/data
  for m in fmnist_cnn fmnist_cnn_bn fmnist_mnv2 fmnist_mnv2_bn fmnist_mnv3s fmnist_mnv3l fmnist_effb0; do
    same $m "$MODELS/models/$m.onnx" "$data/fmnist.npz:calib" "$data/fmnist.npz:test"
  done
  same tiny_vit "$MODELS/models/tiny_vit.onnx" "$data/fmnist.npz:calib" "$data/fmnist.npz:test"
  same seq_lstm "$MODELS/models/seq_lstm.onnx" "$data/mnist.npz:calib" "$data/mnist.npz:test"
  same pose_tcn "$MODELS/models/pose_tcn.onnx" "$data/pose.npz:calib" "$data/pose.npz:test"
  for m in tiny_mlp_a tiny_mlp_b; do
    same $m "$MODELS/models/$m.onnx" "$data/mlp.npz:calib_std" "$data/mlp.npz:test_std"
  done
  norm=0.5
  same ocr_cls "$MODELS/models/ocr_cls.onnx" "$data/ocr.npz:cls_calib" "$data/ocr.npz:cls_test"
else
  skip "full model set" "set MODELS=dir to run on it"
fi
finish
