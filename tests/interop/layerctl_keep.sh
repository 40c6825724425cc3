#!/bin/bash
# layerctl gc, lease, leases, release, tag, untag and tags, as someone would use them in a CI job.
#
#   layerctl_keep.sh LAYERCTL
set -u
layerctl=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export LC_ALL=C.UTF-8

failures=0
fail() { failures=$((failures + 1)); echo "FAILED: $*"; cat out err 2>/dev/null; }
run() {
  local expected=$1 code
  shift
  "$layerctl" --root store "$@" >out 2>err </dev/null
  code=$?
  ((code == expected)) || fail "exit $code, not $expected: $*"
}
# says FILE TEXT: FILE (out or err) has the text.
says() { grep -qF -- "$2" "$1" || fail "no '$2' on $1"; }
layers() { "$layerctl" --root store list --json | jq -r '.[].id' | sort | xargs; }
is() { [[ $1 == "$2" ]] || fail "'$1' is not '$2'"; }

for name in base app job; do mkdir $name && echo $name >$name/$name && tar -C $name -cf $name.tar .; done

run 0 import base.tar app.tar --tag example.org/team/app:1
app=$(tail -n 1 out) base=$(head -n 1 out)
run 0 import job.tar --lease ci-42
job=$(cat out)
run 0 tags && says out example.org/team/app:1
run 0 show example.org/team/app:1 && says out "$app"
run 0 leases && says out ci-42

run 0 gc --min-age 0 && is "$(cat out)" ""
run 1 remove "$app" && says err "tag 'example.org/team/app:1'"
run 1 remove "$job" && says err "lease 'ci-42'"

run 0 release ci-42
run 0 gc && is "$(cat out)" ""   # it is too young
run 0 --json gc --dry-run --min-age 0s && is "$(jq -r '.layers[]' out)" "$job"
is "$(jq '.exclusive_bytes > 0' out)" true
run 0 gc --min-age 0s && is "$(cat out)" "$job" && says err "removed 0 images, 1 layers, 1 trees, 0 blobs"
is "$(layers)" "$(printf '%s\n' "$app" "$base" | sort | xargs)"

run 0 lease keep "$base" --expires 1h
run 0 lease keep example.org/team/app:1
run 0 tag example.org/team/app:1 latest
run 0 untag example.org/team/app:1
run 0 untag latest
run 0 gc --min-age 0 && is "$(cat out)" ""
run 0 --json leases && is "$(jq -r '.[0] | .name, (.layers | length), .live' out | xargs)" "keep 2 true"
run 0 lease keep --expires 0s
run 0 leases && says out ended
run 0 gc --min-age 0 && is "$(cat out)" "$app
$base"
is "$(layers)" ""
is "$(ls store/staging store/trees/sha256 store/leases store/tags | grep -v ':$' | xargs)" ""

run 1 release keep && says err "there is none"
run 1 untag latest && says err "there is none"
run 1 tag nothing x && says err "there is no tag of this name"
run 1 import base.tar --tag 'a b' && says err "a tag is"
run 1 import base.tar --lease ../x && says err "a name is"
run 1 gc --min-age soon && says err "write 90s, 15m, 1h or 7d"
run 2 lease
run 2 tag "$base"
is "$(layers)" ""

((failures == 0)) && echo "all is kept that is needed, and nothing else"
exit $((failures != 0))
