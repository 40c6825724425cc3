#!/bin/bash
# corpus_roundtrip.sh LAYERCTL CORPUS [IMAGE...]
# Imports every layer of every image of a corpus of OCI layouts (NAME-gzip, NAME-zstd), each onto the one before it, and checks that
# `export --compress none` gives back the tar whose digest the image's config names; then verifies every layer. No import may
# need more than 64 MiB of memory, and no export more than 48 MiB.
# Exit 77 where there is no corpus. Prints a line an image; wants jq, and room for the unpacked image in TMPDIR.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,6s/^# \?//p' "$0"; exit 2; }
layerctl=$(realpath "$1") corpus=$2; shift 2
[ -d "$corpus" ] || { echo "skipped: no corpus at $corpus"; exit 77; }
command -v jq >/dev/null || { echo "skipped: jq is missing"; exit 77; }
# measured FILE COMMAND...: runs it, and keeps the largest peak of resident memory (KiB) in FILE.
measured() {
  python3 -c 'import os, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
before = int(open(sys.argv[1]).read() or 0) if os.path.exists(sys.argv[1]) else 0
open(sys.argv[1], "w").write(str(max(peak, before)))
sys.exit(code)' "$@"
}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
images=${*:-$(cd "$corpus" && ls -d ./*-gzip | sed 's#^\./##; s#-gzip$##')}
for image in $images; do for codec in gzip zstd; do
  layout=$corpus/$image-$codec
  blob() { echo "$layout/blobs/${1/://}"; }
  manifest=$(blob "$(jq -r '.manifests[0].digest' "$layout/index.json")")
  mapfile -t diff_ids < <(jq -r '.rootfs.diff_ids[]' "$(blob "$(jq -r .config.digest "$manifest")")")
  parent=() count=0
  for layer in $(jq -r '.layers[].digest' "$manifest"); do
    id=$(measured "$work/import" "$layerctl" --root "$work/store" import "$(blob "$layer")" --digest "$layer" "${parent[@]}")
    exported=sha256:$(measured "$work/export" "$layerctl" --root "$work/store" export "$id" - --compress none | sha256sum | cut -d' ' -f1)
    [ "$exported" = "${diff_ids[count]}" ] || { echo "FAILED: $image $codec, layer $count: exported $exported, want ${diff_ids[count]}"; exit 1; }
    parent=(--parent "$id") count=$((count + 1))
  done
  [ "$count" = "${#diff_ids[@]}" ] || { echo "FAILED: $image $codec has ${#diff_ids[@]} diff ids and $count layers"; exit 1; }
  "$layerctl" --root "$work/store" --quiet verify --prove >/dev/null || { echo "FAILED: $image $codec doesn't verify"; exit 1; }
  import=$(cat "$work/import") export=$(cat "$work/export")
  [ "$import" -le 65536 ] || { echo "FAILED: $image $codec: an import needed $import KiB"; exit 1; }
  [ "$export" -le 49152 ] || { echo "FAILED: $image $codec: an export needed $export KiB"; exit 1; }
  printf '%s %s: %d layers, byte for byte; peak of an import %d KiB, of an export %d KiB\n' "$image" "$codec" "$count" "$import" "$export"
  rm -rf "$work/store" "$work/import" "$work/export"
done; done
