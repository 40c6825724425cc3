#!/usr/bin/env python3
"""Compares two file trees: names, types, bytes, modes, owners, times to the nanosecond, xattrs, hardlink groups, devices.

  tree_compare.py LEFT RIGHT      prints a line for each difference; exit 1 where there is one
  tree_compare.py --check-itself  makes each kind of difference in a scratch directory, and fails where one isn't seen

For scripts: describe() a tree, then differences() between two. Link counts, block counts and the times that no tar
carries are left out. Reads everything, so it must be run by whoever may.
"""
import dataclasses
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "character device",
         stat.S_IFBLK: "block device", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


@dataclasses.dataclass(frozen=True)
class Difference:
    """`what` is "missing" (left has it alone), "extra" (right has it alone), "type", "mode", "owner", "mtime", "size",
    "bytes", "target", "device", "links", or "xattr NAME"."""
    path: str
    what: str
    left: object = None
    right: object = None

    def __str__(self):
        shown = self.path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if self.what in ("missing", "extra"):
            return f"{shown!r} is {self.what}: {self.left or self.right}"
        return f"{shown!r} differs in {self.what}: {self.left!r}, {self.right!r}"


def digest(path):
    value = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            value.update(block)
    return value.hexdigest()


def describe_one(path):
    """The facts about one file that a layer carries, by the names that Difference.what has."""
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    facts = {"type": TYPES[kind], "owner": (status.st_uid, status.st_gid), "mtime": status.st_mtime_ns}
    if kind != stat.S_IFLNK:
        facts["mode"] = oct(stat.S_IMODE(status.st_mode))
    if kind == stat.S_IFREG:
        facts["size"] = status.st_size
        facts["bytes"] = digest(path)
    elif kind == stat.S_IFLNK:
        facts["target"] = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        facts["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    for name in os.listxattr(path, follow_symlinks=False):
        if name != "security.selinux":  # the host's own
            facts["xattr " + name] = os.getxattr(path, name, follow_symlinks=False)
    inode = (status.st_dev, status.st_ino) if kind != stat.S_IFDIR else None
    return facts, inode


def describe(root):
    """Path relative to `root` ("." is root itself) to facts."""
    tree, names = {}, {}

    def visit(path, name):
        facts, inode = describe_one(path)
        tree[name] = facts
        if inode is not None:
            names.setdefault(inode, []).append(name)
        if facts["type"] == "directory":
            for entry in os.listdir(path):
                visit(os.path.join(path, entry), entry if name == "." else os.path.join(name, entry))

    visit(os.fspath(root), ".")
    for group in names.values():
        if len(group) > 1:
            for name in group:
                tree[name]["links"] = tuple(sorted(group))
    return tree


def differences(left, right):
    """Between two descriptions; sorted. Of files of different types nothing more is told."""
    found = []
    for path in sorted(left.keys() | right.keys()):
        a, b = left.get(path), right.get(path)
        if a is None:
            found.append(Difference(path, "extra", None, b["type"]))
        elif b is None:
            found.append(Difference(path, "missing", a["type"], None))
        elif a["type"] != b["type"]:
            found.append(Difference(path, "type", a["type"], b["type"]))
        else:
            found += (Difference(path, what, a.get(what), b.get(what)) for what in sorted(a.keys() | b.keys())
                      if a.get(what) != b.get(what))
    return found


def check_itself():
    """Every kind of difference is seen, alone, and nothing where there is none."""
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="strata-compare-"))
    left, right = scratch / "left", scratch / "right"

    def change(what, path, act):
        subprocess.run(["cp", "-a", left, right], check=True)
        if path is not None:
            target = right / path
            act(target)
            for one in {target, target.parent}:  # what was done to a name is no difference of its directory's time
                if os.path.lexists(one):
                    times = os.lstat(left / one.relative_to(right))
                    if what != "mtime":
                        os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
        seen = {(d.path, d.what) for d in differences(describe(left), describe(right))}
        shutil.rmtree(right)
        expected = set() if path is None else {(path, what)}
        if what == "links":
            expected = {("link", "links"), ("file", "links")}
        if seen != expected:
            sys.exit(f"{what} of {path}: saw {seen}, not {expected}")

    def replace(path, make):
        path.unlink()
        make(path)

    try:
        (left / "directory").mkdir(parents=True)
        (left / "file").write_bytes(b"content")
        os.link(left / "file", left / "link")
        (left / "alone").write_bytes(b"alone")
        (left / "empty").write_bytes(b"")
        (left / "symlink").symlink_to("file")
        change("nothing", None, None)
        change("missing", "empty", os.unlink)
        change("type", "empty", lambda p: replace(p, os.mkfifo))
        change("mode", "directory", lambda p: p.chmod(0o1711))
        change("mtime", "alone", lambda p: os.utime(p, ns=(0, 1)))
        change("mtime", "symlink", lambda p: os.utime(p, ns=(0, -1), follow_symlinks=False))
        change("bytes", "alone", lambda p: p.write_bytes(b"ALONE"))
        change("target", "symlink", lambda p: replace(p, lambda q: q.symlink_to("elsewhere")))
        change("links", "link", lambda p: replace(p, lambda q: shutil.copy2(left / "file", q)))
        if os.geteuid() == 0 and pathlib.Path("/proc/self/uid_map").read_text().split()[-1] != "1":
            change("owner", "alone", lambda p: os.chown(p, 0, 7))
        try:
            change("xattr user.name", "alone", lambda p: os.setxattr(p, "user.name", b""))
        except OSError as error:
            print(f"user.* attributes are left out: {error}")
    finally:
        shutil.rmtree(scratch)


def main():
    if sys.argv[1:] == ["--check-itself"]:
        check_itself()
        return
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = differences(describe(sys.argv[1]), describe(sys.argv[2]))
    for difference in found:
        print(difference)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
