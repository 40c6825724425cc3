#!/usr/bin/env python3
"""Compares strata's reader with Go's archive/tar on other projects' archives, and with what hostile ones must give.

  tar_gotar.py TAR_LIST DATA_DIR

DATA_DIR holds real/expect-gotar.json with real/files, and hostile/cases; where neither is there, exit 77. Every
difference from Go must be explained by an entry of DIFFERENCES; one that explains nothing any more is an error too.
"""
import ast
import bz2
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

tar_list, data = sys.argv[1], pathlib.Path(sys.argv[2])

# (archive, field) → the rule by which strata differs. None as field: the archive's outcome.
DIFFERENCES = {
    ("go/pax-global-records.tar", "mtime"): "POSIX: a global record holds for every later entry; Go leaves that to "
    "its caller",
    ("node-tar/excessively-deep.tar", "error"): "TarLimits: a path of more than 64 KiB is refused; no system opens one",
}
# The keywords that have a field of their own; the sparse ones are read into the map.
FIELDS = {"path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime"}
# The reader's part of the hostile layers; the others are about what becomes of entries.
CATEGORIES = {"size", "blocks", "pax", "truncated", "header", "sparse"}

wrong, used = [], set()


def plain(path):
    """The tar in a file that may be compressed."""
    raw = path.read_bytes()
    if raw.startswith(b"\x1f\x8b"):
        return gzip.decompress(raw)
    return bz2.decompress(raw) if raw.startswith(b"BZh") else raw


def read(content):
    with tempfile.NamedTemporaryFile() as archive:
        archive.write(content)
        archive.flush()
        done = subprocess.run([tar_list, archive.name], stdout=subprocess.PIPE, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


def characters(text):
    """A name as Go's JSON has it (bytes that are not UTF-8 as a literal), as tar_list shows it: a character a byte."""
    if text.startswith('b"'):
        return ast.literal_eval(text).decode("latin-1")
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def differ(name, field, ours, theirs):
    for key in ((name, field), (name, None)):
        if key in DIFFERENCES:
            used.add(key)
            return
    wrong.append(f"{name}: {field}: strata {str(ours)[:200]!r}, Go {str(theirs)[:200]!r}")


def wanted(go):
    """An entry of Go's as tar_list would show it."""
    kind = {"S": "0", "7": "0", "D": "5"}.get(go["type"], go["type"])
    entry = {
        "path": characters(go.get("Name", "")),
        "type": kind,
        "link": characters(go.get("Linkname", "")) if kind in "12" else "",
        "mode": go["mode"] & 0o7777,
        "uid": go["uid"],
        "gid": go["gid"],
        "user": characters(go.get("Uname", "")),
        "group": characters(go.get("Gname", "")),
        "size": go["size"] if kind == "0" else 0,
        "mtime": go["mtime"],
        "device": [go.get("Devmajor", 0), go.get("Devminor", 0)] if kind in "34" else [0, 0],
        "xattrs": {},
        "other": {},
    }
    # A dump's listing is content to Go.
    if "sha256" in go and go["type"] != "D":
        entry["sha256"] = go["sha256"]
    for key, value in go.get("pax", {}).items():
        if key.startswith("SCHILY.xattr."):
            entry["xattrs"][characters(key[13:])] = characters(value)
        elif key not in FIELDS and not key.startswith("GNU.sparse."):
            entry["other"][characters(key)] = characters(value)
    return entry


def compare(name, go):
    ours, end = read(plain(data / "real/files" / name))
    if bool(end["error"]) != bool(go["error"]):
        differ(name, "error", end["error"], go["error"])
    if not end["error"] and not end["whole"]:
        wrong.append(f"{name}: structure and content are not the archive again")
    entries = go["entries"] or []
    defaults = {}
    theirs = []
    for entry in entries:
        if entry["type"] == "g":
            # Records that are kept as they are hold for what follows; so Go's callers do with them, if anything.
            for key, value in entry.get("pax", {}).items():
                if key not in FIELDS:
                    defaults[characters(key)] = characters(value)
        else:
            shown = wanted(entry)
            shown["other"] = {**defaults, **shown["other"]}
            theirs.append(shown)
    # An entry whose content is cut is given before that is known.
    if len(ours) != len(theirs) and not (end["error"] and len(ours) + 1 == len(theirs)):
        differ(name, "number of entries", len(ours), len(theirs))
    for mine, other in zip(ours, theirs):
        for field, value in other.items():
            if mine.get(field) != value:
                differ(name, field, mine.get(field), value)


def hostile(case):
    want = json.loads(case.read_text())
    if want["category"] not in CATEGORIES:
        return 0
    entries, end = read((case.parent / want["file"]).read_bytes())
    if want["expect"] == "reject" and not end["error"]:
        wrong.append(f"{want['file']}: read without an error")
    if want["expect"] == "ok" and end["error"]:
        wrong.append(f"{want['file']}: {end['error']}")
    if want["expect"] != "reject" and not end["error"]:
        names = {entry["path"].rstrip("/") for entry in entries}
        for path, node in want["tree"].items():
            if (node["type"] == "absent") == (characters(path) in names):
                wrong.append(f"{want['file']}: {path} is {'there' if path in names else 'missing'}")
            size = len(node.get("content", "")) if "content" in node else None
            if size is not None and [e["size"] for e in entries if e["path"] == characters(path)][-1:] != [size]:
                wrong.append(f"{want['file']}: {path} has another size than {size}")
    return 1


expected = data / "real/expect-gotar.json"
cases = sorted((data / "hostile/cases").glob("*.expect.json"))
if not expected.exists() and not cases:
    print(f"skipped: no test data in {data}")
    sys.exit(77)
count = 0
if expected.exists():
    for name, go in json.loads(expected.read_text()).items():
        compare(name.removeprefix("files/"), go)
        count += 1
    for key in DIFFERENCES.keys() - used:
        wrong.append(f"{key[0]}: the difference in {key[1]} is listed, but there is none")
count += sum(hostile(case) for case in cases)
print("\n".join(wrong))
print(f"{count} archives, {len(wrong)} unexplained differences")
sys.exit(1 if wrong else 0)
