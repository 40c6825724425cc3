#!/bin/bash
# layerctl's contract: every command, wrong arguments, abbreviated ids, exit codes, one line of error, and bad layers
# that leave the store as it was. Works in mount namespaces of its own, as root or as an ordinary user.
#
#   layerctl_cli.sh LAYERCTL
#
# Needs tar, gzip, zstd, jq, python3 and unshare; exits 77 where mounting isn't possible.
set -u
layerctl=$(realpath "$1")

if [[ ${2:-} != inside ]]; then
  for program in tar gzip zstd jq python3 unshare; do
    command -v "$program" >/dev/null || { echo "skipped: no $program"; exit 77; }
  done
  work=$(mktemp -d)
  trap 'chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT
  namespaces=(--mount --propagation private)
  ((EUID == 0)) || namespaces+=(--user --map-root-user)
  unshare "${namespaces[@]}" true 2>/dev/null || { echo "skipped: no mount namespace for this user"; exit 77; }
  unshare "${namespaces[@]}" bash "$0" "$layerctl" inside "$work"
  exit
fi
work=$3
userxattr=
if grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map; then
  # An overlay's upper can't be on an overlay, as /tmp of a container is. In a user namespace a tmpfs is no way out: it
  # has user.* attributes since Linux 6.6 only.
  mount -t tmpfs tmpfs "$work" || exit 77
else
  userxattr=,userxattr
fi
cd "$work" || exit 1
export LC_ALL=C.UTF-8 TZ=UTC

failures=0
fail() {
  failures=$((failures + 1))
  echo "FAILED: $*"
  echo "  stdout: $(head -c 2000 out)"
  echo "  stderr: $(head -c 2000 err)"
}
section() { echo "- $*"; }
# check WHAT COMMAND...
check() { "${@:2}" || fail "$1"; }
same() { [[ $1 == "$2" ]] || { echo "  '$1' is not '$2'"; return 1; }; }

# run CODE ARGUMENT...: layerctl on the store, its output in the files out and err. Of a failure, exactly one line
# tells.
run() {
  local expected=$1 code
  shift
  "$layerctl" --root store "$@" >out 2>err </dev/null
  code=$?
  ((code == expected)) || { fail "exit $code, not $expected: $*"; return 1; }
  if ((expected != 0)) && { (($(wc -l <err) != 1)) || ! grep -q '^layerctl: ' err; }; then
    fail "not one line on stderr: $*"
    return 1
  fi
}
out() { cat out; }

# Everything in the store: type, mode, owner, name, size, link; and every byte.
contents() {
  (cd store && find . -printf '%y %m %U %G %p %l ' \( -type f -printf '%s\n' -o -printf '\n' \) | sort &&
    find . -type f -print0 | sort -z | xargs -0 sha256sum)
}
# Everything in a directory: times, hardlink groups and bytes included. Link counts are left out, since an overlay shows
# those of the layers.
tree() {
  (cd "$1" && find . -printf '%y %m %U %G %p %l %T@ ' \( -type f -printf '%s\n' -o -printf '\n' \) | sort &&
    find . ! -type d -printf '%i %p\n' | sort -k 2 | awk '{ if (!($1 in first)) first[$1] = $2; print $2, first[$1] }' &&
    find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}
same_tree() { diff <(tree "$1") <(tree "$2"); }
# refused WHAT ARGUMENT...: exit 1, and the store is as it was.
refused() {
  local what=$1 before
  shift
  before=$(contents)
  run 1 "$@"
  [[ $before == "$(contents)" ]] || { fail "the store changed: $what"; diff <(echo "$before") <(contents); }
}

pack() {
  tar --create --format=pax --pax-option=delete=atime,delete=ctime --blocking-factor=1 --sort=name --numeric-owner \
    --directory="$1" .
}

section "help and version"
run 0 --help && check "help names the commands" grep -q remove-container out
run 0 import --help && check "help of a command" grep -q -e --parent out
run 0 --version && check "version" grep -qx 'layerctl [0-9.]*' out

section "usage errors exit 2"
run 2
run 2 nonsense && check "names the command" grep -q "'nonsense'" err
run 2 --root '' list
run 2 import
run 2 list --nonsense
run 2 show
run 2 export x --compress lzma
run 2 import x --digest sha256:12
run 2 mount x
run 2 mount x y -o nonsense=1
run 2 mount x y -o redirect_dir=sometimes
run 2 diff
run 2 diff a b c
run 2 diff --lower a
run 2 diff a --upper b
run 2 diff a --prove
run 2 apply
run 2 apply d --lower x
run 2 unpack x
check "usage errors make no store" test ! -e store

section "where there is no store, only import makes one"
for command in list "show 12" "history 12" verify "repair 12" "remove 12" "export 12" "mount 12 c" mounts "umount c" \
  "remove-container c" "commit c" "diff c" "unpack 12 d"; do
  # shellcheck disable=SC2086
  run 1 $command
done
check "none was made" test ! -e store
run 1 import missing.tar
check "an import that fails at its file makes none" test ! -e store

section "import"
mkdir -p base/etc base/bin base/var/old base/doc
echo one >base/etc/conf
echo gone >base/var/old/file
echo '#!/bin/sh' >base/bin/tool
chmod 4755 base/bin/tool
ln -s ../etc/conf base/doc/link
ln base/etc/conf base/etc/hard
head -c 6000 /dev/urandom >base/doc/random
touch -d '2001-02-03 04:05:06.789' base/etc/conf
pack base >base.tar
gzip -9n <base.tar >base.tar.gz
zstd -q <base.tar >base.tar.zst
base=sha256:$(sha256sum <base.tar | cut -d' ' -f1)

run 0 import base.tar.gz --author "A. Person" --comment "the base" --created 2020-01-02T03:04:05Z &&
  check "prints the id alone" same "$(out)" "$base"
check "nothing is on stderr" test ! -s err
run 0 import base.tar.zst && check "the same layer by zstd" same "$(out)" "$base"
run 0 --json import base.tar && check "existed" same "$(jq -r '.id, .existed, .events_total' out | xargs)" "$base true 0"
"$layerctl" --root store import - <base.tar >out 2>err && check "from standard input" same "$(out)" "$base"
# shellcheck disable=SC2002
cat base.tar.gz | "$layerctl" import - --root store >out 2>err && check "from a pipe" same "$(out)" "$base"
run 0 import base.tar.gz --digest "sha256:$(sha256sum <base.tar.gz | cut -d' ' -f1)" --diff-id "$base"

mkdir -p app/etc app/var
echo two >app/etc/conf
: >app/var/.wh.old
pack app >app.tar
app_diff=sha256:$(sha256sum <app.tar | cut -d' ' -f1)
app=sha256:$(printf %s "$base $app_diff" | sha256sum | cut -d' ' -f1)
run 0 import app.tar --parent "${base:7:12}" && check "the chain id of a child" same "$(out)" "$app"
refused "an unknown parent" import app.tar --parent sha256:"$(printf '%064d' 0)"
mkdir -p top && echo three >top/three && pack top >top.tar
top=sha256:$(printf %s "$app sha256:$(sha256sum <top.tar | cut -d' ' -f1)" | sha256sum | cut -d' ' -f1)
"$layerctl" --root chain --durability none import base.tar.gz app.tar top.tar >out 2>err
check "a chain in one go" same "$(xargs <out)" "$base $app $top"
"$layerctl" --root chain --json import base.tar app.tar >out 2>err
check "as JSON a list" same "$(jq -r '.[] | .id, .existed' out | xargs)" "$base true $app true"
for bad in "base.tar nothing.tar" "base.tar app.tar --diff-id $app_diff"; do
  # shellcheck disable=SC2086
  run 1 import $bad
done
head -c 1500 app.tar >cut.tar
"$layerctl" --root cut import base.tar cut.tar top.tar >out 2>err
check "what is below a broken layer is stored, nothing above it" test $? = 1 -a "$(wc -l <err)" = 1 -a \
  "$("$layerctl" --root cut list --json | jq -r '.[].id')" = "$base" -a ! -s out
check "and no draft is left" same "$(ls cut/staging)" ""
rm -rf chain cut

section "list, show, history"
run 0 list && check "two layers, short ids" same "$(awk 'NR > 1 {print $1}' out | sort | xargs)" \
  "$(printf '%s\n' "${base:7:12}" "${app:7:12}" | sort | xargs)"
run 0 list --json && check "whole ids as JSON" same "$(jq -r '.[].id' out | sort | xargs)" \
  "$(printf '%s\n' "$base" "$app" | sort | xargs)"
run 0 show "${base:7:6}" && check "names the child" grep -q "$app" out && check "comment" grep -q "the base" out
run 0 show "sha256:${base:7:6}" --json && check "record" same \
  "$(jq -r '.author, .comment, .created, .children[0]' out | xargs)" "A. Person the base 2020-01-02T03:04:05Z $app"
run 0 history "$app" && check "topmost first" same "$(awk 'NR > 1 {print $1}' out | xargs)" "${app:7:12} ${base:7:12}"
run 0 history "$app" --json && check "as JSON" same "$(jq -r '.[].id' out | xargs)" "$app $base"
run 1 show ffffffffffff0
run 1 show 'not hexadecimal'

section "an abbreviation that fits two layers is refused"
cp -a store kept
declare -A seen=()
for n in {1..17}; do
  mkdir -p "many/$n" && echo "$n" >"many/$n/file" && pack "many/$n" >many.tar
  run 0 import many.tar
  digit=$(out) && digit=${digit:7:1}
  [[ ${seen[$digit]:-} ]] && break
  seen[$digit]=1
done
run 1 show "$digit"
rm -rf store && mv kept store

section "export"
run 0 export "$base" && check "the tar, byte for byte" cmp -s out base.tar
run 0 export "$app" app.out && check "into a file" cmp -s app.out app.tar && check "silent" test ! -s out
run 0 export "$base" app.out && check "the file is replaced" cmp -s app.out base.tar
check "mode by the umask" same "$(stat -c %a app.out)" "$(printf %o $((0666 & ~$(umask))))"
for codec in gzip zstd; do
  run 0 export "$base" "once.$codec" --compress $codec
  run 0 export "$base" "twice.$codec" --compress $codec
  check "$codec: the same bytes twice" cmp -s once.$codec twice.$codec
  check "$codec: read by its own tool" cmp -s <($codec -dc <once.$codec) base.tar
done
run 0 export --directory several "$base" "$app" && check "several at once" cmp -s "several/${base:7}.tar" base.tar
check "each under its id" cmp -s "several/${app:7}.tar" app.tar
run 0 --json export "$base" -d several --compress gzip
check "compressed too" cmp -s <(gzip -dc <"several/${base:7}.tar.gz") base.tar
run 2 export "$base" "$app" more
mkdir closed
run 1 export "$base" closed/none/file
run 1 export "$base" closed
run 1 export "${base:7:8}ffffffffffff" closed/file
check "nothing half written stays" same "$(ls -A closed)" ""
mkfifo pipe
cat pipe >piped &
run 0 export "$base" pipe
wait $!
check "through a named pipe, which stays" test -p pipe -a "$(sha256sum <piped)" = "$(sha256sum <base.tar)"
"$layerctl" --root store export "$base" >/dev/full 2>err
check "a full disk is exit 1" test $? = 1 -a "$(wc -l <err)" = 1
"$layerctl" --root store list >/dev/full 2>err
check "of a table too" test $? = 1 -a "$(wc -l <err)" = 1
if command -v script >/dev/null; then
  for command in "export $base" "diff base app"; do
    script -qec "$layerctl --root store $command" /dev/null >out </dev/null
    check "no layer goes to a terminal: $command" test $? = 1 -a "$(wc -l <out)" = 1
  done
  script -qec "$layerctl --root store import -" /dev/null >out </dev/null
  check "none is read from one" test $? = 1
fi

section "explain"
run 0 explain "$app" etc/conf && check "the path" grep -qx '/etc/conf: file' out
check "which layer gives it" same "$(awk 'NR == 3 {print $1, $2, $3, $4}' out)" "${app:7:12} file content, attributes"
check "which it replaces" same "$(awk 'NR == 4 {print $1, $2, $3}' out)" "${base:7:12} file replaced"
run 0 explain "${app:7:8}" /var/old && check "a whiteout" grep -q "hidden by the whiteout of /var/old of ${app:7:12}" out
run 0 explain "$app" ./etc/../etc/conf --json && check "as JSON" same \
  "$(jq -r '.path, .content, .layers[1].hidden.by' out | xargs)" "etc/conf $app replaced"
run 0 explain "$app" / && check "the root" grep -qx '/: directory' out
run 0 explain "$base" etc/hard && check "its other names" grep -q '^the same file as /' out
run 0 explain "$app" no/such && check "nothing is an answer" grep -qx '/no/such: nothing' out
run 1 explain ffffffffffff0 etc
run 2 explain "$app"

section "unpack"
run 0 unpack "$app" flat
check "the chain's content" test "$(cat flat/etc/conf)" = two -a ! -e flat/var/old -a -u flat/bin/tool
check "the lower time" test "$(stat -c %y flat/etc/hard)" = "2001-02-03 04:05:06.789000000 +0000"
run 1 unpack "$app" flat

section "mount, mounts, umount"
run 0 mount "$app" web && root=$(out)
check "prints the merged path" test "$(cat "$root/etc/conf")" = two -a ! -e "$root/var/old"
run 1 mount "$app" web
run 1 mount "$app" 'not/a/name'
run 1 mount "$app" other --at missing
check "the merged view is the flat one" same_tree "$root" flat
echo three >"$root/etc/conf"
rm "$root/doc/random"
mkdir "$root/srv" && echo new >"$root/srv/new"
run 0 mounts && check "is listed" grep -q "^web .*read-write" out
run 0 mounts --json && check "as JSON" same "$(jq -r '.[0].name, .[0].path' out | xargs)" "web $root"
run 1 remove-container web
(cd "$root" && exec sleep 60) &
sleeper=$!
until [[ $(readlink "/proc/$sleeper/cwd") == "$root" ]]; do sleep 0.1; done
run 1 umount web && check "names who holds it" grep -q "$sleeper" err
kill $sleeper && wait $sleeper 2>/dev/null
run 0 umount web && check "silent" test ! -s out
check "unmounted" same "$(ls -A "$root" 2>/dev/null)" ""
run 0 umount web
run 0 mounts && check "no longer listed" same "$(awk 'NR > 1' out)" ""
run 0 mounts --all && check "but still there" grep -q "^web .*not mounted" out
run 1 umount none
run 1 remove-container none
run 1 mount "$base" web
run 0 mount "${app:7:10}" web && check "mounted again with what it held" same "$(cat "$(out)/etc/conf")" three
mkdir at
run 0 mount "$app" reader --read-only --at at -o xino=off && check "where it was told" same "$(out)" "$work/at"
check "nothing can be written" eval '! touch at/file 2>/dev/null'
run 0 mounts && check "both" same "$(awk 'NR > 1 {print $1, $4}' out | sort | xargs)" "reader read-only web read-write"
run 0 umount reader
run 0 remove-container reader
run 0 mount "$app" copied --backend copy && check "where it is" same "$(out)" "$work/store/containers/copied/upper"
check "and what it shows" same "$(cat "$(out)/etc/conf")" two
run 0 mounts && check "is listed as what it is" grep -q "^copied .*copy .*in place" out
run 0 umount copied
run 0 remove-container copied
run 2 mount "$app" copied --backend tape
run 1 mount "$app" copied --backend btrfs && check "says why not" grep -q "isn't on btrfs\|no btrfs" err
run 1 mount "$app" copied --backend copy -o index=on && check "names the option" grep -q "option index" err
run 0 mount "$app" options -o index=off,xino=off -o redirect_dir=nofollow
run 0 umount options
run 0 remove-container options

section "diff"
run 0 diff web && check "summary" grep -q 'diff id sha256:' err && cp out change.tar
check "its digest is the diff id" grep -q "$(sha256sum <change.tar | cut -d' ' -f1)" err
check "what changed, and no more" same "$(tar -tf change.tar | sort | xargs)" \
  "$(printf '%s\n' ./ doc/ doc/.wh.random etc/ etc/conf srv/ srv/new | sort | xargs)"
run 0 diff web && check "the same bytes twice" cmp -s out change.tar
run 0 --json diff web -o change.tar.gz --compress gzip && check "as JSON" same "$(jq -r .blob out)" \
  "sha256:$(sha256sum <change.tar.gz | cut -d' ' -f1)"
check "gzip" cmp -s <(gzip -dc change.tar.gz) change.tar
run 0 --quiet diff web --compress zstd -o change.tar.zst && check "quiet" test ! -s err
check "zstd" cmp -s <(zstd -dc <change.tar.zst) change.tar
run 0 diff web -o proved.tar --prove && check "proved" cmp -s proved.tar change.tar
run 1 diff none
run 1 diff missing flat
run 0 diff flat "$root" -o trees.tar
cp -a flat copy
"$layerctl" apply copy <trees.tar >out 2>err || fail "apply"
check "between two directories" same_tree copy "$root"
run 0 diff flat "$root" -o proved.tar --prove && check "proved" cmp -s proved.tar trees.tar
run 0 unpack "$app" lower
run 0 diff --upper store/containers/web/upper --lower lower -o upper.tar
rm -rf copy && cp -a flat copy
"$layerctl" apply copy <upper.tar >out 2>err || fail "apply"
check "of an upper directory" same_tree copy "$root"
run 0 diff --upper store/containers/web/upper --lower lower -o proved.tar --prove
check "nothing of the proof is left" same "$(find . -maxdepth 1 -name '.strata-*'; ls -A store/staging)" ""

section "commit"
run 0 commit web --author B --comment "a change" && next=$(out)
check "its id" same "$next" "sha256:$(printf %s "$app sha256:$(sha256sum <change.tar | cut -d' ' -f1)" | sha256sum | cut -d' ' -f1)"
run 0 export "$next" && check "its tar is the diff" cmp -s out change.tar
run 0 show "$next" --json && check "record" same "$(jq -r '.parent, .author, .comment' out | xargs)" "$app B a change"
run 0 unpack "$next" committed && check "the merged view" same_tree committed "$root"
run 1 commit none

section "apply"
mkdir applied
for layer in base.tar.gz app.tar change.tar; do
  "$layerctl" apply applied <$layer >out 2>err || fail "apply $layer"
done
check "layer by layer as at once" same_tree applied committed
mkdir upper && "$layerctl" apply upper --overlay --lower flat <change.tar >out 2>err || fail "apply --overlay"
mkdir overlay_work merged
mount -t overlay -o "lowerdir=flat,upperdir=upper,workdir=overlay_work$userxattr" overlay merged || fail "mounting the upper"
check "as an overlay" same_tree merged committed
umount merged
"$layerctl" --json apply applied <change.tar >out 2>err && check "as JSON" same "$(jq -r .diff_id out)" \
  "sha256:$(sha256sum <change.tar | cut -d' ' -f1)"
before=$(tree applied)
for bad in not-a-tar "$(head -c 700 base.tar | base64 -w0)"; do
  echo "$bad" | "$layerctl" apply applied >out 2>err
  check "bad input is exit 1" test $? = 1 -a "$(wc -l <err)" = 1
done
check "and changes nothing" same "$(tree applied)" "$before"

section "verify"
run 0 verify && check "all are" same "$(grep -c ' ok$' out)" 3
run 0 verify --prove && check "and prove it" same "$(grep -c ' ok$' out)" 3
run 0 verify --quick && check "and look so" same "$(grep -c ' ok$' out)" 3
run 2 verify --quick --prove
run 0 verify "${base:7:9}" --json && check "as JSON" same "$(jq -r '.[0].id, .[0].ok' out | xargs)" "$base true"

section "remove"
refused "a layer with a child" remove "$base"
check "the child is named" grep -q "${app:7:12}" err
run 0 umount web
run 0 show "$app" && check "show names the container" grep -q 'container *web' out
refused "a layer with a container and a child" remove "$app"
run 0 remove "$next" && check "silent" test ! -s out
refused "a layer with a container" remove "$app" && check "which is named" grep -q web err
run 0 remove-container web
run 0 remove "${app:7:12}"
run 0 list && check "one is left" same "$(awk 'NR > 1 {print $1}' out)" "${base:7:12}"

section "what is odd is reported"
python3 - <<'PYTHON'
import io, tarfile
def layer(name, members):
    with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member if isinstance(member, str) else member[0])
            if isinstance(member, str):
                info.size = 4
                tar.addfile(info, io.BytesIO(b"text"))
            else:
                info.type, info.linkname = member[1:]
                tar.addfile(info)
layer("odd.tar", ["file", ".wh..wh.aufs"])
layer("very_odd.tar", ["file"] + [f".wh..wh.{n}" for n in range(70)])
layer("dotdot.tar", ["ok", "../escaped"])
layer("dotdot_inside.tar", ["ok", "a/../../escaped"])
layer("through.tar", [("out", tarfile.SYMTYPE, "../../../../../../.."), "out" "/../../escaped"])
layer("link.tar", [("here", tarfile.LNKTYPE, "../../etc/passwd")])
layer("bare.tar", [".wh."])
layer("needs.tar", [("here", tarfile.LNKTYPE, "etc/passwd")])
PYTHON
run 0 import odd.tar && check "a note" grep -q '^note: A9 .*wh.aufs.*: ' err && odd=$(out)
run 0 remove "$odd"
run 0 import odd.tar --quiet && check "quiet" test ! -s err
run 0 remove "$odd"
refused "what is odd, by --strict" --strict import odd.tar
refused "the same, behind the command" import odd.tar --strict
run 0 import very_odd.tar && check "at most fifty, and how many more" same \
  "$(grep -c '^note: ' err) $(tail -n 1 err)" "50 … and 20 more" && odd=$(out)
run 0 remove "$odd"
run 0 --json import odd.tar && check "as JSON" same "$(jq -r '.events[0].rule' out)" A9
run 0 remove "$(jq -r .id out)"

section "lint"
run 0 lint app.tar && check "clean" grep -q "^clean: .* $app_diff$" out && check "and silent" test ! -s err
cat base.tar.gz | "$layerctl" lint - --json >out 2>err && check "from a pipe, as JSON" same \
  "$(jq -r '.verdict, .diff_id, .odd_total' out | xargs)" "clean $base 0"
run 1 lint odd.tar && check "what is odd" grep -q '^odd A9 .wh..wh.aufs: ' out && check "says which" grep -q '(odd: 1 ' err
run 1 lint very_odd.tar --json && check "as JSON" same "$(jq -r '.verdict, .odd_total, .odd[69].rule' out | xargs)" "odd 70 A9"
for bad in dotdot.tar bare.tar through.tar link.tar; do
  run 1 lint "$bad" && check "$bad is broken" grep -q '^layerctl: broken: cannot ' err
done
run 1 lint dotdot.tar --json && check "as JSON" same "$(jq -r '.verdict, (.error | length > 9)' out | xargs)" "broken true"
run 1 lint app.tar --limit entries=1 && check "over its budget" grep -q 'entries=1' err
run 0 lint needs.tar && check "what it needs from below" grep -q '^needs A14 here: .*etc/passwd' out
run 1 lint missing.tar
check "nothing is written" test -z "$(ls -A store/staging)"

section "owners"
mkdir owned && echo mine >owned/file
tar --create --owner=:12345 --group=:12345 --directory=owned --file=owned.tar .
if touch given && chown 12345:12345 given 2>/dev/null; then
  run 0 import owned.tar && owned=$(out)
  run 0 unpack "$owned" owned.out && check "kept" same "$(stat -c %u:%g owned.out/file)" 12345:12345
  run 0 unpack "$owned" owned.map --uidmap 0:20000:20000 && check "mapped" same "$(stat -c %u:%g owned.map/file)" 32345:32345
else
  refused "an owner that can't be given" import owned.tar && check "is named" grep -q 12345 err
  run 0 import owned.tar --squash-owners && owned=$(out) && check "or squashed, with a note" grep -q '^note: .*12345' err
fi
run 0 export "$owned" && check "either way the tar is as it was" cmp -s out owned.tar
run 0 remove "$owned"

section "ids through a map"
for command in "apply d" "unpack $base d" "diff base app"; do
  for bad in 0 0:1 0:1:0 0:4294967295:1 a:1:1 0:1:1,5; do
    # shellcheck disable=SC2086
    run 2 $command --uidmap "$bad" && check "the range is named" grep -q "${bad#0:1:1,}" err
  done
  # shellcheck disable=SC2086
  run 2 $command --gidmap 0:1:5 --gidmap 7:3:1 && check "ranges that overlap" grep -q "'7:3:1'" err
done
check "no directory was made" test ! -e d
# Whoever runs this is the container's user 12345, and its root is nobody here.
mine=(--uidmap "12345:$(id -u):1" --gidmap "12345:$(id -g):1")
mkdir mapped
"$layerctl" apply mapped "${mine[@]}" <owned.tar >out 2>err || fail "apply through a map"
check "is mine" same "$(stat -c %u:%g mapped/file)" "$(id -u):$(id -g)"
mkdir empty && chmod --reference=mapped empty && touch -r mapped empty
run 0 diff empty mapped "${mine[@]}" && check "and theirs again" same \
  "$(tar --numeric-owner -tvf out | awk '{print $2, $6}' | xargs)" "12345/12345 file"
run 1 diff empty mapped --uidmap 12345:4000000000:1 && check "an id that doesn't fit" grep -q "user $(id -u))" err
"$layerctl" apply mapped --uidmap "0:$(id -u):1" <owned.tar >out 2>err
check "when applied too" test $? = 1 -a "$(wc -l <err)" = 1 -a "$(grep -c 'user 12345' err)" = 1
"$layerctl" apply mapped --uidmap "0:$(id -u):1" --gidmap "0:$(id -g):1" --squash-owners <owned.tar >out 2>err ||
  fail "squashed, through a map"
check "with a note" grep -q '^note: A24 .*user 12345' err
run 0 unpack "$base" whole
run 0 unpack "$base" whole.mapped --uidmap "$(id -u):$(id -u):1" --uidmap 4000000000:4000000000:1 --gidmap "$(id -g):$(id -g):1"
check "a chain through a map of what it has" same_tree whole.mapped whole
run 1 unpack "$base" not --uidmap 4000000000:4000000000:1 && check "through another" grep -q "user $(id -u))" err
run 0 unpack "$base" squashed --uidmap 4000000000:4000000000:1 --squash-owners && check "squashed" grep -q '^note: A24' err
run 0 unpack "$base" squashed.json --uidmap 4000000000:4000000000:1 --squash-owners --json &&
  check "as JSON" same "$(jq -r '.events[0].rule' out)" A24

section "bad layers leave the store as it was"
seq 1000 >no.tar
: >empty.tar
head -c 4096 /dev/urandom >random.tar
gzip -c no.tar >no.tar.gz
for bad in no.tar empty.tar random.tar no.tar.gz dotdot.tar dotdot_inside.tar through.tar link.tar bare.tar closed; do
  refused "$bad" import "$bad"
  refused "$bad as a child" import "$bad" --parent "$base"
done
check "nothing escaped" test -z "$(find . -name escaped)"
refused "a wrong digest" import app.tar.gz --digest "$base"
refused "a wrong digest" import app.tar --digest "$base"
refused "a wrong diff id" import app.tar --diff-id "$base"
gzip -n <app.tar >app.tar.gz
refused "a wrong digest of gzip" import app.tar.gz --digest "$app_diff"
refused "a wrong diff id of gzip" import app.tar.gz --diff-id "$base"
# The base is another one here, so that the store can't have it already.
echo changed >base/etc/conf
pack base >cut.tar
gzip -n <cut.tar >cut.tar.gz
for whole in cut.tar cut.tar.gz; do
  for ((size = 0; size < $(stat -c %s $whole); size += 512)); do
    head -c $size $whole >short
    refused "the first $size bytes of $whole" import short
  done
done
run 0 import cut.tar --allow-unmarked-end
run 0 remove "$(out)"
head -c $(($(stat -c %s cut.tar) - 1024)) cut.tar >unmarked.tar
refused "a tar without an end" import unmarked.tar
run 0 import unmarked.tar --allow-unmarked-end && check "taken where that is allowed, with a note" grep -q '^note: ' err
run 0 remove "$(out)"

section "a layer over its budget leaves the store as it was"
run 0 import --help && check "help lists the limits" grep -q '^ *file_bytes=64G$' out
refused "too many entries" import cut.tar --limit entries=1 && check "the limit and what raises it" \
  grep -q 'entries=1); raise entries in the budget' err
refused "too large a file" import cut.tar --limit depth=none --limit file_bytes=1K && check "the file is named" \
  grep -q "'./doc/random'" err
for layer in cut.tar cut.tar.gz; do refused "too large a tar" import $layer --limit tar_bytes=10K; done
head -c 20M /dev/zero >zeros && tar --create --file=- zeros | gzip -n >bomb.tar.gz
refused "a bomb" import bomb.tar.gz --limit ratio_from=1M && check "by its ratio" grep -q 'ratio=200' err
run 0 import bomb.tar.gz --limit ratio_from=1M --limit ratio=1100 && run 0 remove "$(out)"
before=$(tree applied)
"$layerctl" apply applied --limit name_bytes=3 <change.tar >out 2>err
check "apply has them too" test $? = 1 -a "$(wc -l <err)" = 1 -a "$before" = "$(tree applied)"
for bad in entries entries= entries=-1 entries=1K file_bytes=1X file_bytes=99999999999T nothing=1 =1; do
  run 2 import cut.tar --limit "$bad"
done

section "an interrupted import leaves the store as it was"
before=$(contents)
mkfifo slow
for signal in INT TERM; do
  (head -c 2048 cut.tar; exec sleep 60) >slow &
  timeout --preserve-status --signal=$signal 4 "$layerctl" --root store import - <slow >out 2>err
  check "$signal: exit 1, one line" test $? = 1 -a "$(wc -l <err)" = 1
  check "$signal: says so" grep -q '^layerctl: .*cancel' err
  kill $! && wait $! 2>/dev/null
done
# timeout(1) signals its command and then the process group: that is one wish, however the two signals fall.
for delay in 0 0.001 0.01 0.1 0.5; do
  (head -c 2048 cut.tar; exec sleep 60) >slow &
  feeder=$!
  "$layerctl" --root store import - <slow >out 2>err &
  until [[ -n $(ls store/staging) ]]; do sleep 0.05; done
  kill $!; sleep $delay; kill $! 2>/dev/null
  wait $!
  check "twice, $delay s apart: exit 1, and says so" test $? = 1 -a "$(grep -c '^layerctl: .*cancel' err)" = 1
  kill $feeder && wait $feeder 2>/dev/null
done
check "as it was" same "$(contents)" "$before"

section "verify finds damage"
file=$(find store/trees -type f -name tool)
echo '#!/bin/xx' >"$file"
run 1 verify 2>/dev/null
check "exit 1, and the file is named" grep -q 'bin/tool' out
run 1 verify "$base" --json
check "as JSON" same "$(jq -r '.[0].ok, .[0].damages[0].path' out | xargs)" "false bin/tool"

section "repair"
run 1 repair "$base" 2>/dev/null
check "exit 1, and what is left is named" grep -q 'left: bin/tool: .*source' out
run 1 repair "$base" --from no-such-file 2>/dev/null
run 0 repair "$base" --from base.tar
check "what was mended is named" grep -q 'mended: bin/tool' out
run 0 verify --prove
run 0 repair "$base" --json
check "as JSON" same "$(jq -r '.ok, .rebuilt, (.mended | length)' out | xargs)" "true false 0"

section "doctor"
run 0 doctor && check "says something" test "$(wc -l <out)" -gt 5
run 0 doctor --json && check "as JSON" jq -e 'map(.topic, .name, .verdict, .value) | length > 5' out >/dev/null
run 0 doctor --backend overlay && check "one backend" grep -q 'backend overlay' out
run 0 doctor --layer "$base" && check "a chain" grep -q '^good .* trees ' out
run 0 doctor --layer "$base" --json && check "as JSON" jq -e '.[0].topic == "chain"' out >/dev/null
run 1 doctor --layer nothing
run 2 doctor --backend overlay --layer 00
run 1 doctor --backend none
"$layerctl" --root /nowhere/at/all doctor >out 2>err || fail "doctor where there is no store"

section "inspect"
run 0 inspect
run 0 inspect --json && check "as JSON" jq -e '(.overlays, .containers, .unread) | type == "array"' out >/dev/null
"$layerctl" --root /nowhere/at/all inspect >out 2>err || fail "inspect where there is no store"

((failures == 0)) && echo "all good" && exit 0
echo "$failures failed"
exit 1
