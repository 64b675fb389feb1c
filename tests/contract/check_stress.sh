#!/bin/sh
# Models whose channels were rescaled by powers of two from 1/32 to 32, which changes nothing in float: per-tensor scales
# and MinMax collapse, static_int8_per_channel as it is by default loses at most 0.5 points of what float has.
. tests/support/lib.sh
tool=$BUILD/qint8 rescale=$BUILD/tests/ptq/test_equalise

# field NAME: the number behind "NAME" in a JSON object on stdin.
field() { sed -n "s/.*\"$1\": *\(-\{0,1\}[0-9.e+-]*\).*/\1/p" | head -n 1; }
# hold EXPRESSION: an awk condition.
hold() { awk "BEGIN { exit !($1) }"; }
# metric MODEL: of that model on the test data.
metric() { $RUN "$tool" evaluate "$1" --data "$test" $truth --batch 16 --json 2> "$tmp/log" | field "$name"; }
# int8 OUT OPTIONS...: quantizes the rescaled model.
int8() { out=$1; shift; $RUN "$tool" quantize "$tmp/stressed.onnx" -o "$out" --calibration "$calibration" "$@" > /dev/null 2> "$tmp/log"; }

# stress NAME MODEL: test, truth, calibration and name are set. 0.5 points may be lost.
stress() {
  if ! $RUN "$rescale" --rescale "$2" "$tmp/stressed.onnx" > "$tmp/log"; then fail "$1: $(tail -n 1 "$tmp/log")"; return; fi
  float=$(metric "$2") stressed=$(metric "$tmp/stressed.onnx")
  if [ -n "$float" ] && [ "$float" = "$stressed" ]; then ok "$1: rescaled, $name stays $float"; else fail "$1: $name $float, rescaled $stressed"; fi
  int8 "$tmp/bad.onnx" --config static_int8_per_tensor --observer minmax --no-equalise --no-bias-correction || fail "$1: $(head -n 1 "$tmp/log")"
  int8 "$tmp/good.onnx" --config static_int8_per_channel || fail "$1: $(head -n 1 "$tmp/log")"
  bad=$(metric "$tmp/bad.onnx") good=$(metric "$tmp/good.onnx")
  if hold "\"$bad\" != \"\" && $bad + 0 < $float - 0.2"; then ok "$1: per tensor, MinMax: $name $bad"; else fail "$1: per tensor, MinMax still gives $name $bad"; fi
  if hold "\"$good\" != \"\" && $good + 0 >= $float - 0.005"; then ok "$1: per channel, equalised: $name $good"; else fail "$1: per channel, equalised: $name $good, float $float"; fi
}

# takes_equalised NAME: the search on the model that was rescaled last ends with an equalised candidate.
takes_equalised() {
  $RUN "$tool" quantize "$tmp/stressed.onnx" -o "$tmp/auto.onnx" --config auto --budget "$name<=0.5%" --calibration "$calibration" $known > "$tmp/tried" 2> "$tmp/log"
  code=$?
  if [ $code = 0 ] && grep -q '^static_int8_.* equalise bias .*meets the budget, taken$' "$tmp/tried"; then ok "$1: auto takes an equalised model"; else fail "$1: auto, exit $code: $(grep taken "$tmp/tried" || head -n 1 "$tmp/log")"; fi
}

if [ ! -x "$rescale" ]; then
  skip "rescaled models" "no $rescale"
elif [ -n "$Q8_TEST_QUICK" ] || [ -z "$MODELS" ]; then
  skip "rescaled models" "MODELS is not set, or the run is quick"
else
  data=$MODELS/data
  test=$data/fmnist.npz:test truth="--labels $data/fmnist.npz:test_labels" calibration=$data/fmnist.npz:calib name=top1
  known="--labels $data/fmnist.npz:calib_labels"
  stress fmnist_cnn "$MODELS/models/fmnist_cnn.onnx"
  takes_equalised fmnist_cnn
  stress fmnist_mnv2 "$MODELS/models/fmnist_mnv2.onnx"
  test=$data/pose.npz:test truth="--targets $data/pose.npz:test_target" calibration=$data/pose.npz:calib name=pck@20
  stress pose_tcn "$MODELS/models/pose_tcn.onnx"
fi
finish
