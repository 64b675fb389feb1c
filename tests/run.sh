#!/bin/sh
# Runs the test programs given, prints their lines, and adds up: the last line is "N passed, N failed".
# RUN is a prefix (qemu); SCRIPTS=0 leaves out the shell tests in tests/contract.
passed=0 failed=0 skipped=0
tmp=$(mktemp) || exit 1
trap 'rm -f "$tmp"' EXIT
count() { # label: reads $tmp and exit status $2
  line=$(grep '^# [0-9]* passed' "$tmp" | tail -n 1)
  p=$(echo "$line" | sed -n 's/^# \([0-9]*\) passed.*/\1/p')
  f=$(echo "$line" | sed -n 's/.* \([0-9]*\) failed.*/\1/p')
  s=$(echo "$line" | sed -n 's/.* \([0-9]*\) skipped.*/\1/p')
  if [ -z "$line" ]; then f=1; echo "FAIL $1: ended without a summary (status $2)"; fi
  if [ "$2" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then f=1; echo "FAIL $1: exit status $2"; fi
  passed=$((passed + ${p:-0})); failed=$((failed + ${f:-0})); skipped=$((skipped + ${s:-0}))
}
for t in "$@"; do
  echo "== ${t#"$BUILD"/}"
  $RUN "$t" >"$tmp" 2>&1; status=$?
  cat "$tmp"; count "$t" $status
done
if [ "${SCRIPTS:-1}" = 1 ]; then
  for t in tests/*/check_*.sh; do
    [ -f "$t" ] || continue
    echo "== $t"
    sh "$t" >"$tmp" 2>&1; status=$?
    cat "$tmp"; count "$t" $status
  done
fi
[ "$skipped" -gt 0 ] && echo "# $skipped optional parts skipped, see SKIP lines above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
