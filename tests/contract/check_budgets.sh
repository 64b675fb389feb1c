#!/bin/sh
# auto on models of the full set, three budgets each: what it takes meets them, a looser one costs no more and takes fewer
# trials, an impossible one is told by exit code 3. (tests/api/test_search.c does the same on the demo model.)
. tests/support/lib.sh
tool=$BUILD/qint8

# search BUDGET OPTIONS...: sets code, and of what was taken: value, us (expected), met; tried: how many were.
search() {
  budget=$1; shift
  $RUN "$tool" quantize "$model" -o "$tmp/q.onnx" --config auto --budget "$budget" --calibration "$calibration" "$@" > "$tmp/out" 2> "$tmp/log"
  code=$?
  # config, how (several words), value, drop, standard error, float nodes, KB, us, seconds, verdict
  set -- $(awk '/, taken$/ { for (i = 2; $i !~ /^[0-9]/; i++) { }; print $i, $(i + 5), /meets the budget/ ? 1 : 0 }' "$tmp/out")
  value=${1:-none} us=${2:-none} met=${3:-0} tried=$(grep -c 'the budget\|misses it' "$tmp/out")
}
hold() { awk "BEGIN { exit !($1) }"; }

# budgets NAME CALIBRATION: the tight budget is half of what the first candidate loses.
budgets() {
  model=$MODELS/models/$1.onnx calibration=$MODELS/data/$2
  search 'rel_err<=0.5'
  loose_us=$us loose=$value loose_tried=$tried
  if [ "$code $met $tried" = "0 1 1" ]; then ok "$1: rel_err <= 0.5: $value, first candidate"; else fail "$1: rel_err <= 0.5: exit $code, $tried tried: $(head -n 1 "$tmp/log")"; fi
  half=$(awk "BEGIN { print $loose / 2 }")
  search "rel_err<=$half"
  if [ "$code $met" = "0 1" ] && hold "$value <= $half && $us >= $loose_us && $tried > $loose_tried"; then ok "$1: rel_err <= $half: $value, $us us instead of $loose_us, $tried tried"
  else fail "$1: rel_err <= $half: exit $code, $value, $us us, $tried tried"; fi
  search 'rel_err<=1e-9' --max-evaluations 2
  if [ "$code $met" = "3 0" ] && grep -q 'misses it, taken$' "$tmp/out" && [ -s "$tmp/q.onnx" ]; then ok "$1: rel_err <= 1e-9: exit 3, the closest is written"; else fail "$1: an impossible budget: exit $code"; fi
}

if [ -n "$Q8_TEST_QUICK" ] || [ -z "$MODELS" ]; then
  skip "budgets of whole models" "MODELS is not set, or the run is quick"
else
  budgets fmnist_cnn fmnist.npz:calib
  budgets pose_tcn pose.npz:calib
  budgets fmnist_mnv2 fmnist.npz:calib
fi
finish
