#!/bin/bash
# Every example of the README is a program of examples/, word for word, and does what the README says of it.
#
#   readme_examples.sh SOURCE FOLDER     FOLDER holds the compiled examples
#
# Needs tar, gzip, bzip2, zstd, python3 and unshare; exits 77 where mounting isn't possible.
set -eu
source=$1 examples=$(realpath "$2")

if [[ ${3:-} != inside ]]; then
  for program in tar gzip bzip2 zstd python3 unshare; do
    command -v "$program" >/dev/null || { echo "skipped: no $program"; exit 77; }
  done
  namespaces=(--mount --propagation private)
  ((EUID == 0)) || namespaces+=(--user --map-root-user)
  unshare "${namespaces[@]}" true 2>/dev/null || { echo "skipped: no mount namespace for this user"; exit 77; }
  work=$(mktemp -d)
  trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
  unshare "${namespaces[@]}" bash "$0" "$source" "$examples" inside "$work"
  exit
fi
work=$4
if grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map; then mount -t tmpfs tmpfs "$work"; fi

python3 - "$source" <<'PYTHON'
import pathlib, re, sys
source = pathlib.Path(sys.argv[1])
programs = [path.read_text() for path in (source / "examples").rglob("*.cpp")]
blocks = re.findall(r"^```cpp\n(.*?)^```$", (source / "README.md").read_text(), re.M | re.S)
assert len(blocks) >= 8, f"the README has {len(blocks)} examples"
for block in blocks:
    assert any(block in program for program in programs), f"in no file of examples/:\n{block}"
PYTHON

cd "$work"
# says TEXT COMMAND...: the command succeeds, and TEXT is in what it prints.
says() {
  local text=$1
  shift
  "$@" >said || { echo "FAILED: $*"; exit 1; }
  said "$text" "$*"
}
said() { grep -q -e "$1" said || { echo "FAILED: '$1' is not said by: $2"; cat said; exit 1; }; }

mkdir -p base/etc app/etc newer
echo one >base/etc/conf
echo two >app/etc/conf
tar -C base -cf base.tar . && gzip -kn base.tar && bzip2 -k base.tar
tar -C app -cf app.tar .
base=sha256:$(sha256sum <base.tar | cut -d' ' -f1)

says "layer   sha256:" "$examples/quickstart" store base.tar.gz change.tar.gz change.tar
cmp <(gzip -dc change.tar.gz) change.tar
tar -tf change.tar | grep -qx hello

says "^$base base: 3 entries" "$examples/readme_stack" store base.tar.gz app.tar
said " app: 3 entries" readme_stack
says " of $(stat -c %s base.tar) bytes" "$examples/readme_watch" watched base.tar 60000
head -c 100000000 /dev/zero >base/large && tar -C base -cf large.tar . && rm base/large
says "took too long; the store is as it was" "$examples/readme_watch" watched large.tar 0
says " bytes" "$examples/readme_watch" watched large.tar 600000
if head -n 1 said | grep -v " of $(stat -c %s large.tar) bytes"; then echo "FAILED: progress without a total"; exit 1; fi
says "^0 layers removed, 0 bytes free" "$examples/readme_keep" kept base.tar team/app:1
cmp kept/tags/team%2Fapp:1 <(echo "$base")
says "cannot remove .*reader" "$examples/readme_mount" mounted base.tar
says "^by copy (a copy.*, in place): .*/containers/somehow/upper" "$examples/readme_choose" chosen base.tar copy
cmp base/etc/conf chosen/containers/somehow/upper/etc/conf
says "^by overlay (" "$examples/readme_choose" chosen2 base.tar
if "$examples/readme_choose" chosen3 base.tar tape 2>said; then echo "FAILED: a backend that isn't there"; exit 1; fi
said "fuse-overlayfs" readme_choose
cp -a base/. newer/ && echo three >newer/etc/conf
says "tar+zstd sha256:" "$examples/readme_diff" base newer change.tar.zst
zstd -qdc change.tar.zst | tar -tf - | grep -qx etc/conf
mkdir applied
"$examples/readme_apply" base.tar.gz applied "$base"
cmp base/etc/conf applied/etc/conf
if "$examples/readme_apply" app.tar applied "$base" 2>said; then echo "FAILED: a wrong diff id was taken"; exit 1; fi
said "^cannot " readme_apply
cmp base/etc/conf applied/etc/conf
"$examples/layerctl" --root pulled load oci:image:one --tag x >/dev/null 2>&1 && { echo "FAILED: an image of nothing"; exit 1; }
"$examples/layerctl" --root first --quiet import base.tar --tag one >/dev/null
"$examples/layerctl" --root first --quiet run-root one made >/dev/null
"$examples/layerctl" --root first --quiet commit made --name one/image:1 >/dev/null
"$examples/layerctl" --root first umount made
"$examples/layerctl" --root first save one/image:1 oci:image:one 2>/dev/null >/dev/null
says "^sha256:.* on sha256:" "$examples/readme_image" changed oci:image:one oci:image:two
said "^as sha256:" readme_image
"$examples/layerctl" --root back --quiet load oci:image:two --tag two >/dev/null
"$examples/layerctl" --root back show-image two | grep -q GREETING=hello
says "tar+bzip2" "$examples/readme_own_codec" own base.tar.bz2
echo "all good"
