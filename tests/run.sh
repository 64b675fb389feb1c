#!/bin/sh
# Runs the test programs given, JOBS at once (all cores), prints each one's lines when it ends, and adds up: the last line
# is "N passed, N failed". RUN is a prefix (qemu); SCRIPTS=0 leaves out the shell tests in tests/contract and tests/oracle.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export tmp RUN
if [ "${SCRIPTS:-1}" = 1 ]; then set -- tests/*/check_*.sh "$@"; fi # first, as they take longest
i=0
for t in "$@"; do
  i=$((i + 1))
  echo "$i $t"
done > "$tmp/list"
# Number and path; the output is printed whole. Numbers keep the sum in order.
xargs -P "${JOBS:-$(nproc 2>/dev/null || echo 1)}" -n 2 sh -c '
  case $1 in *.sh) sh "$1" ;; *) $RUN "$1" ;; esac > "$tmp/$0" 2>&1
  echo $? > "$tmp/$0.status"
  { echo "== $1"; cat "$tmp/$0"; } > "$tmp/$0.out"
  cat "$tmp/$0.out"' < "$tmp/list"

passed=0 failed=0 skipped=0
while read -r i t; do
  status=$(cat "$tmp/$i.status" 2>/dev/null || echo none)
  line=$(grep '^# [0-9]* passed' "$tmp/$i" 2>/dev/null | tail -n 1)
  p=$(echo "$line" | sed -n 's/^# \([0-9]*\) passed.*/\1/p')
  f=$(echo "$line" | sed -n 's/.* \([0-9]*\) failed.*/\1/p')
  s=$(echo "$line" | sed -n 's/.* \([0-9]*\) skipped.*/\1/p')
  if [ -z "$line" ]; then f=1; echo "FAIL $t: ended without a summary (status $status)"; fi
  if [ "$status" != 0 ] && [ "${f:-0}" -eq 0 ]; then f=1; echo "FAIL $t: exit status $status"; fi
  passed=$((passed + ${p:-0})); failed=$((failed + ${f:-0})); skipped=$((skipped + ${s:-0}))
done < "$tmp/list"
[ "$skipped" -gt 0 ] && echo "# $skipped optional parts skipped, see SKIP lines above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
