#!/bin/sh
# make demo: a MobileNetV3 quantized with every config on real images; accuracy, size and speed side by side.
set -eu
tool=${BUILD:-build}/qint8
data=examples/data/fmnist_demo.npz
float=examples/data/fmnist_mnv3s.onnx
out=${BUILD:-build}/demo
mkdir -p "$out"
# The number behind "key": in a JSON object.
number() { sed -n "s/.*\"$1\": \([-0-9.e+]*\).*/\1/p" | head -n 1; }

echo "MobileNetV3-Small on Fashion-MNIST: 256 images to calibrate, 500 to test; batch 1, one thread."
printf '\n%-24s %7s %9s %9s %10s %12s\n' config top1 rel_err KB "ms/image" "x fp32 speed"
for config in fp32_baseline dynamic_int8 static_int8_per_tensor static_int8_per_channel; do
  model=$out/$config.onnx
  "$tool" quantize "$float" -o "$model" --config $config --calibration $data:calib > /dev/null
  result=$("$tool" evaluate "$model" --data $data:test --labels $data:test_labels --reference "$float" --json)
  speed=$("$tool" bench "$model" --compare "$float" --seconds 2 --json)
  printf '%-24s %7s %9s %9s %10.3f %12s\n' $config \
    "$(echo "$result" | number top1)" \
    "$(echo "$result" | number rel_err | sed 's/\(\.[0-9]\{5\}\).*/\1/')" \
    "$(($(echo "$result" | number model_bytes) / 1024))" \
    "$(echo "$speed" | number ms_median)" \
    "$(echo "$speed" | number times_as_fast | sed 's/\(\.[0-9]\{2\}\).*/\1/')"
done
echo
echo "The models are in $out; look inside one: $tool bench $out/static_int8_per_channel.onnx --plan"
