#!/bin/sh
# The five networks of export.py against ONNX Runtime: exports and quantizes them once, then times (see networks.js).
# Optional parts: PYTHON with torch, torchvision and onnx; node with onnxruntime-node in NODE_PATH.
set -eu
here=$(dirname "$0") tool=$(readlink -f "${BUILD:-build}/qint8") out=${BUILD:-build}/networks
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$out"
for name in mobilenet_v2 mobilenet_v3_small mobilenet_v3_large efficientnet_b0 resnet50; do
  if [ ! -f "$out/$name.onnx" ] && ! "$python" "$here/export.py" "$out" "$name" > /dev/null; then
    echo "networks: skipped, \"$python $here/export.py\" failed (Debian: python3-torch python3-torchvision python3-onnx)"
    exit 0
  fi
  [ -f "$out/$name.int8.onnx" ] || "$tool" quantize --all-int8 "$out/$name.onnx" -o "$out/$name.int8.onnx" \
    --config static_int8_per_channel --calibration "$out/calibration.npy" --calibration-n 4 > /dev/null
done
if ! node -e 'require("onnxruntime-node")' 2> /dev/null; then
  echo "networks: skipped, node finds no onnxruntime-node (npm install --ignore-scripts onnxruntime-node; NODE_PATH)"
  exit 0
fi
node "$here/networks.js" "$tool" "$out" "${ROUNDS:-7}"
