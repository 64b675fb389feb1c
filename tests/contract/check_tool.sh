#!/bin/sh
# The command-line tool on the repository's own models: help, exit codes, messages, JSON keys, round trips.
. tests/support/lib.sh
if [ -n "$RUN" ]; then skip "the tool" "cross compiling"; finish; fi
tool=$BUILD/qint8
mlp=examples/data/tiny_mlp_a.onnx net=examples/data/fmnist_mnv3s.onnx demo=examples/data/fmnist_demo.npz

# ---- Checks ----

# run STATUS ARGUMENTS...: runs the tool; 0 if it ended with that status. Leaves $tmp/out and $tmp/err.
run() {
  wanted=$1; shift
  "$tool" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
  got=$?
  [ "$got" -eq "$wanted" ]
}
# works NAME ARGUMENTS...: exit 0 and nothing on stderr.
works() {
  name=$1; shift
  if ! run 0 "$@"; then fail "$name: exit $got: $(head -n 1 "$tmp/err")"
  elif [ -s "$tmp/err" ]; then fail "$name: not quiet: $(head -c 200 "$tmp/err")"
  else ok "$name"; fi
}
# warns NAME TEXT ARGUMENTS...: exit 0, and on stderr nothing but warnings about calibration, one with that text.
warns() {
  name=$1 text=$2; shift 2
  if ! run 0 "$@"; then fail "$name: exit $got: $(head -n 1 "$tmp/err")"
  elif grep -v -q '^qint8: warning: calibration: ' "$tmp/err"; then fail "$name: $(grep -v '^qint8: warning: calibration: ' "$tmp/err" | head -n 1)"
  elif ! grep -F -q -e "$text" "$tmp/err"; then fail "$name: no \"$text\" in: $(head -n 1 "$tmp/err")"
  else ok "$name"; fi
}
# refuses STATUS NAME TEXT ARGUMENTS...: that status, a message with that text, nothing on stdout.
refuses() {
  status=$1 name=$2 text=$3; shift 3
  if ! run "$status" "$@"; then fail "$name: exit $got, not $status: $(head -n 1 "$tmp/err")"
  elif [ -s "$tmp/out" ]; then fail "$name: results on stdout of a failed command"
  elif ! grep -F -q -e "$text" "$tmp/err"; then fail "$name: no \"$text\" in: $(head -n 1 "$tmp/err")"
  elif [ "$(head -n 1 "$tmp/err" | grep -o 'qint8: ' | wc -l)" -gt 1 ]; then fail "$name: prefix: $(head -n 1 "$tmp/err")"
  else ok "$name"; fi
}
# Keys of the JSON on stdin in order, with their depth: "1:samples 1:metrics 2:top1 ...".
keys() { sed -n 's/^\( *\)"\([A-Za-z0-9_@]*\)":.*/\1 \2/p' | awk '{ printf "%s%d:%s", sep, (index($0, $1) - 2) / 2, $1; sep = " " }'; }
# has_keys NAME KEYS: the JSON in $tmp/out has exactly these, and its brackets balance.
has_keys() {
  got=$(keys < "$tmp/out")
  if [ "$got" != "$2" ]; then fail "$1: keys $got"
  elif [ "$(tr -cd '[{' < "$tmp/out" | wc -c)" != "$(tr -cd ']}' < "$tmp/out" | wc -c)" ]; then fail "$1: brackets"
  else ok "$1"; fi
}
# value KEY: its number or text in $tmp/out.
value() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",]*\).*/\1/p" "$tmp/out" | head -n 1; }
same() { if cmp -s "$2" "$3"; then ok "$1"; else fail "$1: $2 and $3 differ"; fi; }
# between NAME VALUE LOW HIGH
between() { if awk "BEGIN { exit !($2 + 0 >= $3 && $2 + 0 <= $4) }" 2> /dev/null; then ok "$1: $2"; else fail "$1: \"$2\" is not in [$3, $4]"; fi; }

# ---- Array files, made by hand ----

byte() { printf "\\$(printf '%03o' "$1")"; }
le16() { byte $(($1 & 255)); byte $(($1 >> 8 & 255)); }
le32() { le16 $(($1 & 65535)); le16 $(($1 >> 16)); }
# npy DESCR SHAPE: a .npy with the values of stdin.
npy() {
  header="{'descr': '$1', 'fortran_order': ${order:-False}, 'shape': ($2), }"
  printf '\223NUMPY\001\000'
  le16 $((${#header} + 1))
  printf '%s\n' "$header"
  cat
}
# npz METHOD [KEY FILE.npy]...: an archive. The tool trusts the directory, not the checksum.
npz() {
  method=$1 at=0 members=0; shift
  common() { le16 0; le16 "$method"; le32 0; le32 0; le32 "$size"; le32 "$size"; le16 ${#name}; le16 0; }
  : > "$tmp/directory"
  while [ $# -gt 0 ]; do
    size=$(wc -c < "$2") name=$1.npy
    printf 'PK\003\004'; le16 20; common; printf '%s' "$name"; cat "$2"
    { printf 'PK\001\002'; le16 20; le16 20; common; le16 0; le16 0; le16 0; le32 0; le32 $at; printf '%s' "$name"; } >> "$tmp/directory"
    at=$((at + 30 + ${#name} + size)) members=$((members + 1)); shift 2
  done
  cat "$tmp/directory"
  printf 'PK\005\006'; le32 0; le16 $members; le16 $members; le32 $(wc -c < "$tmp/directory"); le32 $at; le16 0
}
zero='\000\000\000\000' one='\000\000\200\077' half='\000\000\000\277' two='\000\000\000\100' nan='\000\000\300\177'
row="$zero$one$half$two$one$half"
printf "$row$half$two$one$row$zero$zero$one" | npy '<f4' '3, 6' > "$tmp/x.npy"
printf "$zero$one$nan$two$one$half" | npy '<f4' '1, 6' > "$tmp/nan.npy"
printf "$row" | npy '<f4' '6,' > "$tmp/flat.npy"
printf "$row" | npy '<f4' '1, 3, 2' > "$tmp/rank.npy"
printf "$row" | npy '<U6' '1,' > "$tmp/text.npy"
printf "$row" | npy '>f4' '1, 6' > "$tmp/big.npy"
printf '\001\002\003\004\005\006' | npy '|u1' '1, 6' > "$tmp/bytes.npy"
printf "$row" | npy '<f4' '2, 6' > "$tmp/short.npy"
: | npy '<f4' '0, 6' > "$tmp/empty.npy"
printf "$row$row" | order=True npy '<f4' '2, 6' > "$tmp/fortran.npy"
printf "$row" | npy '<f4' '1, 6' > "$tmp/row.npy"
npz 0 x "$tmp/x.npy" > "$tmp/stored.npz"
npz 8 x "$tmp/x.npy" > "$tmp/packed.npz"
npz 0 x "$tmp/empty.npy" > "$tmp/empty.npz"
head -c 100 "$tmp/stored.npz" > "$tmp/cut.npz"
head -c 1000 $mlp > "$tmp/cut.onnx"
mkdir "$tmp/folder"

# ---- Help and usage ----

works "qint8 --help" --help
works "qint8 --version" --version
grep -q '^qint8 [0-9]*\.[0-9]*\.[0-9]*$' "$tmp/out" && ok "--version names the version" || fail "--version: $(cat "$tmp/out")"
refuses 2 "no command" "usage: qint8 COMMAND"
refuses 2 "an unknown command" 'unknown command "frobnicate"' frobnicate
for command in inspect run quantize evaluate compare bench; do
  works "$command --help" $command --help
  grep -q "^usage: qint8 $command MODEL\|^usage: qint8 $command FP32" "$tmp/out" && grep -q '^options:' "$tmp/out" &&
    grep -q "^example: qint8 $command " "$tmp/out" && ok "$command --help teaches" || fail "$command --help lacks usage, options or example"
  missing=
  for word in $(sed -n 's/^usage: //p' "$tmp/out" | grep -o -e '--[a-z-]*'); do
    grep -q -e "^  $word" "$tmp/out" || missing="$missing $word"
  done
  [ -z "$missing" ] && ok "$command --help explains its usage" || fail "$command --help does not explain$missing"
  refuses 2 "$command without a model" "an argument is missing" $command
  refuses 2 "$command with an unknown option" '"--frobnicate"' $command $mlp --frobnicate
done
refuses 2 "evaluate without data" "--data" evaluate $mlp
refuses 2 "compare without data" "--data" compare $mlp $mlp
refuses 2 "run without output" "--output" run $mlp --input "$tmp/x.npy"
refuses 2 "quantize without -o" "-o OUT.onnx" quantize $mlp --config dynamic_int8
refuses 2 "quantize without config" "--config" quantize $mlp -o "$tmp/q.onnx"
refuses 2 "quantize, unknown config" "--config int9" quantize $mlp -o "$tmp/q.onnx" --config int9
refuses 2 "quantize, static without data" "--calibration" quantize $mlp -o "$tmp/q.onnx" --config static_int8_per_channel
refuses 2 "quantize, unknown observer" "--observer best" quantize $mlp -o "$tmp/q.onnx" --config static_int8_per_tensor --calibration "$tmp/x.npy" --observer best
refuses 2 "quantize, unknown activations" "--activations u9" quantize $mlp -o "$tmp/q.onnx" --config dynamic_int8 --activations u9
refuses 2 "a word too many" '"extra"' inspect $mlp extra
refuses 2 "a value is missing" '"--threads"' bench $mlp --threads
refuses 2 "a count that is none" "--threads" bench $mlp --threads two
refuses 2 "a negative count" "--batch" bench $mlp --batch -1
refuses 2 "a time below zero" "--seconds" bench $mlp --seconds -1
refuses 2 "a deviation of zero" "--std" evaluate $net --data $demo:test --std 0

# ---- Failures name file, array, tensor ----

refuses 1 "a missing model" "$tmp/none.onnx" inspect "$tmp/none.onnx"
refuses 1 "a truncated model" "$tmp/cut.onnx" inspect "$tmp/cut.onnx"
refuses 1 "not a model" "$demo" inspect $demo
refuses 1 "a folder as a model" "$tmp/folder" inspect "$tmp/folder"
refuses 1 "a folder as data" "$tmp/folder" evaluate $mlp --data "$tmp/folder"
refuses 1 "missing data" "$tmp/none.npy" evaluate $mlp --data "$tmp/none.npy"
refuses 1 "an array that is not there" "there are: calib test test_labels mean std" evaluate $net --data $demo:tests
refuses 1 "an archive without a key" "$demo:KEY" evaluate $net --data $demo
refuses 1 "a compressed archive" "$tmp/packed.npz:x: compressed; save with numpy.savez" evaluate $mlp --data "$tmp/packed.npz:x"
refuses 1 "a truncated archive" "$tmp/cut.npz" evaluate $mlp --data "$tmp/cut.npz:x"
refuses 1 "text as data" "<U6" evaluate $mlp --data "$tmp/text.npy"
refuses 1 "big-endian data" ">f4" evaluate $mlp --data "$tmp/big.npy"
refuses 1 "bytes that are no image" "$tmp/bytes.npy: uint8 of rank 2" evaluate $mlp --data "$tmp/bytes.npy"
refuses 1 "Fortran order" "$tmp/fortran.npy: Fortran order" evaluate $mlp --data "$tmp/fortran.npy"
refuses 1 "an array cut short" "$tmp/short.npy: truncated: 12 values" evaluate $mlp --data "$tmp/short.npy"
refuses 1 "the wrong width" "$demo:test: shape [500,1,28,28], but input \"input\" of the model is [-1,6]" evaluate $mlp --data $demo:test
refuses 1 "the wrong rank" "$tmp/rank.npy: shape [1,3,2]" evaluate $mlp --data "$tmp/rank.npy"
refuses 1 "one sample without a count" "$tmp/flat.npy: shape [6]" evaluate $mlp --data "$tmp/flat.npy"
refuses 1 "no samples" "$tmp/empty.npy: no samples" evaluate $mlp --data "$tmp/empty.npy"
refuses 1 "no samples in an archive" "$tmp/empty.npz:x: no samples" quantize $mlp -o "$tmp/q.onnx" --config static_int8_per_tensor --calibration "$tmp/empty.npz:x"
refuses 1 "too few labels" "$demo:mean: 1 entries for 3 samples" evaluate $mlp --data "$tmp/x.npy" --labels $demo:mean
refuses 1 "targets of another size" "$demo:test_labels: 2 values" evaluate $net --data $demo:test --n 2 --targets $demo:test_labels
refuses 1 "a reference for other inputs" "$net" evaluate $mlp --data "$tmp/x.npy" --reference $net
refuses 1 "an unknown ISA" '"mmx"' evaluate $mlp --data "$tmp/x.npy" --isa mmx
refuses 1 "NaN in calibration data" "$tmp/nan.npy" quantize $mlp -o "$tmp/q.onnx" --config static_int8_per_tensor --calibration "$tmp/nan.npy"
grep -q NaN "$tmp/err" && ok "the message says NaN" || fail "no NaN in $(cat "$tmp/err")"
[ ! -e "$tmp/q.onnx" ] && ok "a failed quantize writes nothing" || fail "a failed quantize left a file"
refuses 1 "a folder that is not there" "$tmp/none/q.onnx" quantize $mlp -o "$tmp/none/q.onnx" --config dynamic_int8
refuses 1 "an input that the model lacks" '"wrong"' run $mlp --input "wrong=$tmp/x.npy" --output "$tmp/y.npz"
refuses 1 "an input left out" '--input input=FILE.npy' run $mlp --output "$tmp/y.npz"
refuses 1 "an input of another shape" "input" run $mlp --input "input=$tmp/rank.npy" --output "$tmp/y.npz"

# ---- Inspect ----

works "inspect" inspect $mlp
works "inspect --json" inspect $mlp --json
has_keys "inspect's keys" "1:inputs 3:name 3:dtype 3:shape 1:outputs 3:name 3:dtype 3:shape 1:opset 1:quantized 1:nodes 1:parameters 1:macs 1:ops 2:Gemm 1:not_int8"
[ "$(value dtype)" = float32 ] && [ "$(value quantized)" = no ] && [ "$(value parameters)" -gt 0 ] && ok "inspect's values" || fail "inspect's values"

# ---- Run ----

works "run to .npy" run $mlp --input "input=$tmp/x.npy" --output "$tmp/y.npy"
works "run to .npz" run $mlp --input "$tmp/x.npy" --output "$tmp/y.npz"
works "the outputs are read back" evaluate $mlp --data "$tmp/x.npy" --targets "$tmp/y.npz:output" --json
between "run and evaluate agree, mse" "$(value mse)" 0 0
works "evaluate --output" evaluate $mlp --data "$tmp/stored.npz:x" --output "$tmp/y2.npy" --batch 3
same "evaluate saves what run saves" "$tmp/y.npy" "$tmp/y2.npy"

# ---- Quantize, evaluate, compare, bench ----

for config in fp32_baseline dynamic_int8 static_int8_per_tensor static_int8_per_channel; do
  case $config in
    static*) warns "quantize $config" "1 sample: so few" quantize $mlp -o "$tmp/$config.onnx" --config $config --calibration "$tmp/row.npy" --calibration-n 0 ;;
    *) works "quantize $config" quantize $mlp -o "$tmp/$config.onnx" --config $config --calibration "$tmp/row.npy" --calibration-n 0 ;;
  esac
  works "evaluate $config" evaluate "$tmp/$config.onnx" --data "$tmp/x.npy" --reference $mlp --json
  has_keys "keys against a reference, $config" "1:samples 1:metrics 2:rel_err 2:plcc_ref 2:top1_agreement 2:sqnr_db 1:model_bytes 1:ms_per_sample 1:output_hash"
done
int8=$tmp/int8.onnx
warns "quantize on images" "are always 0, the first is" quantize $net -o "$int8" --config static_int8_per_channel --calibration $demo:calib --calibration-n 32 --report-out "$tmp/report.json"
cp "$tmp/report.json" "$tmp/out"
[ "$(value calibration_samples)" = 32 ] && [ "$(value config)" = static_int8_per_channel ] && [ "$(value output_bytes)" = "$(wc -c < "$int8" | tr -d ' ')" ] &&
  ok "the report" || fail "the report: $(head -n 12 "$tmp/report.json" | tr '\n' ' ')"
head -c 31360 "$tool" | npy '|u1' '40, 28, 28' > "$tmp/noise.npy"
warns "quantize, validation data of another kind" "input: the validation data reaches" quantize $net -o "$tmp/validated.onnx" --config static_int8_per_channel --calibration $demo:calib --calibration-n 32 --validation "$tmp/noise.npy"
grep -q 'validation data' "$tmp/err" && "$tool" quantize $net -o "$tmp/validated.onnx" --config static_int8_per_channel --calibration $demo:calib --calibration-n 64 --validation $demo:test 2>&1 | grep -q 'validation data' &&
  fail "validation data of the same kind is called another" || ok "no word on validation data of the same kind"
warns "quantize to QOperator form" "are always 0, the first is" quantize $net -o "$tmp/qoperator.onnx" --config static_int8_per_channel --calibration $demo:calib --calibration-n 32 --format qoperator
refuses 2 "quantize, unknown format" "--format onnx" quantize $mlp -o "$tmp/q.onnx" --config dynamic_int8 --format onnx
warns "quantize again, other batch and threads" "are always 0, the first is" quantize $net -o "$tmp/again.onnx" --config static_int8_per_channel --calibration $demo:calib --calibration-n 32 --batch 5 --threads 2
same "the same file" "$int8" "$tmp/again.onnx"
refuses 1 "quantize what is quantized" "$int8 is quantized already" quantize "$int8" -o "$tmp/q.onnx" --config dynamic_int8
works "evaluate with labels" evaluate "$int8" --data $demo:test --labels $demo:test_labels --n 100 --json
has_keys "keys with labels" "1:samples 1:metrics 2:top1 2:macro_f1 1:model_bytes 1:ms_per_sample 1:output_hash"
between "top1" "$(value top1)" 0.8 1
[ "$(value samples)" = 100 ] && [ "$(value model_bytes)" = "$(wc -c < "$int8" | tr -d ' ')" ] && ok "samples and model_bytes" || fail "samples or model_bytes"
hash=$(value output_hash)
works "evaluate in other batches, on threads" evaluate "$int8" --data $demo:test --labels $demo:test_labels --n 100 --batch 7 --threads 2 --json
[ -n "$hash" ] && [ "$(value output_hash)" = "$hash" ] && ok "the same outputs" || fail "outputs depend on batch or threads"
works "evaluate QOperator form" evaluate "$tmp/qoperator.onnx" --data $demo:test --labels $demo:test_labels --n 100 --json
[ -n "$hash" ] && [ "$(value output_hash)" = "$hash" ] && ok "the same outputs in QOperator form" || fail "QOperator form gives other outputs"
works "evaluate with all" evaluate "$int8" --data $demo:test --labels $demo:test_labels --reference $net --n 20 --json
has_keys "keys with all" "1:samples 1:metrics 2:top1 2:macro_f1 2:rel_err 2:plcc_ref 2:top1_agreement 2:sqnr_db 1:model_bytes 1:ms_per_sample 1:output_hash"
works "evaluate with targets" evaluate "$tmp/static_int8_per_channel.onnx" --data "$tmp/x.npy" --targets "$tmp/y.npy" --json
has_keys "keys with targets" "1:samples 1:metrics 2:plcc 2:mse 1:model_bytes 1:ms_per_sample 1:output_hash"
# Two inputs: y = x + t, x float32, t int64.
printf '\010\010\072M\012\027\012\001t\022\001c\042\004Cast\052\011\012\002to\030\001\240\001\002\012\016\012\001x\012\001c\022\001y\042\003Add\022\001gZ\011\012\001x\022\004\012\002\010\001Z\011\012\001t\022\004\012\002\010\007b\011\012\001y\022\004\012\002\010\001B\004\012\000\020\015' > "$tmp/two.onnx"
long() { for v; do byte "$v"; le16 0; le16 0; le16 0; byte 0; done; }
printf "$one$two$half$zero$one$one" | npy '<f4' '3, 2' > "$tmp/x2.npy"
printf "$two$two$half$one$two$one" | npy '<f4' '3, 2' > "$tmp/sum.npy"
long 1 0 0 1 1 0 | npy '<i8' '3, 2' > "$tmp/t8.npy"
printf '\001\000\000\001\001\000' | npy '|b1' '3, 2' > "$tmp/t1.npy"
long 1 0 | npy '<i8' '1, 2' > "$tmp/few.npy"
npz 0 x "$tmp/x2.npy" t "$tmp/t8.npy" > "$tmp/both.npz"
npz 0 t "$tmp/t1.npy" x "$tmp/x2.npy" > "$tmp/truth.npz"
npz 0 x "$tmp/x2.npy" > "$tmp/one.npz"
npz 0 x "$tmp/x2.npy" t "$tmp/x2.npy" > "$tmp/floats.npz"
npz 0 x "$tmp/x2.npy" t "$tmp/few.npy" > "$tmp/few.npz"
for data in both truth; do
  works "two inputs, $data" evaluate "$tmp/two.onnx" --data "$tmp/$data.npz" --targets "$tmp/sum.npy" --json
  between "their sum, $data" "$(value mse)" 0 0
done
warns "calibration with two inputs" "3 samples: so few" quantize "$tmp/two.onnx" -o "$tmp/two8.onnx" --config static_int8_per_channel --calibration "$tmp/both.npz" --calibration-n 0 --report-out "$tmp/two.json"
works "a bench with two inputs" bench "$tmp/two8.onnx" --compare "$tmp/two.onnx" --runs 3 --length 2 --json
refuses 1 "an array for one input of two" "one.npz:t: no array of that name; there are: x" evaluate "$tmp/two.onnx" --data "$tmp/one.npz"
refuses 1 "floats for integers" "floats.npz: float32, but input \"t\" of the model is int64" evaluate "$tmp/two.onnx" --data "$tmp/floats.npz"
refuses 1 "other numbers of samples" "few.npz: 1 samples for input \"t\", but 3" evaluate "$tmp/two.onnx" --data "$tmp/few.npz"
refuses 1 "an array for two inputs" "give FILE.npz alone" evaluate "$tmp/two.onnx" --data "$tmp/both.npz:x"
printf '\010\010\072\053\012\020\012\001x\022\001y\042\010Identity\022\001g\132\011\012\001x\022\004\012\002\010\001\142\011\012\001y\022\004\012\002\010\001\102\004\012\000\020\015' > "$tmp/identity.onnx"
printf "$zero$zero$one$one" | npy '<f4' '1, 2, 2' > "$tmp/joints.npy"
printf "$zero$zero$one$zero" | npy '<f4' '1, 2, 2' > "$tmp/torso.npy"
works "evaluate joints" evaluate "$tmp/identity.onnx" --data "$tmp/joints.npy" --targets "$tmp/torso.npy" --torso 0,1 --extent 1,1.5 --json
has_keys "keys with joints" "1:samples 1:metrics 2:plcc 2:mse 2:pck@20 2:pck@50 2:mpjpe_mm 1:model_bytes 1:ms_per_sample 1:output_hash"
between "half of the joints are near" "$(value pck@50)" 0.5 0.5
between "one of two is 1.5 m away" "$(value mpjpe_mm)" 750 750
refuses 1 "joints that are not there" "not joints [N,J,2] with joints 2 and 9" evaluate "$tmp/identity.onnx" --data "$tmp/joints.npy" --targets "$tmp/torso.npy" --torso 2,9
refuses 2 "an extent of one number" "--extent: not two numbers" evaluate "$tmp/identity.onnx" --data "$tmp/joints.npy" --targets "$tmp/torso.npy" --extent 4
printf "$zero$one$zero$zero$one$zero$one$zero$zero$zero$zero$two" | npy '<f4' '1, 4, 3' > "$tmp/columns.npy" # a a - b
printf '\141\000\000\000\040\000\000\000\142\000\000\000\144\000\000\000' | npy '<U4' '1,' > "$tmp/line.npy" # a bd
printf 'a\nb\n' > "$tmp/keys.txt"
works "evaluate text lines" evaluate "$tmp/identity.onnx" --data "$tmp/columns.npy" --labels "$tmp/line.npy" --keys "$tmp/keys.txt" --json
has_keys "keys with text lines" "1:samples 1:metrics 2:line_match 2:character_accuracy 1:model_bytes 1:ms_per_sample 1:output_hash"
between "one character of three is missing" "$(value character_accuracy)" 0.6666 0.6667
between "the line does not match" "$(value line_match)" 0 0
refuses 1 "text without keys" "--keys FILE names the character" evaluate "$tmp/identity.onnx" --data "$tmp/columns.npy" --labels "$tmp/line.npy"
printf 'ab\n' > "$tmp/keys.txt"
refuses 1 "a key of two characters" "keys.txt: line 1 is not one character" evaluate "$tmp/identity.onnx" --data "$tmp/columns.npy" --labels "$tmp/line.npy" --keys "$tmp/keys.txt"
works "compare" compare $net "$int8" --data $demo:test --n 10
cp "$tmp/out" "$tmp/compared"
works "compare in batches of one" compare $net "$int8" --data $demo:test --n 10 --batch 1
same "compare counts every sample" "$tmp/compared" "$tmp/out"
works "compare --json" compare $net "$int8" --data $demo:test --n 10 --json
awk -F'[:,]' '/"sqnr_db"/ { if (n++ && $2 + 0 < last) bad = 1; last = $2 + 0 } END { exit !(n > 50 && !bad) }' "$tmp/out" &&
  ok "compare: tensors, worst first" || fail "compare: few tensors, or not in order"
grep -q '"born_rel_err": [0-9]' "$tmp/out" && grep -q '"advice": "[^"]' "$tmp/out" && ok "compare --json explains" || fail "compare --json lacks born_rel_err or advice"
grep -q '^Where the error is born' "$tmp/compared" && ok "compare tells where the error is born" || fail "compare does not tell where the error is born"
works "bench" bench "$int8" --seconds 0.05 --plan
grep -q ' dwconv .* int8 ' "$tmp/out" && ok "bench --plan shows int8 steps" || fail "bench --plan: $(sed -n 6,8p "$tmp/out")"
works "bench --json --compare" bench "$int8" --compare $net --seconds 0.1 --json
[ -n "$(value times_as_fast)" ] && [ "$(value arena_bytes)" -gt 0 ] && ok "bench's values" || fail "bench's values"

# ---- Quantize within a budget ----

refuses 2 "auto without a budget" "--budget" quantize $mlp -o "$tmp/q.onnx" --config auto --calibration "$tmp/x.npy"
refuses 2 "a budget without auto" "--budget" quantize $mlp -o "$tmp/q.onnx" --config dynamic_int8 --budget 'rel_err<=0.1'
for budget in 'rel_err' 'rel_err<=' 'rel_err<=x' 'rel_err>=0.1' 'best<=1' 'rel_err<=0.1%%' 'top1=1'; do
  refuses 2 "the budget $budget" "not METRIC<=DROP" quantize $mlp -o "$tmp/q.onnx" --config auto --budget "$budget" --calibration "$tmp/x.npy"
done
refuses 2 "a budget that needs targets" "--budget mse: the metric needs" quantize $mlp -o "$tmp/q.onnx" --config auto --budget 'mse<=1' --calibration "$tmp/x.npy" --validation "$tmp/x.npy"
refuses 2 "auto without data" "--calibration" quantize $mlp -o "$tmp/q.onnx" --config auto --budget 'rel_err<=0.1'
refuses 1 "no samples left to validate on" "$tmp/x.npy: 3 samples leave none" quantize $mlp -o "$tmp/q.onnx" --config auto --budget 'rel_err<=0.1' --calibration "$tmp/x.npy"
[ ! -e "$tmp/q.onnx" ] && ok "a refused search writes nothing" || fail "a refused search left a file"
warns "a loose budget" "16 samples: so few" quantize $net -o "$tmp/loose.onnx" --config auto --budget 'top1_agreement<=20%' --calibration $demo:calib --calibration-n 16 --validation $demo:test --max-evaluations 3
[ "$(grep -c 'the budget\|misses it' "$tmp/out")" = 1 ] && grep -q '^static_int8_per_tensor .* meets the budget, taken$' "$tmp/out" && ok "a loose budget: the first candidate" || fail "a loose budget: $(tail -n 3 "$tmp/out")"
warns "labels of the calibration file's rest" "16 samples: so few" quantize $net -o "$tmp/labels.onnx" --config auto --budget 'top1<=20%' --budget 'sqnr_db>=5' --calibration $demo:test --calibration-n 16 --labels $demo:test_labels --report-out "$tmp/report.json"
warns "auto, validation data of another kind" "input: the validation data reaches" quantize $net -o "$tmp/loose.onnx" --config auto --budget 'rel_err<=9' --calibration $demo:calib --calibration-n 32 --validation "$tmp/noise.npy" --max-evaluations 1
warns "what is lost of rel_err" "16 samples: so few" quantize $net -o "$tmp/loose.onnx" --config auto --budget 'rel_err<=9' --calibration $demo:calib --calibration-n 16 --validation $demo:test --max-evaluations 1
near=$(awk '/^static_int8_per_tensor/ { for (i = 1; i < NF; i++) if ($i ~ /^0\.[0-9]/) { print $i * 1.001; exit } }' "$tmp/out")
"$tool" quantize $net -o "$tmp/near.onnx" --config auto --budget "rel_err<=$near" --calibration $demo:calib --calibration-n 16 --validation $demo:test --max-evaluations 1 > "$tmp/near" 2> "$tmp/err"
[ $? = 0 ] && grep -q ' may meet the budget, taken$' "$tmp/near" && grep -q 'less than the standard error' "$tmp/err" && ok "a budget met by less than the standard error" || fail "a budget of $near: $(tail -n 2 "$tmp/near")"
cp "$tmp/report.json" "$tmp/out"
[ -n "$(value expected_us)" ] && [ "$(value taken)" = 1 ] && ok "the report lists what was tried" || fail "the report does not list what was tried"
for i in 1 2; do
  "$tool" quantize $net -o "$tmp/tight$i.onnx" --config auto --budget 'rel_err<=0.000001' --calibration $demo:calib --calibration-n 16 --threads $i --max-evaluations 7 > "$tmp/out" 2> "$tmp/err"
  [ $? = 3 ] && ok "an impossible budget: exit 3, $i threads" || fail "an impossible budget: exit is not 3: $(head -n 1 "$tmp/err")"
  grep -q 'comes closest' "$tmp/err" && [ "$(grep -c 'misses it, taken$' "$tmp/out")" = 1 ] && ok "the closest is named" || fail "the closest is not named"
done
same "the same file again" "$tmp/tight1.onnx" "$tmp/tight2.onnx"

# ---- Progress ----

if command -v script > /dev/null && script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
  script -qec "$tool evaluate $mlp --data $tmp/x.npy" /dev/null > "$tmp/out" 2>&1 < /dev/null
  grep -q 'evaluate .*\[####*.*\] 3/3' "$tmp/out" && ok "a bar on a terminal" || fail "no bar on a terminal: $(head -n 2 "$tmp/out")"
else
  skip "the bar on a terminal" "no script(1) from util-linux"
fi
finish
