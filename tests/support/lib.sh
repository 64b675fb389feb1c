# For the test scripts, which run in the repository's root: counts what passed, failed and was skipped; `finish`
# prints the sum as tests/run.sh reads it and ends the script. $tmp is a folder that goes when the script ends.
passed=0 failed=0 skipped=0
ok() { echo "ok   $1"; passed=$((passed + 1)); }
fail() { echo "FAIL $1"; failed=$((failed + 1)); }
skip() { echo "SKIP $1: $2"; skipped=$((skipped + 1)); }
finish() { echo "# $passed passed, $failed failed, $skipped skipped"; [ "$failed" -eq 0 ]; exit; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
