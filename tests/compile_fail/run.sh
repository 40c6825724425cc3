#!/bin/bash
# Programs that must not compile, and do so with a message that helps.
#
#   run.sh CXX [ARGUMENT]...     each ARGUMENT is handed to the compiler: -IFOLDER
#
# Each *.cpp here says in lines "// expect: TEXT" what the compiler's message must contain; without any it must
# compile, which shows that the others fail for their own reason.
set -u
cd "$(dirname "$0")" || exit 1
compiler=("$@")
failed=0 tried=0
message=$(mktemp) || exit 1
trap 'rm -f "$message"' EXIT

complain() {
  echo "$file: $1"
  head -n 20 "$message"
  failed=1
}

for file in *.cpp; do
  tried=$((tried + 1))
  mapfile -t expected < <(sed -n 's|^// expect: ||p' "$file")
  if LC_ALL=C "${compiler[@]}" -std=c++20 -fsyntax-only "$file" 2> "$message"; then
    [ ${#expected[@]} -eq 0 ] || complain "compiles, and must not"
  elif [ ${#expected[@]} -eq 0 ]; then
    complain "must compile, and doesn't"
  else
    for text in "${expected[@]}"; do
      grep -qF -- "$text" "$message" || complain "fails without saying '$text'"
    done
  fi
done
[ "$tried" -gt 1 ] || { echo "there is nothing to compile"; exit 1; }
exit $failed
