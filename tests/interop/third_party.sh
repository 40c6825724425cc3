#!/bin/bash
# third_party.sh LAYERCTL DATA
# Layers and archives of other projects, and what must come of them, in a folder of test data (-Dtest_data): tars of other
# projects' tests (real/), recorded cases of apply and diff (cases/), hostile layers (hostile/). Each is applied to a plain
# directory; real/ and hostile/ also go through a store, hostile/ also into an upper directory. As root, since owners and
# devices are compared; exits 77 where the folder or root is missing.
set -u
[ $# = 2 ] || { sed -n '2,6s/^# \?//p' "$0"; exit 2; }
data=$2
[[ -d $data/real && -d $data/cases && -d $data/hostile ]] || { echo "skipped: no test data at $data"; exit 77; }
[[ $(id -u) = 0 && $(awk '{print $3; exit}' /proc/self/uid_map) = 4294967295 ]] || { echo "skipped: needs root"; exit 77; }
export layerctl
layerctl=$(realpath "$1")

flat='"$layerctl" --quiet apply "$ROOT"'
upper='"$layerctl" --quiet apply "$ROOT" --overlay ${LOWERS:+--lower "$LOWERS"}'
through='store() { "$layerctl" --quiet --root "$STORE" "$@"; }
  exported() { store export "$1" - | sha256sum | cut -d" " -f1; }
  finish() { store unpack "$1" "$ROOT" && store verify --prove "$1" && test "$(store show "$1" --json | jq -r ".diff_ids[-1]")" = "sha256:$(exported "$1")"; }'
stored="$through; id=\$(store import \"\$LAYER\" --allow-unmarked-end) && finish \$id"
on_base="$through; base=\$(store import \"\$BASE_TAR\") && id=\$(store import \"\$LAYER\" --parent \$base) && finish \$id"

failures=0
# check WHAT COMMAND...: the last line of what it prints must count no failure.
check() {
  local last
  last=$("${@:2}" 2>&1 | tee "$log" | tail -n 1)
  echo "$1: $last"
  [[ $last =~ ^[0-9]+\ passed,\ 0\ failed ]] && return
  failures=$((failures + 1))
  grep -v '^pass' "$log" | head -n 30
}
log=$(mktemp)
trap 'rm -f "$log"; rmdir /tmp/evil-box /tmp/case-box 2>/dev/null; rm -rf /tmp/evil-canary' EXIT
check "third-party tars, flat" python3 "$data/real/run_real.py" --apply "$flat"
check "third-party tars, through a store" python3 "$data/real/run_real.py" --apply "$stored"
check "cases of apply and diff" python3 "$data/cases/run_cases.py" --lenient --apply "$flat" --diff '"$layerctl" --quiet diff "$OLD" "$NEW"'
check "hostile layers, flat" python3 "$data/hostile/run_hostile.py" --mode flat --apply "$flat"
check "hostile layers, as an upper directory" python3 "$data/hostile/run_hostile.py" --mode overlay --apply "$upper"
check "hostile layers, through a store" python3 "$data/hostile/run_hostile.py" --mode tree --apply "$on_base"
exit $((failures != 0))
