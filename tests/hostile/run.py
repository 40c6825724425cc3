#!/usr/bin/env python3
"""Layers that mean harm, or are merely odd: each is refused with one clear line and nothing changed, or is applied and gives
the tree that docs/semantics.md says.

  run.py [--no-memory-limit] [--seconds N] [--list] LAYERCTL [PATTERN...]

Each case of the cases_*.py whose name matches a pattern is tried in three ways: `flat` (layerctl apply), `overlay` (apply
--overlay, looked at through a mount; not for an ordinary user) and `store` (import, verify, unpack, export). Whatever
comes out, nothing outside of the root may change or show up inside, nothing may crash, hang for N seconds (20), or take
64 MiB of memory. Exit code 77 where an ordinary user's TMPDIR can't hold whiteouts (it is an overlay itself).
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import resource
import signal
import sys
import tempfile

sys.dont_write_bytecode = True

import cases_escape  # noqa: E402
import cases_format  # noqa: E402
import cases_many  # noqa: E402
from box import Box, changed, ids, in_child, run, snapshot  # noqa: E402
from case import Here, base_layer, plant  # noqa: E402
from tree_text import sorted_tree, tree_text  # noqa: E402

MEMORY = 64 << 20
COMMANDS = ("apply", "import", "verify", "unpack", "export")
OVERLAY_MARK = re.compile(r"((?:trusted|user)\.overlay\.\S+)")


class Wrong(Exception):
    """What a case found."""


def expect(true, what):
    if not true:
        raise Wrong(what)


def pieces(layer):
    made = layer() if callable(layer) else layer
    return [made] if isinstance(made, bytes) else made


def write_layer(case, path):
    """The digest of its tar, too."""
    with open(path, "wb") as file:
        file.writelines(pieces(case.layer))
    digest = hashlib.sha256()
    for piece in pieces(case.layer if case.tar is None else case.tar):
        digest.update(piece)
    return digest.hexdigest()


def shown(error):
    return error.decode(errors="backslashreplace").strip()[-400:]


class Runner:
    def __init__(self, layerctl, box, memory, seconds):
        self.layerctl, self.box, self.memory, self.seconds = layerctl, box, memory, seconds
        self.privileged = ids() == 4294967295 and os.geteuid() == 0
        self.owners = ids() > 1 and os.geteuid() == 0
        self.layer, self.base_tar = box.scratch / "layer", box.scratch / "base"
        self.tar_digest = None
        self.peak = (0, "")
        self.case = None
        self.here = Here(str(box.outside), box.secret, self._makes_devices(), self.owners, os.geteuid() == 0,
                         box.namespace)
        self.modes = ["flat", "store"] + (["overlay"] if self._mounts() else [])

    def _makes_devices(self):
        try:
            os.mknod(self.box.path / "device", 0o20600, os.makedev(1, 3))
            return True
        except OSError:
            return False

    def holds_whiteouts(self):
        try:
            os.mknod(self.box.path / "whiteout", 0o20000, os.makedev(0, 0))
            return True
        except OSError:
            return False

    def _mounts(self):
        if not self.box.namespace:
            return False
        try:
            self.box.overlay([self.box.parent / "root", self.box.parent / "base"], not self.privileged)
            self.box.unmount_overlay()
            return True
        except OSError as error:
            print(f"no overlay mounts here ({error}): only flat and store")
            return False

    def layerctl_does(self, *arguments, stdin=None):
        done = run([self.layerctl, "--quiet", "--json", *arguments], self.seconds, self.box.parent / "victim", stdin)
        expect(done.code is not None, f"{arguments[-1]}: hangs")
        expect(done.code in (0, 1), f"crashed, with {done.code}: {shown(done.error)}")
        self.peak = max(self.peak, (done.peak, f"{self.case}, {next(a for a in arguments if a in COMMANDS)}"))
        expect(self.memory is None or done.peak < self.memory,
               f"took {done.peak >> 20} MiB of memory: {shown(done.error)}")
        return done

    def options(self, case):
        """For what takes the layer of a case."""
        return ([] if self.owners else ["--squash-owners"]) + [o for limit in case.limits for o in ("--limit", limit)]

    def accepted(self, case, done, refused):
        """Whether the layer was taken; Wrong where it shouldn't have been, or should have been, or is refused badly."""
        if done.code == 0:
            expect(refused is None, "is applied, and must be refused")
            expect(not done.error, f"is applied with a message: {shown(done.error)}")
            events = json.loads(done.output)["events"]
            expect(case.reports is None or any(event["rule"] == case.reports for event in events),
                   f"reports {sorted({event['rule'] for event in events})}, not {case.reports}")
            return True
        expect(refused is not None, f"is refused: {shown(done.error)}")
        text = done.error.decode(errors="backslashreplace")
        expect(text.startswith("layerctl: cannot ") and text.endswith("\n") and text[:-1].isprintable() and len(text) < 8192,
               f"not one clear line: {text!r}")
        expect(re.search(refused, text), f"refused for another reason: {text.strip()}")
        return False

    def look(self, root):
        """The tree as text, and nothing of the canaries in it."""
        def check(path, fd, status):
            expect((status.st_dev, status.st_ino) not in self.box.canaries, f"{path!r} is a canary")
            expect(status.st_size > 4096 or self.box.secret not in os.pread(fd, 4096, 0), f"{path!r} has the secret")
        return tree_text(root, self.owners, check)

    def same_tree(self, case, root):
        found, expected = self.look(root), sorted_tree(case.tree)
        if found != expected:
            missing, extra = sorted(set(expected) - set(found))[:5], sorted(set(found) - set(expected))[:5]
            raise Wrong(f"the tree lacks {[m[:300] for m in missing]}, has {[e[:300] for e in extra]}")

    def flat(self, case):
        root = self.box.parent / "root"
        plant(case.base, root, self.box.outside)
        before, outside = self.inside(root), self.around(root)
        done = self.layerctl_does("apply", root, *self.options(case), stdin=self.layer)
        self.nothing_outside(outside, root)
        if self.accepted(case, done, case.refused):
            self.same_tree(case, root)
        else:
            self.as_before(before, self.inside(root))

    def overlay(self, case):
        base, upper = self.box.parent / "base", self.box.parent / "upper"
        plant(case.base, base, self.box.outside)
        before, outside = self.inside(upper), self.around(upper)
        done = self.layerctl_does("apply", upper, "--overlay", "--lower", base, *self.options(case), stdin=self.layer)
        self.nothing_outside(outside, upper)
        if not self.accepted(case, done, case.refused):
            self.as_before(before, self.inside(upper))
            return
        marks = {mark for line in self.look(upper) for mark in OVERLAY_MARK.findall(line)}
        expect(all(mark.endswith(".opaque='y'") for mark in marks), f"the upper directory has {marks}")
        merged = self.box.overlay([upper, base], not self.privileged)
        try:
            self.same_tree(case, merged)
        finally:
            self.box.unmount_overlay()

    def store(self, case):
        root, store = self.box.parent / "root", self.box.parent / "store"
        self.base_tar.write_bytes(base_layer(case.base))
        done = self.layerctl_does("--root", store, "import", "-", *([] if self.owners else ["--squash-owners"]),
                                  stdin=self.base_tar)
        expect(done.code == 0, f"the base is refused: {shown(done.error)}")
        base = json.loads(done.output)["id"]
        before, outside = snapshot(store, identity=False), self.around(root, store)
        done = self.layerctl_does("--root", store, "import", "-", "--parent", base, *self.options(case), stdin=self.layer)
        self.nothing_outside(outside, root, store)
        if not self.accepted(case, done, case.refused or case.refused_by_store):
            self.as_before(before, snapshot(store, identity=False))
            return
        layer = json.loads(done.output)["id"]
        for arguments in (["verify", "--prove"], ["unpack", layer, root]):
            done = self.layerctl_does("--root", store, *arguments)
            expect(done.code == 0, f"{arguments[0]}: {shown(done.error or done.output)}")
        self.nothing_outside(outside, root, store)
        self.same_tree(case, root)
        self.look(store)
        done = self.layerctl_does("--root", store, "export", layer, "-", "--compress", "none")
        expect(done.code == 0, f"export: {shown(done.error)}")
        expect(self.tar_digest == done.digest, "export gives other bytes")

    def inside(self, root):
        """What a refused layer leaves as it was; not when the inode of the root was last changed."""
        found = snapshot(root)
        found[str(root)].pop()
        return found

    def around(self, *changing):
        return snapshot(self.box.path, [str(path) for path in changing])

    def nothing_outside(self, before, *changing):
        found = changed(before, self.around(*changing))
        expect(not found, f"outside of the root, these changed: {found[:5]}")
        expect(not any(os.path.lexists(place + "evil")
                       for place in ("/", "/tmp/", "/etc/", str(self.box.scratch) + "/")),
               "outside of the root, there is evil")

    def as_before(self, before, after):
        found = changed(before, after)
        expect(not found, f"is refused, but these changed: {found[:5]}")

    def try_case(self, case, mode):
        """None, or what is wrong."""
        self.box.fresh()
        if self.case != case.name:  # making it takes longer than trying it
            self.tar_digest = in_child(lambda: write_layer(case, self.layer))
        self.case = case.name
        try:
            getattr(self, mode)(case)
            return None
        except Wrong as wrong:
            return str(wrong)


def all_cases(here):
    found = cases_escape.cases(here) + cases_format.cases(here) + cases_many.cases(here)
    names = [case.name for case in found]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    assert all((case.tree is None) != (case.refused is None) for case in found)
    return found


def try_all(runner, patterns):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in all_cases(runner.here):
        if patterns and not any(re.search(pattern, case.name) for pattern in patterns):
            continue
        for mode in ("flat", "overlay", "store"):
            if case.skip or mode not in runner.modes or (
                    mode == "store" and case.needs_rights and not runner.here.reads_all):
                counts["skipped"] += 1
                continue
            wrong = runner.try_case(case, mode)
            counts["failed" if wrong else "passed"] += 1
            if wrong:
                print(f"FAILED: {case.name} ({mode}): {wrong}", flush=True)
    print(f"peak memory: {runner.peak[0] >> 20} MiB ({runner.peak[1]})")
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


def place():
    """Memory, where it will do: some disks take seconds to make the many files of these layers. Else TMPDIR."""
    if not os.access("/dev/shm", os.W_OK):
        return None
    disk = os.statvfs("/dev/shm")
    if disk.f_bavail * disk.f_frsize < 1 << 30 or 0 < disk.f_favail < 1_000_000:
        return None
    try:
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as probe:  # tmpfs has such attributes since Linux 6.6
            os.setxattr(probe.name, "user.overlay.opaque", b"y")
        return "/dev/shm"
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-memory-limit", action="store_true")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("layerctl", type=pathlib.Path)
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    if options.list:
        print("\n".join(case.name for case in all_cases(Here("/outside", b"", True, True, True, True))))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.umask(0o022)
    # Trees here can be 2,048 directories deep, and looking at one holds each of them open.
    sys.setrecursionlimit(10_000)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    box = Box(tempfile.mkdtemp(prefix="strata-hostile-", dir=place()))
    try:
        runner = Runner(options.layerctl.resolve(), box, None if options.no_memory_limit else MEMORY, options.seconds)
        if not runner.holds_whiteouts():
            print(f"skipped: {box.path} can't hold whiteouts; set TMPDIR to a place that isn't an overlay")
            return 77
        return try_all(runner, options.patterns)
    finally:
        box.close()


if __name__ == "__main__":
    sys.exit(main())
